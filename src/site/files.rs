use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::diagnostic::Diagnostic;
use crate::model::{FileId, Sources, Span};
use crate::secrets::{self, Keys};
use crate::tree::{self, Node};

/// The one place of this room that reads files.
#[derive(Debug, Default)]
pub struct Files {
    sources: RefCell<Sources>,
    /// What encrypted files held, by their paths: what tells that one has changed.
    opened: RefCell<BTreeMap<String, String>>,
}

/// A file of variables.
pub enum Variables {
    /// Read; where it was encrypted, everything in it is marked as secret.
    Read(Rc<Node>),
    /// Encrypted, and left closed.
    Closed,
    /// The error was told.
    Failed,
}

impl Files {
    /// Reads a YAML file. `asked` is the place that names it.
    pub fn read(&self, path: &Path, asked: Option<Span>, out: &mut Vec<Diagnostic>) -> Option<Rc<Node>> {
        let failed = |message: String| Diagnostic { span: asked, ..Diagnostic::plain(message) };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let help = match error.kind() {
                    io::ErrorKind::NotFound => "check the path; a relative one belongs to the file in which it stands",
                    io::ErrorKind::PermissionDenied => "let this user read it",
                    _ => "name a YAML file",
                };
                out.push(failed(format!("cannot read {}: {error}", path.display())).help(help));
                return None;
            }
        };
        match tree::text_of(bytes) {
            // An empty file is an empty map.
            Ok(text) => self.parse(path, text, out).map(|root| if root.is_null() { root.emptied() } else { root }),
            Err(error) => {
                let file = self.sources.borrow_mut().add(path, error.lossy);
                let span = Span { file, line: error.line, column: error.column, start: error.at, end: error.at + 1 };
                out.push(
                    Diagnostic::error(span, "this byte is no UTF-8")
                        .help("save the file as UTF-8 (`iconv -f latin1 -t utf-8` turns an old one into it)"),
                );
                None
            }
        }
    }

    /// Reads a file of variables, which may be encrypted; without keys it stays closed.
    pub fn variables(
        &self,
        path: &Path,
        asked: Option<Span>,
        keys: Option<&Keys>,
        out: &mut Vec<Diagnostic>,
    ) -> Variables {
        let encrypted = fs::read(path).ok().filter(|bytes| secrets::is_encrypted(bytes));
        let Some(bytes) = encrypted else {
            return self.read(path, asked, out).map_or(Variables::Failed, Variables::Read);
        };
        let Some(keys) = keys else { return Variables::Closed };
        let opened = secrets::open(bytes, keys);
        let text =
            opened.and_then(|opened| String::from_utf8(opened.bytes).map_err(|_| "it holds no UTF-8".to_owned()));
        let text = match text {
            Ok(text) => text,
            Err(reason) => {
                let message = format!("cannot decrypt {}: {reason}", path.display());
                let diagnostic = Diagnostic { span: asked, ..Diagnostic::plain(message) };
                out.push(diagnostic.help("`lxdeploy validate` needs no key; plan and apply do"));
                return Variables::Failed;
            }
        };
        // What is kept for excerpts has the same places and none of the text.
        let blank = |c: char| if c == '\n' { "\n".to_owned() } else { "*".repeat(c.len_utf8()) };
        let file = self.sources.borrow_mut().add(path, text.chars().map(blank).collect::<String>());
        self.opened.borrow_mut().insert(path.display().to_string(), text.clone());
        match tree::parse(file, &text, out) {
            Some(root) if root.is_null() => Variables::Read(root.emptied()),
            Some(root) => Variables::Read(root.made_sensitive()),
            None => Variables::Failed,
        }
    }

    /// What encrypted files held, by their paths.
    pub fn take_opened(&self) -> BTreeMap<String, String> {
        self.opened.take()
    }

    /// Reads YAML that is in no file (`--var`), under a name for its errors.
    pub fn parse(&self, name: impl Into<PathBuf>, text: String, out: &mut Vec<Diagnostic>) -> Option<Rc<Node>> {
        let text: std::sync::Arc<str> = text.into();
        let file = self.sources.borrow_mut().add(name, text.clone());
        tree::parse(file, &text, out)
    }

    /// A text file that a template asks for.
    pub fn text(&self, path: &Path) -> Result<String, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut sources = self.sources.borrow_mut();
        if !sources.paths().any(|known| known == path) {
            sources.add(path, text.as_str());
        }
        Ok(text)
    }

    /// The directory to which relative paths in a file belong.
    pub fn directory(&self, file: FileId) -> PathBuf {
        let sources = self.sources.borrow();
        let directory = sources.path(file).parent().unwrap_or(Path::new(""));
        if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory.to_path_buf() }
    }

    /// A file's path, as it was asked for.
    pub fn name(&self, file: FileId) -> String {
        self.sources.borrow().path(file).display().to_string()
    }

    /// The text between two bytes of a file.
    pub fn slice(&self, span: Span) -> String {
        let sources = self.sources.borrow();
        sources.text(span.file).get(span.start as usize..span.end as usize).unwrap_or_default().to_owned()
    }

    /// The files, when all is read.
    pub fn take_sources(&self) -> Sources {
        self.sources.take()
    }
}
