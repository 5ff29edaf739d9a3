//! What a module is given: a task's arguments and its environment, rendered.

use std::collections::BTreeMap;

use crate::play::library::entries;
use crate::play::model::Task;
use crate::play::scope::View;
use crate::tasks::{Failure, Map};
use crate::template::ansible::{is_omit, text};
use crate::template::{Value, ValueKind};

impl super::Interpreter<'_> {
    /// A task's arguments, rendered; those that are `omit` are left out, and `module_defaults` are beneath.
    pub(super) fn arguments(&self, task: &Task, view: &View) -> Result<Map, Failure> {
        let scope = view.scope();
        let render = |value: &Value| {
            self.engine.render_value(value, &scope).map_err(|error| crate::play::controller::failure(&error))
        };
        let mut args = Map::new();
        let mut levels: Vec<_> = view.context.chain().collect();
        levels.reverse();
        for defaults in levels.iter().flat_map(|context| &context.module_defaults) {
            let bare = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
            for (name, value) in entries(&render(defaults)?) {
                if bare(&name) == bare(&task.module) && !name.starts_with("group/") {
                    args.extend(entries(&value));
                }
            }
        }
        for value in task.more_args.iter().chain([&task.args]) {
            let rendered = render(value)?;
            if rendered.kind() != ValueKind::Map {
                let shown: String = text(&rendered).chars().take(60).collect();
                return Err(Failure::new(format!("the arguments are to be a map, and they are `{shown}`")));
            }
            args.extend(entries(&rendered));
        }
        args.retain(|_, value| !is_omit(value));
        Ok(args)
    }

    /// A task's arguments as far as they are known; `None` where one that is not may name what the task touches.
    pub(super) fn known_arguments(&self, task: &Task, view: &View) -> Option<Map> {
        if let Ok(args) = self.arguments(task, view) {
            return Some(args);
        }
        let scope = view.scope();
        let names = ["path", "dest", "name", "src", "unit", "service", "user"];
        let mut known = Map::new();
        for (name, value) in task.more_args.iter().chain([&task.args]).flat_map(entries) {
            match self.engine.render_value(&value, &scope) {
                Ok(value) if !is_omit(&value) => drop(known.insert(name, value)),
                Ok(_) => {}
                Err(_) if names.contains(&name.as_str()) => return None,
                Err(_) => {}
            }
        }
        Some(known)
    }

    /// `environment:`, the inner over the outer.
    pub(super) fn environment(&self, view: &View) -> Result<BTreeMap<String, String>, Failure> {
        let mut all = BTreeMap::new();
        let mut levels: Vec<_> = view.context.chain().collect();
        levels.reverse();
        for value in levels.iter().flat_map(|context| &context.environment) {
            let rendered = self.engine.render_value(value, &view.scope());
            let rendered = rendered.map_err(|error| crate::play::controller::failure(&error))?;
            all.extend(entries(&rendered).into_iter().map(|(name, value)| (name, text(&value))));
        }
        Ok(all)
    }
}
