//! Roles: found, read, and laid out as blocks of tasks.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::library::{ENDINGS, Library, tidied};
use super::loader::Loader;
use super::model::{Block, Context, Item, Role, Task};
use super::parse;
use crate::diagnostic::Diagnostic;
use crate::model::Span;
use crate::tasks::Map;
use crate::template::{Value, map};
use crate::tree::Node;

/// One use of a role.
#[derive(Clone, Debug, Default)]
pub struct RoleUse {
    /// Its name.
    pub name: String,
    /// Where it is asked for.
    pub span: Span,
    /// Arguments: stronger than what was set or registered.
    pub params: Map,
    /// `vars:`.
    pub vars: Map,
    /// Keywords: `when`, `tags`, `become` …
    pub keywords: Option<Rc<Node>>,
    /// In place of `main`, of tasks, vars, defaults and handlers.
    pub from: [Option<String>; 4],
    /// Tags beside those of the keywords.
    pub tags: Vec<String>,
    /// Its variables are seen by the whole play.
    pub is_public: bool,
    /// It is run though it was already.
    pub is_repeatable: bool,
}

/// Which uses of roles were laid out already.
#[derive(Debug, Default)]
pub struct Uses(HashSet<String>);

impl RoleUse {
    /// A role by its name alone.
    pub fn named(name: &str, span: Span) -> Self {
        RoleUse { name: name.to_owned(), span, is_repeatable: true, ..RoleUse::default() }
    }

    /// As a site asks for it; its variables are never templates.
    pub fn of_site(name: &str, vars: &serde_json::Map<String, serde_json::Value>, tags: &[String]) -> Self {
        let params = vars.iter().map(|(name, value)| (name.clone(), settled(value))).collect();
        RoleUse { name: name.to_owned(), params, tags: tags.to_vec(), is_public: true, ..RoleUse::default() }
    }

    /// An item of `roles:` or of a role's dependencies.
    pub fn parse(node: &Rc<Node>, library: &Library) -> Result<Self, Diagnostic> {
        let mut role = RoleUse { span: node.span, is_public: true, ..RoleUse::default() };
        if let Some(name) = node.as_str() {
            name.clone_into(&mut role.name);
            return Ok(role);
        }
        let name = ["role", "name", "src"].iter().find_map(|key| node.get(key)?.as_str());
        let Some(name) = name else {
            return Err(
                Diagnostic::error(node.span, "this names no role").help("write `- role: NAME`, or just `- NAME`")
            );
        };
        name.clone_into(&mut role.name);
        let mut context = Context::default();
        for (key, value) in parse::keywords(node, library, &mut context)? {
            match key.text.as_str() {
                "role" | "src" | "scm" | "version" => {}
                name => {
                    role.params.insert(name.to_owned(), library.value(value)?);
                }
            }
        }
        role.vars = context.vars;
        role.keywords = Some(node.clone());
        Ok(role)
    }
}

impl Loader {
    /// A role of `roles:`: once for the same arguments, unless it allows more.
    pub(super) fn role_in_play(&self, role: &RoleUse, around: &Rc<Context>) -> Result<Vec<Item>, Diagnostic> {
        self.role(role, around, false)
    }

