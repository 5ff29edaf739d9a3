//! References: what one object calls another by, when all names are known.

use std::collections::HashMap;
use std::path::PathBuf;

use super::expand::Pending;
use super::files::Files;
use crate::diagnostic::{Diagnostic, nearest};
use crate::kinds::{Decode, Names, Object};
use crate::model::{Address, Span};
use crate::tree::Spanned;

/// All names of a site.
struct Known {
    by_key: HashMap<&'static str, HashMap<String, String>>,
    by_name: HashMap<(&'static str, String, String), Address>,
}

impl Known {
    fn new(pending: &Pending) -> Known {
        let mut known = Known { by_key: HashMap::new(), by_name: HashMap::new() };
        for item in &pending.objects {
            let (section, common) = (item.kind.section(), &item.common);
            known.by_key.entry(section).or_default().insert(common.address.key.clone(), common.name.clone());
            known.by_name.insert((section, common.name.clone(), common.project.clone()), common.address.clone());
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
        let address = self.by_name.get(&(*section, text.to_owned(), project.to_owned()))?;
        Some((address.clone(), text.to_owned()))
    }
}

/// Decodes all bodies.
pub fn decode(pending: Pending, files: &Files, out: &mut Vec<Diagnostic>) -> Vec<Object> {
    let known = Known::new(&pending);
    let Pending { objects, groups } = pending;
    let directory = |span: Span| -> PathBuf { files.directory(span.file) };
    let mut decoded = Vec::with_capacity(objects.len());
    let addresses: Vec<String> = objects
        .iter()
        .map(|item| item.common.address.to_string())
        .chain(groups.keys().map(ToString::to_string))
        .collect();
    let single: HashMap<String, Vec<Address>> =
        objects.iter().map(|item| (item.common.address.to_string(), vec![item.common.address.clone()])).collect();
    for item in objects {
        let depends_on =
            item.depends_on.iter().flat_map(|text| resolve(text, &single, &groups, &addresses, out)).collect();
        let mut cx =
            Decode { common: &item.common, names: &known, directory: &directory, diagnostics: out, references: vec![] };
        let Some(declared) = item.kind.decode(&item.body, &mut cx) else {
            continue;
        };
        let references = cx.references;
        let common = item.common;
        decoded.push(Object {
            address: common.address,
            kind: item.kind,
            name: common.name,
            project: common.project,
            pool: declared.pool,
            span: common.span,
            external: common.external,
            protect: common.protect,
            depends_on,
            fields: declared.fields,
            references,
            spec: declared.spec,
            lifecycle: declared.lifecycle,
        });
    }
    decoded
}

fn resolve(
    text: &Spanned<String>,
    single: &HashMap<String, Vec<Address>>,
    groups: &std::collections::BTreeMap<Address, Vec<Address>>,
    addresses: &[String],
    out: &mut Vec<Diagnostic>,
) -> Vec<Address> {
    if let Some(found) = single.get(&text.value) {
        return found.clone();
    }
    match text.value.parse::<Address>() {
        Ok(address) => {
            if let Some(group) = groups.get(&address) {
                return group.clone();
            }
            let diagnostic = Diagnostic::error(text.span, format!("there is no `{address}` in the site"));
            out.push(match nearest(&text.value, addresses.iter().map(String::as_str)) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help("an address is SECTION.KEY of this site, for example instances.memcached"),
            });
        }
        Err(reason) => out.push(Diagnostic::error(text.span, reason).help("for example instances.memcached")),
    }
    vec![]
}
