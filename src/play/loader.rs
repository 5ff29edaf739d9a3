//! Playbooks and task files from disk, with all that is imported and every role in its place.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::library::{Library, listed, tidied, with_ending};
use super::model::{Block, Context, Item, Play, Role, Task};
use super::parse;
use super::roles::{RoleUse, Uses};
use crate::diagnostic::{Diagnostic, nearest};
use crate::tasks::Map;
use crate::template::Value;
use crate::template::ansible::{Engine, Scope, Variable, text};
use crate::tree::{self, Node};

/// Where files of one play are looked for, and what its names may be made of.
#[derive(Debug)]
pub struct Loader {
    library: Rc<Library>,
    engine: Engine,
    /// The playbook's directory.
    pub(super) directory: PathBuf,
    /// `roles_path:`.
    pub(super) roles_path: Vec<PathBuf>,
    /// Variables that are known before anything is run, the strongest first.
    early: Vec<Rc<Map>>,
    /// Handlers of the roles that were read.
    handlers: RefCell<Vec<Item>>,
    /// Roles that the whole play sees.
    roles: RefCell<Vec<Rc<Role>>>,
    /// Which roles were used.
    pub(super) uses: RefCell<Uses>,
}

/// What playbooks are read with.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// The files.
    pub library: Rc<Library>,
    /// `roles_path:`, absolute or relative to where lxdeploy runs.
    pub roles_path: Vec<PathBuf>,
    /// `-e`.
    pub extra_vars: Rc<Map>,
    /// The site's variables.
    pub site_vars: Rc<Map>,
}

const PLAY: &[&str] = &[
    "any_errors_fatal",
    "fact_path",
    "force_handlers",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "handlers",
    "hosts",
    "max_fail_percentage",
    "order",
    "post_tasks",
    "pre_tasks",
    "roles",
    "serial",
    "strategy",
    "tasks",
    "user",
    "validate_argspec",
    "vars_files",
    "vars_prompt",
];

impl Shelf {
    /// A shelf; the site's variables are never templates.
    pub fn new(
        library: Rc<Library>,
        roles_path: Vec<PathBuf>,
        extra_vars: Map,
        site_vars: &std::collections::BTreeMap<String, serde_json::Value>,
    ) -> Self {
        let site_vars = site_vars.iter().map(|(name, value)| (name.clone(), super::roles::settled(value))).collect();
        Shelf { library, roles_path, extra_vars: Rc::new(extra_vars), site_vars: Rc::new(site_vars) }
    }

