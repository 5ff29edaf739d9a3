//! Nodes into tasks and blocks.

use std::rc::Rc;

use super::library::{Library, listed};
use super::model::{Block, Context, Item, Repeat, Task};
use super::{loader::Loader, words};
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::Span;
use crate::tasks::{Map, registry};
use crate::template::{Value, ValueKind};
use crate::tree::{self, Node};

/// Keywords of tasks, blocks and roles that those within inherit.
const INHERITED: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "debugger",
    "delegate_facts",
    "delegate_to",
    "diff",
    "ignore_errors",
    "ignore_unreachable",
    "no_log",
    "port",
    "remote_user",
    "run_once",
    "throttle",
    "timeout",
];

/// Keywords that are read one by one.
const OWN: &[&str] = &["name", "vars", "tags", "when", "environment", "module_defaults"];

const TASK: &[&str] = &[
    "action",
    "args",
    "async",
    "changed_when",
    "delay",
    "failed_when",
    "listen",
    "local_action",
    "loop",
    "loop_control",
    "notify",
    "poll",
    "register",
    "retries",
    "until",
];

const BLOCK: &[&str] = &["block", "rescue", "always", "notify", "delay", "retries", "until"];

/// Modules whose arguments are words of their own.
const FREE: &[&str] = &["command", "shell", "raw", "script", "win_command", "win_shell"];

/// What is the interpreter's own.
pub const SPECIAL: &[&str] = &[
    "meta",
    "include_tasks",
    "include_role",
    "import_tasks",
    "import_role",
    "import_playbook",
    "include_vars",
    "group_by",
    "add_host",
    "validate_argument_spec",
];

/// Keywords that what is within inherits; those that it does not know are given back.
pub fn keywords<'n>(
    node: &'n Node,
    library: &Library,
    context: &mut Context,
) -> Result<Vec<(&'n tree::Key, &'n Rc<Node>)>, Diagnostic> {
    let mut others = vec![];
    for (key, value) in node.entries() {
        match key.text.as_str() {
            "name" => {}
            "vars" => context.vars = variables(value, library)?,
            "tags" => context.tags = tags(&library.value(value)?),
            "when" => context.when = listed(&library.value(value)?),
            "environment" => context.environment = listed(&library.value(value)?),
            "module_defaults" => context.module_defaults = listed(&library.value(value)?),
            name if INHERITED.contains(&name) => {
                context.settings.insert(name.to_owned(), library.value(value)?);
            }
            _ => others.push((key, value)),
        }
    }
    Ok(others)
}

/// `vars:`, a map or a list of maps.
fn variables(node: &Node, library: &Library) -> Result<Map, Diagnostic> {
    let mut all = Map::new();
    if node.items().is_empty() {
        return library.map(node, "`vars`");
    }
    for item in node.items() {
        all.extend(library.map(item, "`vars`")?);
    }
    Ok(all)
}

/// Tags: a list, or words with commas.
fn tags(value: &Value) -> Vec<Value> {
    let split = |value: Value| match value.as_str() {
        Some(text) if !text.contains("{{") => text.split(',').map(|tag| Value::from(tag.trim())).collect(),
        _ => vec![value],
    };
    listed(value).into_iter().flat_map(split).collect()
}

/// A list of tasks.
pub fn items(node: &Node, parent: &Rc<Context>, loader: &Loader, is_handler: bool) -> Result<Vec<Item>, Diagnostic> {
    if node.is_null() {
        return Ok(vec![]);
    }
    if !matches!(node.value, tree::Value::Seq(_)) {
        let message = format!("tasks are a list, and this is {}", node.describe());
        return Err(Diagnostic::error(node.span, message).help("write each task as `- name: …`"));
    }
    node.items().iter().filter(|item| !item.is_null()).map(|item| one(item, parent, loader, is_handler)).collect()
}

