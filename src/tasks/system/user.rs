//! `user`: a user.
//!
//! ```yaml
//! - user:
//!     name: app
//!     uid: 1200
//!     group: app                  # primary
//!     groups: [adm, docker]       # the others; without append: true these and no more
//!     append: false
//!     shell: /usr/sbin/nologin
//!     home: /srv/app              # create_home: true, move_home: false, skeleton, umask
//!     comment: The application
//!     system: true
//!     password: "{{ hash }}"      # a hash; update_password: always or on_create; password_lock
//!     expires: -1                 # seconds since 1970
//!     generate_ssh_key: true      # ssh_key_bits, ssh_key_file, ssh_key_type, ssh_key_comment
//!     state: present              # absent with remove: true, force: true
//! ```
//!
//! By useradd and its like, or busybox' adduser. The password goes through chpasswd's stdin and is never shown.
//! Returned: `name`, `uid`, `group` (a number), `groups`, `home`, `shell`, `comment`, `append`, `state`, `create_home`,
//! `system`, `ssh_public_key`, `ssh_key_file`.
//!
//! In a preview the number of a new user, and what is in its new home, are unknown until run.

mod foreseen;

use serde::Deserialize;

use super::group::{State, foreseen_id, taken};
use crate::forecast::Effect;
use crate::guest::{About, Command, Done, Probe, User, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Module, Pause, Report, TextList, Touches, Verdict};
use crate::template::ansible::as_bool;

/// The module.
#[derive(Debug)]
pub struct UserModule;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    #[serde(alias = "user")]
    name: String,
    uid: Option<u32>,
    group: Option<String>,
    groups: Option<TextList>,
    append: Flag,
    home: Option<String>,
    #[serde(alias = "createhome")]
    create_home: Option<Flag>,
    move_home: Flag,
    shell: Option<String>,
    comment: Option<String>,
    system: Flag,
    password: Option<String>,
    update_password: Option<String>,
    password_lock: Option<Flag>,
    expires: Option<f64>,
    state: State,
    remove: Flag,
    force: Flag,
    generate_ssh_key: Flag,
    ssh_key_bits: Option<Int>,
    ssh_key_file: Option<String>,
    ssh_key_type: Option<String>,
    ssh_key_comment: Option<String>,
    ssh_key_passphrase: Option<String>,
    non_unique: Flag,
    skeleton: Option<String>,
    umask: Option<String>,
    #[serde(rename = "local")]
    _local: Option<Flag>,
    #[serde(rename = "hidden")]
    _hidden: Option<Flag>,
    #[serde(rename = "login_class")]
    _login_class: Option<String>,
    #[serde(rename = "seuser")]
    _seuser: Option<String>,
    #[serde(rename = "role")]
    _role: Option<String>,
    #[serde(rename = "profile")]
    _profile: Option<String>,
    #[serde(rename = "authorization")]
    _authorization: Option<String>,
    #[serde(rename = "password_expire_max")]
    password_expire_max: Option<Int>,
    #[serde(rename = "password_expire_min")]
    password_expire_min: Option<Int>,
    #[serde(rename = "password_expire_warn")]
    _password_expire_warn: Option<Int>,
    #[serde(rename = "password_expire_account_disable")]
    _password_expire_account_disable: Option<Int>,
    #[serde(rename = "uid_min")]
    _uid_min: Option<Int>,
    #[serde(rename = "uid_max")]
    _uid_max: Option<Int>,
}