    /// What `-e` gives: `name=value …`, a map as JSON or YAML, or `@FILE`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn extra_vars(texts: &[String], library: &Library) -> Result<Map, String> {
        let mut all = Map::new();
        for text in texts {
            let told = |error: Diagnostic| format!("-e {text}: {}", error.message);
            if let Some(file) = text.strip_prefix('@') {
                all.extend(library.variables(Path::new(file), None).map_err(told)?);
            } else if text.trim_start().starts_with(['{', '[']) {
                let node = library.parsed("-e", text).map_err(told)?;
                all.extend(library.map(&node, "`-e`").map_err(told)?);
            } else {
                let words = super::words::read(text, false).map_err(|error| format!("-e {text}: {error}"))?;
                if words.contains_key("_raw_params") {
                    return Err(format!("-e {text}: write NAME=VALUE, {{\"name\": value}} or @FILE"));
                }
                all.extend(words);
            }
        }
        Ok(all)
    }

    /// A playbook's plays.
    ///
    /// # Errors
    /// What is wrong in it, or in what it imports.
    pub fn playbook(&self, path: &Path) -> Result<Vec<(Play, Rc<Loader>)>, Diagnostic> {
        let book = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.plays(path, &Rc::new(Context::default()), &Map::new(), &book, None)
    }

    fn plays(
        &self,
        path: &Path,
        around: &Rc<Context>,
        vars: &Map,
        book: &str,
        asked: Option<crate::model::Span>,
    ) -> Result<Vec<(Play, Rc<Loader>)>, Diagnostic> {
        let root = self.library.yaml(path, asked)?;
        if !matches!(root.value, tree::Value::Seq(_)) {
            let message = format!("a playbook is a list of plays, and this is {}", root.describe());
            return Err(Diagnostic::error(root.span, message).help("write each play as `- hosts: …`"));
        }
        let directory = path.parent().map(Path::to_owned).filter(|path| !path.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| PathBuf::from("."));
        let mut plays = vec![];
        for node in root.items() {
            let import = node.entries().iter().find(|(key, _)| parse::special(&key.text) == Some("import_playbook"));
            let Some((key, name)) = import else {
                plays.push(self.play(node, &directory, around, vars, book)?);
                continue;
            };
            let mut context = Context::within(around);
            for (other, _) in parse::keywords(node, &self.library, &mut context)? {
                if other != key {
                    return Err(Diagnostic::error(
                        other.span,
                        format!("`{}` has no meaning beside an import", other.text),
                    ));
                }
            }
            let mut vars = vars.clone();
            vars.extend(std::mem::take(&mut context.vars));
            let loader = self.loader(&directory, &vars);
            let name = loader.early(&self.library.value(name)?, &context, name.span)?;
            let path = tidied(&directory.join(text(&name)));
            plays.extend(self.plays(&path, &Rc::new(context), &vars, book, Some(key.span))?);
        }
        Ok(plays)
    }

    fn loader(&self, directory: &Path, vars: &Map) -> Loader {
        Loader {
            library: self.library.clone(),
            engine: Engine::new(),
            directory: directory.to_owned(),
            roles_path: self.roles_path.clone(),
            early: vec![self.extra_vars.clone(), Rc::new(vars.clone()), self.site_vars.clone()],
            handlers: RefCell::default(),
            roles: RefCell::default(),
            uses: RefCell::default(),
        }
    }

    fn play(
        &self,
        node: &Rc<Node>,
        directory: &Path,
        around: &Rc<Context>,
        imported: &Map,
        book: &str,
    ) -> Result<(Play, Rc<Loader>), Diagnostic> {
        let library = &self.library;
        let mut context = Context::within(around);
        for (key, _) in parse::keywords(node, library, &mut context)? {
            if !PLAY.contains(&key.text.as_str()) {
                let error = Diagnostic::error(key.span, format!("`{}` is no keyword of a play", key.text));
                let near =
                    nearest(&key.text, PLAY.iter().copied().chain(["name", "vars", "tags", "become", "environment"]));
                return Err(match near {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.help("tasks stand under `tasks:`"),
                });
            }
        }
        let value = |name: &str| node.get(name).map(|value| library.value(value)).transpose();
        let Some(hosts) = value("hosts")?.filter(|hosts| !hosts.is_none()) else {
            return Err(Diagnostic::error(node.span, "this play has no `hosts`").help("`hosts: all` is every instance"));
        };
        let mut vars = imported.clone();
        vars.extend(std::mem::take(&mut context.vars));
        if let Some(prompt) = node.get("vars_prompt") {
            for item in prompt.items() {
                let name = item.get("name").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
                if self.extra_vars.contains_key(&name) {
                    continue;
                }
                let Some(default) = item.get("default") else {
                    return Err(Diagnostic::error(item.span, format!("nobody is asked for `{name}` while plays run"))
                        .help(format!("give it: `-e {name}=…`, or set a `default`")));
                };
                vars.insert(name, library.value(default)?);
            }
        }
        let strategy = value("strategy")?.map(|value| text(&value)).unwrap_or_default();
        let strategy = strategy.rsplit('.').next().unwrap_or_default();
        if !["", "linear", "free", "host_pinned"].contains(&strategy) {
            let span = node.get("strategy").map_or(node.span, |node| node.span);
            return Err(
                Diagnostic::error(span, format!("`{strategy}` is no strategy")).help("there are linear and free")
            );
        }
        context.directory = Some(directory.to_owned());
        let context = Rc::new(context);
        let loader = Rc::new(self.loader(directory, &vars));
        let list = |name: &str, is_handler| {
            node.get(name).map_or(Ok(vec![]), |list| parse::items(list, &context, &loader, is_handler))
        };
        let before = list("pre_tasks", false)?;
        let mut of_imports = loader.take_handlers();
        let mut main = vec![];
        for item in node.get("roles").map(|roles| roles.items()).unwrap_or_default() {
            main.extend(loader.role_in_play(&RoleUse::parse(item, library)?, &context)?);
        }
        // Handlers run in this order, as with Ansible: those of `roles:`, the play's own, those of imported roles.
        let mut handlers = loader.take_handlers();
        main.extend(list("tasks", false)?);
        let after = list("post_tasks", false)?;
        of_imports.extend(loader.take_handlers());
        handlers.extend(list("handlers", true)?);
        handlers.extend(loader.take_handlers());
        handlers.extend(of_imports);
        let mut gather = Map::new();
        for name in ["gather_subset", "gather_timeout", "fact_path"] {
            gather.extend(value(name)?.map(|value| (name.to_owned(), value)));
        }
        let files = node.get("vars_files").map(|files| files.items().to_vec()).unwrap_or_default();
        let files =
            files.iter().map(|file| Ok((file.span, library.value(file)?))).collect::<Result<_, Diagnostic>>()?;
        let play = Play {
            span: node.span,
            name: value("name")?,
            hosts,
            context: context.clone(),
            vars,
            vars_files: files,
            gather_facts: value("gather_facts")?,
            gather,
            sections: [before, main, after],
            handlers,
            roles: loader.roles.borrow().clone(),
            serial: value("serial")?.map(|value| listed(&value)).unwrap_or_default(),
            is_free: ["free", "host_pinned"].contains(&strategy),
            max_fail_percentage: value("max_fail_percentage")?,
            force_handlers: value("force_handlers")?,
            order: value("order")?,
            directory: directory.to_owned(),
            book: book.to_owned(),
        };
        Ok((play, loader))
    }

    /// A play of roles alone: what `roles:` of an instance asks for.
    ///
    /// # Errors
    /// A role that is not there, or what is wrong in it.
    pub fn roles(&self, directory: &Path, hosts: &str, uses: &[RoleUse]) -> Result<(Play, Rc<Loader>), Diagnostic> {
        let context = Context { directory: Some(directory.to_owned()), ..Context::default() };
        let context = Rc::new(context);
        let loader = Rc::new(self.loader(directory, &Map::new()));
        let mut main = vec![];
        for role in uses {
            main.extend(loader.role_in_play(role, &context)?);
        }
        let play = Play {
            span: crate::model::Span::default(),
            name: Some(format!("roles of {hosts}").into()),
            hosts: hosts.into(),
            context,
            vars: Map::new(),
            vars_files: vec![],
            gather_facts: None,
            gather: Map::new(),
            sections: [vec![], main, vec![]],
            handlers: loader.handlers.take(),
            roles: loader.roles.borrow().clone(),
            serial: vec![],
            is_free: false,
            max_fail_percentage: None,
            force_handlers: None,
            order: None,
            directory: directory.to_owned(),
            book: "roles".into(),
        };
        Ok((play, loader))
    }
}

