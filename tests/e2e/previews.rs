//! What a preview says is what the run does: generated sequences of tasks of all typed modules are checked, run, and
//! compared task by task. On busybox, and on Debian with the modules that need one.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::bed::{Case, Output};

const SITE: &str = "
projects: {@NAME@: {config: {features.images: \"true\", features.profiles: \"true\"}}}
images: {image: {source: {file: @IMAGE@}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
instances: {one: {image: image, profiles: [base], stop_timeout: 0s}}
";

/// So many tasks in a sequence, at most.
const TASKS: usize = 14;

/// What a task, or an item of its loop, came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub task: String,
    module: String,
    item: Option<String>,
    pub status: String,
    /// What it says about what is not known.
    unknown: Option<String>,
    /// By what changes: what it is then.
    after: Vec<(String, Value)>,
}

pub fn ended(output: &Output) -> Vec<Ended> {
    let events = output.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    of_events(events.filter(|event| event["type"] == "task"))
}

/// What a plan in JSON says of the inside of instances.
pub fn of_plan(plan: &Value) -> Vec<Ended> {
    of_events(plan["inside"]["tasks"].as_array().unwrap().iter().cloned())
}

fn of_events(tasks: impl Iterator<Item = Value>) -> Vec<Ended> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    tasks
        .map(|event| Ended {
            task: text(&event["task"]).unwrap(),
            module: text(&event["module"]).unwrap(),
            item: text(&event["item"]),
            status: text(&event["status"]).unwrap(),
            unknown: text(&event["unknown"]),
            after: event["changes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|change| (text(&change["what"]).unwrap(), change["after"].clone()))
                .collect(),
        })
        .collect()
}

/// Where the preview was wrong.
pub fn lies(preview: &[Ended], run: &[Ended]) -> String {
    let mut wrong = String::new();
    let mut rest = run.iter().filter(|ended| ended.item.is_none());
    for said in preview.iter().filter(|ended| ended.item.is_none()) {
        let Some(came) = rest.next() else {
            writeln!(wrong, "{}: was {} and was not run", said.task, said.status).unwrap();
            break;
        };
        if said.task != came.task {
            writeln!(wrong, "{} was to be run, and {} was", said.task, came.task).unwrap();
            break;
        }
        // Whether a command succeeds is its own matter.
        let may_fail = said.module == "command" && said.status == "changed" && came.status == "ignored";
        if said.status == "unknown" || may_fail {
            continue;
        }
        if said.status != came.status {
            writeln!(wrong, "{}: was to be {}, and is {} {:?}", said.task, said.status, came.status, said.after)
                .unwrap();
        } else if said.status == "changed" && said.after != came.after {
            writeln!(wrong, "{}: was to become {:?}, and is {:?}", said.task, said.after, came.after).unwrap();
        }
    }
    wrong
}

/// One task by three numbers.
fn task(kinds: &[&str], (kind, a, b): (usize, usize, usize)) -> String {
    let paths = ["/srv/p/a", "/srv/p/b", "/srv/p/d/c", "/srv/p/d", "/srv/p/link"];
    let modes = ["0644", "0600", "0755", "0700", "u+x"];
    let texts = ["one\\ntwo\\n", "a=1\\nb=2\\n", "", "# x\\n[s]\\no = 1\\n", "two\\nthree"];
    kinds[kind % kinds.len()]
        .replace("@P", paths[a % paths.len()])
        .replace("@Q", paths[b % paths.len()])
        .replace("@M", modes[b % modes.len()])
        .replace("@T", texts[b % texts.len()])
        .replace("@N", &(b % 3).to_string())
        .replace("@A", &(a % 2).to_string())
        .replace("@S", ["present", "absent"][b % 2])
}

const ANYWHERE: &[&str] = &[
    "file: {path: @P, state: directory, mode: \"@M\"}",
    "file: {path: @P, state: directory, owner: u@A, group: g@A, mode: \"0750\"}",
    "file: {path: @P, state: absent}",
    "file: {path: @P, state: touch, access_time: preserve, modification_time: preserve, mode: \"@M\"}",
    "file: {path: /srv/p/link, src: @Q, state: link, force: true}",
    "file: {path: @P, src: @Q, state: hard, force: true}",
    "file: {path: @P, mode: \"@M\"}",
    "file: {path: /srv/p, state: directory, recurse: true, owner: u@A}",
    "copy: {dest: @P, content: \"@T\"}",
    "copy: {dest: @P, content: \"@T\", mode: \"0640\", owner: u@A}",
    "copy: {dest: @P, content: \"@T\", force: false}",
    "copy: {dest: @P, src: @Q, remote_src: true}",
    "copy: {dest: /srv/p/tree, src: tree}",
    "copy: {dest: /srv/p/d/, src: tree/x}",
    "template: {dest: @P, src: t.j2, mode: \"@M\"}",
    "lineinfile: {path: @P, line: \"a=@N\", regexp: \"^a=\"}",
    "lineinfile: {path: @P, line: \"c=@N\", create: true}",
    "lineinfile: {path: @P, regexp: \"^[ab]=\", state: absent}",
    "blockinfile: {path: @P, block: \"@T\", create: true}",
    "blockinfile: {path: @P, block: \"\"}",
    "replace: {path: @P, regexp: \"one|two\", replace: \"three\"}",
    "ini_file: {path: @P, section: s, option: o, value: \"@N\"}",
    "ini_file: {path: @P, section: s, option: o, state: @S}",
    "assemble: {src: /srv/p/d, dest: @P}",
    "unarchive: {src: /srv/pack.tar, dest: /srv/p/d, remote_src: true}",
    "user: {name: u@A, state: @S}",
    "user: {name: u@A, create_home: false, comment: \"c@N\"}",
    "user: {name: u@A, group: g@A, home: /srv/p/home, shell: /bin/sh}",
    "group: {name: g@A, state: @S}",
    "group: {name: g@A, gid: 77@N}",
    "authorized_key: {user: u@A, key: \"ssh-ed25519 AAAA@N me\", path: /srv/p/keys, manage_dir: false}",
    "cron: {name: job@A, cron_file: /srv/p/cron, user: root, minute: \"@N\", job: \"true\"}",
    "cron: {name: job@A, cron_file: /srv/p/cron, user: root, state: absent}",
    "sysctl: {name: kernel.x, value: \"@N\", sysctl_file: /srv/p/sysctl, reload: false}",
    "mount: {path: /mnt/@A, src: none, fstype: tmpfs, opts: \"size=@Nm\", state: present, fstab: /srv/p/fstab}",
    "hostname: {name: \"one-@N\", use: file}",
    "stat: {path: @P}\n      register: r@A",
    "find: {paths: /srv/p, recurse: true}\n      register: r@A",
    "slurp: {src: @P}\n      register: r@A",
    "getent: {database: passwd, key: u@A}",
    "set_fact: {f@A: \"{{ r@A is defined and r@A is changed }}\"}",
    "copy: {dest: @P, content: \"{{ r@A.stat.exists | default('none') }}\"}\n      when: r@A is defined",
    "debug: {msg: \"{{ f@A | default('none') }}\"}",
    "copy: {dest: @P, content: \"@T\"}\n      register: r@A",
    "file: {path: @P, state: absent}\n      when: r@A is defined and r@A is changed",
    "file: {path: \"{{ item }}\", state: directory}\n      loop: [@P, @Q]",
    "command: touch @P",
    "command: {cmd: touch @P, creates: @P}",
    "command: {cmd: rm -rf @P, removes: @P}",
    "command: cat @P\n      changed_when: false\n      register: r@A",
    "shell: \"echo x > @P\"\n      when: r@A is defined and r@A is failed",
];

/// What needs a Debian: systemd, apt, crontab and its like.
const DEBIAN: &[&str] = &[
    "copy: {dest: /etc/systemd/system/p@A.service, content: \"[Service]\\nExecStart=/bin/sleep 10@N\\n[Install]\\nWantedBy=multi-user.target\\n\"}",
    "file: {path: /etc/systemd/system/p@A.service, state: absent}",
    "systemd: {name: p@A, state: started, daemon_reload: true}",
    "systemd: {name: p@A, enabled: true}",
    "systemd: {name: p@A, state: stopped, enabled: false}",
    "service: {name: p@A, state: restarted}",
    "systemd: {name: p@A.service, masked: \"{{ @N == 1 }}\"}",
    "systemd: {daemon_reload: true}",
    "apt: {name: p-one, state: @S}",
    "apt: {name: [p-one, p-two], state: present}",
    "apt: {name: p-two, state: absent, purge: true}",
    "package: {name: p-two, state: @S}",
    "file: {path: /usr/share/p-one/x, state: absent}",
    "lineinfile: {path: /usr/share/p-one/x, line: \"a=@N\"}",
    "cron: {name: job@A, minute: \"@N\", job: \"true\"}",
    "cron: {name: job@A, state: absent}",
    "timezone: {name: [Europe/Berlin, UTC, Asia/Tokyo][@N]}",
    "alternatives: {name: p, path: /bin/true, link: /usr/local/bin/p}",
    "user: {name: u@A, groups: [users, g@A], append: true}",
    "user: {name: u@A, password_lock: true}",
    "user: {name: u@A, state: absent, remove: true}",
    "debconf: {name: tzdata, question: tzdata/Areas, vtype: select, value: [Etc, Asia, Europe][@N]}",
    "apt_repository: {repo: \"deb [trusted=yes] http://127.0.0.1/@A ./\", state: @S, update_cache: false}",
    "deb822_repository: {name: p@A, uris: \"http://127.0.0.1/@N\", suites: [./], trusted: true, state: @S}",
    "git: {repo: /srv/repo, dest: /srv/p/git}",
    "iptables: {chain: INPUT, protocol: tcp, destination_port: \"80@N\", jump: ACCEPT, state: @S}",
    "package_facts:\n      register: r@A",
    "service_facts:\n      register: r@A",
];

/// What every sequence begins with.
const RESET: &str = r#"
for user in u0 u1; do userdel "$user" || deluser "$user"; done
for group in g0 g1; do groupdel "$group" || delgroup "$group"; done
umount /mnt/0 /mnt/1
rm -rf /srv/p /home/u0 /home/u1 /mnt/0 /mnt/1
mkdir -p /srv/p /tmp/pack; echo packed > /tmp/pack/packed; tar -cf /srv/pack.tar -C /tmp/pack packed
if command -v systemctl; then
    systemctl unmask p0 p1; systemctl disable --now p0 p1; rm -f /etc/systemd/system/p[01].service; systemctl daemon-reload
    crontab -r; rm -f /etc/apt/sources.list.d/*; update-alternatives --remove-all p
    apt-get -qq -y purge p-one p-two
fi
exit 0"#;

/// Packages and a repository of our own: no network is needed for them.
const DEBIAN_ONCE: &str = r#"
set -e
mkdir -p /srv/debs; cd /srv/debs
for name in p-one p-two; do
    mkdir -p $name/DEBIAN $name/usr/share/$name; echo x > $name/usr/share/$name/x
    printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n' $name > $name/DEBIAN/control
    dpkg-deb -b $name $name.deb >/dev/null
    { cat $name/DEBIAN/control; printf 'Filename: ./%s.deb\nSize: %s\nSHA256: %s\n\n' $name \
        $(stat -c %s $name.deb) $(sha256sum $name.deb | cut -d' ' -f1); } >> Packages
done
echo 'deb [trusted=yes] file:/srv/debs ./' > /etc/apt/sources.list
apt-get -qq update
git init -q /srv/repo && cd /srv/repo && git -c user.email=x -c user.name=x commit -q --allow-empty -m x
"#;

fn sequence(tasks: &[(usize, usize, usize)], kinds: &[&str]) -> String {
    let mut book = "- hosts: all\n  gather_facts: false\n  tasks:\n".to_owned();
    for (index, numbers) in tasks.iter().enumerate() {
        let task = task(kinds, *numbers);
        writeln!(book, "    - name: t{index}\n      ignore_errors: true\n      {task}").unwrap();
    }
    book
}

/// How many sequences; LXDEPLOY_TEST_SEQUENCES wants another number.
fn cases(usual: u32) -> u32 {
    std::env::var("LXDEPLOY_TEST_SEQUENCES").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// Runs generated sequences, by default always the same ones: LXDEPLOY_TEST_SEED=new tries others, and a number that was
/// printed those again.
fn hold(case: &Case, kinds: &[&str], cases: u32) {
    let new = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed: u64 = match std::env::var("LXDEPLOY_TEST_SEED").as_deref() {
        Ok("new") => new(),
        Ok(seed) => seed.parse().expect("LXDEPLOY_TEST_SEED is `new` or a number"),
        Err(_) => 1_795_000_000_000_000_000,
    };
    println!("LXDEPLOY_TEST_SEED={seed}");
    std::fs::create_dir_all(case.path("files/tree/sub")).unwrap();
    std::fs::create_dir_all(case.path("templates")).unwrap();
    std::fs::write(case.path("files/tree/x"), "x\n").unwrap();
    std::fs::write(case.path("files/tree/sub/y"), "y\n").unwrap();
    std::fs::write(case.path("templates/t.j2"), "{{ inventory_hostname }} {{ f0 | default('-') }}\n").unwrap();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let numbers = (0..kinds.len(), 0..20_usize, 0..30_usize);
    let result = runner.run(&prop::collection::vec(numbers, 1..TASKS), |tasks| {
        let book = sequence(&tasks, kinds);
        std::fs::write(case.path("play.yml"), &book).unwrap();
        case.lxc(&["exec", "one", "--", "sh", "-c", &format!("exec >/dev/null 2>&1; {RESET}")]);
        let run = |more: &[&str]| {
            let words = ["run", "play.yml", "site.yaml", "--format", "json"];
            case.run(&words.iter().chain(more).copied().collect::<Vec<_>>())
        };
        let preview = run(&["--check"]);
        let done = run(&[]);
        let wrong = lies(&ended(&preview), &ended(&done));
        prop_assert!(wrong.is_empty(), "{wrong}{book}");
        Ok(())
    });
    if let Err(error) = result {
        panic!("LXDEPLOY_TEST_SEED={seed}: {error}");
    }
}

#[test]
fn check_says_what_the_run_does_in_busybox() {
    let case = Case::new("foreseen");
    case.site(&SITE.replace("@IMAGE@", "busybox.tar.xz"));
    case.apply(&[]);
    hold(&case, ANYWHERE, cases(12));
}

#[test]
fn check_says_what_the_run_does_in_debian() {
    let case = Case::new("foredeb");
    case.site(&SITE.replace("@IMAGE@", &crate::bed::debian()));
    case.apply(&[]);
    let once = format!("systemctl is-system-running --wait >/dev/null; {DEBIAN_ONCE}");
    case.lxc(&["exec", "one", "--", "sh", "-c", &once]);
    hold(&case, &[ANYWHERE, DEBIAN].concat(), cases(12));
}
