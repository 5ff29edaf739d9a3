//! What needs what, within a site.

use std::collections::HashMap;

use petgraph::algo::{astar, tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::diagnostic::Diagnostic;
use crate::kinds::{Object, Place};
use crate::model::{Address, Span};

/// Pairs (dependent, what it needs) of indices into `objects`: references, `depends_on`, and the project that
/// an object lives in.
pub fn edges(objects: &[Object]) -> Vec<(usize, usize)> {
    let index: HashMap<&Address, usize> = objects.iter().enumerate().map(|(i, object)| (&object.address, i)).collect();
    let projects: HashMap<&str, usize> = objects
        .iter()
        .enumerate()
        .filter(|(_, object)| object.kind.section() == "projects")
        .map(|(i, object)| (object.name.as_str(), i))
        .collect();
    let mut edges = vec![];
    for (i, object) in objects.iter().enumerate() {
        let named =
            object.references.iter().filter_map(|reference| reference.address.as_ref()).chain(&object.depends_on);
        edges.extend(named.filter_map(|address| Some((i, *index.get(address)?))));
        if object.kind.place() != Place::Server {
            edges.extend(projects.get(object.project.as_str()).map(|project| (i, *project)));
        }
    }
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Indices of all objects, each after what it needs.
pub fn sorted(objects: &[Object], edges: &[(usize, usize)]) -> Vec<usize> {
    let graph = graph(objects, edges);
    // A cycle is an error of the site, and sites with errors are not planned.
    let order = toposort(&graph, None).unwrap_or_else(|_| graph.node_indices().collect());
    order.into_iter().rev().map(NodeIndex::index).collect()
}

/// Where the file says (dependent, needed) under `depends_on`.
pub type Places = HashMap<(Address, Address), Span>;

/// An error for every circle, with its whole path.
pub fn cycles(objects: &[Object], places: &Places) -> Vec<Diagnostic> {
    let edges = edges(objects);
    let graph = graph(objects, &edges);
    let mut found: Vec<Diagnostic> =
        tarjan_scc(&graph).into_iter().filter_map(|group| circle(objects, &graph, &group, places)).collect();
    found.sort_by_key(|diagnostic| diagnostic.span);
    found
}

fn graph(objects: &[Object], edges: &[(usize, usize)]) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(objects.len(), edges.len());
    for _ in objects {
        graph.add_node(());
    }
    for (from, to) in edges {
        graph.add_edge(NodeIndex::new(*from), NodeIndex::new(*to), ());
    }
    graph
}

/// The shortest way from the first of a group back to itself.
fn circle(objects: &[Object], graph: &DiGraph<(), ()>, group: &[NodeIndex], places: &Places) -> Option<Diagnostic> {
    let start = *group.iter().min()?;
    let back = graph.neighbors(start).filter_map(|next| {
        if next == start {
            return Some(vec![start]);
        }
        astar(graph, next, |node| node == start, |_| 1, |_| 0).map(|(_, path)| path)
    });
    let path: Vec<NodeIndex> = std::iter::once(start).chain(back.min_by_key(Vec::len)?).collect();
    let names: Vec<String> = path.iter().map(|node| objects[node.index()].address.to_string()).collect();
    let place = |node: NodeIndex, to: NodeIndex| place_of(&objects[node.index()], &objects[to.index()], places);
    let message = format!("these need each other: {}", names.join(" → "));
    let mut diagnostic = Diagnostic::error(place(path[0], path[1]), message)
        .help("take one of the references away, or put what both need into a third");
    for pair in path[1..].windows(2) {
        diagnostic = diagnostic.related(place(pair[0], pair[1]), format!("needs {}", objects[pair[1].index()].address));
    }
    Some(diagnostic)
}

fn place_of(object: &Object, needed: &Object, places: &Places) -> Span {
    let named = object.references.iter().find(|reference| reference.address.as_ref() == Some(&needed.address));
    let said = || places.get(&(object.address.clone(), needed.address.clone())).copied();
    named.map(|reference| reference.span).or_else(said).unwrap_or(object.span)
}
