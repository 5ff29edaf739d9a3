//! What one task on one host sees: variables in Ansible's order, and the operator's files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use indexmap::IndexMap;

use super::host::HostState;
use super::inventory::Inventory;
use super::library::{Library, tidied};
use super::loader::Loader;
use super::model::{Context, Play, Role};
use super::settings::Settings;
use crate::tasks::Map;
use crate::template::ansible::{PathTest, Scope, Variable, hostvars, own_vars, partly};
use crate::template::{Value, map};

/// All that is the same for every host while plays run.
#[derive(Debug)]
pub struct World {
    /// The hosts.
    pub inventory: Inventory,
    /// What was learnt of each.
    pub hosts: IndexMap<String, Rc<HostState>>,
    /// The site's variables.
    pub site_vars: Rc<Map>,
    /// `-e`.
    pub extra_vars: Rc<Map>,
    /// The command line.
    pub settings: Settings,
    /// The files.
    pub library: Rc<Library>,
    /// The site's directory.
    pub site_directory: PathBuf,
}

/// What a play adds for all its hosts.
#[derive(Debug)]
pub struct Stage {
    /// The play.
    pub play: Play,
    /// Where its files are looked for.
    pub loader: Rc<Loader>,
    /// Its name, rendered.
    pub name: RefCell<String>,
    /// The hosts that it is for and that did not fail.
    pub hosts: RefCell<Vec<String>>,
    /// All hosts that it is for.
    pub all_hosts: RefCell<Vec<String>>,
    /// Those of the batch.
    pub batch: RefCell<Vec<String>>,
    /// What is said of names in its `hosts:` that are nobody's.
    pub unknown: RefCell<Vec<String>>,
}

/// The variables that a task sees.
#[derive(Clone, Debug)]
pub struct View {
    /// All hosts.
    pub world: Rc<World>,
    /// The play; for another host's variables none.
    pub stage: Option<Rc<Stage>>,
    /// The host.
    pub host: Rc<HostState>,
    /// What the task inherits.
    pub context: Rc<Context>,
    /// Of a loop, and of the module that renders.
    pub locals: Rc<Map>,
}

impl View {
    /// The same with more variables, stronger than all others.
    #[must_use]
    pub fn with(&self, more: Map) -> View {
        let mut locals = (*self.locals).clone();
        locals.extend(more);
        View { locals: Rc::new(locals), ..self.clone() }
    }

    /// For templates.
    pub fn scope(&self) -> Rc<dyn Scope> {
        Rc::new(self.clone())
    }

    fn roles(&self) -> impl Iterator<Item = &Rc<Role>> {
        self.context.roles()
    }