impl Module for UserModule {
    fn names(&self) -> &'static [&'static str] {
        &["user"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.name.is_empty() {
            return Err(Failure::new("the argument `name` is missing"));
        }
        if args.ssh_key_passphrase.is_some() {
            return Err(Failure::new("user: ssh_key_passphrase is not supported: it would stand on a command line"));
        }
        Ok(())
    }

    fn touches(&self, args: &Map) -> Touches {
        let makes_no_home =
            args.get("create_home").is_some_and(|flag| !crate::template::ansible::truth(&as_bool(flag)));
        if makes_no_home { Touches::Accounts(&[]) } else { Touches::Accounts(&["home"]) }
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        if verdict.writes.is_empty() {
            return Ok(vec![]);
        }
        args.foreseen(guest, verdict)
    }

    fn ensure(&self, call: &Call<'_>) -> Result<Vec<Effect>, Failure> {
        let args: Args = call.args()?;
        let name = args.name.clone();
        if args.state == State::Absent {
            return Ok(vec![Effect::User { name, user: None }]);
        }
        let (Some(home), Some(group)) = (args.home, args.group) else { return Ok(vec![]) };
        let user = User {
            name: name.clone(),
            uid: args.uid.unwrap_or_else(|| foreseen_id(&name)),
            gid: group.parse().unwrap_or_else(|_| foreseen_id(&group)),
            group,
            home,
            shell: args.shell.unwrap_or_default(),
            comment: args.comment.unwrap_or_default(),
            is_local: true,
            ..User::default()
        };
        Ok(vec![Effect::User { name, user: Some(user) }])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let group = args.group.as_ref().map(|group| Probe::Group(group.clone()));
        guest.want([Probe::User(args.name.clone()), Probe::Which("useradd".into())].into_iter().chain(group))?;
        let groups: Vec<&String> = args.groups.iter().flat_map(|groups| groups.iter()).collect();
        let groups: Vec<&String> = groups.into_iter().filter(|group| !group.is_empty()).collect();
        guest.want(groups.iter().map(|group| Probe::Group((*group).clone())))?;
        for group in groups.into_iter().filter(|_| args.state == State::Present) {
            if guest.group(group)?.is_none() {
                return Err(Failure::new(format!("Group {group} does not exist")).into());
            }
        }
        let there = guest.user(&args.name)?.cloned();
        args.has_its_number(there.as_ref(), guest)?;
        let mut verdict = Verdict::nothing();
        match (args.state, &there) {
            (State::Absent, None) => {}
            (State::Absent, Some(_)) => {
                guest.either("userdel", "deluser")?;
                let script = r#"
if command -v userdel >/dev/null 2>&1; then userdel ${2:+-r} ${3:+-f} "$1" 2>&1 || { code=$?; [ "$code" -eq 12 ] || exit "$code"; }
else deluser ${2:+--remove-home} "$1"; fi"#;
                let flag = |is: bool| if is { "1" } else { "" };
                let command = Command::script(script, [args.name.as_str(), flag(args.remove), flag(args.force)]);
                verdict.change(
                    Change::value(format!("user {}", args.name), Some("present".into()), None),
                    Write::Run(command),
                );
            }
            (State::Present, None) => {
                guest.either("useradd", "adduser")?;
                args.create(guest, &mut verdict)?;
                verdict.unknown_result = call.check.then(|| format!("what the user {} becomes", args.name));
            }
            (State::Present, Some(user)) => args.modify(user, guest, &mut verdict)?,
        }
        if args.state == State::Present {
            args.ssh_key(there.as_ref(), guest, &mut verdict)?;
            args.describe(there.as_ref(), guest, &mut verdict)?;
        }
        let state = if args.state == State::Present { "present" } else { "absent" };
        Ok(verdict.with("name", args.name.as_str()).with("state", state))
    }

    fn finish(&self, _: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        // The last line says who it has become, and what its key is.
        let said = done.iter().filter_map(Done::output).map(crate::guest::Output::text).collect::<Vec<_>>().join("\n");
        let mut report = verdict.report_after(done)?;
        for line in said.lines() {
            if let Some(entry) = line.strip_prefix("passwd ") {
                let fields: Vec<&str> = entry.split(':').collect();
                if let [_, _, uid, gid, comment, home, shell] = fields[..] {
                    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
                    report.result.insert("uid".into(), number(uid).into());
                    report.result.insert("group".into(), number(gid).into());
                    report.result.insert("comment".into(), comment.into());
                    report.result.insert("home".into(), home.into());
                    report.result.insert("shell".into(), shell.into());
                }
            }
            if let Some(key) = line.strip_prefix("sshkey ") {
                report.result.insert("ssh_public_key".into(), key.into());
            }
        }
        Ok(report)
    }
}

impl Args {
    fn creates_home(&self) -> bool {
        self.create_home.unwrap_or(true)
    }