    /// A role's dependencies and tasks.
    ///
    /// # Errors
    /// It is not there, or what is wrong in it.
    pub fn role(&self, wanted: &RoleUse, around: &Rc<Context>, is_handler: bool) -> Result<Vec<Item>, Diagnostic> {
        if around.roles().count() > 30 {
            return Err(Diagnostic::error(wanted.span, format!("role `{}` depends on itself", wanted.name)));
        }
        let library = self.library().clone();
        let path = self.find_role(wanted, around)?;
        let meta = main_file(&path.join("meta"), "main").map(|path| library.yaml(&path, None)).transpose()?;
        let allows = meta.as_ref().and_then(|meta| meta.get("allow_duplicates")?.as_bool()).unwrap_or(false);
        let key = format!("{}\n{:?}\n{:?}\n{:?}", path.display(), wanted.params, wanted.vars, wanted.from);
        if !self.uses.borrow_mut().0.insert(key) && !allows && !wanted.is_repeatable {
            return Ok(vec![]);
        }
        let [tasks, vars, defaults, handlers] =
            ["tasks", "vars", "defaults", "handlers"].map(|directory| path.join(directory));
        let from = |index: usize| wanted.from[index].as_deref();
        let mut context = Context::within(around);
        if let Some(node) = &wanted.keywords {
            parse::keywords(node, &library, &mut context)?;
        }
        context.vars.clone_from(&wanted.vars);
        context.params.clone_from(&wanted.params);
        context.tags.extend(wanted.tags.iter().map(|tag| Value::from(tag.as_str())));
        let shell = Rc::new(context);
        let mut items = vec![];
        let mut dependencies = vec![];
        // What a role depends on sees the role's own variables.
        let plain = Rc::new(Role {
            name: wanted.name.clone(),
            path: path.clone(),
            defaults: file_variables(&library, &defaults, from(2), wanted)?,
            vars: file_variables(&library, &vars, from(1), wanted)?,
            dependencies: vec![],
            is_public: wanted.is_public,
        });
        let inner = |role: &Rc<Role>, directory: &Path| {
            Rc::new(Context {
                role: Some(role.clone()),
                directory: Some(directory.to_owned()),
                ..Context::within(&shell)
            })
        };
        if let Some(listed) = meta.as_ref().and_then(|meta| meta.get("dependencies")) {
            for node in listed.items() {
                let mut dependency = RoleUse::parse(node, &library)?;
                dependency.is_public = wanted.is_public;
                items.extend(self.role(&dependency, &inner(&plain, &tasks), is_handler)?);
            }
            dependencies = items.iter().filter_map(role_of).collect();
        }
        let role = Rc::new(Role {
            name: plain.name.clone(),
            path: plain.path.clone(),
            defaults: plain.defaults.clone(),
            vars: plain.vars.clone(),
            dependencies,
            is_public: wanted.is_public,
        });
        if wanted.is_public {
            self.add_role(&role);
        }
        if let Some(file) = main_or(&handlers, from(3), "handlers", wanted)? {
            let root = library.yaml(&file, None)?;
            let read = parse::items(&root, &inner(&role, &handlers), self, true)?;
            self.add_handlers(read);
        }
        let context = inner(&role, &tasks);
        let mut body = vec![];
        body.extend(self.specification(&path, meta.as_ref(), wanted, &context)?);
        if let Some(file) = main_or(&tasks, from(0), "tasks", wanted)? {
            let root = library.yaml(&file, None)?;
            body.extend(parse::items(&root, &context, self, is_handler)?);
        }
        let block = Block { span: wanted.span, context, body, rescue: vec![], always: vec![], is_role: true };
        items.push(Item::Block(Rc::new(block)));
        Ok(items)
    }

    /// The check of a role's arguments, where it says what they are to be.
    fn specification(
        &self,
        path: &Path,
        meta: Option<&Rc<Node>>,
        wanted: &RoleUse,
        context: &Rc<Context>,
    ) -> Result<Option<Item>, Diagnostic> {
        let library = self.library();
        let own = main_file(&path.join("meta"), "argument_specs").map(|path| library.yaml(&path, None)).transpose()?;
        let specs = own.as_ref().or(meta).and_then(|root| root.get("argument_specs"));
        let entry = wanted.from[0].as_deref().unwrap_or("main");
        let entry = entry.trim_end_matches(".yml").trim_end_matches(".yaml");
        let Some(spec) = specs.and_then(|specs| specs.get(entry)) else { return Ok(None) };
        let described = spec.get("short_description").and_then(|text| text.as_str());
        let described = described.map(|text| format!(" - {text}")).unwrap_or_default();
        let options = spec.get("options").map_or_else(|| Ok(Value::from(())), |options| library.value(options))?;
        let args = map([("argument_spec", options), ("entry", entry.into()), ("role", wanted.name.as_str().into())]);
        let context = Context { tags: vec!["always".into()], ..Context::within(context) };
        let name = format!("Validating arguments against arg spec '{entry}'{described}");
        let task = Task::of_ours(spec.span, name, "ansible.builtin.validate_argument_spec", args, context);
        Ok(Some(Item::Task(Rc::new(task))))
    }

