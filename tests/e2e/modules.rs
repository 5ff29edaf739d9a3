//! Task modules in a guest that has nothing but busybox: made, left alone, changed, left alone. What they do in Debian
//! is compared with Ansible in tests/twins, as is what goes over a network: this busybox' wget crashes.

use crate::bed::Case;

const SITE: &str = "
projects: {@NAME@: {config: {features.images: \"true\", features.profiles: \"true\"}}}
images: {busybox: {source: {file: busybox.tar.xz}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
instances: {one: {image: busybox, profiles: [base], stop_timeout: 0s}}
";

/// `v` is 1, and later 2.
const BOOK: &str = r#"
- hosts: all
  vars: {v: 1, q: "it's \"q\" $HOME"}
  tasks:
    - {name: directory, file: {path: "/srv/a b", state: directory, mode: "{{ '0755' if v == 1 else '0700' }}"}}
    - {name: touched, file: {path: /srv/touched, state: touch, access_time: preserve, modification_time: preserve, mode: "064{{ v }}"}}
    - {name: link, file: {src: "/srv/target{{ v }}", dest: /srv/link, state: link, force: true}}
    - {name: hard link, file: {src: /srv/touched, dest: "/srv/hard{{ v }}", state: hard}}
    - {name: absent, file: {path: "/srv/absent{{ v }}", state: absent}}
    - {name: copied, copy: {src: plain.txt, dest: "/srv/a b/", mode: "060{{ v }}"}}
    - {name: content, copy: {content: "{{ q }} {{ v }}\n", dest: "/srv/a b/-content"}}
    - {name: tree, copy: {src: tree, dest: /srv}}
    - {name: template, template: {src: t.j2, dest: /srv/t, owner: "{{ v }}", validate: grep -q of %s}}
    - {name: line, lineinfile: {path: /srv/lines, regexp: ^a=, line: "a={{ v }}", create: true}}
    - {name: block, blockinfile: {path: /srv/lines, block: "one\n{{ v }}", insertafter: ^a=}}
    - {name: numbers, copy: {content: "number 0\n", dest: /srv/numbers, force: false}}
    - {name: replaced, replace: {path: /srv/numbers, regexp: "(number) \\d", replace: "\\1 {{ v }}"}}
    - {name: option, ini_file: {path: /srv/x.ini, section: s, option: o, value: "{{ v }}"}}
    - {name: assembled, assemble: {src: /srv/tree, dest: /srv/whole}}
    - {name: key, authorized_key: {user: app, key: "ssh-ed25519 AAAA{{ v }} me", exclusive: true}}
    - {name: hostname, hostname: {name: "one-{{ v }}", use: file}}
    - {name: unpacked, unarchive: {src: "pack{{ v }}.tar", dest: /srv/pack, creates: "/srv/pack/{{ v }}"}}
    - {name: made once, command: "touch /srv/made{{ v }} creates=/srv/made{{ v }}"}
    - {name: stat, stat: {path: /srv/link}, register: link}
    - {name: it is a link, assert: {that: [link.stat.islnk, link.stat.lnk_target == '/srv/target' ~ v], quiet: true}}
    - {name: find, find: {paths: /srv, patterns: "*.txt", recurse: true}, register: found}
    - {name: found, assert: {that: [found.matched == 1, (found.files | first).path == '/srv/a b/plain.txt'], quiet: true}}
    - {name: slurp, slurp: {src: "/srv/a b/-content"}, register: slurped}
    - {name: as it was written, assert: {that: slurped.content | b64decode == q ~ ' ' ~ v ~ '\n', quiet: true}}
    - {name: script, script: say.sh 'two words', register: said, changed_when: false}
    - {name: said, assert: {that: "said.stdout_lines == ['two words']", quiet: true}}
    - {name: entry, getent: {database: passwd, key: app}}
    - {name: as app, command: id -un, become_user: app, become: true, register: who, changed_when: false}
    - {name: it was, assert: {that: [who.stdout == 'app', getent_passwd.app.1 == '1900'], quiet: true}}
    - {name: temporary, tempfile: {state: file}, register: temporary, changed_when: false}
    - {name: taken away, file: {path: "{{ temporary.path }}", state: absent}, changed_when: false}
    - {name: fetched, fetch: {src: /srv/t, dest: "fetched/", flat: true}}
    - {name: facts, assert: {that: [ansible_hostname is defined, ansible_memtotal_mb > 0], quiet: true}}
"#;

#[test]
fn in_busybox_they_make_change_and_otherwise_write_nothing() {
    let case = Case::new("modules");
    case.site(SITE);
    let write = |path: &str, bytes: &[u8]| {
        std::fs::create_dir_all(case.path(path).parent().unwrap()).unwrap();
        std::fs::write(case.path(path), bytes).unwrap();
    };
    write("play.yml", BOOK.as_bytes());
    write("files/plain.txt", b"plain\n");
    write("files/tree/x", b"number 0\n");
    write("files/tree/sub/y", b"y\n");
    write("files/say.sh", b"#!/bin/sh\necho \"$1\"\n");
    write("templates/t.j2", b"{{ v }} of {{ lxd.name }}\n");
    for v in ["1", "2"] {
        write(&format!("in/{v}"), v.as_bytes());
        let tar = std::process::Command::new("tar").current_dir(case.path("in")).args(["-cf", "pack.tar", v]).status();
        assert!(tar.unwrap().success());
        std::fs::rename(case.path("in/pack.tar"), case.path(&format!("files/pack{v}.tar"))).unwrap();
    }
    case.apply(&[]);
    let prepare = "mkdir -p /srv/pack /home/app; echo app:x:1900: >> /etc/group; \
        echo app:x:1900:1900::/home/app:/bin/sh >> /etc/passwd; chown app:app /home/app";
    case.lxc(&["exec", "one", "--", "sh", "-c", prepare]);
    let run = |v: &str| case.run(&["run", "play.yml", "site.yaml", "-e", &format!("{{\"v\": {v}}}")]).exits(0);
    let written = || {
        let find = "find / -xdev -type f -o -xdev -type d | grep -v -e ^/proc -e ^/sys -e ^/dev -e ^/tmp -e ^/run \
            -e ^/root/.ash | sort | while read -r f; do stat -c '%Z %n' \"$f\"; done";
        case.lxc(&["exec", "one", "--", "sh", "-c", find]).stdout
    };
    for (v, changes) in [("1", 19), ("2", 16)] {
        let output = run(v);
        let recap = output.stderr.lines().find(|line| line.starts_with("one ")).unwrap_or_default().to_owned();
        assert!(recap.contains(&format!("changed={changes} ")), "{recap}\n{}", output.stdout);
        let before = written();
        let output = run(v);
        let recap = output.stderr.lines().find(|line| line.starts_with("one ")).unwrap_or_default().to_owned();
        assert!(recap.contains("changed=0 "), "{recap}\n{}", output.stdout);
        assert_eq!(before, written(), "a second run writes nothing");
    }
    case.destroy(&[]);
}
