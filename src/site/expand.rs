//! From the merged sections to objects: `enabled`, `count`, `for_each`, the keys that every object has.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::document::{check_project, is_reserved, reserved};
use super::scope::{Locals, Scope};
use crate::diagnostic::Diagnostic;
use crate::kinds::{self, COMMON_KEYS, Common, Kind};
use crate::model::{Address, Span};
use crate::template::Variable;
use crate::tree::{self, Key, Mapping, Node, Raw, Spanned, Value};

/// More of one object than any site has; a slip of the finger is found here and not by the server.
const MOST: i64 = 10_000;

/// Objects whose body is not decoded yet.
#[derive(Default)]
pub struct Pending {
    /// In the order of the kinds and of the files.
    pub objects: Vec<Item>,
    /// What a `count` or `for_each` became.
    pub groups: BTreeMap<Address, Vec<Address>>,
}

/// One object, rendered.
pub struct Item {
    /// Its kind.
    pub kind: &'static dyn Kind,
    /// The keys that every object has.
    pub common: Common,
    /// The rest.
    pub body: Rc<Node>,
    /// `depends_on`, to be resolved when all addresses are known.
    pub depends_on: Vec<Spanned<String>>,
}

/// Expands all sections.
pub fn expand(
    sections: &BTreeMap<&'static str, Rc<Node>>,
    project: &str,
    scope: &Rc<Scope>,
    out: &mut Vec<Diagnostic>,
) -> Pending {
    let mut pending = Pending::default();
    for kind in kinds::all().iter().copied() {
        let Some(section) = sections.get(kind.section()) else {
            continue;
        };
        for (key, node) in section.entries() {
            let mut expansion = Expansion { kind, key, project, scope, out, pending: &mut pending };
            expansion.object(node);
        }
    }
    pending
}

struct Expansion<'a> {
    kind: &'static dyn Kind,
    key: &'a Key,
    project: &'a str,
    scope: &'a Rc<Scope>,
    out: &'a mut Vec<Diagnostic>,
    pending: &'a mut Pending,
}

