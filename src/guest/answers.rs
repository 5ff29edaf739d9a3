//! What the script of many questions has printed, as answers.

use std::collections::BTreeMap;

use super::ask::{Asked, program, together};
use super::command::Output;
use super::probe::{Algorithm, Answer, Entry, FileKind, Group, Package, PackageManager, Probe, Stat, User};

/// How the end of a command's stdout is found: its exit code after this.
const END: u8 = b'x';

/// Reads the script's output.
///
/// # Errors
/// It is not what the script writes: the guest's shell or tools did something else.
pub fn read(probes: &[&Probe], output: &[u8]) -> Result<Vec<Answer>, String> {
    let mut records = Records { rest: output };
    let mut answers: Vec<Option<Answer>> = vec![None; probes.len()];
    for (group, places) in together(probes) {
        let read = match group {
            Asked::Stats(_) => stats(&mut records)?,
            Asked::Sums(algorithm) => sums(&mut records, algorithm)?,
            Asked::Alone(probe) => vec![answer(probe, &mut records)?],
        };
        if read.len() != places.len() {
            return Err("the guest answered another question".to_owned());
        }
        places.into_iter().zip(read).for_each(|(place, answer)| answers[place] = Some(answer));
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Something has gone between two looks at it, or came.
pub const MOVED: &str = "a file went while it was looked at";

fn stats(records: &mut Records<'_>) -> Result<Vec<Answer>, String> {
    let (there, lines) = (records.text()?, records.text()?);
    let mut lines = lines.lines();
    let mut answers = vec![];
    for is_there in there.bytes().map(|digit| digit == b'1') {
        if !is_there {
            answers.push(Answer::Stat(None));
            continue;
        }
        let line = lines.next().ok_or(MOVED)?;
        let target = records.text()?;
        answers.push(Answer::Stat(Some(stat_of(line, &target).ok_or_else(|| format!("stat says `{line}`"))?)));
    }
    Ok(answers)
}

fn sums(records: &mut Records<'_>, algorithm: Algorithm) -> Result<Vec<Answer>, String> {
    let (there, lines) = (records.text()?, records.text()?);
    if lines.lines().any(|line| line.starts_with('!')) {
        return Err(format!("the guest cannot make checksums: {} is missing, or fails", program(algorithm)));
    }
    // A name with strange bytes in it has a mark before the sum, and stays in its line.
    let mut lines = lines.lines().map(|line| line.trim_start_matches('\\').split(' ').next().unwrap_or_default());
    let each = there.bytes().map(|digit| match digit {
        b'1' => Ok(Answer::Hash(Some(lines.next().ok_or(MOVED)?.to_owned()))),
        _ => Ok(Answer::Hash(None)),
    });
    each.collect()
}

fn answer(probe: &Probe, records: &mut Records<'_>) -> Result<Answer, String> {
    Ok(match probe {
        Probe::Stat { .. } => stats(records)?.pop().ok_or(MOVED)?,
        Probe::Hash { algorithm, .. } => sums(records, *algorithm)?.pop().ok_or(MOVED)?,
        Probe::Read { .. } => {
            let bytes = records.bytes()?;
            Answer::Read(bytes.strip_prefix(b"=").map(<[u8]>::to_vec))
        }
        Probe::List { path, .. } => {
            if records.text()? == "-" {
                return Ok(Answer::List(None));
            }
            let mut entries = vec![];
            loop {
                let (fields, file, target) = (records.until_nul()?, records.until_nul()?, records.until_nul()?);
                if file.is_empty() {
                    break;
                }
                let stat = stat_of(&fields, &target).ok_or_else(|| format!("below {path}: `{fields}`"))?;
                entries.push(Entry { path: file, stat });
            }
            entries.sort_by(|a, b| a.path.cmp(&b.path));
            Answer::List(Some(entries))
        }
        Probe::User(_) => {
            let line = records.text()?;
            if line.is_empty() {
                return Ok(Answer::User(None));
            }
            let (group, groups, shadow, is_local) =
                (records.text()?, records.text()?, records.text()?, records.text()?);
            Answer::User(user(&line, group, &groups, &shadow, !is_local.is_empty()))
        }
        Probe::Group(_) => Answer::Group(group(&records.text()?)),
        Probe::Package { manager, name, .. } => Answer::Package(match manager {
            PackageManager::Dpkg => dpkg(&records.text()?, &records.text()?, &records.text()?),
            PackageManager::Apk => apk(name, &records.text()?, &records.text()?),
            PackageManager::Rpm => {
                let versions = records.text()?;
                Package { installed: versions.lines().next().map(str::to_owned), ..Package::default() }
            }
        }),
        Probe::Unit { .. } => {
            let text = records.text()?;
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let unit: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Answer::Unit((!text.is_empty()).then_some(unit))
        }
        Probe::Which(_) => {
            let path = records.text()?;
            Answer::Which((!path.is_empty()).then_some(path))
        }
        Probe::Output(look) => {
            let bytes = records.bytes()?;
            let output = output(bytes).ok_or_else(|| {
                let program = look.command.argv.first().map(String::as_str).unwrap_or_default();
                format!("{program} says `{}`", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]))
            })?;
            Answer::Output(output)
        }
    })
}