impl Loader {
    /// The files.
    pub fn library(&self) -> &Rc<Library> {
        &self.library
    }

    /// A task as it is run: an import becomes what it imports.
    pub(super) fn expanded(&self, task: Task) -> Result<Item, Diagnostic> {
        let action = parse::special(&task.module);
        if !matches!(action, Some("import_tasks" | "import_role" | "import_playbook")) {
            return Ok(Item::Task(Rc::new(task)));
        }
        if task.repeat.is_some() {
            let error = Diagnostic::error(task.span, format!("`{}` cannot be repeated", task.module));
            return Err(error.help("an include can: `include_tasks`, `include_role`"));
        }
        match action {
            Some("import_playbook") => {
                Err(Diagnostic::error(task.module_span, "a playbook is imported beside plays, not among tasks"))
            }
            Some("import_role") => {
                let args = super::library::entries(&task.args);
                let name = args.get("name").or_else(|| args.get("role")).cloned().unwrap_or_default();
                let name = self.early(&name, &task.context, task.module_span)?;
                let from = |what: &str| args.get(&format!("{what}_from")).map(text);
                let mut role = RoleUse::named(&text(&name), task.module_span);
                role.from = ["tasks", "vars", "defaults", "handlers"].map(from);
                role.is_public = true;
                let items = self.role(&role, &task.context, task.is_handler)?;
                Ok(Item::Block(Rc::new(group(&task, items))))
            }
            _ => {
                let file = super::library::entries(&task.args);
                let file = file.get("file").or_else(|| file.get("_raw_params")).cloned().unwrap_or_default();
                let file = self.early(&file, &task.context, task.module_span)?;
                let items = self.tasks_file(&text(&file), &task.context, task.module_span, task.is_handler)?;
                Ok(Item::Block(Rc::new(group(&task, items))))
            }
        }
    }