impl Expansion<'_> {
    fn object(&mut self, node: &Rc<Node>) {
        if !matches!(node.value, Value::Map(_)) && !node.is_null() {
            let message =
                format!("the {} `{}` is a map, and this is {}", self.kind.noun(), self.key.text, node.describe());
            self.out.push(Diagnostic::error(node.span, message).help("write `{}` for one without keys"));
            return;
        }
        if node.get("enabled").is_some_and(|enabled| !self.is_enabled(enabled)) {
            // Like a count of 0: what depends on it depends on nothing.
            self.pending.groups.insert(Address::new(self.kind.section(), &self.key.text), vec![]);
            return;
        }
        let is_instance = self.kind.section() == "instances";
        for key in ["count", "for_each"] {
            if let Some((found, _)) = node.entries().iter().find(|(name, _)| name.text == key && !is_instance) {
                self.out.push(
                    Diagnostic::error(found.span, format!("`{key}` is for instances alone"))
                        .help("write each object out"),
                );
                return;
            }
        }
        let mut node = node.clone();
        for (key, _) in node.clone().entries().iter().filter(|(key, _)| is_reserved(&key.text)) {
            self.out.push(reserved(&key.text, key.span));
            node = node.without(&[&key.text]);
        }
        let node = &node;
        let base = match node.get("name") {
            None => self.key.text.clone(),
            Some(name) => match self.scope.render(name, None, self.out) {
                Some(name) if name.as_str().is_some() => name.as_str().unwrap_or_default().to_owned(),
                Some(name) => {
                    self.out.push(
                        Diagnostic::error(name.span, format!("`name` is text, and this is {}", name.kind_name()))
                            .help("write LXD's name for it"),
                    );
                    return;
                }
                None => return,
            },
        };
        let place = node.get("name").map_or(self.key.span, |name| name.span);
        let body = node.without(&["enabled", "count", "for_each", "name"]);
        match (node.get("count"), node.get("for_each")) {
            (Some(count), Some(_)) => {
                self.out.push(
                    Diagnostic::error(count.span, "`count` and `for_each` exclude each other").help("take one of them"),
                );
            }
            (Some(count), None) => self.counted(count, (&base, place), &body),
            (None, Some(each)) => self.for_each(each, (&base, place), &body),
            (None, None) => {
                let address = Address::new(self.kind.section(), &self.key.text);
                self.one(address, (base, place), &body, Locals::new());
            }
        }
    }

    fn is_enabled(&mut self, node: &Rc<Node>) -> bool {
        let Some(rendered) = self.scope.render(node, None, self.out) else {
            return false;
        };
        rendered.as_bool().unwrap_or_else(|| {
            let message = format!("`enabled` is true or false, and this is {}", rendered.describe());
            self.out.push(
                Diagnostic::error(rendered.span, message).help("write true or false, or a template that gives one"),
            );
            false
        })
    }

    fn counted(&mut self, node: &Rc<Node>, (base, place): (&str, Span), body: &Rc<Node>) {
        let Some(rendered) = self.scope.render(node, None, self.out) else {
            return;
        };
        let Some(count) = rendered.to_json().as_i64().filter(|count| (0..=MOST).contains(count)) else {
            let message = format!("`count` is a whole number from 0 to {MOST}, and this is {}", rendered.describe());
            self.out.push(Diagnostic::error(rendered.span, message).help("0 is none of them"));
            return;
        };
        let variable = |value: serde_json::Value| Variable { value, sensitive: false };
        let mut group = vec![];
        for index in 1..=count {
            let address = Address::new(self.kind.section(), format!("{}-{index}", self.key.text));
            let locals = Locals::from([("index".to_owned(), variable(index.into()))]);
            group.push(address.clone());
            let body = with_renamed_from(body, &index.to_string());
            if !self.one(address, (format!("{base}-{index}"), place), &body, locals) {
                // The others would only say the same.
                break;
            }
        }
        self.pending.groups.insert(Address::new(self.kind.section(), &self.key.text), group);
    }

    fn for_each(&mut self, node: &Rc<Node>, (base, place): (&str, Span), body: &Rc<Node>) {
        let Some(rendered) = self.scope.render(node, None, self.out) else {
            return;
        };
        let Some(entries) = tree::decode::<Mapping<Raw>>(&rendered, &[], self.out) else {
            return;
        };
        let mut group = vec![];
        for (index, (key, Raw(value))) in (1..).zip(entries.0) {
            let variable = |value: serde_json::Value, sensitive| Variable { value, sensitive };
            let locals = Locals::from([
                ("index".to_owned(), variable(index.into(), false)),
                ("key".to_owned(), variable(key.value.clone().into(), false)),
                ("value".to_owned(), variable(value.to_json(), value.any_sensitive())),
            ]);
            let address = Address::new(self.kind.section(), format!("{}-{}", self.key.text, key.value));
            group.push(address.clone());
            let body = with_renamed_from(body, &key.value);
            if !self.one(
                address,
                (format!("{base}-{}", key.value), if key.value.is_empty() { place } else { key.span }),
                &body,
                locals,
            ) {
                break;
            }
        }
        self.pending.groups.insert(Address::new(self.kind.section(), &self.key.text), group);
    }

    /// False where an error was found.
    fn one(&mut self, address: Address, (name, place): (String, Span), body: &Rc<Node>, mut locals: Locals) -> bool {
        locals.insert("name".to_owned(), Variable { value: name.clone().into(), sensitive: false });
        if let Err(rule) = self.kind.check_name(&name) {
            let message = format!("LXD would refuse the name `{name}`: {rule}");
            self.out.push(Diagnostic::error(place, message).help("give it a `name:` that LXD takes, or another key"));
            return false;
        }
        let before = self.out.len();
        let Some(rendered) = self.scope.render(body, Some(&locals), self.out) else {
            return false;
        };
        let common: &[&str] = &["project", "description", "external", "protect", "depends_on"];
        let shared = picked(&rendered, common);
        let shared: Shared = tree::decode_part(&shared, COMMON_KEYS, self.out).0.unwrap_or_default();
        if let Some(project) = &shared.project {
            check_project(project, self.out);
        }
        let common_keys = Common {
            address,
            name,
            project: shared.project.map_or_else(|| self.project.to_owned(), |project| project.value),
            span: self.key.span,
            description: shared.description,
            external: shared.external,
            protect: shared.protect,
        };
        self.pending.objects.push(Item {
            kind: self.kind,
            common: common_keys,
            body: rendered.without(common),
            depends_on: shared.depends_on,
        });
        self.out.len() == before
    }
}

/// The keys that every object may have, as they are written.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Shared {
    /// The project that it lives in; the site's by default.
    project: Option<Spanned<String>>,
    /// For people; LXD keeps it.
    description: Option<Spanned<String>>,
    /// It must exist, and is never written.
    #[serde(default)]
    external: bool,
    /// It is not deleted, replaced or destroyed while this was applied last.
    #[serde(default)]
    protect: bool,
    /// Addresses (SECTION.KEY) of what comes first; an instance is started after it.
    #[serde(default)]
    depends_on: Vec<Spanned<String>>,
}

fn picked(node: &Rc<Node>, keys: &[&str]) -> Rc<Node> {
    let entries = node.entries().iter().filter(|(key, _)| keys.contains(&key.text.as_str())).cloned().collect();
    node.with(Value::Map(entries))
}

/// `renamed_from: app` of a group maps app-1 to its first, and so on.
fn with_renamed_from(body: &Rc<Node>, suffix: &str) -> Rc<Node> {
    let Some(old) = body.get("renamed_from").and_then(|node| Some((node.as_str()?.to_owned(), node.span))) else {
        return body.clone();
    };
    let (text, span): (String, Span) = old;
    let entries = body.entries().iter().map(|(key, value)| {
        let value = if key.text == "renamed_from" {
            Node::from_json(&format!("{text}-{suffix}").into(), span, false)
        } else {
            value.clone()
        };
        (key.clone(), value)
    });
    body.with(Value::Map(entries.collect()))
}