    fn create(&self, guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
        if let Some(group) = &self.group
            && guest.group(group)?.is_none()
        {
            return Err(Failure::new(format!("Group {group} does not exist")).into());
        }
        let name = self.name.as_str();
        let uid = self.uid.map(|uid| uid.to_string());
        let groups = self.groups.as_ref().map(|groups| groups.join(",")).filter(|groups| !groups.is_empty());
        let words: Vec<String> = if guest.which("useradd")?.is_some() {
            let mut words = vec!["useradd".to_owned()];
            let mut option = |flag: &str, value: Option<&String>| {
                words.extend(value.iter().flat_map(|value| [flag.to_owned(), (*value).clone()]));
            };
            option("-u", uid.as_ref());
            option("-g", self.group.as_ref());
            option("-G", groups.as_ref());
            option("-c", self.comment.as_ref());
            option("-d", self.home.as_ref());
            option("-s", self.shell.as_ref());
            option("-k", self.skeleton.as_ref().filter(|_| self.creates_home()));
            let mask = self.umask.as_ref().map(|umask| format!("UMASK={umask}"));
            option("-K", mask.as_ref());
            let day = self.expires.map(expiry);
            option("-e", day.as_ref());
            if self.non_unique {
                words.push("-o".into());
            }
            if self.system {
                words.push("-r".into());
            }
            // A group of its own name may be there already.
            if self.group.is_none() && guest.group(name)?.is_some() {
                words.push("-N".into());
            }
            words.push(if self.creates_home() { "-m" } else { "-M" }.into());
            words.push(name.into());
            words
        } else {
            let mut words: Vec<String> = ["adduser", "-D"].map(str::to_owned).to_vec();
            let mut option = |flag: &str, value: Option<&String>| {
                words.extend(value.iter().flat_map(|value| [flag.to_owned(), (*value).clone()]));
            };
            option("-u", uid.as_ref());
            option("-G", self.group.as_ref());
            option("-g", self.comment.as_ref());
            option("-h", self.home.as_ref());
            option("-s", self.shell.as_ref());
            option("-k", self.skeleton.as_ref());
            if self.system {
                words.push("-S".into());
            }
            if !self.creates_home() {
                words.push("-H".into());
            }
            words.push(name.into());
            words
        };
        verdict.change(
            Change::value(format!("user {name}"), None, Some("present".into())),
            Write::Run(Command::new(words)),
        );
        if guest.which("useradd")?.is_none()
            && let Some(groups) = &groups
        {
            let script = r#"user=$1; shift; for group; do addgroup "$user" "$group" || exit 1; done"#;
            let all = [name.to_owned()].into_iter().chain(groups.split(',').map(str::to_owned));
            verdict.writes.push(Write::Run(Command::script(script, all)));
        }
        if let Some(password) = &self.password {
            verdict.writes.push(self.chpasswd(password));
        }
        if self.password_lock == Some(true) {
            verdict.writes.push(Write::Run(Command::new(["usermod", "-L", name])));
        }
        verdict.writes.push(self.entry());
        Ok(())
    }

