//! The steps of a plan and what each must wait for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use petgraph::graph::NodeIndex;
use serde_json::Value;

use super::prune::GIVEN_BACK;
use super::rolling::{self, Steps, add_where_it_fits};
use super::{Action, Effect, Plan, Step};
use crate::kinds::{self, Object, Place, Power, Raw};
use crate::live::Snapshot;
use crate::model::{Address, Path, StepId, Verb};
use crate::site::graph;

/// Sorts the changes as they are shown, and lays out the steps. `groups` are the members of each `count` and
/// `for_each`.
/// With `provisions` the steps that run instances' roles are among them.
pub fn order(
    plan: &mut Plan,
    wanted: &[Object],
    groups: &BTreeMap<Address, Vec<Address>>,
    snapshot: &Snapshot,
    provisions: bool,
) {
    sort_changes(plan);
    let mut graph = Steps::new();
    let steps: Vec<Vec<NodeIndex>> = (0..plan.changes.len())
        .map(|change| {
            let nodes: Vec<NodeIndex> =
                verbs(plan, change, provisions).into_iter().map(|verb| graph.add_node((change, verb))).collect();
            for pair in nodes.windows(2) {
                graph.update_edge(pair[0], pair[1], ());
            }
            nodes
        })
        .collect();
    let pairs = constraints(plan, wanted, snapshot, &graph, &steps);
    for (first, then) in &pairs {
        if first != then {
            graph.update_edge(*first, *then, ());
        }
    }
    for (holder, taker) in freed(plan, &steps) {
        // Where the holder can only go after the taker has changed, LXD's answer decides.
        add_where_it_fits(&mut graph, holder, taker);
    }
    for (first, then) in pairs {
        // What is made again stays until all that the new one needs is there; not where that waits for it to go.
        let (change, verb) = graph[then];
        if verb == Verb::Create && plan.changes[change].action == Action::Replace && graph[first].0 != change {
            add_where_it_fits(&mut graph, first, steps[change][0]);
        }
    }
    plan.rolling = rolling::roll(plan, groups, &mut graph, &steps);
    plan.in_turn = rolling::in_turn(plan, groups, &graph, &steps);
    plan.steps = numbered(plan, &graph);
}

/// Deletions first, then in the order of the kinds; within a kind by name, numbers as numbers.
fn sort_changes(plan: &mut Plan) {
    let rank = |section: &str| kinds::all().iter().position(|kind| kind.section() == section).unwrap_or(usize::MAX);
    let mut both: Vec<_> = std::mem::take(&mut plan.changes).into_iter().zip(std::mem::take(&mut plan.work)).collect();
    both.sort_by_cached_key(|(change, _)| {
        let rank = rank(&change.address.section);
        let is_deletion = change.action == Action::Delete;
        (!is_deletion, if is_deletion { usize::MAX - rank } else { rank }, natural(&change.address.key))
    });
    (plan.changes, plan.work) = both.into_iter().unzip();
}

fn natural(text: &str) -> (String, u64, String) {
    let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (stem, number) = text.split_at(text.len() - digits);
    (stem.to_owned(), number.parse().unwrap_or(0), text.to_owned())
}

/// The steps of one change, in their order.
fn verbs(plan: &Plan, index: usize, provisions: bool) -> Vec<Verb> {
    let (change, work) = (&plan.changes[index], &plan.work[index]);
    let object = work.object.as_ref();
    let lifecycle = object.and_then(|object| object.lifecycle.as_ref());
    let status = work.live.as_ref().and_then(|live| live.get("status")).and_then(Value::as_str).unwrap_or_default();
    let runs = change.noun == "instance" && ["Running", "Frozen", "Error"].contains(&status);
    let starts = lifecycle.is_some_and(|lifecycle| lifecycle.power != Power::Stopped);
    let has_checks = lifecycle.is_some_and(|lifecycle| !lifecycle.ready.is_empty());
    let has_roles = provisions && lifecycle.is_some_and(|lifecycle| !lifecycle.roles.is_empty());
    let is_external = object.is_some_and(|object| object.external);
    let once_up = |verbs: &mut Vec<Verb>| {
        if has_roles {
            verbs.push(Verb::Provision);
        }
        if has_checks {
            verbs.push(Verb::Ready);
        }
    };
    let up = |verbs: &mut Vec<Verb>, verb: Verb| {
        verbs.push(verb);
        once_up(verbs);
    };
    let mut verbs = vec![];
    match change.action {
        Action::NoOp if runs && has_roles && !is_external => once_up(&mut verbs),
        Action::NoOp => {}
        Action::Create => {
            verbs.push(Verb::Create);
            if starts {
                up(&mut verbs, Verb::Start);
            }
        }
        Action::Replace if work.kind.is_some_and(|kind| kind.creates_first()) => {
            verbs.extend([Verb::Create, Verb::Delete])
        }
        Action::Replace => {
            if runs {
                verbs.push(Verb::Stop);
            }
            verbs.extend([Verb::Delete, Verb::Create]);
            if starts {
                up(&mut verbs, Verb::Start);
            }
        }
        Action::Delete => {
            if runs {
                verbs.push(Verb::Stop);
            }
            verbs.push(Verb::Delete);
        }
        Action::Update | Action::Adopt | Action::Rename => {
            let is_rename = change.action == Action::Rename;
            let state = change.diff.iter().find(|field| field.path == Path::field("state"));
            let wants = state.and_then(|field| field.after.as_ref()).and_then(Value::as_str);
            if is_rename {
                if runs {
                    verbs.push(Verb::Stop);
                }
                verbs.push(Verb::Rename);
            }
            if work.writes {
                verbs.push(Verb::Update);
            }
            let restarts = work.restarts || change.diff.iter().any(|field| field.effect == Effect::Restart);
            match wants {
                Some("running") => up(&mut verbs, Verb::Start),
                Some("stopped") if !is_rename => verbs.push(Verb::Stop),
                Some(_) => {}
                None if is_rename && runs => up(&mut verbs, Verb::Start),
                None if restarts && runs => up(&mut verbs, Verb::Restart),
                None if runs && has_roles => once_up(&mut verbs),
                None => {}
            }
        }
    }
    verbs
}