/// What `ask_output` has put together.
fn output(bytes: &[u8]) -> Option<Output> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n')?;
    let length: usize = std::str::from_utf8(&bytes[end + 1..]).ok()?.parse().ok()?;
    let start = end.checked_sub(length)?;
    let (stderr, stdout) = (&bytes[..start], &bytes[start..end]);
    let mark = stdout.iter().rposition(|byte| *byte == END)?;
    let code = std::str::from_utf8(&stdout[mark + 1..]).ok()?.parse().ok()?;
    Some(Output { code, stdout: stdout[..mark].to_vec(), stderr: stderr.to_vec(), ..Output::default() })
}

struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let wrong = || {
            format!("the guest's shell answered `{}`", String::from_utf8_lossy(&self.rest[..self.rest.len().min(80)]))
        };
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(wrong)?;
        let length: usize =
            std::str::from_utf8(&self.rest[..end]).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        let after = end + 1;
        let bytes = self.rest.get(after..after + length).ok_or_else(|| "the guest's answer is cut off".to_owned())?;
        self.rest = &self.rest[after + length..];
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn until_nul(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or("the guest's list is cut off")?;
        let text = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }
}

/// The fields of `stat -c` (raw mode in hex first), or of `find -printf` (a letter and the octal mode first).
fn stat_of(fields: &str, target: &str) -> Option<Stat> {
    let words: Vec<&str> = fields.split_whitespace().collect();
    let (kind, mode, rest) = match words.as_slice() {
        [raw, rest @ ..] if rest.len() == 11 => {
            let raw = u32::from_str_radix(raw, 16).ok()?;
            (kind_of(raw >> 12)?, raw & 0o7777, rest)
        }
        [letter, mode, rest @ ..] if rest.len() == 11 => {
            let kind = match *letter {
                "f" => FileKind::File,
                "d" => FileKind::Directory,
                "l" => FileKind::Link,
                "p" => FileKind::Fifo,
                "s" => FileKind::Socket,
                "c" => FileKind::Character,
                "b" => FileKind::Block,
                _ => return None,
            };
            (kind, u32::from_str_radix(mode, 8).ok()?, rest)
        }
        _ => return None,
    };
    let seconds = |text: &str| text.split('.').next().and_then(|whole| whole.parse::<i64>().ok());
    let name = |text: &str| {
        let is_number = text.chars().all(|c| c.is_ascii_digit());
        (text != "UNKNOWN" && !is_number).then(|| text.to_owned())
    };
    Some(Stat {
        kind,
        mode,
        uid: rest[0].parse().ok()?,
        gid: rest[1].parse().ok()?,
        size: rest[2].parse().ok()?,
        inode: rest[3].parse().ok()?,
        device: rest[4].parse().unwrap_or_default(),
        links: rest[5].parse().ok()?,
        atime: seconds(rest[6])?,
        mtime: seconds(rest[7])?,
        ctime: seconds(rest[8])?,
        owner: name(rest[9]),
        group: name(rest[10]),
        target: (kind == FileKind::Link || !target.is_empty()).then(|| target.to_owned()),
        is_foreseen: false,
    })
}