    fn modify(&self, user: &User, guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
        let name = self.name.as_str();
        let mut words: Vec<String> = vec![];
        let mut set = |what: &str, flag: &str, before: String, after: &String, shown: &mut Vec<Change>| {
            if before != *after {
                words.extend([flag.to_owned(), after.clone()]);
                shown.push(Change::value(what, Some(before), Some(after.clone())));
            }
        };
        let changes = &mut verdict.changes;
        if let Some(uid) = self.uid {
            set("uid", "-u", user.uid.to_string(), &uid.to_string(), changes);
        }
        if let Some(group) = &self.group {
            let gid = match guest.group(group)? {
                Some(group) => group.gid,
                None => return Err(Failure::new(format!("Group {group} does not exist")).into()),
            };
            if gid != user.gid {
                set("group", "-g", user.group.clone(), group, changes);
            }
        }
        if let Some(comment) = &self.comment {
            set("comment", "-c", user.comment.clone(), comment, changes);
        }
        if let Some(home) = &self.home {
            set("home", "-d", user.home.clone(), home, changes);
        }
        if let Some(shell) = &self.shell {
            set("shell", "-s", user.shell.clone(), shell, changes);
        }
        if let Some(expires) = self.expires {
            #[expect(clippy::cast_possible_truncation, reason = "days")]
            let wanted = if expires < 0.0 { None } else { Some((expires / 86_400.0) as i64) };
            if user.expires.filter(|day| *day >= 0) != wanted {
                let shown = |day: Option<i64>| day.map_or_else(|| "never".to_owned(), |day| format!("day {day}"));
                set("expires", "-e", shown(user.expires), &expiry(expires), changes);
            }
        }
        let moves = self.move_home && words.iter().any(|word| word == "-d");
        if moves {
            words.push("-m".into());
        }
        if self.non_unique && words.iter().any(|word| word == "-u") {
            words.push("-o".into());
        }
        if let Some(groups) = &self.groups {
            let wanted: Vec<String> = groups.iter().filter(|group| !group.is_empty()).cloned().collect();
            let primary = self.group.as_ref().unwrap_or(&user.group);
            let mut before: Vec<String> = user.groups.iter().filter(|group| *group != primary).cloned().collect();
            let mut after: Vec<String> = wanted.iter().filter(|group| *group != primary).cloned().collect();
            if self.append {
                let missing: Vec<String> = after.iter().filter(|group| !before.contains(group)).cloned().collect();
                after.clone_from(&before);
                after.extend(missing);
            }
            before.sort();
            after.sort();
            after.dedup();
            if before != after {
                words.extend(["-G".to_owned(), after.join(",")]);
                changes.push(Change::value("groups", Some(before.join(",")), Some(after.join(","))));
            }
        }
        if !words.is_empty() {
            if guest.which("useradd")?.is_none() {
                return Err(Failure::new(format!(
                    "the guest has no usermod to change the user {name} with: install shadow"
                ))
                .into());
            }
            let all = ["usermod".to_owned()].into_iter().chain(words).chain([name.to_owned()]);
            verdict.writes.push(Write::Run(Command::new(all)));
        }
        let is_locked = user.password.as_deref().is_some_and(|password| password.starts_with('!'));
        if let Some(password) = self.password.as_ref().filter(|_| self.update_password.as_deref() != Some("on_create"))
        {
            let there = user.password.as_deref().unwrap_or_default();
            if there.trim_start_matches('!') != password.trim_start_matches('!') || there.is_empty() {
                verdict.change(
                    Change::value("password", Some("(a hash)".into()), Some("(another hash)".into())),
                    self.chpasswd(password),
                );
            }
        }
        if let Some(lock) = self.password_lock.filter(|lock| *lock != is_locked) {
            let flag = if lock { "-L" } else { "-U" };
            let change = Change::value("password_lock", Some(is_locked.to_string()), Some(lock.to_string()));
            verdict.change(change, Write::Run(Command::new(["usermod", flag, name])));
        }
        let ages = [(self.password_expire_max, "-M", "max"), (self.password_expire_min, "-m", "min")];
        for (days, flag, what) in ages {
            let Some(days) = days else { continue };
            let field = if flag == "-M" { "5" } else { "4" };
            let script = r#"getent shadow "$1" 2>/dev/null | cut -d: -f"$2""#;
            let there =
                guest.output(Command::script(script, [name, field]).about(About::Accounts))?.text().trim().to_owned();
            if there != days.to_string() {
                let change = Change::value(format!("password_expire_{what}"), Some(there), Some(days.to_string()));
                verdict.change(change, Write::Run(Command::new(["chage", flag, &days.to_string(), name])));
            }
        }
        if self.creates_home() && !moves {
            let home = self.home.clone().unwrap_or_else(|| user.home.clone());
            if !home.is_empty() && guest.stat(&home)?.is_none() && self.create_home == Some(true) {
                let script = r#"
mkdir -p -- "$1" && { [ ! -d "${4:-/etc/skel}" ] || cp -R "${4:-/etc/skel}/." "$1"; } && chown -R "$2:$3" "$1" && chmod 0755 "$1""#;
                let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
                let skeleton = self.skeleton.clone().unwrap_or_default();
                let command = Command::script(script, [home.as_str(), &uid, &gid, &skeleton]);
                verdict.change(Change::value(home, None, Some("directory".into())), Write::Run(command));
            }
        }
        if !verdict.writes.is_empty() {
            verdict.writes.push(self.entry());
        }
        Ok(())
    }

