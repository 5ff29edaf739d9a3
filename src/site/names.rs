//! References: what one object calls another by, when all names are known.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::expand::Pending;
use super::files::Files;
use super::graph::Places;
use crate::diagnostic::{Diagnostic, nearest};
use crate::kinds::{self, Declared, Decode, Fields, Names, Object, Place};
use crate::model::{Address, Span};
use crate::tree::Spanned;

/// All names of a site.
#[derive(Default)]
struct Known {
    /// Section, key: name.
    by_key: HashMap<&'static str, HashMap<String, String>>,
    /// Section, name, project: address.
    by_name: HashMap<&'static str, HashMap<String, HashMap<String, Address>>>,
}

/// What is one for the whole server has no project.
fn place<'a>(section: &str, project: &'a str) -> &'a str {
    let is_servers = kinds::by_section(section).is_some_and(|kind| kind.place() == Place::Server);
    if is_servers { "" } else { project }
}

impl Known {
    fn new(pending: &Pending) -> Known {
        let mut known = Known::default();
        for item in &pending.objects {
            let (section, common) = (item.kind.section(), &item.common);
            known.by_key.entry(section).or_default().insert(common.address.key.clone(), common.name.clone());
            let by_name = known.by_name.entry(section).or_default().entry(common.name.clone()).or_default();
            by_name.insert(place(section, &common.project).to_owned(), common.address.clone());
        }
        known
    }
}

impl Names for Known {
    fn find(&self, section: &str, text: &str, project: &str) -> Option<(Address, String)> {
        let (section, keys) = self.by_key.get_key_value(section)?;
        if let Some(name) = keys.get(text) {
            return Some((Address::new(*section, text), name.clone()));
        }
        let address = self.by_name.get(section)?.get(text)?.get(place(section, project))?;
        Some((address.clone(), text.to_owned()))
    }
}

/// Decodes all bodies. Also gives the places of `depends_on`.
pub fn decode(pending: Pending, files: &Files, out: &mut Vec<Diagnostic>) -> (Vec<Object>, Places) {
    let known = Known::new(&pending);
    let Pending { objects, groups } = pending;
    let directory = |span: Span| -> PathBuf { files.directory(span.file) };
    let mut decoded = Vec::with_capacity(objects.len());
    let mut places = Places::new();
    // What one of a group is told, the others are not.
    let mut told: HashSet<Span> = HashSet::new();
    let mut last = None;
    for item in objects {
        let mut found = vec![];
        let mut depends_on = vec![];
        for text in &item.depends_on {
            for address in resolve(text, &known, &groups, &mut found) {
                places.insert((item.common.address.clone(), address.clone()), text.span);
                depends_on.push(address);
            }
        }
        let mut cx = Decode {
            common: &item.common,
            names: &known,
            directory: &directory,
            diagnostics: &mut found,
            references: vec![],
        };
        let declared = item.kind.decode(&item.body, &mut cx);
        let references = cx.references;
        let is_right = !item.body.any_partial() && !found.iter().any(Diagnostic::is_error);
        // What is wrong stays known by its name and by what it needs; no more is said of it.
        let declared = declared.filter(|_| is_right).unwrap_or_else(|| Declared::plain(Fields::new(), Arc::new(())));
        if last != Some(item.common.span) {
            told.clear();
            last = Some(item.common.span);
        }
        if !found.is_empty() {
            let new: Vec<Diagnostic> = found
                .into_iter()
                .filter(|diagnostic| diagnostic.span.is_none_or(|span| !told.contains(&span)))
                .collect();
            told.extend(new.iter().filter_map(|diagnostic| diagnostic.span));
            out.extend(new);
        }
        let common = item.common;
        decoded.push(Object {
            address: common.address,
            kind: item.kind,
            name: common.name,
            project: common.project,
            pool: declared.pool,
            span: common.span,
            external: common.external || !is_right,
            protect: common.protect,
            depends_on,
            fields: declared.fields,
            references,
            spec: declared.spec,
            lifecycle: declared.lifecycle,
        });
    }
    (decoded, places)
}

fn resolve(
    text: &Spanned<String>,
    known: &Known,
    groups: &BTreeMap<Address, Vec<Address>>,
    out: &mut Vec<Diagnostic>,
) -> Vec<Address> {
    let address = match text.value.parse::<Address>() {
        Ok(address) => address,
        Err(reason) => {
            out.push(Diagnostic::error(text.span, reason).help("for example instances.memcached"));
            return vec![];
        }
    };
    if known.by_key.get(address.section.as_str()).is_some_and(|keys| keys.contains_key(&address.key)) {
        return vec![address];
    }
    if let Some(group) = groups.get(&address) {
        return group.clone();
    }
    let single = known.by_key.iter().flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}.{key}")));
    let addresses: Vec<String> = single.chain(groups.keys().map(ToString::to_string)).collect();
    let diagnostic = Diagnostic::error(text.span, format!("there is no `{address}` in the site"));
    let is_section = kinds::by_section(&address.section).is_some();
    out.push(match nearest(&text.value, addresses.iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None if !is_section => {
            let sections: Vec<&str> = kinds::all().iter().map(|kind| kind.section()).collect();
            diagnostic.help(format!("an address is SECTION.KEY, and sections are {}", sections.join(", ")))
        }
        None => diagnostic.help("an address is SECTION.KEY of this site, for example instances.memcached"),
    });
    vec![]
}