fn kind_of(bits: u32) -> Option<FileKind> {
    Some(match bits {
        0o10 => FileKind::File,
        0o04 => FileKind::Directory,
        0o12 => FileKind::Link,
        0o01 => FileKind::Fifo,
        0o14 => FileKind::Socket,
        0o02 => FileKind::Character,
        0o06 => FileKind::Block,
        _ => return None,
    })
}

fn user(line: &str, group: String, groups: &str, shadow: &str, is_local: bool) -> Option<User> {
    let fields: Vec<&str> = line.trim_end().split(':').collect();
    let &[name, _, uid, gid, comment, home, shell] = fields.as_slice() else { return None };
    let shadow: Vec<&str> = shadow.split(':').collect();
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        comment: comment.to_owned(),
        home: home.to_owned(),
        shell: shell.to_owned(),
        groups: groups.split_whitespace().filter(|name| *name != group).map(str::to_owned).collect(),
        group,
        password: shadow.get(1).map(|password| (*password).to_owned()),
        expires: shadow.get(7).and_then(|day| day.parse().ok()),
        is_local,
    })
}

fn group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.trim_end().split(':').collect();
    let &[name, _, gid, members] = fields.as_slice() else { return None };
    let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
    Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members })
}

/// What dpkg says of a package (`WANT STATUS VERSION`), how many installed ones provide it, and apt's policy.
fn dpkg(status: &str, providers: &str, policy: &str) -> Package {
    let mut package = Package::default();
    for line in status.lines() {
        let mut words = line.split_whitespace();
        let (want, status, version) = (words.next(), words.next(), words.next());
        match status {
            Some("installed") => {
                package.installed = version.map(str::to_owned);
                package.is_held = want == Some("hold");
            }
            Some("config-files") => package.is_configured = true,
            _ => {}
        }
    }
    package.is_provided = providers.trim().parse::<u32>().is_ok_and(|count| count > 0);
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:")).map(str::trim);
    package.is_virtual = candidate == Some("(none)");
    package.candidate = candidate.filter(|version| *version != "(none)").map(str::to_owned);
    package
}