    /// Where a file may be, in the order of looking.
    pub fn places(&self, kind: &str, name: &str) -> Vec<PathBuf> {
        if Path::new(name).is_absolute() {
            return vec![name.into()];
        }
        let mut bases: Vec<PathBuf> = self.roles().map(|role| role.path.clone()).collect();
        if let Some(directory) = self.context.directory() {
            let is_tasks = directory.ends_with("tasks") || directory.ends_with("handlers");
            bases.extend(directory.parent().filter(|_| is_tasks).map(Path::to_owned));
            bases.push(directory.clone());
        }
        bases.extend(self.stage.as_ref().map(|stage| stage.play.directory.clone()));
        bases.push(self.world.site_directory.clone());
        let mut places: Vec<PathBuf> = vec![];
        for place in bases.iter().flat_map(|base| [base.join(kind).join(name), base.join(name)]) {
            let place = tidied(&place);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// A file by the name that a task gives it.
    ///
    /// # Errors
    /// Where it was looked for.
    pub fn find(&self, kind: &str, name: &str) -> Result<PathBuf, String> {
        let places = self.places(kind, name);
        if let Some(found) = places.iter().find(|place| place.exists()) {
            return Ok(found.clone());
        }
        let looked = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
        Err(format!("Could not find or access '{name}'; it was looked for at {looked}"))
    }

    /// Variables of the interpreter's own: stronger than any other.
    fn magic(&self, name: &str) -> Option<Value> {
        let host = &self.host.name;
        let list = |names: &[String]| Value::from(names.to_vec());
        let stage = self.stage.as_ref();
        let settings = &self.world.settings;
        Some(match name {
            "inventory_hostname" => host.as_str().into(),
            "inventory_hostname_short" => host.split('.').next().unwrap_or_default().into(),
            "hostvars" => hostvars(),
            "vars" => own_vars(),
            "groups" => self.groups(),
            "group_names" => list(&self.group_names()),
            "lxd" => self.host.lxd.clone(),
            "ansible_facts" => self.facts(),
            "inventory_dir" => absolute(&self.world.site_directory).into(),
            "playbook_dir" => absolute(&stage?.play.directory).into(),
            "role_name" | "ansible_role_name" => self.context.role()?.name.as_str().into(),
            "role_path" => absolute(&self.context.role()?.path).into(),
            "ansible_parent_role_names" => {
                Value::from(self.roles().skip(1).map(|role| role.name.clone()).collect::<Vec<_>>())
            }
            "ansible_parent_role_paths" => {
                Value::from(self.roles().skip(1).map(|role| absolute(&role.path)).collect::<Vec<_>>())
            }
            "ansible_play_name" => stage?.name.borrow().as_str().into(),
            "ansible_play_hosts" | "play_hosts" => list(&stage?.hosts.borrow()),
            "ansible_play_hosts_all" => list(&stage?.all_hosts.borrow()),
            "ansible_play_batch" => list(&stage?.batch.borrow()),
            "ansible_play_role_names" | "role_names" | "ansible_role_names" => {
                let roles = stage?.loader.public_roles();
                Value::from(roles.iter().map(|role| role.name.clone()).collect::<Vec<_>>())
            }
            // A plan tells what an apply does.
            "ansible_check_mode" => (settings.check && !settings.only_looks).into(),
            "ansible_diff_mode" => settings.diff.into(),
            "ansible_run_tags" if settings.tags.is_empty() => list(&["all".to_owned()]),
            "ansible_run_tags" => list(&settings.tags),
            "ansible_skip_tags" => list(&settings.skip_tags),
            "ansible_forks" => settings.forks.into(),
            "ansible_verbosity" => 0.into(),
            "ansible_version" => map([
                ("full", Value::from("2.19.0")),
                ("string", "2.19.0".into()),
                ("major", 2.into()),
                ("minor", 19.into()),
                ("revision", 0.into()),
            ]),
            "ansible_search_path" => Value::from(self.roles().map(|role| absolute(&role.path)).collect::<Vec<_>>()),
            _ => return None,
        })
    }

    /// What is there where nobody has set it.
    fn fallback(&self, name: &str) -> Option<Value> {
        Some(match name {
            "ansible_managed" => "Ansible managed".into(),
            "ansible_host" => self.host.name.as_str().into(),
            "ansible_connection" => "lxd".into(),
            "ansible_user" | "ansible_ssh_user" | "ansible_remote_user" => "root".into(),
            "ansible_play_hosts" => Value::from(Vec::<Value>::new()),
            _ => return None,
        })
    }

    fn group_names(&self) -> Vec<String> {
        let mut names = self.world.inventory.groups_of(&self.host.name);
        names.extend(self.host.more_groups.borrow().clone());
        names.sort();
        names.dedup();
        names
    }

    fn groups(&self) -> Value {
        let world = &self.world;
        let mut groups: IndexMap<String, Vec<String>> = IndexMap::new();
        groups.insert("all".into(), world.inventory.hosts.keys().cloned().collect());
        let is_lone = |host: &&String| world.inventory.groups_of(host).is_empty();
        groups.insert("ungrouped".into(), world.inventory.hosts.keys().filter(is_lone).cloned().collect());
        groups.extend(world.inventory.groups.clone());
        for host in world.hosts.values() {
            for group in host.more_groups.borrow().iter() {
                let members = groups.entry(group.clone()).or_default();
                if !members.contains(&host.name) {
                    members.push(host.name.clone());
                }
            }
        }
        map(groups)
    }

    /// Every map of variables, the strongest first; facts excepted.
    fn layers<T>(&self, mut look: impl FnMut(&Map, bool) -> Option<T>) -> Option<T> {
        let raw = false;
        let fixed = true;
        if let found @ Some(_) = look(&self.world.extra_vars, raw) {
            return found;
        }
        for context in self.context.chain() {
            if let found @ Some(_) = look(&context.params, raw) {
                return found;
            }
        }
        if let found @ Some(_) = look(&self.host.set.borrow(), fixed) {
            return found;
        }
        if let found @ Some(_) = look(&self.host.included.borrow(), raw) {
            return found;
        }
        for context in self.context.chain() {
            if let found @ Some(_) = look(&context.vars, raw) {
                return found;
            }
        }
        let public = self.stage.as_ref().map(|stage| stage.loader.public_roles()).unwrap_or_default();
        for role in self.roles().chain(public.iter().rev()) {
            if let found @ Some(_) = role_layer(role, &mut |role| look(&role.vars, raw)) {
                return found;
            }
        }
        for file in self.host.vars_files.borrow().iter().rev().filter(|_| self.stage.is_some()) {
            if let found @ Some(_) = look(file, raw) {
                return found;
            }
        }
        if let Some(stage) = &self.stage
            && let found @ Some(_) = look(&stage.play.vars, raw)
        {
            return found;
        }
        if let found @ Some(_) = look(&self.host.bare_facts.borrow(), fixed) {
            return found;
        }
        for layer in self.host.inventory_vars.borrow().iter() {
            if let found @ Some(_) = look(layer, raw) {
                return found;
            }
        }
        if let found @ Some(_) = look(&self.world.site_vars, raw) {
            return found;
        }
        for role in self.roles().chain(public.iter().rev()) {
            if let found @ Some(_) = role_layer(role, &mut |role| look(&role.defaults, raw)) {
                return found;
            }
        }
        None
    }

    /// All facts; those that tasks would set, and nobody knows how, are told so.
    fn facts(&self) -> Value {
        let facts = self.host.facts.borrow().clone();
        let is_fact = |name: &str| ["packages", "services"].contains(&name) || name.starts_with("getent_");
        let unknown = self.host.unknown.borrow();
        let unknown: BTreeMap<String, String> =
            unknown.iter().filter(|(name, _)| is_fact(name)).map(|(name, why)| (name.clone(), why.clone())).collect();
        if unknown.is_empty() { map(facts) } else { partly(facts, unknown, None) }
    }

    fn fact(&self, name: &str) -> Option<Value> {
        self.host.facts.borrow().get(name.strip_prefix("ansible_")?).cloned()
    }
}

/// A role's own before what it depends on.
fn role_layer<T>(role: &Role, look: &mut impl FnMut(&Role) -> Option<T>) -> Option<T> {
    look(role).or_else(|| role.dependencies.iter().rev().find_map(|role| role_layer(role, look)))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).map(|path| tidied(&path)).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

impl Scope for View {
    fn variable(&self, name: &str) -> Option<Variable> {
        if let Some(value) = self.locals.get(name) {
            return Some(Variable::Final(value.clone()));
        }
        if name == "ansible_facts"
            && let Some(why) = &*self.host.unknown_facts.borrow()
        {
            return Some(Variable::Unknown(why.clone()));
        }
        if let Some(value) = self.magic(name) {
            return Some(Variable::Final(value));
        }
        if let Some(why) = self.host.unknown.borrow().get(name)
            && !self.world.extra_vars.contains_key(name)
        {
            return Some(Variable::Unknown(why.clone()));
        }
        let found = self.layers(|layer, is_fixed| {
            let value = layer.get(name)?.clone();
            Some(if is_fixed { Variable::Final(value) } else { Variable::Raw(value) })
        });
        // Facts are stronger than the inventory and weaker than plays; who names a variable so means the fact.
        let found = found.or_else(|| self.fact(name).map(Variable::Final));
        let found = found.or_else(|| self.fallback(name).map(Variable::Final));
        let unknown = || self.host.unknown_facts.borrow().clone().map(Variable::Unknown);
        found.or_else(|| if name.starts_with("ansible_") { unknown() } else { None })
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.locals.keys().cloned().collect();
        self.layers(|layer, _| {
            names.extend(layer.keys().cloned());
            None::<()>
        });
        names.extend(self.host.facts.borrow().keys().map(|name| format!("ansible_{name}")));
        let magic = [
            "inventory_hostname",
            "hostvars",
            "vars",
            "groups",
            "group_names",
            "lxd",
            "ansible_facts",
            "playbook_dir",
            "inventory_dir",
            "role_name",
            "role_path",
            "ansible_play_name",
            "ansible_play_hosts",
            "play_hosts",
            "ansible_play_batch",
            "ansible_check_mode",
            "ansible_version",
            "ansible_managed",
            "ansible_host",
            "ansible_connection",
            "ansible_user",
            "ansible_role_names",
            "inventory_hostname_short",
        ];
        names.extend(
            magic
                .iter()
                .filter(|name| self.magic(name).or_else(|| self.fallback(name)).is_some())
                .map(|name| (*name).to_owned()),
        );
        names.sort();
        names.dedup();
        names
    }

    fn host(&self, name: &str) -> Option<Rc<dyn Scope>> {
        let host = self.world.hosts.get(name)?.clone();
        let context = Rc::new(Context::default());
        Some(Rc::new(View { world: self.world.clone(), stage: None, host, context, locals: Rc::default() }))
    }

    fn hosts(&self) -> Vec<String> {
        self.world.hosts.keys().cloned().collect()
    }

    fn find_file(&self, kind: &str, name: &str) -> Result<PathBuf, String> {
        self.find(kind, name)
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.world.library.read(path).map_err(|failure| failure.message)
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let path = Path::new(pattern);
        let (directory, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        let name = name.to_string_lossy();
        let regex = super::inventory::glob(&name);
        let regex = fancy_regex::Regex::new(&regex).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
        let bases = match path.is_absolute() {
            true => vec![directory.to_owned()],
            false => self.places("files", &directory.to_string_lossy()),
        };
        for base in bases {
            let Ok(entries) = std::fs::read_dir(&base) else { continue };
            let fits = |path: &PathBuf| {
                path.is_file()
                    && path.file_name().is_some_and(|name| regex.is_match(&*name.to_string_lossy()).unwrap_or(false))
            };
            let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(fits).collect();
            found.sort();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(vec![])
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn password(&self, path: &str, content: &str) -> Result<String, String> {
        let base = self.stage.as_ref().map_or(&self.world.site_directory, |stage| &stage.play.directory);
        let path = base.join(path);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(_) if self.world.settings.check => Ok(content.to_owned()),
            Err(_) => {
                let failed = |error: std::io::Error| format!("{}: {error}", path.display());
                if let Some(directory) = path.parent() {
                    std::fs::create_dir_all(directory).map_err(failed)?;
                }
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true);
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(&path).map_err(failed)?;
                std::io::Write::write_all(&mut file, content.as_bytes()).map_err(failed)?;
                Ok(content.to_owned())
            }
        }
    }

    fn path_is(&self, path: &str, what: PathTest) -> bool {
        let path = Path::new(path);
        match what {
            PathTest::Exists => path.exists(),
            PathTest::File => path.is_file(),
            PathTest::Directory => path.is_dir(),
            PathTest::Link => path.is_symlink(),
        }
    }

    fn now(&self) -> f64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
    }

    fn entropy(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        // Without it no password is made: the reader sees zeros only where the system has no source of entropy at all.
        let _ =
            std::fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
        bytes
    }
}
