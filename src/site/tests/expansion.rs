//! `count`, `for_each`, `enabled`, names and addresses.

use super::*;
use crate::model::Address;

fn named(site: &Site) -> String {
    site.objects.iter().map(|object| format!("{}={}", object.address, object.name)).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_count_numbers_from_1_and_without_count_the_name_stands_alone() {
    let of = |count: &str| named(&site(&format!("instances: {{api: {{{count}}}}}\n")));
    assert_eq!(of(""), "instances.api=api");
    assert_eq!(of("count: 0"), "");
    assert_eq!(of("count: 1"), "instances.api-1=api-1");
    assert_eq!(of("count: 2, name: app"), "instances.api-1=app-1 instances.api-2=app-2");
    assert_eq!(of("count: \"{{ 1 + 1 }}\""), "instances.api-1=api-1 instances.api-2=api-2");
}

#[test]
fn each_of_a_group_knows_its_own_names() {
    let site = site(
        "instances:\n  \
           n: {count: 2, config: {user.x: \"{{ index }} {{ name }}\"}}\n  \
           c: {for_each: {blue: {port: 80}, green: {port: 81}}, config: {user.x: \"{{ index }} {{ key }} {{ value.port }} {{ name }}\"}}\n  \
           e: {for_each: {a: , b: null}}\n  \
           s: {config: {user.x: \"{{ name }}\"}}\n",
    );
    let x = |key: &str| site.config(&format!("instances.{key}"), "user.x").unwrap();
    assert_eq!([x("n-1"), x("n-2")], ["1 n-1", "2 n-2"]);
    assert_eq!([x("c-blue"), x("c-green")], ["1 blue 80 c-blue", "2 green 81 c-green"]);
    assert_eq!(x("s"), "s");
    assert!(site.addresses().contains(&"instances.e-b".to_owned()), "empty values of for_each are values");
}

#[test]
fn an_address_stands_for_all_of_a_count() {
    let site = site(
        "instances:\n  \
           db: {count: 2}\n  \
           off: {enabled: false}\n  \
           none: {count: 0}\n  \
           api: {depends_on: [instances.db, instances.off, instances.none]}\n  \
           one: {depends_on: [instances.db-2]}\n",
    );
    let needs = |key: &str| site.object(key).depends_on.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(needs("instances.api"), ["instances.db-1", "instances.db-2"]);
    assert_eq!(needs("instances.one"), ["instances.db-2"]);
    assert_eq!(site.groups[&Address::new("instances", "none")], []);
}

#[test]
fn keys_may_hold_dots() {
    let site = site("profiles: {a.b: {}}\ninstances: {api: {profiles: [a.b], depends_on: [profiles.a.b]}}\n");
    assert_eq!(site.object("instances.api").depends_on, [Address::new("profiles", "a.b")]);
}

#[test]
fn enabled_is_a_boolean_or_a_template() {
    let of =
        |enabled: &str| site(&format!("vars: {{on: 'no'}}\nprofiles: {{x: {{enabled: {enabled}}}}}\n")).objects.len();
    assert_eq!([of("true"), of("yes"), of("\"{{ 1 > 0 }}\"")], [1, 1, 1]);
    assert_eq!([of("false"), of("\"{{ on }}\""), of("\"{{ not true }}\"")], [0, 0, 0]);
}

#[test]
fn two_projects_can_each_hold_the_same_name() {
    let site = site(
        "projects: {a: {}, b: {}}\n\
         storage_pools: {p: {driver: dir}}\n\
         storage_volumes:\n  a-data: {name: data, project: a, pool: p}\n  b-data: {name: data, project: b, pool: p}\n",
    );
    assert_eq!(
        [&site.object("storage_volumes.a-data").name, &site.object("storage_volumes.b-data").name],
        ["data", "data"]
    );
}

#[test]
fn a_name_is_found_by_its_key_and_by_its_name() {
    let site = site(
        "project: acme\n\
         storage_pools: {data: {name: fast, driver: dir}}\n\
         storage_volumes: {a: {pool: data}, b: {pool: fast, project: other}}\n",
    );
    let pool = |key: &str| site.object(key).pool.clone().unwrap();
    assert_eq!([pool("storage_volumes.a"), pool("storage_volumes.b")], ["fast", "fast"]);
    let known = |key: &str| site.object(key).references[0].address.is_some();
    assert!(known("storage_volumes.a") && known("storage_volumes.b"), "a pool is one for all projects");
}

#[test]
fn renamed_from_with_a_count_maps_one_to_one() {
    let site = site("instances: {api: {count: 2, renamed_from: app}, web: {renamed_from: www}}\n");
    let old = |key: &str| site.object(key).lifecycle.as_ref().unwrap().renamed_from.clone().unwrap();
    assert_eq!([old("instances.api-1"), old("instances.api-2"), old("instances.web")], ["app-1", "app-2", "www"]);
}

#[test]
fn bad_counts_are_told_at_their_value() {
    let of = |count: &str| found(&format!("instances: {{a: {{count: {count}}}}}\n"));
    insta::assert_snapshot!(
        [of("-1"), of("1.5"), of("two"), of("99999999999999999999"), of("10001"), of("true"), of("[1]")].join("\n\n")
    );
}

#[test]
fn an_error_in_a_group_is_told_once() {
    insta::assert_snapshot!(found(
        "instances:\n  \
           a: {count: 50, config: {limits.memory: \"{{ index }}G\"}, ready: [{tcp: \"{{ 65530 + index }}\"}]}\n  \
           b_: {count: 3}\n  \
           c: {count: 3, config: {user.x: \"{{ indx }}\"}}\n  \
           d: {for_each: {a b: 1, c_d: 2}}\n  \
           e: {for_each: [a, b]}\n  \
           f: {count: 1, for_each: {a: 1}}\n\
         profiles: {p: {count: 2}, q: {for_each: {}}}\n"
    ));
}

#[test]
fn two_that_expand_to_one_name_are_told_at_both_places() {
    insta::assert_snapshot!(found(
        "projects: {p: {config: {features.networks: false}}}\n\
         instances:\n  api: {count: 2}\n  api-2: {}\n  web: {name: www}\n  www: {}\n\
         storage_pools: {a: {driver: dir, name: b, project: p}, b: {driver: dir}}\n\
         networks: {one: {project: p, name: br0}, two: {name: br0}}\n"
    ));
}
