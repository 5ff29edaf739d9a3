use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sha1::Digest as _;

use crate::diagnostic::Diagnostic;
use crate::model::{Masker, Sources, Span};
use crate::secrets::{self, Keys};
use crate::tasks::{Failure, LocalEntry, LocalFile, Map};
use crate::template::ansible::from_node;
use crate::template::{Value, ValueKind};
use crate::tree::{self, Node};

/// The operator's files: playbooks, roles, variables, what is copied and rendered. Each YAML file is read once.
#[derive(Debug, Default)]
pub struct Library {
    sources: RefCell<Sources>,
    parsed: RefCell<HashMap<PathBuf, Rc<Node>>>,
    described: RefCell<HashMap<PathBuf, LocalFile>>,
    masker: RefCell<Masker>,
    keys: Rc<Keys>,
}

/// What ends a file's name that holds YAML; in the order in which they are looked for.
pub const ENDINGS: &[&str] = &["yml", "yaml", "json"];

impl Library {
    /// Files that are opened with these keys.
    pub fn new(keys: Rc<Keys>) -> Self {
        Library { keys, ..Library::default() }
    }

    /// Reads a YAML file, decrypted where it is encrypted. An empty one is null.
    ///
    /// # Errors
    /// It cannot be read, or is no YAML: each with its place.
    pub fn yaml(&self, path: &Path, asked: Option<Span>) -> Result<Rc<Node>, Diagnostic> {
        if let Some(known) = self.parsed.borrow().get(path) {
            return Ok(known.clone());
        }
        let failed = |message: String| Diagnostic { span: asked, ..Diagnostic::plain(message) };
        let bytes = std::fs::read(path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
        let opened = secrets::open(bytes, &self.keys)
            .map_err(|error| failed(format!("cannot decrypt {}: {error}", path.display())))?;
        let text = match tree::text_of(opened.bytes) {
            Ok(text) => text,
            Err(error) => {
                let file = self.sources.borrow_mut().add(path, error.lossy);
                let span = Span { file, line: error.line, column: error.column, start: error.at, end: error.at + 1 };
                return Err(Diagnostic::error(span, "this byte is no UTF-8").help("save the file as UTF-8"));
            }
        };
        let blank = |c: char| if c == '\n' { "\n".to_owned() } else { "*".repeat(c.len_utf8()) };
        let shown = if opened.encrypted { text.chars().map(blank).collect() } else { text.clone() };
        let file = self.sources.borrow_mut().add(path, shown);
        let mut problems = vec![];
        let root = tree::parse(file, &text, &mut problems);
        if let Some(problem) = problems.into_iter().find(Diagnostic::is_error) {
            return Err(problem);
        }
        let root = root.ok_or_else(|| failed(format!("{} is no YAML", path.display())))?;
        if opened.encrypted {
            self.hide(&root);
        }
        self.parsed.borrow_mut().insert(path.to_owned(), root.clone());
        Ok(root)
    }

    /// Reads YAML that is in no file.
    ///
    /// # Errors
    /// It is none.
    pub fn parsed(&self, name: &str, text: &str) -> Result<Rc<Node>, Diagnostic> {
        let file = self.sources.borrow_mut().add(name, text);
        let mut problems = vec![];
        let root = tree::parse(file, text, &mut problems);
        match problems.into_iter().find(Diagnostic::is_error) {
            Some(problem) => Err(problem),
            None => root.ok_or_else(|| Diagnostic::plain(format!("{name} is no YAML"))),
        }
    }

    /// All texts in a node are secrets.
    fn hide(&self, node: &Node) {
        match &node.value {
            tree::Value::Scalar(scalar) => self.masker.borrow_mut().add(&scalar.text),
            tree::Value::Seq(items) => items.iter().for_each(|item| self.hide(item)),
            tree::Value::Map(entries) => entries.iter().for_each(|(_, value)| self.hide(value)),
        }
    }

    /// A node as a value; its texts are templates that are not rendered yet, but for `!unsafe` and `!vault` ones.
    ///
    /// # Errors
    /// Something in it cannot be decrypted.
    pub fn value(&self, node: &Node) -> Result<Value, Diagnostic> {
        let closed = |text: &str| {
            let plain = secrets::decrypt_value(text, &self.keys)?;
            self.masker.borrow_mut().add(&plain);
            Ok(plain)
        };
        from_node(node, &closed).map_err(|error| Diagnostic::error(node.span, error))
    }

    /// A node that is a map, by its keys; null is an empty one.
    ///
    /// # Errors
    /// It is no map, or cannot be decrypted.
    pub fn map(&self, node: &Node, what: &str) -> Result<Map, Diagnostic> {
        if node.is_null() {
            return Ok(Map::new());
        }
        if !matches!(node.value, tree::Value::Map(_)) {
            return Err(Diagnostic::error(node.span, format!("{what} is a map, and this is {}", node.describe())));
        }
        node.entries().iter().map(|(key, value)| Ok((key.text.clone(), self.value(value)?))).collect()
    }

    /// The variables of a file.
    ///
    /// # Errors
    /// As [`Library::yaml`] and [`Library::map`].
    pub fn variables(&self, path: &Path, asked: Option<Span>) -> Result<Map, Diagnostic> {
        let root = self.yaml(path, asked)?;
        self.map(&root, "a file of variables")
    }

    /// `FILE:LINE:COL`.
    pub fn place(&self, span: Span) -> String {
        self.sources.borrow().place(span)
    }

    /// The files read so far, for excerpts.
    pub fn sources(&self) -> Sources {
        self.sources.borrow().clone()
    }

    /// What was decrypted so far.
    pub fn masker(&self) -> Masker {
        self.masker.borrow().clone()
    }

    /// A text without what was decrypted so far.
    pub fn mask(&self, text: String) -> String {
        let masker = self.masker.borrow();
        if masker.is_empty() { text } else { masker.mask(&text) }
    }

    /// More that is secret.
    pub fn add_secrets(&self, more: &Masker) {
        let mut masker = self.masker.borrow_mut();
        more.texts().for_each(|text| masker.add_whole(text));
    }

    /// A file's bytes, decrypted where it is encrypted.
    ///
    /// # Errors
    /// It cannot be read or decrypted.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        let failed = |error: String| Failure::new(format!("{}: {error}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let opened = secrets::open(bytes, &self.keys).map_err(failed)?;
        if opened.encrypted
            && let Ok(text) = std::str::from_utf8(&opened.bytes)
        {
            self.masker.borrow_mut().add(text);
        }
        Ok(opened.bytes)
    }

