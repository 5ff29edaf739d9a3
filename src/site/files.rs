use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::diagnostic::Diagnostic;
use crate::model::{FileId, Sources, Span};
use crate::tree::{self, Node};

/// The one place of this room that reads files.
#[derive(Debug, Default)]
pub struct Files {
    sources: RefCell<Sources>,
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
