//! The seam to a guest's inside, on the real thing: questions, acts, commands. The guest is busybox; what needs more is
//! tested with playbooks.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lxdeploy::guest::{
    Algorithm, Answer, Attributes, Command, Content, Done, FileKind, GuestError, Probe, Session, Write,
};
use lxdeploy::lxd::{Client, resolve};
use lxdeploy::model::Id;

use crate::bed::Case;

const SITE: &str = "
projects: {@NAME@: {config: {features.images: \"true\", features.profiles: \"true\"}}}
images: {busybox: {source: {file: busybox.tar.xz}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
instances: {one: {image: busybox, profiles: [base]}}
";

/// A running guest, and something to be done with it.
fn with_guest<F: Future<Output = ()>>(name: &str, work: impl FnOnce(Arc<Session>, Client) -> F) {
    let case = Case::new(name);
    case.site(SITE);
    case.apply(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let socket = format!("unix:{}", case.server.join("unix.socket").display());
    let client = Client::connect(&resolve(&socket, None).unwrap(), Duration::from_secs(60)).unwrap();
    let id = Id { project: case.name.clone(), pool: None, name: "one".into() };
    runtime.block_on(work(Arc::new(Session::new(&client, &id)), client.clone()));
    case.destroy(&[]);
}

const NAMES: &[&str] = &["plain", "with space", "it's \"quoted\"", "new\nline", "-dash", "$HOME `x` \\ *"];

fn file(path: &str, content: &[u8]) -> Write {
    let content = Content::Bytes(content.into());
    Write::File { path: path.into(), content, attributes: Attributes::default(), backup: None, validate: None }
}

async fn stat(guest: &Session, path: &str) -> Option<lxdeploy::guest::Stat> {
    let probe = Probe::Stat { path: path.into(), follow: false };
    match guest.ask(&[probe]).await.unwrap().remove(0) {
        Answer::Stat(stat) => stat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_of_any_name_and_content_are_written_whole() {
    with_guest("gfiles", |guest, _| async move {
        let directory = Attributes { mode: Some(0o750), owner: Some("0".into()), group: Some("0".into()) };
        guest.apply(&Write::Directory { path: "/srv/a b/c".into(), attributes: directory }).await.unwrap();
        assert_eq!(stat(&guest, "/srv/a b").await.unwrap().mode, 0o750);
        let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        for name in NAMES {
            let path = format!("/srv/a b/c/{name}");
            guest.apply(&file(&path, &bytes)).await.unwrap();
            let probes = [
                Probe::Read { path: path.clone() },
                Probe::Hash { path: path.clone(), algorithm: Algorithm::Sha256 },
                Probe::Stat { path: path.clone(), follow: false },
            ];
            let answers = guest.ask(&probes).await.unwrap();
            assert_eq!(answers[0], Answer::Read(Some(bytes.clone())), "{name}");
            assert_eq!(answers[1], Answer::Hash(Some(sha256(&bytes))), "{name}");
            let Answer::Stat(Some(stat)) = &answers[2] else { panic!("{name}") };
            assert_eq!((stat.kind, stat.mode, stat.size), (FileKind::File, 0o644, 70_000), "{name}");
        }
        let list = Probe::List { path: "/srv".into(), depth: None, follow: false };
        let Answer::List(Some(entries)) = guest.ask(&[list]).await.unwrap().remove(0) else { panic!() };
        assert_eq!(entries.len(), 2 + NAMES.len(), "{entries:?}");
        assert!(entries.iter().any(|entry| entry.path == "/srv/a b/c/new\nline"));
        // What was there keeps its mode, its owner, and its name where it is behind a link.
        let attributes = Attributes { mode: Some(0o4711), owner: Some("12".into()), group: Some("34".into()) };
        guest.apply(&Write::Attributes { path: "/srv/a b/c/plain".into(), attributes, follow: true }).await.unwrap();
        let link = Write::Symlink {
            path: "/srv/link".into(),
            target: "a b/c/plain".into(),
            attributes: Attributes::default(),
        };
        guest.apply(&link).await.unwrap();
        guest.apply(&link).await.unwrap();
        guest.apply(&file("/srv/link", b"through the link")).await.unwrap();
        let plain = stat(&guest, "/srv/a b/c/plain").await.unwrap();
        assert_eq!((plain.mode, plain.uid, plain.gid, plain.size), (0o4711, 12, 34, 16));
        assert_eq!(stat(&guest, "/srv/link").await.unwrap().target.as_deref(), Some("a b/c/plain"));
        guest.apply(&Write::Hardlink { path: "/srv/hard".into(), target: "/srv/a b/c/plain".into() }).await.unwrap();
        assert_eq!(stat(&guest, "/srv/hard").await.unwrap().inode, plain.inode);
        guest.apply(&Write::Touch { path: "/srv/new".into(), accessed: Some(5), modified: Some(7) }).await.unwrap();
        let new = stat(&guest, "/srv/new").await.unwrap();
        assert_eq!((new.atime, new.mtime, new.size), (5, 7, 0));
        // Nothing that was to take another's place is left.
        guest.apply(&Write::Remove { path: "/srv/a b".into() }).await.unwrap();
        let left = guest.run(&Command::script("cd /srv && ls -A", [] as [&str; 0])).await.unwrap();
        assert_eq!(left.text(), "hard\nlink\nnew\n");
        assert!(guest.apply(&Write::Remove { path: "//".into() }).await.is_err());
    });
}

#[test]
fn what_does_not_validate_leaves_the_old_file() {
    with_guest("gvalid", |guest, _| async move {
        guest.apply(&file("/etc/x.conf", b"old")).await.unwrap();
        let write = |check: &str| Write::File {
            path: "/etc/x.conf".into(),
            content: Content::Bytes(b"new".as_slice().into()),
            attributes: Attributes::default(),
            backup: Some("/etc/x.conf.bak".into()),
            validate: Some(vec!["grep".into(), check.into(), "%s".into()]),
        };
        let error = guest.apply(&write("never")).await.unwrap_err();
        assert!(error.to_string().contains("failed to validate: grep never /etc/.lxdeploy-x.conf."), "{error}");
        let read = |path: &str| Probe::Read { path: path.into() };
        let answers = guest.ask(&[read("/etc/x.conf"), read("/etc/x.conf.bak")]).await.unwrap();
        assert_eq!(answers, [Answer::Read(Some(b"old".to_vec())), Answer::Read(None)]);
        guest.apply(&write("new")).await.unwrap();
        let answers = guest.ask(&[read("/etc/x.conf"), read("/etc/x.conf.bak")]).await.unwrap();
        assert_eq!(answers, [Answer::Read(Some(b"new".to_vec())), Answer::Read(Some(b"old".to_vec()))]);
        let error = guest.apply(&file("/no/such/directory/x", b"")).await.unwrap_err();
        assert!(error.to_string().contains("the directory /no/such/directory is not there"), "{error}");
    });
}

#[test]
fn acts_that_follow_each_other_travel_together() {
    with_guest("gacts", |guest, _| async move {
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let directory = Write::Directory { path: "/srv/x y".into(), attributes: Attributes::default() };
        let mut acts = vec![directory];
        acts.extend(NAMES.iter().map(|name| file(&format!("/srv/x y/{name}"), &bytes)));
        acts.push(Write::Symlink {
            path: "/srv/link".into(),
            target: "x y/plain".into(),
            attributes: Attributes::default(),
        });
        let before = guest.trips();
        assert_eq!(guest.apply_all(&acts).await.unwrap().len(), acts.len());
        assert_eq!(guest.trips() - before, 1);
        let hash = |path: String| Probe::Hash { path, algorithm: Algorithm::Sha256 };
        let probes: Vec<Probe> = NAMES.iter().map(|name| hash(format!("/srv/x y/{name}"))).collect();
        let wanted = Answer::Hash(Some(sha256(&bytes)));
        assert!(guest.ask(&probes).await.unwrap().iter().all(|answer| *answer == wanted));
        // What printf may take for something else.
        for content in ["-----BEGIN CERTIFICATE-----\n", "---\n", "-", "--", "%s\\n", "\\", "", "0"] {
            guest.apply(&file("/srv/odd", content.as_bytes())).await.unwrap();
            let read = guest.ask(&[Probe::Read { path: "/srv/odd".into() }]).await.unwrap();
            assert_eq!(read, [Answer::Read(Some(content.as_bytes().to_vec()))]);
        }

        // The first that fails is the last, and a command divides them.
        let fails = [file("/srv/a", b"a"), file("/no/such/b", b"b"), file("/srv/c", b"c")];
        let error = guest.apply_all(&fails).await.unwrap_err();
        assert!(error.to_string().contains("the directory /no/such is not there"), "{error}");
        assert!(stat(&guest, "/srv/a").await.is_some() && stat(&guest, "/srv/c").await.is_none());
        let ends = [
            file("/srv/d", b"d"),
            Write::Run(Command::new(["test", "-f", "/srv/d"])),
            Write::Run(Command::new(["test", "-f", "/srv/e"])),
            file("/srv/e", b"e"),
        ];
        let done = guest.apply_all(&ends).await.unwrap();
        let codes: Vec<Option<i64>> = done.iter().map(|done| done.output().map(|output| output.code)).collect();
        assert_eq!(codes, [None, Some(0), Some(1)]);
        assert!(stat(&guest, "/srv/e").await.is_none());
    });
}

#[test]
fn commands_that_only_look_say_the_same_from_the_shell_that_stays() {
    with_guest("glook", |guest, _| async move {
        let sh = |script: &str| Command::script(script, ["a b", "it's"]);
        let both = async |command: Command| {
            let (looked, ran) = (guest.look(&command).await.unwrap(), guest.run(&command).await.unwrap());
            assert_eq!((looked.code, &looked.stdout), (ran.code, &ran.stdout), "{command:?}");
            assert_eq!(looked.errors(), ran.errors(), "{command:?}");
            ran
        };
        both(sh("printf '%s|' \"$@\"; printf 'x\\377\\0y\\n\\n'; echo oh >&2; exit 7")).await;
        both(sh("pwd; umask; echo ${LC_ALL-none} $HOME $PATH; ls -l /proc/self/fd | wc -l; kill -9 $$")).await;
        both(Command { cwd: Some("/etc".into()), ..sh("pwd; cat") }).await;
        both(Command::new(["cat"]).stdin((0..500_000_u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>())).await;
        both(Command::new(["echo", r"a\nb"])).await;
        assert_eq!(both(Command::new(["no-such-program"])).await.code, 127);
        assert_eq!(both(Command::new(["/etc/passwd"])).await.code, 126);
        both(sh("echo $VALUE").env("VALUE", "one two")).await;

        // What stays and goes on talking is in nobody's way.
        let before = guest.trips();
        let talks = guest.look(&sh("(while sleep 0.05; do echo noise; echo noise >&2; done) & echo started")).await;
        assert_eq!(talks.unwrap().text(), "started\n");
        for n in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(guest.look(&sh(&format!("echo {n}"))).await.unwrap().text(), format!("{n}\n"));
        }
        // One who gives up waiting leaves no answer to the next.
        let slow = sh("sleep 1; echo late");
        assert!(tokio::time::timeout(Duration::from_millis(300), guest.look(&slow)).await.is_err());
        assert_eq!(guest.look(&sh("echo next")).await.unwrap().text(), "next\n");
        let long = Command::new(["sleep", "77"]);
        assert!(tokio::time::timeout(Duration::from_millis(300), guest.look(&long)).await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(guest.run(&sh("ps | grep '[s]leep 77'")).await.unwrap().text(), "");
        // And one that ends the shell is run by exec.
        assert_eq!(guest.trips() - before, 23);
        let ends = "kill -9 $(sed -n 's/^PPid:.//p' /proc/$PPID/status); sleep 0.1; echo done";
        assert_eq!(guest.look(&sh(ends)).await.unwrap().text(), "done\n");
        assert_eq!(guest.look(&sh("echo again")).await.unwrap().text(), "again\n");
        assert!(stat(&guest, "/tmp").await.is_some());
        let left = guest.run(&sh("ls -A /tmp | grep lxdeploy")).await.unwrap();
        assert_eq!(left.text(), "");
    });
}

#[test]
fn a_big_file_goes_in_pieces_and_comes_whole() {
    with_guest("gbig", |guest, _| async move {
        let local = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..20_000_003_u32).map(|n| (n / 7 % 251) as u8).collect();
        std::fs::write(local.path(), &bytes).unwrap();
        let content = Content::Local { path: local.path().into(), sha1: String::new(), size: 0 };
        let attributes = Attributes { mode: Some(0o600), ..Attributes::default() };
        let path = "/root/big one".to_owned();
        let write = Write::File { path: path.clone(), content, attributes, backup: None, validate: None };
        guest.apply(&Write::Directory { path: "/root".into(), attributes: Attributes::default() }).await.unwrap();
        guest.apply(&write).await.unwrap();
        let copied = Content::Guest(path.clone());
        let copy = Write::File {
            path: "/root/copy".into(),
            content: copied,
            attributes: Attributes::default(),
            backup: None,
            validate: None,
        };
        guest.apply(&copy).await.unwrap();
        let hash = |path: &str| Probe::Hash { path: path.into(), algorithm: Algorithm::Sha256 };
        let answers = guest.ask(&[hash(&path), hash("/root/copy")]).await.unwrap();
        let wanted = Answer::Hash(Some(sha256(&bytes)));
        assert_eq!(answers, [wanted.clone(), wanted]);
        let to = tempfile::tempdir().unwrap();
        let kept = to.path().join("deep/er/big");
        guest.apply(&Write::Fetch { path, to: kept.clone() }).await.unwrap();
        assert!(std::fs::read(kept).unwrap() == bytes);
    });
}

fn sha256(bytes: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap().to_owned()
}

#[test]
fn commands_with_all_that_they_have() {
    with_guest("gexec", |guest, client| async move {
        let sh = |script: &str| Command::script(script, ["a b", "it's"]);
        let output = guest.run(&sh("printf '%s|' \"$@\"; printf 'x\\377\\0y'; echo oh >&2; exit 7")).await.unwrap();
        assert_eq!(
            (output.code, output.stdout.as_slice(), output.errors().as_str()),
            (7, b"a b|it's|x\xff\0y".as_slice(), "oh\n")
        );
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let output = guest.run(&Command::new(["cat"]).stdin(bytes.clone())).await.unwrap();
        assert!(output.stdout == bytes);
        let output = guest.run(&sh("echo $VALUE; pwd").env("VALUE", "one two")).await.unwrap();
        assert!(output.text().starts_with("one two\n"), "{}", output.text());
        let missing = guest.run(&Command::new(["no-such-program"])).await.unwrap();
        assert_eq!(missing.code, 127, "{}", missing.errors());
        let slow = Command { timeout: Some(Duration::from_secs(1)), ..Command::new(["sleep", "60"]) };
        assert!(matches!(guest.run(&slow).await, Err(GuestError::TimedOut(_))));
        // One that closes its output long before its end.
        let closed = Command::script("exec >&- 2>&-; sleep 60", [] as [&str; 0]);
        let closed = Command { timeout: Some(Duration::from_secs(1)), ..closed };
        assert!(matches!(guest.run(&closed).await, Err(GuestError::TimedOut(_))));
        // As another user, with its groups.
        let users = "echo 'web:x:1000:1000::/home/web:/bin/sh' >>/etc/passwd; echo 'web:x:1000:\nextra:x:1001:web' >>/etc/group; mkdir -p /home/web";
        guest.run(&Command::script(users, [] as [&str; 0])).await.unwrap();
        let who =
            sh("id -un; id -Gn; echo $HOME $USER $LOGNAME $SHELL; pwd; printf '%s|' \"$@\"").user(Some("web".into()));
        let output = guest.run(&who).await.unwrap();
        assert_eq!(
            output.text(),
            "web\nweb extra\n/home/web web web /bin/sh\n/home/web\na b|it's|",
            "{}",
            output.errors()
        );
        let nobody = guest.run(&sh("true").user(Some("nobody-here".into()))).await.unwrap();
        assert!(!nobody.is_success() && nobody.errors().contains("no user nobody-here"));
        let probes = [
            Probe::User("web".into()),
            Probe::User("1000".into()),
            Probe::Group("extra".into()),
            Probe::Which("cat".into()),
            Probe::Which("no-such-tool".into()), // busybox has a dpkg of its own
            Probe::Unit { name: "x".into(), user: None },
        ];
        let answers = guest.ask(&probes).await.unwrap();
        let Answer::User(Some(user)) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(
            (user.uid, user.home.as_str(), user.groups.as_slice(), user.is_local),
            (1000, "/home/web", ["extra".to_owned()].as_slice(), true)
        );
        assert_eq!(answers[0], answers[1]);
        assert!(matches!(&answers[2], Answer::Group(Some(group)) if group.members == ["web"]));
        assert!(matches!(&answers[3..], [Answer::Which(Some(_)), Answer::Which(None), Answer::Unit(None)]));
        // A guest that is stopped cannot be reached.
        guest.apply(&Write::Restart { timeout: Duration::from_secs(60) }).await.unwrap();
        assert_eq!(guest.apply(&Write::Run(sh("true"))).await.unwrap().output().unwrap().code, 0);
        let stop = lxdeploy::kinds::instance::power_call(guest.id(), "stop", Some(Duration::ZERO));
        client.run(&stop, None).await.unwrap();
        let error = guest.run(&sh("true")).await.unwrap_err();
        assert!(matches!(&error, GuestError::Unreachable(why) if why.contains("not running")), "{error}");
        assert_eq!(Done::Written.output(), None);
    });
}

/// Thousands of commands side by side: each gives all that it wrote, and comes to its end.
#[test]
#[ignore = "long: tests/soak/run.sh commands"]
fn soak_commands() {
    let count: usize = std::env::var("LXDEPLOY_SOAK").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    with_guest("gsoak", |guest, _| async move {
        let next = std::cell::Cell::new(0);
        let slow = std::cell::RefCell::new(vec![]);
        let worker = async || {
            while next.get() < count {
                let number = next.replace(next.get() + 1);
                let script = format!("echo {number} >&2; head -c {number} /dev/zero; exit 3");
                let command = Command::new(["sh", "-s"]).stdin(script.into_bytes());
                let started = std::time::Instant::now();
                let run = tokio::time::timeout(Duration::from_secs(60), guest.run(&command)).await;
                if started.elapsed() > Duration::from_secs(5) {
                    println!("command {number} took {:?}", started.elapsed());
                    slow.borrow_mut().push(number);
                }
                let done = run.unwrap_or_else(|_| panic!("command {number} hangs")).unwrap();
                assert_eq!((done.code, done.stdout.len()), (3, number), "{number}");
                assert_eq!(done.stderr, format!("{number}\n").into_bytes());
            }
        };
        tokio::join!(worker(), worker(), worker(), worker(), worker(), worker(), worker(), worker());
        println!("{count} commands, {} of them took longer than 5 s", slow.borrow().len());
    });
}