    /// Size, permissions and checksums of a file's content.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn describe(&self, path: &Path) -> Result<LocalFile, Failure> {
        if let Some(known) = self.described.borrow().get(path) {
            return Ok(known.clone());
        }
        let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let meta = std::fs::metadata(path).map_err(failed)?;
        let mode = permissions(&meta);
        if meta.is_dir() {
            return Ok(LocalFile { size: 0, mode, is_directory: true, sha1: String::new(), sha256: String::new() });
        }
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let mut hashes = (sha1::Sha1::new(), sha2::Sha256::new());
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = std::io::Read::read(&mut file, &mut buffer).map_err(failed)?;
            if count == 0 {
                break;
            }
            hashes.0.update(&buffer[..count]);
            hashes.1.update(&buffer[..count]);
        }
        let (sha1, sha256) = (hex(&hashes.0.finalize()), hex(&hashes.1.finalize()));
        let described = LocalFile { size: meta.len(), mode, is_directory: false, sha1, sha256 };
        self.described.borrow_mut().insert(path.to_owned(), described.clone());
        Ok(described)
    }

    /// All that is below a directory, sorted.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list(&self, directory: &Path) -> Result<Vec<LocalEntry>, Failure> {
        let mut found = vec![];
        let mut open = vec![directory.to_owned()];
        while let Some(next) = open.pop() {
            let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", next.display()));
            for entry in std::fs::read_dir(&next).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let meta = std::fs::symlink_metadata(&path).map_err(failed)?;
                let target = meta.is_symlink().then(|| std::fs::read_link(&path)).transpose().map_err(failed)?;
                if meta.is_dir() {
                    open.push(path.clone());
                }
                let relative = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
                found.push(LocalEntry {
                    path: relative,
                    mode: permissions(&meta),
                    is_directory: meta.is_dir(),
                    target: target.map(|target| target.to_string_lossy().into_owned()),
                });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

fn permissions(meta: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A path with one of the endings of YAML files, or as it is.
pub fn with_ending(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let with = |ending: &&str| PathBuf::from(format!("{}.{ending}", path.display()));
    ENDINGS.iter().map(with).find(|path| path.is_file())
}

/// A path without `.` and `..` in it.
pub fn tidied(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir
                if matches!(out.components().next_back(), Some(std::path::Component::Normal(_))) =>
            {
                out.pop();
            }
            part => out.push(part),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

/// A value's items where it is a list, itself where it is not; none of what is null.
pub fn listed(value: &Value) -> Vec<Value> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter().map(Iterator::collect).unwrap_or_default(),
        ValueKind::Undefined | ValueKind::None => vec![],
        _ => vec![value.clone()],
    }
}

pub use crate::tasks::entries;
