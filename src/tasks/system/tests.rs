//! Tables of answers: what the modules make of them.

use crate::guest::{Group, User};
use crate::tasks::testing::Guest;
use crate::template::Value;

fn app() -> User {
    User {
        name: "app".into(),
        uid: 1200,
        gid: 1200,
        group: "app".into(),
        comment: "The application".into(),
        home: "/srv/app".into(),
        shell: "/bin/sh".into(),
        groups: vec!["app".into(), "adm".into()],
        password: Some("$6$a$b".into()),
        ..User::default()
    }
}

fn debian() -> Guest {
    Guest {
        tools: vec!["useradd", "userdel", "groupadd", "groupdel", "update-alternatives", "ufw", "iptables"],
        users: vec![app()],
        groups: vec![
            Group { name: "docker".into(), gid: 999, members: vec![] },
            Group { name: "app".into(), gid: 1200, members: vec![] },
            Group { name: "adm".into(), gid: 4, members: vec!["app".into()] },
        ],
        directories: vec!["/run/systemd/system", "/srv/app"],
        files: [("/etc/hostname", "web\n")].into(),
        units: [
            ("nginx", ("loaded", "enabled", "active")),
            ("off", ("loaded", "disabled", "inactive")),
            ("fixed", ("loaded", "static", "inactive")),
            ("hidden", ("masked", "masked", "inactive")),
        ]
        .into(),
        ..Guest::default()
    }
}

fn busybox() -> Guest {
    Guest { tools: vec!["adduser", "deluser", "addgroup", "delgroup"], users: vec![app()], ..Guest::default() }
}

#[test]
fn a_unit_is_moved_by_what_differs() {
    let acts =
        |name: &str, what: &str, wanted: Value| debian().acts("systemd", &[("name", name.into()), (what, wanted)]);
    let none: [&str; 0] = [];
    assert_eq!(acts("nginx", "state", "started".into()), none);
    assert_eq!(acts("nginx", "state", "stopped".into()), ["systemctl stop nginx"]);
    assert_eq!(acts("nginx", "state", "restarted".into()), ["systemctl restart nginx"]);
    assert_eq!(acts("nginx", "state", "reloaded".into()), ["systemctl reload nginx"]);
    assert_eq!(acts("off", "state", "reloaded".into()), ["systemctl start off"]);
    assert_eq!(acts("off", "state", "stopped".into()), none);
    assert_eq!(acts("nginx", "enabled", true.into()), none);
    assert_eq!(acts("nginx", "enabled", "no".into()), ["systemctl disable nginx"]);
    assert_eq!(acts("off", "enabled", true.into()), ["systemctl enable off"]);
    // It has no [Install]: there is nothing to enable or disable.
    assert_eq!(acts("fixed", "enabled", true.into()), none);
    assert_eq!(acts("fixed", "enabled", false.into()), none);
    assert_eq!(acts("hidden", "masked", false.into()), ["systemctl unmask hidden"]);
    assert_eq!(acts("off", "masked", true.into()), ["systemctl mask off"]);
}

#[test]
fn a_unit_is_looked_at_after_the_reload() {
    let args = [("name", Value::from("off")), ("state", "started".into()), ("daemon_reload", true.into())];
    let first = debian().inspect("systemd", &args).unwrap();
    assert!(first.again && !first.is_changed());
    let second = debian().inspect_again("systemd", &args, 1).unwrap();
    assert!(second.is_changed() && !second.again);
}

#[test]
fn a_unit_that_nobody_has_may_be_stopped_and_not_started() {
    let args = |state: &str| [("name", Value::from("nosuch")), ("state", state.into())];
    assert!(debian().acts("systemd", &args("stopped")).is_empty());
    assert!(debian().refusal("systemd", &args("started")).contains("Could not find the requested service nosuch"));
    assert!(Guest::default().refusal("systemd", &args("started")).contains("use `service`"));
}

