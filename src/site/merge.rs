//! A platform under a site: maps by key; scalars and lists replace; `null` takes out what was inherited.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::document::Chain;
use crate::diagnostic::Diagnostic;
use crate::kinds;
use crate::model::Span;
use crate::tree::{Node, Value};

/// The merged sections by name.
pub type Sections = BTreeMap<&'static str, Rc<Node>>;

/// Paths of what a site sets otherwise, and where.
pub type Deviations = Vec<(String, Span)>;

/// The merged sections by name, and what the site sets otherwise than its platforms.
pub fn sections(chain: &Chain, out: &mut Vec<Diagnostic>) -> (Sections, Deviations) {
    let mut sections = BTreeMap::new();
    let mut deviations = vec![];
    let variables = chain.platforms().iter().rev().filter_map(|platform| platform.root.get("vars"));
    if let (Some(base), Some(over)) =
        (variables.cloned().reduce(|base, over| merge(&base, &over)), chain.site().root.get("vars"))
    {
        deviate("vars", &base, over, 0, &mut deviations);
    }
    for kind in kinds::all() {
        let mut merged: Option<Rc<Node>> = None;
        for (depth, document) in chain.documents.iter().enumerate().rev() {
            let Some(node) = document.root.get(kind.section()) else {
                continue;
            };
            if !matches!(node.value, Value::Map(_)) && !node.is_null() {
                let message = format!("`{}` is a map of names, and this is {}", kind.section(), node.kind_name());
                out.push(
                    Diagnostic::error(node.span, message)
                        .help(format!("write `NAME: {{…}}` under `{}:`", kind.section())),
                );
                continue;
            }
            if depth == 0
                && let Some(base) = &merged
            {
                deviate(kind.section(), base, node, 0, &mut deviations);
            }
            merged = Some(match merged {
                Some(base) if !node.is_null() => merge(&base, node),
                Some(base) => base,
                None => node.clone(),
            });
        }
        if let Some(node) = merged {
            sections.insert(kind.section(), inherited_nothing(&node, 0));
        }
    }
    (sections, deviations)
}

/// Lays `over` over `base`.
pub fn merge(base: &Rc<Node>, over: &Rc<Node>) -> Rc<Node> {
    let (Value::Map(old), Value::Map(new)) = (&base.value, &over.value) else {
        return over.clone();
    };
    // Sections may have thousands of keys.
    let laid: HashMap<&str, &Rc<Node>> = new.iter().map(|(key, value)| (key.text.as_str(), value)).collect();
    let known: HashSet<&str> = old.iter().map(|(key, _)| key.text.as_str()).collect();
    let mut entries = vec![];
    for (key, value) in old {
        match laid.get(key.text.as_str()) {
            None => entries.push((key.clone(), value.clone())),
            Some(node) if node.is_null() => {}
            Some(node) => entries.push((key.clone(), merge(value, node))),
        }
    }
    entries.extend(new.iter().filter(|(key, _)| !known.contains(key.text.as_str())).cloned());
    Rc::new(Node {
        span: over.span,
        value: Value::Map(entries),
        sensitive: base.sensitive || over.sensitive,
        partial: base.partial || over.partial,
        // What lies in an unsafe map is tagged itself; the other one's is not.
        tag: None,
    })
}

/// A `null` that found nothing to take out is gone too; an object without a body stays, and so do the empty
/// values of a `for_each` and of a check of `ready`, which are words of their own.
fn inherited_nothing(node: &Rc<Node>, depth: usize) -> Rc<Node> {
    let Value::Map(entries) = &node.value else {
        return node.clone();
    };
    if depth > 0 && !has_nulls(node) {
        return node.clone();
    }
    let entries = entries.iter().filter(|(_, value)| depth == 0 || !value.is_null());
    let entries = entries.map(|(key, value)| {
        let is_free = depth == 1 && ["for_each", "ready"].contains(&key.text.as_str());
        (key.clone(), if is_free { value.clone() } else { inherited_nothing(value, depth + 1) })
    });
    node.with(Value::Map(entries.collect()))
}

fn has_nulls(node: &Node) -> bool {
    node.is_null() || node.entries().iter().any(|(_, value)| has_nulls(value))
}

/// What `over` says otherwise than `base` of the objects of `base`; objects of its own are no deviation.
fn deviate(path: &str, base: &Rc<Node>, over: &Rc<Node>, depth: usize, out: &mut Vec<(String, Span)>) {
    let known: HashMap<&str, &Rc<Node>> =
        base.entries().iter().map(|(key, value)| (key.text.as_str(), value)).collect();
    for (key, value) in over.entries() {
        let old = known.get(key.text.as_str());
        let path = format!("{path}.{}", key.text);
        match old {
            Some(old) if matches!((&old.value, &value.value), (Value::Map(_), Value::Map(_))) => {
                deviate(&path, old, value, depth + 1, out);
            }
            Some(old) if old.to_json() != value.to_json() => out.push((path, key.span)),
            None if depth > 0 && !value.is_null() => out.push((path, key.span)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn node(json: &Json) -> Rc<Node> {
        Node::from_json(json, Span::default(), false)
    }

    fn merged(base: &Json, over: &Json) -> Json {
        merge(&node(base), &node(over)).to_json()
    }

    #[test]
    fn maps_by_key_lists_whole_null_takes_out() {
        assert_eq!(
            merged(
                &json!({"a": {"x": 1, "y": [1, 2]}, "b": 1}),
                &json!({"a": {"y": [3], "z": null}, "b": null, "c": 2})
            ),
            json!({"a": {"x": 1, "y": [3], "z": null}, "c": 2})
        );
    }

    fn leaf() -> impl Strategy<Value = Json> {
        prop_oneof![(0..3i64).prop_map(|n| json!(n)), Just(json!([1, 2])), Just(json!("x"))]
    }

    /// Any tree.
    fn tree() -> impl Strategy<Value = Json> {
        leaf().prop_recursive(3, 16, 3, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| json!(map))
        })
    }

    /// Trees that agree on what is a map: the upper-case keys.
    fn layer() -> impl Strategy<Value = Json> {
        let leaves = || prop::collection::btree_map("[a-c]", leaf(), 0..3);
        leaves().prop_map(|map| json!(map)).prop_recursive(3, 16, 3, move |inner| {
            (leaves(), prop::collection::btree_map("[A-C]", inner, 0..3)).prop_map(|(leaves, maps)| {
                json!(leaves.into_iter().chain(maps).collect::<std::collections::BTreeMap<_, _>>())
            })
        })
    }

    proptest! {
        #[test]
        fn merging_twice_is_merging_once(base in tree(), over in tree()) {
            let once = merged(&base, &over);
            prop_assert_eq!(merged(&once, &over), once);
        }

        #[test]
        fn three_layers_merge_in_any_grouping(a in layer(), b in layer(), c in layer()) {
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }
    }
}
