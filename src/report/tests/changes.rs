//! Renames, replacements and what stands in their way, as a plan tells them.

use super::*;
use crate::plan::Action;

const ONE: &str = "instances: {uno: {renamed_from: one, config: {user.a: 1}}}\n";

/// What the site with one instance `one` leaves, and that instance changed.
fn one_live(edit: impl FnOnce(&mut Value)) -> Value {
    let mut sections = applied(&site(&ONE.replace("uno: {renamed_from: one,", "one: {")));
    edit(&mut sections["instances"]["one"]);
    sections
}

fn plan_of(site: &Site, sections: &Value) -> Plan {
    plan::build(site, &live(site, sections), &Options::default())
}

fn codes(plan: &Plan) -> Vec<&str> {
    plan.refused.iter().map(|refusal| refusal.code).chain(plan.notes.iter().map(|note| note.code)).collect()
}

#[test]
fn a_rename_is_one_change_and_a_replacement_under_a_new_name_says_so() {
    let plan = plan_of(&site(ONE), &one_live(|_| ()));
    assert_eq!(
        steps(&plan),
        ["stopping instances.uno", "renaming instances.uno", "updating instances.uno", "starting instances.uno"]
    );
    let vm = site(&ONE.replace("config:", "type: virtual-machine, config:"));
    let sections = one_live(|one| one["type"] = "container".into());
    assert_snapshot!(shown(&plan_of(&vm, &sections)));
}

#[test]
fn what_stands_in_the_way_of_a_rename_is_told() {
    let site = site(ONE);
    // Both are there: the new name is nobody's, another site's, a copy by hand, or this site's.
    for config in [
        json!({}),
        json!({"user.lxdeploy.site": "other", "user.lxdeploy.id": "default/instances.uno"}),
        json!({"user.lxdeploy.site": "acme", "user.lxdeploy.id": "default/instances.one"}),
        json!({"user.lxdeploy.site": "acme", "user.lxdeploy.id": "default/instances.uno"}),
    ] {
        let mut sections = one_live(|_| ());
        sections["instances"]["uno"] = json!({"status": "Stopped", "config": config});
        let plan = plan_of(&site, &sections);
        assert_eq!(codes(&plan), ["name-taken"], "{config}");
        assert!(plan.is_empty(), "neither is pruned: {:?}", plan.changes);
    }
    // A stop would delete it.
    let ephemeral = one_live(|one| one["ephemeral"] = true.into());
    assert_snapshot!(shown(&plan_of(&site, &ephemeral)));
    // Two want it, or the file has it still.
    let twice = self::site(&ONE.replace("}}\n", "}, dos: {renamed_from: one}}\n"));
    assert_eq!(codes(&plan_of(&twice, &one_live(|_| ()))), ["name-taken"]);
    let kept = self::site(&ONE.replace("}}\n", "}, one: {}}\n"));
    assert_eq!(codes(&plan_of(&kept, &one_live(|_| ()))), ["name-taken"]);
    // What is nobody's is left, and the new one made.
    let theirs = json!({"instances": {"one": {"status": "Stopped", "config": {}}}});
    let plan = plan_of(&site, &theirs);
    assert_eq!((codes(&plan), plan.changes[0].action), (vec!["not-renamed"], Action::Create));
}

#[test]
fn renamed_from_has_no_effect_once_it_is_done() {
    let done = site(ONE);
    assert!(plan_of(&done, &applied(&done)).is_empty());
    // Nor does somebody's new instance of the old name change that, nor one of the site's own.
    let mut sections = applied(&done);
    sections["instances"]["one"] = json!({"status": "Running", "config": {}});
    assert!(plan_of(&done, &sections).is_empty());
    let reused = site(&ONE.replace("}}\n", "}, one: {}}\n"));
    assert!(plan_of(&reused, &applied(&reused)).is_empty());
}

#[test]
fn a_rename_that_was_cut_short_is_brought_to_its_end() {
    let mut sections = one_live(|one| {
        one["status"] = "Stopped".into();
        one["config"]["volatile.last_state.power"] = "STOPPED".into();
    });
    sections["instances"] = json!({"uno": sections["instances"]["one"]});
    let site = site(ONE);
    let plan = plan_of(&site, &sections);
    assert_eq!((codes(&plan), plan.changes[0].reason.code), (vec![], "renamed"));
    assert_eq!(steps(&plan), ["updating instances.uno", "starting instances.uno"]);
    let stamp = plan.work[0].stamp.as_ref().unwrap();
    assert_eq!(stamp.id, "default/instances.uno");
    // A destroy takes it along.
    let destroy = plan::build(&site, &live(&site, &sections), &Options { destroy: true, ..Options::default() });
    assert_eq!(steps(&destroy), ["deleting instances.uno"]);
    // Neither does a file that takes the rename back make a second one.
    let back = self::site("instances: {one: {renamed_from: uno, config: {user.a: 1}}}\n");
    let plan = plan_of(&back, &sections);
    assert_eq!((codes(&plan), plan.changes.len()), (vec![], 1));
    assert_eq!(steps(&plan), ["renaming instances.one", "updating instances.one", "starting instances.one"]);
    // Without the file's word it is a copy, or renamed by hand: somebody's.
    let silent = self::site(&ONE.replace("renamed_from: one, ", ""));
    assert_eq!(codes(&plan_of(&silent, &sections)), ["not-ours"]);
}