    fn chpasswd(&self, password: &str) -> Write {
        Write::Run(Command::new(["chpasswd", "-e"]).stdin(format!("{}:{password}\n", self.name)))
    }

    /// Prints who the user is by then.
    fn entry(&self) -> Write {
        let script = r#"printf 'passwd '; { getent passwd "$1" 2>/dev/null || grep "^$1:" /etc/passwd; } | head -n 1"#;
        Write::Run(Command::script(script, [self.name.as_str()]))
    }

    fn ssh_key(&self, user: Option<&User>, guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
        if !self.generate_ssh_key {
            return Ok(());
        }
        let kind = self.ssh_key_type.as_deref().unwrap_or("rsa");
        let home =
            self.home.clone().or(user.map(|user| user.home.clone())).unwrap_or_else(|| format!("/home/{}", self.name));
        let file = self.ssh_key_file.clone().unwrap_or_else(|| format!(".ssh/id_{kind}"));
        let path = if file.starts_with('/') { file } else { format!("{home}/{file}") };
        verdict.result.insert("ssh_key_file".into(), path.as_str().into());
        if guest.stat(&path)?.is_some() && !self.force {
            let key = guest.read(&format!("{path}.pub"))?.unwrap_or_default();
            verdict.result.insert("ssh_public_key".into(), String::from_utf8_lossy(key).trim().into());
            return Ok(());
        }
        let comment = self.ssh_key_comment.clone().unwrap_or_else(|| "ansible-generated".into());
        let bits = self.ssh_key_bits.filter(|bits| *bits > 0).map(|bits| bits.to_string()).unwrap_or_default();
        let script = r#"
user=$1 path=$2 kind=$3 bits=$4 comment=$5
directory=${path%/*}
uid=$(id -u "$user") gid=$(id -g "$user") || exit 1
[ -d "$directory" ] || { mkdir -p -- "$directory" && chown "$uid:$gid" "$directory" && chmod 700 "$directory"; } || exit 1
rm -f -- "$path" "$path.pub"
ssh-keygen -q -t "$kind" ${bits:+-b "$bits"} -C "$comment" -N '' -f "$path" </dev/null || exit 1
chown "$uid:$gid" "$path" "$path.pub"
printf 'sshkey '; cat "$path.pub""#;
        let command = Command::script(script, [self.name.as_str(), &path, kind, &bits, &comment]);
        verdict.change(Change::value("ssh key", None, Some(path)), Write::Run(command));
        Ok(())
    }

    fn describe(&self, user: Option<&User>, guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
        let result = &mut verdict.result;
        result.insert("append".into(), self.append.into());
        result.insert("create_home".into(), self.creates_home().into());
        result.insert("system".into(), self.system.into());
        result.insert("move_home".into(), self.move_home.into());
        if let Some(groups) = &self.groups {
            result.insert("groups".into(), groups.join(",").into());
        }
        if self.password.is_some() {
            result.insert("password".into(), "NOT_LOGGING_PASSWORD".into());
        }
        if let Some(user) = user {
            let gid = match &self.group {
                Some(group) => guest.group(group)?.map_or(user.gid, |group| group.gid),
                None => user.gid,
            };
            result.insert("uid".into(), self.uid.unwrap_or(user.uid).into());
            result.insert("group".into(), gid.into());
            result.insert("comment".into(), self.comment.clone().unwrap_or_else(|| user.comment.clone()).into());
            result.insert("home".into(), self.home.clone().unwrap_or_else(|| user.home.clone()).into());
            result.insert("shell".into(), self.shell.clone().unwrap_or_else(|| user.shell.clone()).into());
        }
        Ok(())
    }
}

/// useradd's `-e`: a date; nothing for never.
fn expiry(seconds: f64) -> String {
    if seconds < 0.0 {
        return String::new();
    }
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let moment = jiff::Timestamp::from_second(seconds as i64).map(|moment| jiff::tz::TimeZone::UTC.to_datetime(moment));
    moment.map(|moment| moment.date().to_string()).unwrap_or_default()
}
