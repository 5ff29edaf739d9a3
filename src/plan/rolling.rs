//! Rolls: instances of one `count` or `for_each` that go down and come up again do so one after the other. Those in which
//! roles change something while they run take turns as well; whether they do shows only when they are asked.
//!
//! A member's steps, the wait until it is ready included, come before the first step of the next: where one
//! fails, the others are not tried and go on running as they are. What is made for the first time, or only
//! started or stopped, goes side by side; what is down and comes up, because an earlier run ended half-way or the
//! group grows, is up before the first of the roll goes down. The order is the group's own, unless what the members need of each
//! other asks for another one; an edge that would close a circle with the plan's other constraints is left out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::algo::has_path_connecting;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::Dfs;

use super::{Action, Plan};
use crate::model::{Address, Verb};

/// The graph of a plan's steps: (the change's index, what the step does).
pub(super) type Steps = DiGraph<(usize, Verb), ()>;

/// Adds an edge unless it would close a circle. True if `first` now comes before `then`.
pub(super) fn add_where_it_fits(graph: &mut Steps, first: NodeIndex, then: NodeIndex) -> bool {
    if first == then || has_path_connecting(&*graph, then, first, None) {
        return false;
    }
    graph.update_edge(first, then, ());
    true
}

/// Adds the edges of all rolls, and gives the rolls: addresses in their order, two at least in each.
pub(super) fn roll(
    plan: &Plan,
    groups: &BTreeMap<Address, Vec<Address>>,
    graph: &mut Steps,
    steps: &[Vec<NodeIndex>],
) -> Vec<Vec<Address>> {
    let by_address: HashMap<&Address, usize> =
        plan.changes.iter().enumerate().map(|(index, change)| (&change.address, index)).collect();
    let mut rolls = vec![];
    for group in groups.values() {
        let members: Vec<usize> = group
            .iter()
            .filter_map(|address| by_address.get(address).copied())
            .filter(|index| goes_down(plan, *index, graph, &steps[*index]))
            .collect();
        if members.is_empty() {
            continue;
        }
        // Where one goes down, no other is to be worked on.
        let members: Vec<usize> = group
            .iter()
            .filter_map(|address| by_address.get(address).copied())
            .filter(|index| members.contains(index) || is_provisioned_running(graph, &steps[*index]))
            .collect();
        let members = in_order_of_needs(members, graph, steps);
        if let Some(first) = steps[members[0]].first() {
            let coming_up = group.iter().filter_map(|address| by_address.get(address).copied());
            for index in coming_up.filter(|index| !members.contains(index)) {
                let comes_up = steps[index].iter().any(|node| graph[*node].1 == Verb::Start);
                if let Some(last) = steps[index].last().filter(|_| comes_up) {
                    add_where_it_fits(graph, *last, *first);
                }
            }
        }
        if members.len() < 2 {
            continue;
        }
        for pair in members.windows(2) {
            if let (Some(last), Some(first)) = (steps[pair[0]].last(), steps[pair[1]].first()) {
                add_where_it_fits(graph, *last, *first);
            }
        }
        rolls.push(members.into_iter().map(|index| plan.changes[index].address.clone()).collect());
    }
    rolls
}

/// The groups of whose running members two or more have roles to run.
pub(super) fn in_turn(
    plan: &Plan,
    groups: &BTreeMap<Address, Vec<Address>>,
    graph: &Steps,
    steps: &[Vec<NodeIndex>],
) -> Vec<Vec<Address>> {
    let runs_roles = |address: &&Address| {
        let index = plan.changes.iter().position(|change| change.address == **address);
        index.is_some_and(|index| is_provisioned_running(graph, &steps[index]))
    };
    let members = |group: &Vec<Address>| group.iter().filter(runs_roles).cloned().collect::<Vec<_>>();
    groups.values().map(members).filter(|members| members.len() > 1).collect()
}

/// True if roles are run in an instance that was up before.
fn is_provisioned_running(graph: &Steps, steps: &[NodeIndex]) -> bool {
    let does = |verb: Verb| steps.iter().any(|node| graph[*node].1 == verb);
    does(Verb::Provision) && !does(Verb::Start) && !does(Verb::Create)
}