fn one(node: &Rc<Node>, parent: &Rc<Context>, loader: &Loader, is_handler: bool) -> Result<Item, Diagnostic> {
    if !matches!(node.value, tree::Value::Map(_)) {
        return Err(Diagnostic::error(node.span, format!("a task is a map, and this is {}", node.describe()))
            .help("for instance `- apt: name=nginx`"));
    }
    if node.get("block").is_some() {
        return block(node, parent, loader, is_handler).map(|block| Item::Block(Rc::new(block)));
    }
    if let Some((key, _)) = node.entries().iter().find(|(key, _)| key.text == "rescue" || key.text == "always") {
        return Err(Diagnostic::error(key.span, format!("`{}` belongs to a `block`, and there is none", key.text)));
    }
    let task = task(node, parent, loader.library(), is_handler)?;
    loader.expanded(task)
}

fn block(node: &Node, parent: &Rc<Context>, loader: &Loader, is_handler: bool) -> Result<Block, Diagnostic> {
    let mut context = Context::within(parent);
    for (key, _) in keywords(node, loader.library(), &mut context)? {
        if !BLOCK.contains(&key.text.as_str()) {
            return Err(unknown(key, &[BLOCK, OWN, INHERITED], "a block"));
        }
    }
    let context = Rc::new(context);
    let list = |name: &str| node.get(name).map_or(Ok(vec![]), |list| items(list, &context, loader, is_handler));
    Ok(Block {
        span: node.span,
        body: list("block")?,
        rescue: list("rescue")?,
        always: list("always")?,
        context: context.clone(),
        is_role: false,
    })
}

fn unknown(key: &tree::Key, known: &[&[&str]], what: &str) -> Diagnostic {
    let names = known.iter().copied().flatten().copied();
    let error = Diagnostic::error(key.span, format!("`{}` is no keyword of {what}", key.text));
    match nearest(&key.text, names) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// What a task does: its module and arguments.
struct What {
    module: String,
    span: Span,
    args: Value,
}

fn task(node: &Rc<Node>, parent: &Rc<Context>, library: &Library, is_handler: bool) -> Result<Task, Diagnostic> {
    let mut context = Context::within(parent);
    let mut what = None;
    let mut repeat = None;
    let mut candidates = vec![];
    for (key, value) in keywords(node, library, &mut context)? {
        match key.text.as_str() {
            "action" => what = Some(action(value, key.span, library)?),
            "local_action" => {
                what = Some(action(value, key.span, library)?);
                context.settings.insert("delegate_to".into(), "localhost".into());
            }
            "loop" => repeat = Some(Repeat::Loop(library.value(value)?)),
            name if name.starts_with("with_") => {
                repeat = Some(Repeat::With(name["with_".len()..].to_owned(), library.value(value)?));
            }
            name if TASK.contains(&name) => {}
            _ => candidates.push((key, value)),
        }
    }
    let is_module = |name: &str| registry::find(name).is_some() || name.contains('.') || special(name).is_some();
    let extra = candidates.iter().find(|(key, _)| !is_module(&key.text)).or(candidates.get(1));
    if let Some((key, _)) = extra.filter(|_| candidates.len() > 1 || what.is_some()) {
        if !is_module(&key.text) {
            return Err(unknown(key, &[TASK, OWN, INHERITED], "a task"));
        }
        let names = candidates.iter().map(|(key, _)| format!("`{}`", key.text)).collect::<Vec<_>>().join(" and ");
        let message = format!("a task does one thing, and this one has {names}");
        return Err(Diagnostic::error(key.span, message).help("make it two tasks"));
    }
    if let Some((key, value)) = candidates.pop() {
        what = Some(What { module: key.text.clone(), span: key.span, args: arguments(&key.text, value, library)? });
    }
    let Some(what) = what else {
        let error = Diagnostic::error(node.span, "this task says nothing to do");
        return Err(error.help("name a module, for instance `apt: name=nginx`"));
    };
    if special(&what.module).is_some_and(|name| name.ends_with("_tasks") || name.ends_with("_role")) {
        context.params = context.vars.clone();
    }
    let value = |name: &str| node.get(name).map(|value| library.value(value)).transpose();
    let list = |name: &str| value(name).map(|value| value.map(|value| listed(&value)));
    Ok(Task {
        span: node.span,
        name: value("name")?.filter(|name| !name.is_none()),
        module: what.module,
        module_span: what.span,
        args: what.args,
        more_args: value("args")?,
        context: Rc::new(context),
        repeat,
        loop_control: node.get("loop_control").map_or(Ok(Map::new()), |node| library.map(node, "`loop_control`"))?,
        register: node.get("register").map(|node| variable_name(node)).transpose()?,
        until: list("until")?.unwrap_or_default(),
        retries: value("retries")?,
        delay: value("delay")?,
        changed_when: list("changed_when")?,
        failed_when: list("failed_when")?,
        notify: list("notify")?.unwrap_or_default(),
        listen: list("listen")?.unwrap_or_default(),
        background: value("async")?.map(|seconds| Ok((seconds, value("poll")?))).transpose()?,
        is_handler,
    })
}

fn variable_name(node: &Node) -> Result<String, Diagnostic> {
    let name = node.as_str().unwrap_or_default();
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_name || name.contains("{{") {
        Ok(name.to_owned())
    } else {
        Err(Diagnostic::error(node.span, format!("`{name}` is no name of a variable"))
            .help("letters, digits and underscores, and no digit first"))
    }
}

/// The interpreter's own action of this name, without its collection.
pub fn special(name: &str) -> Option<&'static str> {
    let bare = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name);
    SPECIAL.iter().copied().find(|known| *known == bare)
}

