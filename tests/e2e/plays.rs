//! Roles and playbooks inside of instances; the guest is busybox.

use std::time::{Duration, Instant};

use crate::bed::{Case, Output, output};

const SITE: &str = "
projects: {@NAME@: {config: {features.images: \"true\", features.profiles: \"true\"}}}
images: {busybox: {source: {file: busybox.tar.xz}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
";

/// A site with these instances, and files beside it.
fn case(name: &str, instances: &str, files: &[(&str, &str)]) -> Case {
    let case = Case::new(name);
    case.site(&format!("{SITE}{instances}"));
    for (path, text) in files {
        std::fs::create_dir_all(case.path(path).parent().unwrap()).unwrap();
        std::fs::write(case.path(path), text).unwrap();
    }
    case
}

const ONE: &str = "instances: {one: {image: busybox, profiles: [base], stop_timeout: 0s}}\n";
const PAIR: &str = "instances:
  web: {count: 2, image: busybox, profiles: [base], stop_timeout: 0s, groups: [front]}
  db: {image: busybox, profiles: [base], stop_timeout: 0s}
";

fn play(case: &Case, arguments: &[&str]) -> Output {
    let all: Vec<&str> = ["run", "play.yml", "site.yaml"].iter().chain(arguments).copied().collect();
    case.run(&all)
}

/// The recap's line of a host.
#[track_caller]
fn recap(output: &Output, host: &str) -> String {
    let line = output.stderr.lines().find(|line| line.starts_with(host) && line.contains(" : ok="));
    line.unwrap_or_else(|| panic!("no recap of {host}:\n{}\n{}", output.stdout, output.stderr)).to_owned()
}

/// What a script says in an instance. On a busy machine `lxc exec` loses all of it now and then.
fn in_guest(case: &Case, host: &str, script: &str) -> String {
    let said = || case.lxc(&["exec", host, "--", "sh", "-c", script]).stdout.trim_end().to_owned();
    (0..3).map(|_| said()).find(|said| !said.is_empty()).unwrap_or_default()
}

#[test]
fn roles_run_within_apply_and_dependents_wait_for_them() {
    let role = "
- file: {path: /srv, state: directory}
- template: {src: app.j2, dest: /srv/app}
  notify: restart
- meta: flush_handlers
- pause: {seconds: 1}
- shell: date +%s > /srv/done
  args: {creates: /srv/done}
";
    let instances = "instances:
  first: {image: busybox, profiles: [base], stop_timeout: 0s, roles: [{role: app, vars: {port: 80}}]}
  second: {image: busybox, profiles: [base], stop_timeout: 0s, depends_on: [instances.first]}
playbooks: [last.yml]
vars: {who: the site}
";
    let files = [
        ("roles/app/tasks/main.yml", role),
        ("roles/app/defaults/main.yml", "port: 1\n"),
        ("roles/app/templates/app.j2", "{{ port }} of {{ who }} on {{ lxd.name }}\n"),
        ("roles/app/handlers/main.yml", "- {name: restart, shell: echo restarted >> /srv/log}\n"),
        (
            "last.yml",
            "- hosts: all\n  tasks:\n    - copy: {content: \"{{ hostvars.first.ansible_hostname }}\", dest: /root/last}\n",
        ),
    ];
    let case = case("roles", instances, &files);
    case.plan(&[]);
    case.apply(&[]).says("first  : ok=").says("instances.first provisioned");
    assert_eq!(in_guest(&case, "first", "cat /srv/app /srv/log"), "80 of the site on first\nrestarted");
    assert_eq!(in_guest(&case, "second", "cat /root/last"), "first");
    let started: i64 = in_guest(&case, "second", "stat -c %Y /proc/1").parse().unwrap();
    let done: i64 = in_guest(&case, "first", "cat /srv/done").parse().unwrap();
    assert!(started >= done, "what depends on it starts when it is provisioned: {started} < {done}");
    // Again: nothing changes, and nobody is asked.
    let again = case.run(&["apply", "site.yaml"]).exits(0);
    assert!(recap(&again, "first").contains("changed=0") && recap(&again, "second").contains("changed=0"));
    case.run(&["apply", "site.yaml", "--skip-tasks"]).exits(0).says_not("ok=");
    case.destroy(&[]);
}

#[test]
fn what_is_owed_survives_a_kill_and_a_failure() {
    let book = "
- hosts: all
  gather_facts: false
  tasks:
    - copy: {content: \"{{ word | default('a') }}\", dest: /root/conf}
      notify: [restart, gone]
    - command: sleep {{ nap | default(0) }}
    - fail: {msg: on purpose}
      when: fails | default(false)
  handlers:
    - {name: restart, shell: echo restarted >> /root/log}
    - {name: gone, shell: echo gone >> /root/log}
";
    let case = case("owed", ONE, &[("play.yml", book)]);
    case.apply(&[]);
    let mut killed = case.command(&["run", "play.yml", "site.yaml", "-e", "nap=30"]).spawn().unwrap();
    let began = Instant::now();
    while !case.get("instances/one")["config"].to_string().contains("handlers")
        || in_guest(&case, "one", "cat /root/conf 2>/dev/null; true") != "a"
    {
        assert!(began.elapsed() < Duration::from_secs(20), "the debt is written down before the change");
        std::thread::sleep(Duration::from_millis(100));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    // It converges: nothing is changed, and the handlers are run.
    let fewer = book
        .replace("      notify: [restart, gone]\n", "      notify: [restart]\n")
        .replace("    - {name: gone, shell: echo gone >> /root/log}\n", "");
    std::fs::write(case.path("play.yml"), fewer).unwrap();
    play(&case, &[]).exits(0).says("is owed from an earlier run").says("dropped");
    assert_eq!(in_guest(&case, "one", "cat /root/log"), "restarted");
    assert!(!case.get("instances/one")["config"].to_string().contains("user.lxdeploy.handlers"));
    // A later failure loses nothing either.
    play(&case, &["-e", "word=b", "-e", "{\"fails\": true}"]).exits(1).says("owed to the next run: `restart`");
    play(&case, &["-e", "word=b"]).exits(0);
    assert_eq!(in_guest(&case, "one", "cat /root/log"), "restarted\nrestarted");
    case.plan(&[]);
    case.destroy(&[]);
}

#[test]
fn what_is_owed_waits_for_what_it_needs() {
    let book = "
- hosts: all
  gather_facts: false
  tasks:
    - copy: {content: \"{{ word | default('a') }}\", dest: /root/conf}
      notify: restart
    - meta: flush_handlers
      when: flush | default(false)
    - set_fact: {daemon: it}
      tags: name
    - fail: {msg: on purpose}
      when: fails | default(false)
  handlers:
    - {name: restart, shell: \"echo {{ daemon }} >> /root/log\"}
";
    let case = case("owedlate", ONE, &[("play.yml", book)]);
    case.apply(&[]);
    play(&case, &["-e", "{\"fails\": true}"]).exits(1).says("owed to the next run: `restart`");
    // What it needs is left out: it is told, and neither lost nor a failure.
    let untold = play(&case, &["--tags", "nosuch"]);
    untold.exits(0).says("`restart` is still owed, and cannot be run: 'daemon' is undefined");
    // Asked for before it is known, it waits for the end.
    play(&case, &["-e", "{\"flush\": true}"]).exits(0).says("is owed from an earlier run").says_not("still owed");
    assert_eq!(in_guest(&case, "one", "cat /root/log"), "it");
    // What this run has notified fails as it always does.
    play(&case, &["-e", "word=b", "-e", "{\"flush\": true}"]).exits(1).says("'daemon' is undefined");
    play(&case, &[]).exits(0);
    assert_eq!(in_guest(&case, "one", "cat /root/log"), "it\nit");
    assert!(!case.get("instances/one")["config"].to_string().contains("user.lxdeploy.handlers"));
    case.destroy(&[]);
}

#[test]
fn the_language() {
    let book = "
- hosts: front:!web-2
  gather_facts: false
  vars: {list: [1, 2], text: \"{{ list | length }} items\"}
  tasks:
    - block:
        - {name: breaks, command: \"false\"}
        - {name: never, command: touch /root/never}
      rescue:
        - {name: rescued, set_fact: {saved: \"{{ ansible_failed_task.name }}\"}}
      always:
        - {name: always, command: touch /root/always}
    - {name: loops, lineinfile: {path: /root/lines, line: \"{{ item }} {{ text }}\", create: true}, loop: \"{{ list }}\"}
    - {name: until, shell: \"echo x >> /root/tries; wc -l < /root/tries\", register: tries, until: tries.stdout | int >= 3, retries: 5, delay: 0}
    - {name: ignored, command: \"false\", ignore_errors: true}
    - {name: delegated, command: touch /root/from-web, delegate_to: db}
    - {name: secret, command: \"echo hunter22\", no_log: true}
    - {name: with args, command: chdir=/etc pwd, register: where, failed_when: where.stdout != '/etc'}
    - {name: tagged, command: touch /root/tagged, tags: [never, special]}
    - {name: saved, copy: {content: \"{{ saved }}\", dest: /root/saved}}
    - {name: told, include_tasks: more.yml, vars: {inner: told}}
- hosts: all
  gather_facts: false
  serial: 1
  tasks:
    - {name: everywhere, shell: \"echo {{ ansible_play_batch | join(',') }} > /root/batch\"}
    - {name: once, command: touch /root/once, run_once: true}
";
    let case = case(
        "language",
        PAIR,
        &[("play.yml", book), ("more.yml", "- copy: {content: \"{{ inner }}\", dest: /root/inner}\n")],
    );
    case.apply(&[]);
    let output = play(&case, &["-v", "--diff"]).exits(0).says_not("hunter22");
    assert!(recap(&output, "web-1").contains("rescued=1 ignored=1"), "{}", recap(&output, "web-1"));
    assert_eq!(
        in_guest(&case, "web-1", "cat /root/lines /root/saved; echo; cat /root/inner; ls /root"),
        "1 2 items\n2 2 items\nbreaks\ntoldalways\nbatch\ninner\nlines\nonce\nsaved\ntries"
    );
    assert_eq!(in_guest(&case, "db", "ls /root/from-web; cat /root/batch"), "/root/from-web\ndb");
    assert_eq!(in_guest(&case, "web-2", "ls /root"), "batch\nonce");
    play(&case, &["--tags", "special", "--limit", "web-1"]).exits(0);
    in_guest(&case, "web-1", "ls /root/tagged");
    play(&case, &["--list-tasks"]).exits(0).says("everywhere");
    play(&case, &["--list-hosts", "--limit", "db"]).exits(0).says("(0 hosts)").says("all (1 hosts)");
    // Only from there on: what comes before would set what is not there.
    let checked = play(&case, &["--check", "--diff", "-e", "inner=other", "--start-at-task", "told"]).exits(0);
    checked.says("would change").says("/root/inner");
    assert_eq!(in_guest(&case, "web-1", "cat /root/inner"), "told");
    case.run(&["exec", "site.yaml", "web", "--", "sh", "-c", "echo $((1 + 1)) here"])
        .exits(0)
        .says("web-1")
        .says("2 here");
    case.run(&["exec", "site.yaml", "web", "--", "false"]).exits(1).says("exit code 1");
    case.destroy(&[]);
}

#[test]
fn bad_input_is_told_with_its_place() {
    let case = case("badplay", ONE, &[("roles/t/templates/x.j2", "fine\n{{ nosuch }}\n")]);
    case.apply(&[]);
    let with = |tasks: &str| {
        std::fs::write(case.path("play.yml"), format!("- hosts: all\n  tasks:\n{tasks}")).unwrap();
        play(&case, &[])
    };
    with("    - cpoy: {dest: /x}\n")
        .exits(1)
        .says("there is no module `cpoy`; did you mean `copy`?")
        .says("play.yml:3:7")
        .says("nothing was run");
    with("    - copy: {dst: /x}\n").exits(1).says("there is no argument `dst`; did you mean `dest`?");
    with("    - command: echo {{ missing }}\n").exits(1).says("'missing' is undefined").says("play.yml:3:7");
    with("    - {command: ls, whne: x}\n").exits(1).says("`whne` is no keyword of a task").says("did you mean `when`?");
    with("    - include_role: {name: nowhere}\n").exits(1).says("there is no role `nowhere`").says("roles/nowhere");
    with("    - {add_host: {name: x}}\n").exits(1).says("the hosts are the site's instances");
    with("    - {command: ls, delegate_to: localhost}\n").exits(1).says("runs nothing on the machine that it runs on");
    with("    - {nosuch: , when: false}\n").exits(0);
    with("    - {command: ls, register: a}\n    - {nosuch: , when: a.rc == 3}\n").exits(0).says("may reach");
    with("    - expect: {command: x}\n").exits(1).says("pexpect");
    with("    - command: printf '\\377'\n      register: raw\n    - debug: {var: raw.stdout}\n")
        .exits(0)
        .says("\u{fffd}");
    with("    - get_url: {url: 'http://127.0.0.1:1/x', dest: /root/x}\n").exits(1);
    with("    - git: {repo: /a, dest: /b}\n").exits(1).says("git");
    std::fs::write(case.path("play.yml"), "- hosts: all\n  tasks:\n    - import_role: {name: t}\n    - template: {src: roles/t/templates/x.j2, dest: /x}\n").unwrap();
    play(&case, &[]).exits(1).says("x.j2:2").says("'nosuch' is undefined");
    std::fs::write(case.path("play.yml"), "- hosts: nobody\n  tasks: []\n").unwrap();
    play(&case, &[]).exits(0).says("note: `hosts:` of this play: there is no host or group `nobody`");
    play(&case, &["--limit", "nobody"]).exits(1).says("--limit nobody: there is no host or group `nobody`");
    case.lxc(&["stop", "one", "--force"]);
    with("    - command: ls\n").exits(1).says("unreachable");
    case.destroy(&[]);
}

#[test]
fn odd_paths_and_big_files() {
    let book = "
- hosts: all
  gather_facts: false
  tasks:
    - {name: odd, copy: {content: \"x\", dest: \"/root/{{ item }}\"}, loop: [\"with space\", \"it's \\\"quoted\\\"\", \"new\\nline\", \"-dash\", \"$HOME\"]}
    - {name: big, copy: {src: big, dest: /root/big, mode: \"0600\"}}
    - {name: checked, copy: {content: \"bad\", dest: /root/kept, validate: grep good %s}, ignore_errors: true, register: refused}
    - {name: refused, assert: {that: refused is failed}}
";
    let case = case("odd", ONE, &[("play.yml", book)]);
    case.apply(&[]);
    let big = std::fs::File::create(case.path("big")).unwrap();
    big.set_len(200 << 20).unwrap();
    let first = play(&case, &[]).exits(0);
    assert!(recap(&first, "one").contains("changed=2"), "{}", recap(&first, "one"));
    assert_eq!(
        in_guest(&case, "one", "stat -c '%s %a' /root/big; ls /root/kept 2>/dev/null; ls -a /root | wc -l"),
        "209715200 600\n8"
    );
    let again = play(&case, &[]).exits(0);
    assert!(recap(&again, "one").contains("changed=0"), "{}", recap(&again, "one"));
    case.destroy(&[]);
}

#[test]
fn a_secret_occurs_nowhere_but_where_it_belongs() {
    let book = "
- hosts: all
  vars_files: [sealed.yml]
  vars: {inline: !vault |
@VAULT@  }
  tasks:
    - {name: written, template: {src: t.j2, dest: /root/conf, mode: \"0600\"}, notify: tell}
    - {name: line, lineinfile: {path: /root/conf, regexp: ^inline, line: \"inline = {{ inline }}!\"}}
    - {name: said, debug: {msg: \"{{ sealed }} {{ inline }} {{ of_site }}\"}}
    - {name: shown, debug: {var: sealed}}
    - {name: printed, shell: \"echo {{ sealed }}; echo {{ inline | b64encode }} | base64 -d >&2\", register: printed}
    - {name: kept, set_fact: {kept: \"{{ printed.stdout }}\"}}
    - {name: hidden, shell: echo unlogged77, no_log: true, register: hidden}
    - {name: diff is hidden, copy: {content: \"{{ hidden.stdout }}\", dest: /root/hidden}, no_log: true}
    - {name: hidden failure, shell: echo unlogged77; false, no_log: true, ignore_errors: true}
    - {name: wrong, shell: \"echo {{ inline }} >&2; exit 3\"}
  handlers:
    - {name: tell, debug: {msg: \"{{ sealed }}\"}}
";
    let sealed = "sealed: sealed-secret-1\n";
    let case = case(
        "secretly",
        &format!("vars: {{of_site: \"{{{{ secret('s') }}}}\"}}\nsecrets: {{s: {{env: SITE_SECRET}}}}\n{ONE}"),
        &[
            ("sealed.yml", sealed),
            ("inline.txt", "inline-secret-2"),
            ("pw", "password\n"),
            ("templates/t.j2", "sealed = {{ sealed }}\ninline = {{ inline }}\nsite = {{ of_site }}\n"),
        ],
    );
    case.run(&["secrets", "keygen", "-o", "age.txt"]).exits(0);
    let recipient = case.run(&["secrets", "keygen", "-o", "age2.txt"]).exits(0).stdout;
    case.run(&["secrets", "encrypt", "--recipient", recipient.trim(), "sealed.yml"]).exits(0);
    case.run(&["secrets", "encrypt", "--vault", "--vault-password-file", "pw", "inline.txt"]).exits(0);
    let vault = std::fs::read_to_string(case.path("inline.txt")).unwrap();
    let vault: String = vault.lines().map(|line| format!("    {line}\n")).collect();
    let book = book.replace(
        "{inline: !vault |\n@VAULT@  }",
        &format!("\n    inline: !vault |\n{}", vault.replace("    ", "      ")),
    );
    std::fs::write(case.path("play.yml"), book).unwrap();
    let with_secret = |words: &[&str]| output(case.command(words).env("SITE_SECRET", "site-secret-3"));
    let keys = ["--identity", "age2.txt", "--vault-password-file", "pw"];
    let run = |more: &[&str]| {
        let words: Vec<&str> = ["run", "play.yml", "site.yaml"].iter().chain(&keys).chain(more).copied().collect();
        with_secret(&words)
    };
    with_secret(&["apply", "site.yaml", "--yes"]).exits(0);
    let secrets = ["sealed-secret-1", "inline-secret-2", "site-secret-3", "unlogged77"];
    for more in [&["--diff", "--check"][..], &["-vvv", "--diff"], &["--format", "json", "--diff", "-vvv"]] {
        if more[0] != "--diff" {
            case.lxc(&["exec", "one", "--", "rm", "-f", "/root/conf", "/root/hidden"]);
        }
        let output = run(more).exits(i32::from(!more.contains(&"--check")));
        secrets.iter().fold(output, |output, secret| output.says_not(secret));
        let config = case.get("instances/one")["config"].to_string();
        assert!(secrets.iter().all(|secret| !config.contains(secret)), "{config}");
    }
    let conf = in_guest(&case, "one", "cat /root/conf /root/hidden");
    assert_eq!(conf, "sealed = sealed-secret-1\ninline = inline-secret-2!\nsite = site-secret-3\nunlogged77");
    // Without the key nothing is run, and it says which is missing.
    with_secret(&["run", "play.yml", "site.yaml"]).exits(1).says("play.yml:6:7").says("--vault-password-file FILE");
    let output = with_secret(&["run", "play.yml", "site.yaml", "--vault-password-file", "pw"]).exits(1);
    output.says("sealed.yml").says("it is encrypted with age, and there is no identity");
    case.destroy(&[]);
}

#[test]
fn a_failure_stops_as_far_as_the_play_says() {
    let case = case("failures", PAIR, &[]);
    case.apply(&[]);
    let hosts = ["web-1", "web-2", "db"];
    // One host fails; which of the others did what comes after it?
    let after = |play: &str| {
        for host in hosts {
            in_guest(&case, host, "rm -f /root/*");
        }
        let tasks = "
    - {name: first, command: touch /root/first}
    - {name: fails on one, command: \"false\", when: inventory_hostname == 'web-1'}
    - {name: second, command: touch /root/second}
- hosts: all
  gather_facts: false
  tasks: [{name: next play, command: touch /root/next}]
";
        std::fs::write(case.path("play.yml"), format!("{play}  gather_facts: false\n  tasks:{tasks}")).unwrap();
        let output = case.run(&["run", "play.yml", "site.yaml"]).exits(1);
        assert!(recap(&output, "web-1").contains("failed=1"), "{}", recap(&output, "web-1"));
        hosts.map(|host| in_guest(&case, host, "cd /root; echo *").replace(['*', '.'], ""))
    };
    let all = "first next second";
    assert_eq!(after("- hosts: all\n"), ["first", all, all]);
    assert_eq!(after("- hosts: all\n  strategy: free\n"), ["first", all, all]);
    assert_eq!(after("- hosts: all\n  any_errors_fatal: true\n"), ["first", "first", "first"]);
    assert_eq!(after("- hosts: all\n  max_fail_percentage: 50\n"), ["first", all, all]);
    assert_eq!(after("- hosts: all\n  max_fail_percentage: 20\n"), ["first", "first", "first"]);
    // All hosts of a batch failed: the others are not begun.
    assert_eq!(after("- hosts: all\n  serial: 1\n"), ["first", "", ""]);
    assert_eq!(after("- hosts: all\n  serial: [2, 1]\n"), ["first", all, all]);
    case.destroy(&[]);
}

#[test]
fn a_reboot_starts_the_instance_again_and_the_play_goes_on() {
    let book = "
- hosts: one
  tasks:
    - {name: before, shell: cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1, register: before}
    - {name: a second, pause: {seconds: 2}}
    - {name: again, reboot: {reboot_timeout: 60}, register: again}
    - {name: after, shell: cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1, register: after}
    - name: it was
      assert:
        that:
          - again.rebooted and again is changed
          - before.stdout_lines[1] != after.stdout_lines[1]
      when: not ansible_check_mode
    - {name: wait, wait_for_connection: {timeout: 10}}
    - {name: facts again, setup: }
";
    let case = case("reboot", ONE, &[("play.yml", book)]);
    case.apply(&[]);
    play(&case, &["--check"]).exits(0);
    play(&case, &[]).exits(0);
    case.destroy(&[]);
}