/// True if the change takes a running instance down for a while, or makes it again.
fn goes_down(plan: &Plan, index: usize, graph: &Steps, steps: &[NodeIndex]) -> bool {
    let change = &plan.changes[index];
    let does = |verb: Verb| steps.iter().any(|node| graph[*node].1 == verb);
    match change.action {
        Action::Replace => does(Verb::Stop) || does(Verb::Start),
        Action::Rename => does(Verb::Stop) && does(Verb::Start),
        Action::Delete => false,
        _ => does(Verb::Restart),
    }
}

/// The members by their place in the group, except that one which another must come before follows it.
fn in_order_of_needs(members: Vec<usize>, graph: &Steps, steps: &[Vec<NodeIndex>]) -> Vec<usize> {
    let place: HashMap<usize, usize> = members.iter().enumerate().map(|(place, change)| (*change, place)).collect();
    let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); members.len()];
    for (mine, change) in members.iter().enumerate() {
        let Some(first) = steps[*change].first() else { continue };
        let mut reached = Dfs::new(graph, *first);
        while let Some(node) = reached.next(graph) {
            if let Some(&other) = place.get(&graph[node].0).filter(|other| **other != mine) {
                before[other].insert(mine);
            }
        }
    }
    let mut left: BTreeSet<usize> = (0..members.len()).collect();
    let mut order = vec![];
    while let Some(next) =
        left.iter().copied().find(|mine| before[*mine].is_disjoint(&left)).or_else(|| left.first().copied())
    {
        left.remove(&next);
        order.push(members[next]);
    }
    order
}

#[cfg(test)]
mod tests {
    use petgraph::algo::{is_cyclic_directed, toposort};
    use proptest::prelude::*;

    use super::*;
    use crate::model::Id;
    use crate::plan::{Change, Reason};

    const REPLACE: &[Verb] = &[Verb::Stop, Verb::Delete, Verb::Create, Verb::Start, Verb::Ready];
    const RESTART: &[Verb] = &[Verb::Update, Verb::Restart, Verb::Ready];
    const RENAME: &[Verb] = &[Verb::Stop, Verb::Rename, Verb::Update, Verb::Start];
    const CREATE: &[Verb] = &[Verb::Create, Verb::Start, Verb::Ready];
    const STARTED: &[Verb] = &[Verb::Start];
    const DELETE: &[Verb] = &[Verb::Stop, Verb::Delete];

    fn change(group: usize, index: usize, action: Action) -> Change {
        let name = format!("g{group}-{index}");
        Change {
            address: Address::new("instances", name.clone()),
            noun: "instance",
            id: Id { project: "default".into(), pool: None, name },
            action,
            reason: Reason::default(),
            drift: false,
            affects: vec![],
            diff: vec![],
        }
    }

    type Groups = BTreeMap<Address, Vec<Address>>;

    /// A plan of groups, each a list of kinds of change, with its graph and groups.
    fn plan(groups: &[Vec<usize>]) -> (Plan, Steps, Vec<Vec<NodeIndex>>, Groups) {
        let kinds = [
            (Action::Replace, REPLACE),
            (Action::Update, RESTART),
            (Action::Rename, RENAME),
            (Action::Create, CREATE),
            (Action::Update, STARTED),
            (Action::Delete, DELETE),
            (Action::NoOp, &[]),
        ];
        let (mut plan, mut graph, mut steps, mut by_group) = (Plan::default(), Steps::new(), vec![], BTreeMap::new());
        for (group, members) in groups.iter().enumerate() {
            for (index, kind) in members.iter().enumerate() {
                let (action, verbs) = kinds[*kind];
                let change = change(group, index + 1, action);
                let addresses: &mut Vec<Address> =
                    by_group.entry(Address::new("instances", format!("g{group}"))).or_default();
                addresses.push(change.address.clone());
                let nodes: Vec<NodeIndex> = verbs.iter().map(|verb| graph.add_node((steps.len(), *verb))).collect();
                for pair in nodes.windows(2) {
                    graph.update_edge(pair[0], pair[1], ());
                }
                plan.changes.push(change);
                steps.push(nodes);
            }
        }
        (plan, graph, steps, by_group)
    }