/// `action: module words`, or `action: {module: …, …}`.
fn action(node: &Rc<Node>, span: Span, library: &Library) -> Result<What, Diagnostic> {
    if let Some(text) = node.as_str() {
        let (name, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        return Ok(What { module: name.to_owned(), span, args: word_arguments(name, rest, node.span)? });
    }
    let module = node.get("module").and_then(|module| module.as_str());
    let Some(module) = module else {
        return Err(Diagnostic::error(node.span, "`action` names no module"));
    };
    let rest = node.without(&["module"]);
    Ok(What { module: module.to_owned(), span, args: library.value(&rest)? })
}

fn arguments(name: &str, node: &Rc<Node>, library: &Library) -> Result<Value, Diagnostic> {
    let value = library.value(node)?;
    match value.kind() {
        ValueKind::Map => Ok(value),
        ValueKind::None => Ok(crate::template::map([] as [(&str, Value); 0])),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let is_one =
                text.trim().starts_with("{{") && text.trim().ends_with("}}") && text.matches("{{").count() == 1;
            if is_one && !is_free(name) && !takes_file(name) {
                Ok(value)
            } else {
                word_arguments(name, text, node.span)
            }
        }
        _ => {
            let message = format!("`{name}` takes a map of arguments, and this is {}", node.describe());
            if matches!(value.kind(), ValueKind::Number | ValueKind::Bool) {
                return word_arguments(name, &value.to_string(), node.span);
            }
            Err(Diagnostic::error(node.span, message))
        }
    }
}

fn word_arguments(name: &str, text: &str, span: Span) -> Result<Value, Diagnostic> {
    let args = words::read(text, is_free(name)).map_err(|error| {
        Diagnostic::error(span, format!("`{name}`: {error}")).help("write the arguments as a map, one to a line")
    })?;
    Ok(crate::template::map(args))
}

fn is_free(name: &str) -> bool {
    let bare = name.rsplit('.').next().unwrap_or(name);
    FREE.contains(&bare)
}

/// `include_tasks: NAME` and its like.
fn takes_file(name: &str) -> bool {
    matches!(special(name), Some("include_tasks" | "import_tasks" | "include_vars" | "meta"))
}