#[test]
fn a_service_is_of_whatever_runs_services() {
    let args = [("name", Value::from("cron")), ("state", "started".into()), ("enabled", true.into())];
    let alpine = Guest {
        tools: vec!["rc-service"],
        files: [("/etc/init.d/cron", "")].into(),
        commands: vec![("rc-update show", 1, ""), ("rc-service cron status", 3, " * status: stopped")],
        ..Guest::default()
    };
    assert_eq!(alpine.acts("service", &args), ["rc-update add cron default", "rc-service cron start"]);
    let scripts = Guest {
        tools: vec!["update-rc.d"],
        commands: vec![("rc[2345].d", 0, ""), ("/etc/init.d/cron status", 0, "cron is running")],
        ..alpine
    };
    assert!(scripts.acts("service", &args).is_empty());
    assert!(debian().acts("service", &[("name", "nginx".into()), ("enabled", true.into())]).is_empty());
    let nothing = Guest { files: [].into(), ..scripts };
    assert!(nothing.refusal("service", &args).contains("Could not find the requested service cron"));
}

#[test]
fn a_user_is_made_with_the_programs_that_are_there() {
    let args = [
        ("name", Value::from("new")),
        ("uid", 1300.into()),
        ("group", "app".into()),
        ("groups", "adm,app".into()),
        ("shell", "/bin/false".into()),
        ("system", true.into()),
    ];
    let made = debian().acts("user", &args);
    assert_eq!(made[0], "useradd -u 1300 -g app -G adm,app -s /bin/false -r -m new");
    let made = Guest { groups: debian().groups, ..busybox() }.acts("user", &args);
    assert_eq!(made[0], "adduser -D -u 1300 -G app -s /bin/false -S new");
    assert!(made[1].ends_with("new adm app"), "{}", made[1]);
    let nobody = [("name", Value::from("new")), ("group", "nosuch".into())];
    assert_eq!(debian().refusal("user", &nobody), "Group nosuch does not exist");
    assert!(Guest::default().refusal("user", &[("name", "new".into())]).contains("neither useradd nor adduser"));
}

#[test]
fn of_a_user_that_is_there_only_what_differs_is_changed() {
    let user = |more: &[(&str, Value)]| {
        let args = [&[("name", Value::from("app"))], more].concat();
        debian().acts("user", &args).into_iter().next()
    };
    assert_eq!(user(&[("uid", 1200.into()), ("home", "/srv/app".into()), ("comment", "The application".into())]), None);
    assert_eq!(user(&[("shell", "/bin/bash".into())]).unwrap(), "usermod -s /bin/bash app");
    assert_eq!(user(&[("groups", "adm".into())]), None);
    assert_eq!(user(&[("groups", "docker".into()), ("append", true.into())]).unwrap(), "usermod -G adm,docker app");
    assert_eq!(user(&[("groups", "docker".into())]).unwrap(), "usermod -G docker app");
    assert_eq!(user(&[("groups", "".into())]).unwrap(), "usermod -G  app");
    assert_eq!(user(&[("home", "/opt".into()), ("move_home", true.into())]).unwrap(), "usermod -d /opt -m app");
    assert_eq!(user(&[("password", "$6$a$b".into())]), None);
    assert_eq!(user(&[("password", "$6$c$d".into()), ("update_password", "on_create".into())]), None);
    assert_eq!(user(&[("password_lock", true.into())]).unwrap(), "usermod -L app");
    let moved = busybox().refusal("user", &[("name", "app".into()), ("shell", "/bin/ash".into())]);
    assert!(moved.contains("no usermod") && moved.contains("install shadow"), "{moved}");
}

#[test]
fn a_password_is_on_no_command_line_and_in_no_change() {
    let args = [("name", Value::from("app")), ("password", "$6$c$secret".into())];
    let verdict = debian().inspect("user", &args).unwrap();
    assert_eq!(debian().acts("user", &args)[0], "chpasswd -e");
    assert!(!format!("{:?}{:?}", verdict.changes, verdict.result).contains("secret"));
}

#[test]
fn a_user_and_a_group_go() {
    let gone = [("name", Value::from("app")), ("state", "absent".into())];
    assert!(debian().acts("user", &gone)[0].contains("userdel"));
    assert_eq!(debian().acts("group", &gone), ["groupdel app"]);
    assert_eq!(Guest { groups: debian().groups, ..busybox() }.acts("group", &gone), ["delgroup app"]);
    let nobody = [("name", Value::from("nosuch")), ("state", "absent".into())];
    assert!(debian().acts("user", &nobody).is_empty() && debian().acts("group", &nobody).is_empty());
}