/// `nginx-1.24.0-r7 x86_64 {nginx} (BSD) [installed]`, and apk's policy: versions, each followed by where it is.
fn apk(name: &str, listed: &str, policy: &str) -> Package {
    let version = |line: &str| {
        let word = line.split_whitespace().next()?;
        word.strip_prefix(name)?.strip_prefix('-').map(str::to_owned)
    };
    let mut candidate = None;
    let mut current = None;
    for line in policy.lines() {
        let line = line.trim();
        if let Some(found) = line.strip_suffix(':').filter(|found| !found.contains(' ')) {
            current = Some(found.to_owned());
        } else if !line.contains("lib/apk/db/installed") && candidate.is_none() && line.contains('/') {
            candidate.clone_from(&current);
        }
    }
    let installed = if listed.is_empty() { None } else { version(listed).or_else(|| Some("installed".to_owned())) };
    Package { installed, candidate, ..Package::default() }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;

    fn one(probe: Probe, output: &str) -> Answer {
        read(&[&probe], output.as_bytes()).unwrap().remove(0)
    }

    fn record(text: &str) -> String {
        format!("{}\n{text}", text.len())
    }

    #[test]
    fn paths_in_both_notations() {
        let stat = Probe::Stat { path: "/a".into(), follow: false };
        let gnu = record("1") + &record("81a4 0 33 12 99 2049 1 1 2 3 root www-data") + &record("");
        let Answer::Stat(Some(found)) = one(stat.clone(), &gnu) else { panic!() };
        assert_eq!(
            (found.kind, found.mode, found.gid, found.owner.as_deref()),
            (FileKind::File, 0o644, 33, Some("root"))
        );
        assert_eq!(one(stat, &(record("0") + &record(""))), Answer::Stat(None));
        let list = Probe::List { path: "/a".into(), depth: None, follow: false };
        let text = record("+")
            + "d 755 0 0 4096 1 2 2 1.5 2.5 3.5 root root\0/a/b c\nd\0\0a1ff 7 7 1 1 2 1 1 2 3 UNKNOWN UNKNOWN\0/a/b\0../x\0\0\0\0";
        let Answer::List(Some(entries)) = one(list.clone(), &text) else { panic!() };
        assert_eq!(entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["/a/b", "/a/b c\nd"]);
        assert_eq!((entries[0].stat.target.as_deref(), entries[0].stat.owner.clone()), (Some("../x"), None));
        assert_eq!(one(list, &record("-")), Answer::List(None));
    }

    #[test]
    fn paths_and_sums_of_one_kind_are_asked_together() {
        let stat = |path: &str| Probe::Stat { path: path.into(), follow: true };
        let sum = |path: &str| Probe::Hash { path: path.into(), algorithm: Algorithm::Sha1 };
        let probes = [stat("/a"), sum("/a"), Probe::Which("sh".into()), stat("/b"), sum("/b"), sum("/c")];
        let probes: Vec<&Probe> = probes.iter().collect();
        let line = "81a4 0 0 1 1 1 1 1 1 1 root root";
        let text = record("01") + &record(line) + &record("") + &record("101") + &record("aa  /a\n\\bb  /c");
        let said = read(&probes, (text + &record("/bin/sh")).as_bytes()).unwrap();
        assert_eq!(said[0], Answer::Stat(None));
        assert!(matches!(said[3], Answer::Stat(Some(_))));
        let sums: Vec<&Answer> = [1, 4, 5].map(|index| &said[index]).into();
        assert_eq!(sums, [&Answer::Hash(Some("aa".into())), &Answer::Hash(None), &Answer::Hash(Some("bb".into()))]);
        assert_eq!(said[2], Answer::Which(Some("/bin/sh".into())));
    }

    #[test]
    fn contents_are_any_bytes() {
        let read = Probe::Read { path: "/a".into() };
        assert_eq!(one(read.clone(), "5\n=3\n\0x"), Answer::Read(Some(b"3\n\0x".to_vec())));
        assert_eq!(one(read.clone(), "1\n="), Answer::Read(Some(vec![])));
        assert_eq!(one(read, "0\n"), Answer::Read(None));
    }

    #[test]
    fn packages_that_left_their_configuration_are_not_installed() {
        let policy = "nginx:\n  Installed: (none)\n  Candidate: 1.22\n";
        let package = dpkg("deinstall config-files 1.18\n", "0", policy);
        assert_eq!((package.installed, package.is_configured, package.candidate), (None, true, Some("1.22".into())));
        let package = dpkg("", "1", "mta:\n  Installed: (none)\n  Candidate: (none)\n");
        assert!(package.is_virtual && package.is_provided && package.candidate.is_none());
        let package = apk("nginx", "", "nginx policy:\n  1.24.0-r7:\n    https://x/main\n");
        assert_eq!(package.candidate.as_deref(), Some("1.24.0-r7"));
    }

    #[test]
    fn what_a_command_says_on_both_streams() {
        let look = Probe::Output(Command::new(["true"]).into());
        let said = |text: &str| one(look.clone(), &record(text));
        let Answer::Output(output) = said("oh\nout\n\nx3\n7") else { panic!() };
        assert_eq!((output.code, output.text().as_str(), output.errors().as_str()), (3, "out\n\n", "oh\n"));
        let Answer::Output(output) = said("x0\n2") else { panic!() };
        assert_eq!((output.code, output.stdout.len(), output.stderr.len()), (0, 0, 0));
        assert!(read(&[&look], record("nothing").as_bytes()).is_err());
    }

    #[test]
    fn users_and_what_else_a_shell_says() {
        let text = record("www:x:33:33:W:/var/www:/bin/sh")
            + &record("www")
            + &record("www adm")
            + &record("www:*:1:0:9:7:::")
            + &record("1");
        let Answer::User(Some(user)) = one(Probe::User("www".into()), &text) else { panic!() };
        assert_eq!((user.uid, user.groups, user.password.as_deref()), (33, vec!["adm".to_owned()], Some("*")));
        assert!(read(&[&Probe::Which("x".into())], b"sh: 1: Syntax error\n").is_err());
    }
}