/// Every pair (first, then) beyond the order within one change.
fn constraints(
    plan: &Plan,
    wanted: &[Object],
    snapshot: &Snapshot,
    graph: &Steps,
    steps: &[Vec<NodeIndex>],
) -> Vec<(NodeIndex, NodeIndex)> {
    let mut pairs = vec![];
    let by_address: HashMap<&Address, usize> =
        plan.changes.iter().enumerate().map(|(index, change)| (&change.address, index)).collect();
    let at = |object: usize| by_address.get(&wanted[object].address).copied();
    let is_delete = |index: usize| plan.changes[index].action == Action::Delete;
    let step = |index: usize, verb: Verb| steps[index].iter().copied().find(|node| graph[*node].1 == verb);

    // What an object needs comes first; through objects that stay as they are to what those need.
    let edges = graph::edges(wanted);
    let mut needs: HashMap<usize, Vec<usize>> = HashMap::new();
    for (from, to) in &edges {
        needs.entry(*from).or_default().push(*to);
    }
    let mut gates: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    for object in graph::sorted(wanted, &edges) {
        let mut mine = BTreeSet::new();
        for &needed in needs.get(&object).into_iter().flatten() {
            match at(needed) {
                Some(change) if !is_delete(change) && !steps[change].is_empty() => {
                    mine.insert(change);
                }
                _ => mine.extend(gates.get(&needed).into_iter().flatten()),
            }
        }
        if let Some(change) = at(object).filter(|change| !is_delete(*change)) {
            let first = step(change, Verb::Create).or_else(|| steps[change].first().copied());
            // What one instance needs of another it needs when it starts; to be unpacked it may be before.
            let is_new = plan.changes[change].noun == "instance" && plan.changes[change].action == Action::Create;
            let start = step(change, Verb::Start).filter(|_| is_new);
            for needed in mine.iter() {
                let last = steps[*needed].iter().rev().find(|node| graph[**node].1 != Verb::Delete);
                let is_instance = plan.changes[*needed].noun == "instance";
                let then = start.filter(|_| is_instance).or(first);
                pairs.extend(last.copied().zip(then));
            }
        }
        gates.insert(object, mine);
    }

    // What goes, goes after everything that used it has gone or has been changed.
    // LXD's own, given back, counts as going.
    let is_given_back = |index: usize| plan.changes[index].reason.code == GIVEN_BACK;
    let goes = |index: usize| step(index, if is_given_back(index) { Verb::Update } else { Verb::Delete });
    let going: Vec<(usize, NodeIndex)> = (0..steps.len()).filter_map(|index| Some((index, goes(index)?))).collect();
    if going.is_empty() {
        return pairs;
    }
    let mut users: HashMap<(&str, String, Option<String>, String), Vec<NodeIndex>> = HashMap::new();
    for (index, work) in plan.work.iter().enumerate() {
        let (Some(live), Some(kind)) = (&work.live, work.kind) else {
            continue;
        };
        let Some(released) = step(index, Verb::Delete).or_else(|| step(index, Verb::Update)) else {
            continue;
        };
        for (section, name) in kind.live_uses(live) {
            let project = place_of(section)
                .map_or_else(String::new, |place| snapshot.projects.effective(&plan.changes[index].id.project, place));
            users.entry((section, project, None, name)).or_default().push(released);
        }
    }
    // A profile's edit reaches into every instance that has it, and fails on one that is going.
    for (index, change) in plan.changes.iter().enumerate().filter(|(_, change)| change.address.section == "profiles") {
        let key = ("profiles", change.id.project.clone(), None, change.id.name.clone());
        let leaving = users.get(&key).into_iter().flatten().filter(|node| {
            let (user, verb) = graph[**node];
            verb == Verb::Delete && plan.changes[user].action == Action::Delete
        });
        pairs.extend(
            step(index, Verb::Update).into_iter().flat_map(|update| leaving.clone().map(move |it| (*it, update))),
        );
    }
    for &(index, delete) in &going {
        let change = &plan.changes[index];
        let section = change.address.section.as_str();
        let id = &change.id;
        let key = (section, id.project.clone(), None, id.name.clone());
        pairs.extend(users.get(&key).into_iter().flatten().map(|user| (*user, delete)));
        for &(other, inner) in &going {
            let inside = match section {
                "projects" => {
                    plan.changes[other].id.project == id.name && plan.changes[other].address.section != "projects"
                }
                "storage_pools" => plan.changes[other].id.pool.as_deref() == Some(id.name.as_str()),
                _ => false,
            };
            let goes_or_is_made_again = matches!(plan.changes[other].action, Action::Delete | Action::Replace);
            if inside && (goes_or_is_made_again || is_given_back(other)) {
                pairs.push((inner, delete));
            }
        }
    }
    // Of two that go, the one that needs the other goes first.
    for (from, to) in &edges {
        if let (Some(from), Some(to)) = (at(*from), at(*to))
            && is_delete(from)
            && is_delete(to)
            && let (Some(first), Some(then)) = (step(from, Verb::Delete), steps[to].first())
        {
            pairs.push((first, *then));
        }
    }
    pairs
}

