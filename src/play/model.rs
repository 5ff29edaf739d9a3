//! Playbooks as they are read: plays, blocks, tasks, roles. Nothing is rendered yet.

use std::path::PathBuf;
use std::rc::Rc;

use crate::model::Span;
use crate::tasks::Map;
use crate::template::Value;

/// A play.
#[derive(Clone, Debug)]
pub struct Play {
    /// Where it stands.
    pub span: Span,
    /// `name:`, a template.
    pub name: Option<Value>,
    /// `hosts:`, a template; a list is joined.
    pub hosts: Value,
    /// What all in it inherits.
    pub context: Rc<Context>,
    /// `vars:`.
    pub vars: Map,
    /// `vars_files:`: names, or lists of which the first that is there counts.
    pub vars_files: Vec<(Span, Value)>,
    /// `gather_facts:`.
    pub gather_facts: Option<Value>,
    /// Arguments of `setup`, where facts are gathered: `gather_subset`, `gather_timeout`, `fact_path`.
    pub gather: Map,
    /// `pre_tasks`, roles and `tasks`, `post_tasks`; handlers that are owed run after each.
    pub sections: [Vec<Item>; 3],
    /// Those of its roles first, then its own.
    pub handlers: Vec<Item>,
    /// The roles in `roles:` and those imported.
    pub roles: Vec<Rc<Role>>,
    /// `serial:`: sizes of batches.
    pub serial: Vec<Value>,
    /// `strategy: free`.
    pub is_free: bool,
    /// `max_fail_percentage:`.
    pub max_fail_percentage: Option<Value>,
    /// `force_handlers:`.
    pub force_handlers: Option<Value>,
    /// `order:`.
    pub order: Option<Value>,
    /// The directory of its playbook.
    pub directory: PathBuf,
    /// What its handlers are owed under: the playbook's name.
    pub book: String,
}

/// One thing in a list of tasks.
#[derive(Clone, Debug)]
pub enum Item {
    /// A task.
    Task(Rc<Task>),
    /// A block, or what an import or a role has become.
    Block(Rc<Block>),
}

/// `block`, `rescue`, `always`.
#[derive(Debug)]
pub struct Block {
    /// Where it stands.
    pub span: Span,
    /// What all in it inherits.
    pub context: Rc<Context>,
    /// The tasks.
    pub body: Vec<Item>,
    /// After a failure in the body.
    pub rescue: Vec<Item>,
    /// In the end.
    pub always: Vec<Item>,
    /// It is a role's: `meta: end_role` ends it.
    pub is_role: bool,
}

/// A task.
#[derive(Debug)]
pub struct Task {
    /// Where it stands.
    pub span: Span,
    /// `name:`, a template.
    pub name: Option<Value>,
    /// The module as the file names it.
    pub module: String,
    /// Where the module's name stands.
    pub module_span: Span,
    /// Its arguments: a map of templates, or one template that becomes a map.
    pub args: Value,
    /// `args:` beside them.
    pub more_args: Option<Value>,
    /// Its own keywords, within what it inherits.
    pub context: Rc<Context>,
    /// `loop:` or `with_…:`.
    pub repeat: Option<Repeat>,
    /// `loop_control:`.
    pub loop_control: Map,
    /// `register:`.
    pub register: Option<String>,
    /// `until:`.
    pub until: Vec<Value>,
    /// `retries:`.
    pub retries: Option<Value>,
    /// `delay:`.
    pub delay: Option<Value>,
    /// `changed_when:`.
    pub changed_when: Option<Vec<Value>>,
    /// `failed_when:`.
    pub failed_when: Option<Vec<Value>>,
    /// `notify:`.
    pub notify: Vec<Value>,
    /// `listen:`.
    pub listen: Vec<Value>,
    /// `async:` and `poll:`.
    pub background: Option<(Value, Option<Value>)>,
    /// It is a handler.
    pub is_handler: bool,
}

