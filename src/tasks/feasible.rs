//! Whether the guest would let a verdict's acts on files be done: in a preview nobody else says so.

use super::{Failure, Known, Pause, Verdict};
use crate::guest::{FileKind, Write};

/// What is written must have a directory to be in; what is made must not stand below a file.
///
/// # Errors
/// What the guest would refuse, or what is not known.
pub fn check(verdict: &Verdict, guest: &Known) -> Result<(), Pause> {
    let mut made: Vec<&str> = vec![];
    for write in &verdict.writes {
        match write {
            Write::Directory { path, .. } => {
                let mut above = path.as_str();
                while above.len() > 1 && !made.contains(&above) {
                    above = super::parent_of(above);
                    match guest.stat(above)?.map(|stat| stat.kind) {
                        None => {}
                        Some(FileKind::Directory) => break,
                        Some(_) => return Err(Failure::new(format!("{above} is no directory")).into()),
                    }
                }
                made.push(path);
            }
            Write::File { path, .. }
            | Write::Symlink { path, .. }
            | Write::Hardlink { path, .. }
            | Write::Touch { path, .. } => {
                let parent = super::parent_of(path);
                let is_made = made.contains(&parent);
                if !is_made && guest.stat(parent)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
                    return Err(Failure::new(format!("the directory {parent} is not there")).into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}