    /// The tasks of a file that another file names.
    ///
    /// # Errors
    /// It is not there, or what is wrong in it.
    pub fn tasks_file(
        &self,
        name: &str,
        around: &Rc<Context>,
        asked: crate::model::Span,
        is_handler: bool,
    ) -> Result<Vec<Item>, Diagnostic> {
        let looked = self.task_places(name, around, is_handler);
        let Some(path) = looked.iter().find_map(|path| with_ending(path)) else {
            let places = looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(Diagnostic::error(asked, format!("there is no file of tasks `{name}`"))
                .help(format!("it was looked for at {places}")));
        };
        let root = self.library.yaml(&path, Some(asked))?;
        let context = Context { directory: path.parent().map(Path::to_owned), ..Context::within(around) };
        if self.depth(&path, around) > 50 {
            return Err(Diagnostic::error(asked, format!("{} imports itself", path.display())));
        }
        parse::items(&root, &Rc::new(context), self, is_handler)
    }

    fn depth(&self, path: &Path, around: &Rc<Context>) -> usize {
        around.chain().filter(|context| context.directory.as_deref() == path.parent()).count()
    }

    fn task_places(&self, name: &str, around: &Rc<Context>, is_handler: bool) -> Vec<PathBuf> {
        if Path::new(name).is_absolute() {
            return vec![name.into()];
        }
        let mut places: Vec<PathBuf> = vec![];
        if let Some(directory) = around.directory() {
            places.push(directory.join(name));
        }
        for role in around.roles() {
            places.push(role.path.join(if is_handler { "handlers" } else { "tasks" }).join(name));
            places.push(role.path.join("tasks").join(name));
        }
        places.push(self.directory.join("tasks").join(name));
        places.push(self.directory.join(name));
        let mut places: Vec<PathBuf> = places.iter().map(|path| tidied(path)).collect();
        places.dedup();
        places
    }

    pub(super) fn add_handlers(&self, items: Vec<Item>) {
        self.handlers.borrow_mut().extend(items);
    }

    /// Handlers that were read since the play was.
    pub fn take_handlers(&self) -> Vec<Item> {
        self.handlers.take()
    }

    pub(super) fn add_role(&self, role: &Rc<Role>) {
        self.roles.borrow_mut().push(role.clone());
    }

    /// Roles that the whole play sees, those of includes as well.
    pub fn public_roles(&self) -> Vec<Rc<Role>> {
        self.roles.borrow().clone()
    }

    /// Forgets the public roles that an include brought in rehearsal: the play sees them when it has come there.
    pub fn forget_roles(&self, known: &[Rc<Role>]) {
        *self.roles.borrow_mut() = known.to_vec();
    }

    /// Renders a name with what is known before anything is run.
    fn early(&self, value: &Value, context: &Context, span: crate::model::Span) -> Result<Value, Diagnostic> {
        let scope: Rc<dyn Scope> = Rc::new(Early::of(self, context));
        self.engine.render_value(value, &scope).map_err(|error| {
            Diagnostic::error(span, format!("the name cannot be made out: {error}"))
                .help("an import is read before anything runs; an include can use facts and results")
        })
    }
}

/// What an import has become.
fn group(task: &Task, items: Vec<Item>) -> Block {
    Block {
        span: task.span,
        context: task.context.clone(),
        body: items,
        rescue: vec![],
        always: vec![],
        is_role: false,
    }
}

/// What is known before anything is run.
struct Early {
    layers: Vec<Rc<Map>>,
}

impl Early {
    fn of(loader: &Loader, context: &Context) -> Early {
        let mut layers: Vec<Rc<Map>> = loader.early.iter().take(1).cloned().collect();
        let mut role_layers = vec![];
        for context in context.chain() {
            layers.push(Rc::new(context.params.clone()));
            layers.push(Rc::new(context.vars.clone()));
            if let Some(role) = &context.role {
                layers.push(Rc::new(role.vars.clone()));
                role_layers.push(Rc::new(role.defaults.clone()));
                let mut more = Map::new();
                more.insert("role_path".into(), role.path.display().to_string().into());
                more.insert("role_name".into(), role.name.as_str().into());
                layers.push(Rc::new(more));
            }
        }
        layers.extend(loader.early.iter().skip(1).cloned());
        layers.extend(role_layers);
        let directory = Value::from(loader.directory.display().to_string());
        layers.push(Rc::new(Map::from_iter([("playbook_dir".to_owned(), directory)])));
        Early { layers }
    }
}

impl Scope for Early {
    fn variable(&self, name: &str) -> Option<Variable> {
        self.layers.iter().find_map(|layer| layer.get(name)).cloned().map(Variable::Raw)
    }

    fn names(&self) -> Vec<String> {
        self.layers.iter().flat_map(|layer| layer.keys().cloned()).collect()
    }
}
