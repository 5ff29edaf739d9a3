//! Keeps the comments at the head of the source files, of which `lxdeploy docs` makes the reference.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=src");
    let mut files = vec![PathBuf::from("src/site/document.rs")];
    for folder in [
        "src/kinds",
        "src/tasks/files",
        "src/tasks/packages",
        "src/tasks/system",
        "src/tasks/commands",
        "src/tasks/control",
    ] {
        files.extend(sources(Path::new(folder)));
    }
    let mut text = String::from("&[\n");
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
        let comment: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let name = file.with_extension("");
        let name = name.strip_prefix("src").unwrap_or(&name).display();
        let _ = writeln!(text, "    ({:?}, {:?}),", name.to_string(), comment.join("\n"));
    }
    text += "]\n";
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    if let Err(error) = std::fs::write(out.join("comments.rs"), text) {
        println!("cargo::error=the comments cannot be kept: {error}");
    }
}

/// The files of a folder, by name.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect();
    files.sort();
    files
}
