use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Masker;

/// Which of the files read a place is in; an index into [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u32);

/// A place in a file that the user wrote: what an error points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First line, from 1.
    pub line: u32,
    /// First column, from 1, counted in characters.
    pub column: u32,
    /// Byte offset of the start in the file.
    pub start: u32,
    /// Byte offset after the end.
    pub end: u32,
}

/// The files read so far, so that an error can show an excerpt.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<(PathBuf, Arc<str>)>,
}

impl Sources {
    /// Adds a file's text and gives its id.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> FileId {
        self.files.push((path.into(), text.into()));
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// The same files with every secret blanked out: an excerpt of a long line may end in the middle of one.
    #[must_use]
    pub fn blanked(&self, masker: &Masker) -> Sources {
        let blanked = self.files.iter().map(|(path, text)| (path.clone(), masker.blanked(text).into()));
        Sources { files: blanked.collect() }
    }

    /// The path as the user would write it.
    pub fn path(&self, file: FileId) -> &Path {
        &self.files[file.0 as usize].0
    }

    /// The whole text.
    pub fn text(&self, file: FileId) -> &Arc<str> {
        &self.files[file.0 as usize].1
    }

    /// `FILE:LINE:COL`, as editors and compilers have it.
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}:{}", self.path(span.file).display(), span.line, span.column)
    }

    /// Every file read, with its text.
    pub fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files.iter().map(|(path, text)| (path.as_path(), text.as_ref()))
    }

    /// Every file read, in order of reading.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }
}
