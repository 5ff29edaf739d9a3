//! A site as a picture: its objects, and what each needs.
//!
//! The edges are the planner's own. What the site names and does not define is drawn dashed; a `count` or
//! `for_each` is one node, unless it is asked to be drawn apart.

mod dot;
mod layout;
mod mermaid;
mod svg;

use std::collections::{BTreeMap, HashMap};

use crate::kinds::{self, ImageRef, Object};
use crate::model::Address;
use crate::site::{Site, graph};

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// The site's name.
    pub title: String,
    /// In the order in which things are made.
    pub nodes: Vec<Node>,
    /// (dependent, what it needs): indices into `nodes`.
    pub edges: Vec<(usize, usize)>,
    /// What belongs together: the name of a `count`, and its nodes.
    pub clusters: Vec<(String, Vec<usize>)>,
}

/// An object, or all of a count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `instances`.
    pub section: &'static str,
    /// `instance`.
    pub noun: &'static str,
    /// Its key, or LXD's name of what the site does not define.
    pub name: String,
    /// So many objects are behind it, where it stands for a count.
    pub count: Option<usize>,
    /// Not made by the site.
    pub is_external: bool,
}

impl Node {
    /// `api ×3`.
    pub fn label(&self) -> String {
        self.count.map_or_else(|| self.name.clone(), |count| format!("{} ×{count}", self.name))
    }
}

/// Draws a site; with `expand`, each object of a count.
pub fn drawing(site: &Site, expand: bool) -> Drawing {
    let mut drawing = Drawing { title: site.name.clone(), ..Drawing::default() };
    let groups: HashMap<&Address, &Address> =
        site.groups.iter().flat_map(|(group, members)| members.iter().map(move |member| (member, group))).collect();
    let mut group_nodes: HashMap<&Address, usize> = HashMap::new();
    let mut node_of = Vec::with_capacity(site.objects.len());
    let mut clusters: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    for object in &site.objects {
        let group = groups.get(&object.address).copied();
        if let Some(group) = group.filter(|_| !expand) {
            let count = site.groups[group].len();
            let node = *group_nodes.entry(group).or_insert_with(|| {
                drawing.nodes.push(Node { name: group.key.clone(), count: Some(count), ..node(object) });
                drawing.nodes.len() - 1
            });
            node_of.push(node);
            continue;
        }
        drawing.nodes.push(node(object));
        let index = drawing.nodes.len() - 1;
        node_of.push(index);
        if let Some(group) = group {
            clusters.entry(group).or_default().push(index);
        }
    }
    drawing.edges = graph::edges(&site.objects).into_iter().map(|(from, to)| (node_of[from], node_of[to])).collect();
    drawing.clusters = clusters.into_iter().map(|(group, nodes)| (group.to_string(), nodes)).collect();
    let mut known: HashMap<(&'static str, String), usize> = HashMap::new();
    for (object, from) in site.objects.iter().zip(&node_of) {
        for (section, name) in externals(object) {
            let to = *known.entry((section, name.clone())).or_insert_with(|| {
                let noun = kinds::by_section(section).map_or(section, |kind| kind.noun());
                drawing.nodes.push(Node { section, noun, name, count: None, is_external: true });
                drawing.nodes.len() - 1
            });
            drawing.edges.push((*from, to));
        }
    }
    drawing.edges.retain(|(from, to)| from != to);
    drawing.edges.sort_unstable();
    drawing.edges.dedup();
    drawing
}

fn node(object: &Object) -> Node {
    Node {
        section: object.kind.section(),
        noun: object.kind.noun(),
        name: object.address.key.clone(),
        count: None,
        is_external: object.external,
    }
}

/// What the site does not define and the object names.
fn externals(object: &Object) -> Vec<(&'static str, String)> {
    let references = object.references.iter().filter(|reference| reference.address.is_none());
    let named = references.map(|reference| match &reference.pool {
        Some(pool) => (reference.section, format!("{pool}/{}", reference.name)),
        None => (reference.section, reference.name.clone()),
    });
    let image = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref());
    let image = image.and_then(|(image, written, _)| match image {
        ImageRef::Site(_) => None,
        ImageRef::Local(_) | ImageRef::Remote { .. } => Some(("images", written.clone())),
    });
    named.chain(image).collect()
}

#[cfg(test)]
mod tests;
