//! The operator's side of a task.

use std::path::{Path, PathBuf};

use super::scope::View;
use crate::tasks::{Controller, Failure, LocalEntry, LocalFile, Map, TemplateOptions};
use crate::template::ansible::{Engine, Error, ErrorKind, Options, Scope};
use crate::template::{Value, ValueKind};

/// One task's view, and the engine that renders it.
pub struct Side<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// What the task sees.
    pub view: &'a View,
}

/// A template's error as the failure of a task.
pub fn failure(error: &Error) -> Failure {
    Failure { is_unknown: error.kind == ErrorKind::Unknown, ..Failure::new(error.message.clone()) }
}

impl Controller for Side<'_> {
    fn find(&self, kind: &str, name: &str) -> Result<PathBuf, Failure> {
        self.view.find(kind, name).map_err(Failure::new)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        self.view.world.library.read(path)
    }

    fn describe(&self, path: &Path) -> Result<LocalFile, Failure> {
        self.view.world.library.describe(path)
    }

    fn list(&self, directory: &Path) -> Result<Vec<LocalEntry>, Failure> {
        self.view.world.library.list(directory)
    }

    fn render(&self, path: &Path, options: &TemplateOptions, more: &Map) -> Result<String, Failure> {
        let bytes = self.view.world.library.read(path)?;
        let source = String::from_utf8(bytes)
            .map_err(|_| Failure::new(format!("{}: a template is UTF-8, and this is not", path.display())))?;
        let shown = path.display().to_string();
        let mut locals = more.clone();
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
        locals.insert("template_path".into(), full.as_str().into());
        locals.insert("template_fullpath".into(), full.as_str().into());
        locals.insert("template_host".into(), "localhost".into());
        locals.insert("template_uid".into(), "root".into());
        let view = self.view.with(locals);
        let pair = |start: &Option<String>, end: &Option<String>, default: (&str, &str)| {
            (start.is_some() || end.is_some()).then(|| {
                let or = |text: &Option<String>, default: &str| text.clone().unwrap_or_else(|| default.to_owned());
                (or(start, default.0), or(end, default.1))
            })
        };
        let options = Options {
            trim_blocks: options.trim_blocks,
            lstrip_blocks: options.lstrip_blocks,
            newline: options.newline_sequence.clone(),
            variable: pair(&options.variable_start, &options.variable_end, ("{{", "}}")),
            block: pair(&options.block_start, &options.block_end, ("{%", "%}")),
            comment: pair(&options.comment_start, &options.comment_end, ("{#", "#}")),
        };
        self.engine.template(&shown, &source, &options, &view.scope()).map_err(|error| {
            let file = error.template.clone().unwrap_or(shown);
            let place = error.line.map_or(file.clone(), |line| format!("{file}:{line}"));
            Failure { message: format!("{place}: {}", error.message), place: Some(place.into()), ..failure(&error) }
        })
    }

    fn condition(&self, expression: &Value) -> Result<bool, Failure> {
        self.engine.condition(expression, &self.view.scope()).map_err(|error| failure(&error))
    }

    fn evaluate(&self, expression: &str) -> Result<Option<Value>, Failure> {
        let scope = self.view.scope();
        match self.engine.evaluate(expression, &scope) {
            Ok(value) if value.kind() == ValueKind::Undefined => Ok(None),
            Ok(value) => self.engine.render_value(&value, &scope).map(Some).map_err(|error| failure(&error)),
            Err(error) if error.kind == ErrorKind::Undefined => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    fn absolute(&self, path: &str) -> PathBuf {
        let base = match &self.view.stage {
            Some(stage) => &stage.play.directory,
            None => &self.view.world.site_directory,
        };
        base.join(path)
    }

    fn host(&self) -> String {
        self.view.host.name.clone()
    }

    fn now(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
        let now = Scope::now(self.view) as i64;
        now
    }
}