#[test]
fn a_group_is_made_and_renumbered() {
    let group = |name: &str| [("name", Value::from(name)), ("gid", 1300.into()), ("system", true.into())];
    assert_eq!(debian().acts("group", &group("new")), ["groupadd -g 1300 -r new"]);
    assert_eq!(busybox().acts("group", &group("new")), ["addgroup -g 1300 -S new"]);
    assert_eq!(debian().acts("group", &group("app")), ["groupmod -g 1300 app"]);
    assert!(debian().acts("group", &[("name", "app".into()), ("gid", 1200.into())]).is_empty());
}

#[test]
fn a_number_is_one_users_or_groups_unless_it_is_said() {
    let of = |number: &'static str, id: u32| vec![("name", Value::from("new")), (number, id.into())];
    let uid = debian().users[0].uid;
    for (module, args) in [("group", of("gid", 1200)), ("user", of("uid", uid))] {
        let failure = debian().inspect(module, &args).unwrap_err();
        assert!(format!("{failure:?}").contains("already; `non_unique: true` allows it"), "{failure:?}");
        let args = [args, vec![("non_unique", true.into())]].concat();
        assert!(debian().acts(module, &args)[0].contains(" -o"));
    }
}

#[test]
fn a_host_name_is_kept_and_set_where_either_differs() {
    let guest = |now: &'static str| Guest { commands: vec![("uname -n", 0, now)], ..debian() };
    assert!(guest("web\n").acts("hostname", &[("name", "web".into())]).is_empty());
    assert_eq!(guest("other\n").acts("hostname", &[("name", "web".into())]), ["hostname web"]);
    let verdict = guest("web\n").inspect("hostname", &[("name", "api.example.org".into())]).unwrap();
    assert_eq!(verdict.writes.len(), 2);
    assert_eq!(verdict.facts["domain"].to_string(), "example.org");
    assert!(debian().refusal("hostname", &[("name", "two words".into())]).contains("is no host name"));
}

#[test]
fn a_time_zone_is_a_link() {
    let guest = Guest {
        files: [("/usr/share/zoneinfo/Europe/Berlin", ""), ("/usr/share/zoneinfo/UTC", "")].into(),
        links: [("/etc/localtime", "/usr/share/zoneinfo/UTC")].into(),
        ..debian()
    };
    assert!(guest.acts("timezone", &[("name", "UTC".into())]).is_empty());
    assert!(
        guest.acts("timezone", &[("name", "Europe/Berlin".into())])[0].contains("../usr/share/zoneinfo/Europe/Berlin")
    );
    assert!(guest.refusal("timezone", &[("name", "Mars/Base".into())]).contains("install tzdata"));
    assert!(guest.refusal("timezone", &[("hwclock", "UTC".into())]).contains("the host's"));
}

#[test]
fn a_locale_is_made_where_it_is_missing() {
    let guest = Guest {
        files: [("/etc/locale.gen", "# de_DE.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n")].into(),
        commands: vec![("locale -a", 0, "C\nen_US.utf8\n")],
        ..Guest::default()
    };
    let locale = |name: &str, state: &str| [("name", Value::from(name)), ("state", state.into())];
    assert!(guest.acts("locale_gen", &locale("en_US.UTF-8", "present")).is_empty());
    assert_eq!(guest.acts("locale_gen", &locale("de_DE.UTF-8", "present"))[1], "locale-gen");
    let verdict = guest.inspect("locale_gen", &locale("en_US.UTF-8", "absent")).unwrap();
    assert!(format!("{:?}", verdict.changes).contains("# en_US.UTF-8 UTF-8"));
    assert!(guest.refusal("locale_gen", &locale("xx_YY", "present")).contains("not available"));
}

#[test]
fn an_alternative_is_selected() {
    let query = "Name: editor\nLink: /usr/bin/editor\nStatus: manual\nValue: /bin/nano\n\n\
        Alternative: /bin/nano\nPriority: 40\n\nAlternative: /bin/vi\nPriority: 30\n";
    let guest = Guest { commands: vec![("--query editor", 0, query), ("--query other", 2, "")], ..debian() };
    let acts = |path: &str, more: &[(&str, Value)]| {
        guest.acts("alternatives", &[&[("name", Value::from("editor")), ("path", path.into())], more].concat())
    };
    assert!(acts("/bin/nano", &[]).is_empty());
    assert_eq!(acts("/bin/vi", &[]), ["update-alternatives --set editor /bin/vi"]);
    assert_eq!(
        acts("/bin/vi", &[("priority", 70.into()), ("state", "present".into())]),
        ["update-alternatives --install /usr/bin/editor editor /bin/vi 70"]
    );
    assert_eq!(acts("/bin/vi", &[("state", "absent".into())]), ["update-alternatives --remove editor /bin/vi"]);
    assert!(acts("/bin/ed", &[("state", "absent".into())]).is_empty());
    let other = [("name", Value::from("other")), ("path", "/bin/vi".into())];
    assert!(guest.refusal("alternatives", &other).contains("missing the link for other"));
}