/// What a task is repeated over.
#[derive(Clone, Debug)]
pub enum Repeat {
    /// `loop:`.
    Loop(Value),
    /// `with_NAME:`.
    With(String, Value),
}

/// What tasks inherit: their own keywords, those of the blocks, imports and roles around them, and the play's.
#[derive(Debug, Default)]
pub struct Context {
    /// What is around it.
    pub parent: Option<Rc<Context>>,
    /// `vars:`.
    pub vars: Map,
    /// `vars:` of an include, and arguments of a role: stronger than what was set or registered.
    pub params: Map,
    /// `tags:`, templates.
    pub tags: Vec<Value>,
    /// `when:`.
    pub when: Vec<Value>,
    /// `environment:`.
    pub environment: Vec<Value>,
    /// `module_defaults:`.
    pub module_defaults: Vec<Value>,
    /// The other keywords by their names.
    pub settings: Map,
    /// The role that begins here.
    pub role: Option<Rc<Role>>,
    /// The file's directory.
    pub directory: Option<PathBuf>,
}

/// A role as it is read for one use.
#[derive(Debug)]
pub struct Role {
    /// Its name as it was asked for.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// `defaults/`.
    pub defaults: Map,
    /// `vars/`.
    pub vars: Map,
    /// The roles it depends on.
    pub dependencies: Vec<Rc<Role>>,
    /// Its variables are seen by the whole play.
    pub is_public: bool,
}

impl Context {
    /// It and all around it, the innermost first.
    pub fn chain(&self) -> impl Iterator<Item = &Context> {
        std::iter::successors(Some(self), |context| context.parent.as_deref())
    }

    /// A keyword's value: the innermost that is set.
    pub fn setting(&self, name: &str) -> Option<&Value> {
        self.chain().find_map(|context| context.settings.get(name))
    }

    /// The innermost role.
    pub fn role(&self) -> Option<&Rc<Role>> {
        self.roles().next()
    }

    /// The roles around it, the innermost first.
    pub fn roles(&self) -> impl Iterator<Item = &Rc<Role>> {
        self.chain().filter_map(|context| context.role.as_ref())
    }

    /// The directory of the innermost file.
    pub fn directory(&self) -> Option<&PathBuf> {
        self.chain().find_map(|context| context.directory.as_ref())
    }

    /// Conditions, the outermost first.
    pub fn conditions(&self) -> Vec<&Value> {
        let mut levels: Vec<&Context> = self.chain().collect();
        levels.reverse();
        levels.into_iter().flat_map(|context| &context.when).collect()
    }

    /// What is inside of it, with keywords of its own.
    pub fn within(parent: &Rc<Context>) -> Context {
        Context { parent: Some(parent.clone()), ..Context::default() }
    }
}

impl Task {
    /// A task that stands in no file, with a module of ours.
    pub fn of_ours(span: Span, name: String, module: &str, args: Value, context: Context) -> Task {
        Task {
            span,
            name: Some(name.into()),
            module: module.to_owned(),
            module_span: span,
            args,
            more_args: None,
            context: Rc::new(context),
            repeat: None,
            loop_control: Map::new(),
            register: None,
            until: vec![],
            retries: None,
            delay: None,
            changed_when: None,
            failed_when: None,
            notify: vec![],
            listen: vec![],
            background: None,
            is_handler: false,
        }
    }

    /// The module without its collection.
    pub fn action(&self) -> &str {
        self.module.rsplit('.').next().unwrap_or(&self.module)
    }
}

impl Item {
    /// All tasks in a list, in order.
    pub fn tasks(items: &[Item]) -> Vec<Rc<Task>> {
        let each = |item: &Item| match item {
            Item::Task(task) => vec![task.clone()],
            Item::Block(block) => {
                [&block.body, &block.rescue, &block.always].into_iter().flat_map(|list| Item::tasks(list)).collect()
            }
        };
        items.iter().flat_map(each).collect()
    }
}
