//! Templates, and what of them is wrong.

use super::*;

#[test]
fn a_value_that_is_one_whole_expression_keeps_its_type() {
    let site = site(
        "vars: {n: 2, on: true, list: [a, b], devices: {root: {type: disk, path: /}}}\n\
         profiles: {a: {}, b: {}}\n\
         instances: {i: {count: \"{{ n }}\", protect: \"{{ on }}\", profiles: \"{{ list }}\", devices: \"{{ devices }}\", config: {limits.cpu: \" {{ n + 1 }} \"}}}\n",
    );
    let object = site.object("instances.i-2");
    assert!(object.protect);
    assert_eq!(object.value(&Path::field("profiles")).unwrap(), r#"["a","b"]"#);
    assert_eq!(object.device("root", "type").unwrap(), "disk");
    assert_eq!(site.config("instances.i-1", "limits.cpu").unwrap(), "3");
}

#[test]
fn jinja_of_others_stays_as_it_is() {
    assert_eq!(site(&x("\"{% raw %}{{ ds.meta_data }}{% endraw %}\"")).x(), "{{ ds.meta_data }}");
}

#[test]
fn files_and_the_environment_can_be_read() {
    let files = files(&[
        ("site.yaml", &format!("site: acme\n{}", x("\"{{ file('sub/text') }}{{ env('CARGO_PKG_NAME') }}\""))),
        ("sub/text", "text "),
    ]);
    assert_eq!(files.site(&Options::default()).x(), "text lxdeploy");
}

#[test]
fn every_undefined_name_has_its_own_place() {
    insta::assert_snapshot!(found(
        "vars: {api_count: 2, map: {a: 1}}\n\
         profiles:\n  \
           x:\n    \
             config:\n      \
               user.a: \"{{ api_cuont }}\"\n      \
               user.b: \"http://{{ api_count }}/{{ api }}\"\n      \
               user.c: '{{ map.b.c }}'\n      \
               user.d: \"{{ 10 + index }}\"\n      \
               user.e: |\n        \
                 #cloud-config\n        \
                 packages: [{{ package }}]\n      \
               user.f: \"{% for x in nothing %}{% endfor %}\"\n      \
               user.g: \"a\\tb {{ escaped }}\"\n"
    ));
}

#[test]
fn nothing_of_the_running_system_can_be_referred_to() {
    insta::assert_snapshot!(found(&x("\"{{ instances.api.ipv4 }} {{ hostvars['api'] }}\"")), @r#"
    error: `instances` is not defined
     --> site.yaml:2:37
      |
    2 | profiles: {x: {config: {user.x: "{{ instances.api.ipv4 }} {{ hostvars['api'] }}"}}}
      |                                     ^^^^^^^^^
      |
      = help: nothing of the running system can be referred to here: use static addresses, the name NAME.lxd, or hostvars in a playbook
    "#);
    insta::assert_snapshot!(found("vars: {a: \"{{ hostvars.api.ipv4 }}\"}\nprofiles: {x: {description: \"{{ a }}\"}}\n"), @r#"
    error: `hostvars` is not defined
     --> site.yaml:2:15
      |
    2 | vars: {a: "{{ hostvars.api.ipv4 }}"}
      |               ^^^^^^^^
      |
      = help: nothing of the running system can be referred to here: use static addresses, the name NAME.lxd, or hostvars in a playbook
    "#);
}

#[test]
fn what_is_no_jinja_is_told_at_its_place() {
    insta::assert_snapshot!(found(
        "profiles:\n  x:\n    config:\n      \
           user.a: \"{{ 1 + }}\"\n      \
           user.b: \"{% if true %}yes\"\n      \
           user.c: \"{{ file('gone') }} {{ env('LXDEPLOY_NO_SUCH') }}\"\n      \
           user.d: \"{{ secret('nobody') }}\"\n      \
           user.e: \"{{ 'x' | nofilter }}\"\n      \
           user.f: |\n        line\n        {% nostatement %}\n      \
           user.g: \"{{ env('LXDEPLOY_NO_SUCH') }}\"\n      \
           user.h: \"{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}\"\n"
    ));
}

#[test]
fn a_template_without_quotes_is_told_how_to_be_written() {
    insta::assert_snapshot!(found("profiles: {x: {config: {user.x: {{ a }}}}}\n"), @r#"
    error: a key is text, and this is a map
     --> site.yaml:2:34
      |
    2 | profiles: {x: {config: {user.x: {{ a }}}}}
      |                                  ^
      |
      = help: if this is a template, put it in quotes: "{{ … }}"
    "#);
    insta::assert_snapshot!(found("vars:\n  a: {{ b }}\n"), @r#"
    error: a key is text, and this is a map
     --> site.yaml:3:7
      |
    3 |   a: {{ b }}
      |       ^
      |
      = help: if this is a template, put it in quotes: "{{ … }}"
    "#);
}

#[test]
fn a_platform_may_refuse() {
    let site = |n: &str| {
        found(&format!(
            "vars: {{n: {n}}}\nprojects: {{p: {{description: \"{{{{ n if n < 9 else fail('at most 8') }}}}\"}}}}\n"
        ))
    };
    assert_eq!(site("8"), "");
    assert!(site("9").starts_with("error: refused: at most 8\n --> site.yaml:3:"), "{}", site("9"));
}