fn place_of(section: &str) -> Option<Place> {
    kinds::by_section(section).map(kinds::Kind::place)
}

/// Values that LXD lets only one object have: what takes one over waits for its holder to go.
fn freed(plan: &Plan, steps: &[Vec<NodeIndex>]) -> Vec<(NodeIndex, NodeIndex)> {
    const UNIQUE: &[&str] = &["ipv4.address", "ipv6.address", "hwaddr", "listen"];
    let mut held: HashMap<String, Vec<NodeIndex>> = HashMap::new();
    for index in (0..steps.len()).filter(|index| plan.changes[*index].action == Action::Delete) {
        let Some(&delete) = steps[index].last() else { continue };
        for value in plan.work[index].live.iter().flat_map(unique_values) {
            held.entry(value).or_default().push(delete);
        }
    }
    let mut pairs = vec![];
    for (index, change) in plan.changes.iter().enumerate().filter(|(_, change)| change.action != Action::Delete) {
        let Some(first) = steps[index].first() else { continue };
        for field in &change.diff {
            let key = match &field.path {
                Path::Device { key, .. } | Path::Entry { key, .. } => key,
                Path::Field(_) => continue,
            };
            let Some(Value::String(value)) = &field.after else {
                continue;
            };
            if UNIQUE.contains(&key.as_str()) {
                pairs.extend(held.get(value).into_iter().flatten().map(|holder| (*holder, *first)));
            }
        }
    }
    return pairs;

    fn unique_values(live: &Raw) -> Vec<String> {
        let maps = live
            .get("config")
            .into_iter()
            .chain(live.get("devices").and_then(Value::as_object).into_iter().flat_map(|d| d.values()));
        maps.filter_map(Value::as_object)
            .flat_map(|map| UNIQUE.iter().filter_map(|key| map.get(*key)?.as_str()))
            .filter(|value| !["none", "auto"].contains(value))
            .map(str::to_owned)
            .collect()
    }
}

/// The graph's nodes in an order in which each comes after what it waits for, and else in the plan's own.
/// An edge that would close a circle between deletions and updates is left out: LXD's answer decides then.
fn numbered(plan: &Plan, graph: &Steps) -> Vec<Step> {
    let mut waiting: Vec<usize> =
        graph.node_indices().map(|node| graph.neighbors_directed(node, petgraph::Incoming).count()).collect();
    let mut ready: BinaryHeap<Reverse<NodeIndex>> =
        graph.node_indices().filter(|node| waiting[node.index()] == 0).map(Reverse).collect();
    let mut number: HashMap<NodeIndex, StepId> = HashMap::new();
    let mut left: BTreeSet<NodeIndex> = graph.node_indices().collect();
    let mut steps = vec![];
    while !left.is_empty() {
        let node = match ready.pop() {
            Some(Reverse(node)) if left.contains(&node) => node,
            Some(_) => continue,
            None => match left.first() {
                Some(node) => *node,
                None => break,
            },
        };
        left.remove(&node);
        let (change, verb) = graph[node];
        let mut waits_for: Vec<StepId> = graph
            .neighbors_directed(node, petgraph::Incoming)
            .filter_map(|before| number.get(&before).copied())
            .collect();
        waits_for.sort_unstable();
        let id = StepId(steps.len());
        number.insert(node, id);
        steps.push(Step { id, address: plan.changes[change].address.clone(), verb, change, waits_for });
        let mut after: Vec<NodeIndex> = graph.neighbors(node).collect();
        after.sort_unstable();
        for next in after {
            waiting[next.index()] = waiting[next.index()].saturating_sub(1);
            if waiting[next.index()] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    steps
}