#[test]
fn a_rule_of_ufw_is_tried_dry_first() {
    let guest = Guest {
        commands: vec![
            ("status verbose", 0, "Status: active\nLogging: on (low)\n"),
            ("allow from any to any port 22", 0, "Skipping adding existing rule\n"),
            ("--dry-run", 0, "### tuple ###\n"),
        ],
        files: [("/etc/default/ufw", "DEFAULT_INPUT_POLICY=\"DROP\"\n")].into(),
        ..debian()
    };
    let rule = |port: &str| [("rule", Value::from("allow")), ("port", port.into())];
    assert!(guest.acts("ufw", &rule("22")).is_empty());
    assert_eq!(guest.acts("ufw", &rule("80")), ["ufw allow from any to any port 80"]);
    assert!(guest.acts("ufw", &[("state", "enabled".into()), ("policy", "deny".into())]).is_empty());
    assert_eq!(guest.acts("ufw", &[("state", "disabled".into())]), ["ufw disable"]);
    assert_eq!(guest.acts("ufw", &[("policy", "allow".into())]), ["ufw default allow incoming"]);
    assert!(guest.acts("ufw", &[("logging", "low".into())]).is_empty());
}

#[test]
fn a_rule_of_iptables_is_checked_first() {
    let guest = Guest {
        commands: vec![
            ("-S INPUT", 0, "-P INPUT ACCEPT\n"),
            ("-C INPUT -p tcp --destination-port 22", 0, ""),
            ("-C", 1, ""),
        ],
        ..debian()
    };
    let rule = |port: &str, more: &[(&str, Value)]| {
        let args = [("chain", Value::from("INPUT")), ("protocol", "tcp".into()), ("destination_port", port.into())];
        guest.acts("iptables", &[&args[..], &[("jump", "ACCEPT".into())], more].concat())
    };
    let none: [&str; 0] = [];
    assert_eq!(rule("22", &[]), none);
    assert_eq!(rule("22", &[("state", "absent".into())]).len(), 1);
    assert_eq!(rule("80", &[]), ["iptables -t filter -A INPUT -p tcp --destination-port 80 -j ACCEPT"]);
    let inserted = rule("80", &[("action", "insert".into()), ("rule_num", 3.into()), ("source", "!10.0.0.0/8".into())]);
    assert_eq!(inserted, ["iptables -t filter -I INPUT 3 -p tcp ! -s 10.0.0.0/8 --destination-port 80 -j ACCEPT"]);
    assert_eq!(guest.acts("iptables", &[("chain", "INPUT".into()), ("policy", "ACCEPT".into())]), none);
    assert_eq!(
        guest.acts("iptables", &[("chain", "INPUT".into()), ("policy", "DROP".into())]),
        ["iptables -t filter -P INPUT DROP"]
    );
}

#[test]
fn databases_are_facts() {
    let guest = Guest {
        commands: vec![("getent ${3:+-s \"$3\"} \"$1\"", 0, "app:x:1200:1200::/srv/app:/bin/sh\n")],
        ..Guest::default()
    };
    let verdict = guest.inspect("getent", &[("database", "passwd".into())]).unwrap();
    assert_eq!(
        verdict.facts["getent_passwd"].get_attr("app").unwrap().get_item_by_index(1).unwrap().to_string(),
        "1200"
    );
    let nobody = Guest { commands: vec![("getent", 2, "")], ..guest };
    let args = [("database", Value::from("passwd")), ("key", "nosuch".into())];
    assert!(nobody.refusal("getent", &args).contains("could not be found"));
    let spared = [&args[..], &[("fail_key", false.into())]].concat();
    assert!(nobody.inspect("getent", &spared).is_ok());
}
