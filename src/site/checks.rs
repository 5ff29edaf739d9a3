//! What can be said of a whole site without a server.

use std::collections::{HashMap, HashSet};

use super::{Site, graph};
use crate::diagnostic::{Diagnostic, nearest};

/// Checks that hold over all objects.
pub fn check(site: &Site, out: &mut Vec<Diagnostic>) {
    duplicates(site, out);
    near_names(site, out);
    out.extend(graph::cycles(&site.objects));
}

/// Two objects of one kind with one name in one place are one object to LXD.
fn duplicates(site: &Site, out: &mut Vec<Diagnostic>) {
    let mut seen = HashMap::new();
    for object in &site.objects {
        let place = (object.kind.section(), &object.project, &object.pool, &object.name);
        if let Some(first) = seen.insert(place, object) {
            out.push(
                Diagnostic::error(
                    object.span,
                    format!("{} and {} are both named `{}`", first.address, object.address, object.name),
                )
                .related(first.span, "first here")
                .help("give one of them another `name`, key or project"),
            );
        }
    }
    let mut addresses = HashMap::new();
    for object in &site.objects {
        if let Some(first) = addresses.insert(&object.address, object.span)
            && first != object.span
        {
            out.push(
                Diagnostic::error(object.span, format!("`{}` stands for two objects", object.address))
                    .related(first, "first here")
                    .help("give one of them another key"),
            );
        }
    }
}

/// A name that the site does not define is the server's; unless it looks like a slip.
fn near_names(site: &Site, out: &mut Vec<Diagnostic>) {
    let mut names: HashMap<&str, HashSet<&str>> = HashMap::new();
    for object in &site.objects {
        let known = names.entry(object.kind.section()).or_default();
        known.insert(&object.address.key);
        known.insert(&object.name);
    }
    let mut told = HashSet::new();
    for reference in
        site.objects.iter().flat_map(|object| &object.references).filter(|reference| reference.address.is_none())
    {
        let Some(known) = names.get(reference.section) else {
            continue;
        };
        if let Some(near) = nearest(&reference.name, known.iter().copied())
            && told.insert(reference.span)
        {
            out.push(
                Diagnostic::warning(
                    reference.span,
                    format!("`{}` is not in the site, and `{near}` is", reference.name),
                )
                .help(format!("did you mean `{near}`? Else it must be at the server, which plan checks")),
            );
        }
    }
}
