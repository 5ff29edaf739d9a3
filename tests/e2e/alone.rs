//! A machine by itself: what only a cluster has is refused, and nothing more is asked.

use crate::bed::Case;

#[test]
fn what_needs_a_cluster_is_refused_on_one_machine() {
    let case = Case::new("alone");
    let site = r#"
projects: {"@NAME@": {}}
networks: {"@BRIDGE@": {project: default, config: {ipv4.address: none, ipv6.address: none}, members: {n2: {config: {bridge.external_interfaces: eth7}}}}}
instances:
  a: {state: stopped, target: n1}
  b: {state: stopped, target: "@fast"}
"#;
    case.site(site);
    assert_eq!(case.refusals(&[]), ["no-cluster", "no-cluster", "no-cluster"]);
    case.run(&["plan", "site.yaml"]).exits(1).says("the server is a machine by itself").says("take `target` away");
    case.site(
        &site
            .replace(", target: n1", "")
            .replace(", target: \"@fast\"", "")
            .replace(", members:", "}, x: {enabled: false, members:"),
    );
    let plan = case.run(&["plan", "site.yaml", "-vv"]).exits(0);
    plan.says("GET /1.0/networks").says_not("cluster");
}