    fn text(rolls: &[Vec<Address>]) -> Vec<String> {
        rolls.iter().map(|roll| roll.iter().map(|a| a.key.clone()).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn what_restarts_is_replaced_or_renamed_rolls_and_the_rest_does_not() {
        let (plan, mut graph, steps, groups) = plan(&[vec![3, 1, 4, 0, 2, 5, 6], vec![3, 3, 4, 4], vec![1]]);
        let before = graph.edge_count();
        assert_eq!(text(&roll(&plan, &groups, &mut graph, &steps)), ["g0-2 g0-4 g0-5"]);
        // Creations, starts and a single restart wait for nobody; the roll waits for what comes up.
        assert_eq!(graph.edge_count(), before + 2 + 2);
        assert!(graph.contains_edge(steps[0][2], steps[1][0]) && graph.contains_edge(steps[2][0], steps[1][0]));
        // Ready comes before the next one's very first step.
        assert!(graph.contains_edge(steps[1][2], steps[3][0]) && graph.contains_edge(steps[3][4], steps[4][0]));
    }

    #[test]
    fn one_that_is_down_already_comes_up_before_another_goes_down() {
        let (plan, mut graph, steps, groups) = plan(&[vec![4, 1]]);
        assert_eq!(text(&roll(&plan, &groups, &mut graph, &steps)), Vec::<String>::new());
        assert!(graph.contains_edge(steps[0][0], steps[1][0]));
    }

    #[test]
    fn a_member_that_needs_a_later_one_follows_it() {
        let (plan, mut graph, steps, groups) = plan(&[vec![1, 1, 1]]);
        graph.update_edge(steps[2][2], steps[0][0], ());
        assert_eq!(text(&roll(&plan, &groups, &mut graph, &steps)), ["g0-2 g0-3 g0-1"]);
        assert!(!is_cyclic_directed(&graph));
    }

    #[test]
    fn a_roll_follows_from_another_groups_roll() {
        let (plan, mut graph, steps, groups) = plan(&[vec![1, 1], vec![1, 1]]);
        graph.update_edge(steps[3][2], steps[0][0], ());
        graph.update_edge(steps[1][2], steps[2][0], ());
        assert_eq!(text(&roll(&plan, &groups, &mut graph, &steps)), ["g0-1 g0-2", "g1-2 g1-1"]);
        assert!(!is_cyclic_directed(&graph));
    }

    #[test]
    fn an_edge_that_would_close_a_circle_is_left_out() {
        // The first must be gone before the second may go, and the second be made before the first may be.
        let (plan, mut graph, steps, groups) = plan(&[vec![0, 0]]);
        graph.update_edge(steps[0][1], steps[1][1], ());
        graph.update_edge(steps[1][2], steps[0][2], ());
        let before = graph.edge_count();
        assert_eq!(text(&roll(&plan, &groups, &mut graph, &steps)), ["g0-1 g0-2"]);
        assert_eq!(graph.edge_count(), before);
    }

    proptest! {
        #[test]
        fn rolls_keep_any_order_and_never_close_a_circle(
            groups in prop::collection::vec(prop::collection::vec(0..7usize, 0..6), 1..4),
            needs in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..12),
        ) {
            let (plan, mut graph, steps, by_group) = plan(&groups);
            let nodes: Vec<NodeIndex> = graph.node_indices().collect();
            for (first, then) in needs.iter().filter(|_| !nodes.is_empty()) {
                add_where_it_fits(&mut graph, *first.get(&nodes), *then.get(&nodes));
            }
            let fixed: Vec<_> = graph.edge_indices().filter_map(|edge| graph.edge_endpoints(edge)).collect();
            let crosses = fixed.iter().any(|(a, b)| graph[*a].0 != graph[*b].0);
            let rolls = roll(&plan, &by_group, &mut graph, &steps);
            prop_assert!(toposort(&graph, None).is_ok());
            prop_assert!(fixed.iter().all(|(first, then)| graph.contains_edge(*first, *then)));
            let of = |address: &Address| plan.changes.iter().position(|change| change.address == *address).unwrap();
            for pair in rolls.iter().flat_map(|roll| roll.windows(2)) {
                let (a, b) = (of(&pair[0]), of(&pair[1]));
                let (last, first) = (*steps[a].last().unwrap(), *steps[b].first().unwrap());
                // Only another constraint may have taken the edge's place, in the other direction.
                let is_kept = graph.contains_edge(last, first);
                prop_assert!(is_kept || crosses && has_path_connecting(&graph, first, last, None));
            }
        }
    }
}