    fn find_role(&self, wanted: &RoleUse, around: &Context) -> Result<PathBuf, Diagnostic> {
        let name = wanted.name.as_str();
        let mut places = vec![];
        if Path::new(name).is_absolute() {
            places.push(PathBuf::from(name));
        } else {
            places.push(self.directory.join("roles").join(name));
            places.push(self.directory.join("playbooks/roles").join(name));
            places.extend(self.roles_path.iter().map(|path| path.join(name)));
            places.extend(around.roles().filter_map(|role| role.path.parent()).map(|path| path.join(name)));
            places.push(self.directory.join(name));
        }
        let places: Vec<PathBuf> = places.iter().map(|path| tidied(path)).collect();
        if let Some(path) = places.iter().find(|path| path.is_dir()) {
            return Ok(path.clone());
        }
        let mut looked: Vec<String> = vec![];
        for place in places.iter().map(|path| path.display().to_string()) {
            if !looked.contains(&place) {
                looked.push(place);
            }
        }
        let error = Diagnostic::error(wanted.span, format!("there is no role `{name}`"));
        Err(error
            .help(format!("it was looked for at {}; `roles_path:` of the site names more places", looked.join(", "))))
    }
}

/// A value that is rendered already: no text in it is a template.
pub fn settled(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::String(text) => Value::from_safe_string(text.clone()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(settled).collect::<Vec<_>>()),
        serde_json::Value::Object(entries) => map(entries.iter().map(|(name, value)| (name.clone(), settled(value)))),
        other => crate::template::ansible::from_json(other),
    }
}

fn role_of(item: &Item) -> Option<Rc<Role>> {
    match item {
        Item::Block(block) => block.context.role.clone(),
        Item::Task(_) => None,
    }
}

/// `NAME.yml`, `.yaml`, `.json` or without an ending.
fn main_file(directory: &Path, name: &str) -> Option<PathBuf> {
    let named = ENDINGS.iter().map(|ending| directory.join(format!("{name}.{ending}")));
    named.chain([directory.join(name)]).find(|path| path.is_file())
}

/// The file that is asked for, which must be there, or `main`, which need not.
fn main_or(directory: &Path, from: Option<&str>, what: &str, wanted: &RoleUse) -> Result<Option<PathBuf>, Diagnostic> {
    let Some(name) = from else { return Ok(main_file(directory, "main")) };
    let path = directory.join(name);
    let found = if path.is_file() { Some(path) } else { main_file(directory, name) };
    found.map(Some).ok_or_else(|| {
        Diagnostic::error(wanted.span, format!("role `{}` has no {what} `{name}`", wanted.name))
            .help(format!("it was looked for in {}", directory.display()))
    })
}

/// A role's variables: `main`, or all files in a directory of that name.
fn file_variables(
    library: &Library,
    directory: &Path,
    from: Option<&str>,
    wanted: &RoleUse,
) -> Result<Map, Diagnostic> {
    let folder = directory.join(from.unwrap_or("main"));
    if folder.is_dir() {
        return folder_variables(library, &folder);
    }
    match main_or(directory, from, "variables", wanted)? {
        Some(path) => library.variables(&path, None),
        None => Ok(Map::new()),
    }
}

/// The variables of all files in a directory, sorted.
pub fn folder_variables(library: &Library, folder: &Path) -> Result<Map, Diagnostic> {
    let mut all = Map::new();
    let entries =
        std::fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    let mut paths = entries.map_err(|error| Diagnostic::plain(format!("{}: {error}", folder.display())))?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if path.is_dir() {
            all.extend(folder_variables(library, &path)?);
        } else if path.extension().is_none_or(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            all.extend(library.variables(&path, None)?);
        }
    }
    Ok(all)
}