const NET: &str = r#"
networks: {br: {type: bridge, config: {ipv4.address: 10.0.0.1/24}}}
profiles: {base: {devices: {eth0: {type: nic, network: br}}}}
instances: {one: {profiles: [base]}}
"#;

/// What [`NET`] leaves, with LXD's own account of who uses what.
fn net_live() -> Value {
    let mut sections = applied(&site(NET));
    sections["networks"]["br"]["used_by"] = json!(["/1.0/profiles/base", "/1.0/instances/one"]);
    sections["profiles"]["base"]["used_by"] = json!(["/1.0/instances/one"]);
    sections
}

fn replacing(site: &Site, sections: &Value, addresses: &[&str]) -> Plan {
    let replace = addresses.iter().map(|address| address.parse().unwrap()).collect();
    plan::build(site, &live(site, sections), &Options { replace, ..Options::default() })
}

#[test]
fn what_is_used_is_not_replaced_from_under_its_users() {
    let macvlan = site(&NET.replace("type: bridge, config: {ipv4.address: 10.0.0.1/24}", "type: macvlan"));
    assert_snapshot!(shown(&plan_of(&macvlan, &net_live())));
    // With all of its users it goes in the right order.
    let all = ["networks.br", "profiles.base", "instances.one"];
    let plan = replacing(&site(NET), &net_live(), &all);
    assert_eq!(codes(&plan), Vec::<&str>::new());
    assert_snapshot!(steps(&plan).join("\n"));
    // A user that the site cannot see is one all the same.
    let mut sections = net_live();
    sections["networks"]["br"]["used_by"] = json!(["/1.0/instances/theirs?project=other"]);
    assert_eq!(codes(&replacing(&site(NET), &sections, &["networks.br"])), ["in-use"]);
    // What moves elsewhere in the same plan has let go.
    let moved = site(
        &NET.replace("networks: {", "networks: {br2: {config: {ipv4.address: 10.0.1.1/24}}, ")
            .replace("network: br}", "network: br2}"),
    );
    let plan = replacing(&moved, &net_live(), &["networks.br"]);
    assert_eq!(codes(&plan), Vec::<&str>::new());
    let at = |step: &str| steps(&plan).iter().position(|other| other == step).unwrap();
    assert!(at("updating profiles.base") < at("deleting networks.br"), "{:?}", steps(&plan));
}

#[test]
fn lxds_own_and_what_lxd_protects_is_not_replaced() {
    let own = site("profiles: {default: {config: {user.a: 1}}}\n");
    assert_eq!(codes(&replacing(&own, &applied(&own), &["profiles.default"])), ["built-in"]);
    let locked = site("instances: {one: {config: {security.protection.delete: true}}}\n");
    assert_eq!(codes(&replacing(&locked, &applied(&locked), &["instances.one"])), ["protected"]);
}

#[test]
fn nothing_is_deleted_whose_successor_cannot_be_made() {
    let before = site("instances: {one: {image: old}}\n");
    let image = |of: &str, alias: &str| json!({"fingerprint": alias, "type": of, "aliases": [{"name": alias}]});
    let mut sections = applied(&site("instances: {one: {}}\n"));
    let stamp = json!({"v": 1, "k": {}, "img": "old"}).to_string();
    sections["instances"]["one"]["config"]["user.lxdeploy.record"] = stamp.into();
    sections["images"] = json!({"old": image("container", "old"), "vm": image("virtual-machine", "vm")});
    assert_eq!(codes(&replacing(&before, &sections, &["instances.one"])), Vec::<&str>::new());
    let gone = site("instances: {one: {image: nosuch}}\n");
    assert_eq!(codes(&plan_of(&gone, &sections)), ["missing"]);
    let other = site("instances: {one: {image: vm}}\n");
    assert_eq!(codes(&plan_of(&other, &sections)), ["image-type"]);
    let mut snapshot = live(&before, &sections);
    snapshot.server.instance_drivers.insert("lxc".into());
    let vm = site("instances: {one: {image: vm, type: virtual-machine}}\n");
    let plan = plan::build(&vm, &snapshot, &Options::default());
    assert_eq!(codes(&plan), ["no-driver"]);
}
