//! `ansible.posix.mount`: a file system, now and in /etc/fstab.
//!
//! ```yaml
//! - mount: {path: /mnt/data, src: /dev/vdb1, fstype: ext4, opts: noatime, state: mounted}
//!   # state: mounted, present (fstab alone), unmounted, absent, remounted, ephemeral; dump, passno, fstab, backup, boot
//! ```
//!
//! Returned: `name`, `src`, `fstype`, `opts`, `dump`, `passno`, `fstab`.
//!
//! In a preview what is below a path that is mounted or unmounted is unknown until run.

use serde::Deserialize;

use crate::forecast::{Effect, Scope};
use crate::guest::{Attributes, Command, Content, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Module, Pause, Verdict};

/// The module.
#[derive(Debug)]
pub struct Mount;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "name")]
    path: String,
    src: Option<String>,
    fstype: Option<String>,
    opts: Option<String>,
    state: State,
    dump: Option<String>,
    passno: Option<String>,
    fstab: Option<String>,
    boot: Option<Flag>,
    #[serde(rename = "backup")]
    _backup: Option<Flag>,
    #[serde(rename = "opts_no_log")]
    _opts_no_log: Option<Flag>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    Mounted,
    Present,
    Unmounted,
    Absent,
    AbsentFromFstab,
    Remounted,
    Ephemeral,
}

impl Module for Mount {
    fn names(&self) -> &'static [&'static str] {
        &["ansible.posix.mount"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        let needs = matches!(args.state, State::Mounted | State::Present | State::Ephemeral);
        if needs && (args.src.is_none() || args.fstype.is_none()) {
            return Err(Failure::new("src and fstype are required with this state"));
        }
        Ok(())
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let why = format!("what `{}` brings to {}", call.name, args.path);
        let runs = verdict.writes.iter().any(|write| matches!(write, Write::Run(_)));
        let all = [args.path, "/proc/mounts".to_owned()].map(|path| Effect::unknown(Scope::Path(path), why.clone()));
        Ok(verdict.effects_and(all.into_iter().filter(|_| runs)))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let fstab = args.fstab.clone().unwrap_or_else(|| "/etc/fstab".into());
        guest.want([
            Probe::Read { path: fstab.clone() },
            Probe::Read { path: "/proc/mounts".into() },
            Probe::Stat { path: args.path.clone(), follow: true },
        ])?;
        let before = String::from_utf8_lossy(guest.read(&fstab)?.unwrap_or_default()).into_owned();
        let mounts = String::from_utf8_lossy(guest.read("/proc/mounts")?.unwrap_or_default()).into_owned();
        let path = if args.path.len() > 1 { args.path.trim_end_matches('/') } else { &args.path };
        let mounted = mounts.lines().rev().find(|line| line.split(' ').nth(1).is_some_and(|at| unescaped(at) == path));
        let mut verdict = Verdict::nothing();
        let keeps = matches!(args.state, State::Mounted | State::Present);
        let goes = matches!(args.state, State::Absent | State::AbsentFromFstab);
        let after = if keeps || goes {
            edited(&before, path, keeps.then(|| args.line(path)).as_deref())
        } else {
            before.clone()
        };
        let is_new_entry = after != before;
        if is_new_entry {
            let content = Content::Bytes(after.clone().into_bytes().into());
            let write = Write::File {
                path: fstab.clone(),
                content,
                attributes: Attributes::default(),
                backup: None,
                validate: None,
            };
            verdict.change(Change::text(fstab.clone(), before, after), write);
        }
        let run = |words: &[&str]| Write::Run(Command::new(words.iter().copied()));
        match args.state {
            State::Mounted | State::Ephemeral => {
                if guest.stat(path)?.is_none() {
                    let write = Write::Directory {
                        path: path.to_owned(),
                        attributes: Attributes { mode: Some(0o755), ..Attributes::default() },
                    };
                    verdict.change(Change::value(path, None, Some("directory".into())), write);
                }
                let write = match args.state {
                    State::Ephemeral => {
                        let opts = args.opts.as_deref().unwrap_or("defaults");
                        run(&[
                            "mount",
                            "-t",
                            args.fstype.as_deref().unwrap_or_default(),
                            "-o",
                            opts,
                            args.src.as_deref().unwrap_or_default(),
                            path,
                        ])
                    }
                    _ => run(&["mount", "--", path]),
                };
                match mounted {
                    None => {
                        verdict.change(Change::value("state", Some("unmounted".into()), Some("mounted".into())), write)
                    }
                    Some(_) if is_new_entry && args.state == State::Mounted => {
                        verdict.change(
                            Change::value("state", Some("mounted".into()), Some("remounted".into())),
                            run(&["mount", "-o", "remount", path]),
                        );
                    }
                    Some(_) => {}
                }
            }
            State::Unmounted | State::Absent => {
                if mounted.is_some() {
                    verdict.change(
                        Change::value("state", Some("mounted".into()), Some("unmounted".into())),
                        run(&["umount", path]),
                    );
                }
                if args.state == State::Absent && guest.stat(path)?.is_some() {
                    verdict.change(
                        Change::value(path, Some("directory".into()), None),
                        Write::Run(Command::script("rmdir -- \"$1\"", [path])),
                    );
                }
            }
            State::Remounted if mounted.is_some() => {
                verdict.change(
                    Change::value("state", Some("mounted".into()), Some("remounted".into())),
                    run(&["mount", "-o", "remount", path]),
                );
            }
            _ => {}
        }
        Ok(verdict
            .with("name", path)
            .with("src", args.src.clone().unwrap_or_default())
            .with("fstype", args.fstype.clone().unwrap_or_default())
            .with("opts", args.options())
            .with("dump", args.dump.clone().unwrap_or_else(|| "0".into()))
            .with("passno", args.passno.clone().unwrap_or_else(|| "0".into()))
            .with("fstab", fstab))
    }
}

impl Args {
    fn options(&self) -> String {
        let mut options = self.opts.clone().unwrap_or_else(|| "defaults".into());
        if self.boot == Some(false) && !options.split(',').any(|option| option == "noauto") {
            options += ",noauto";
        }
        options
    }

    fn line(&self, path: &str) -> String {
        let escape = |text: &str| text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
        let src = escape(self.src.as_deref().unwrap_or_default());
        let dump = self.dump.as_deref().unwrap_or("0");
        let passno = self.passno.as_deref().unwrap_or("0");
        let fstype = self.fstype.as_deref().unwrap_or_default();
        format!("{src} {} {fstype} {} {dump} {passno}", escape(path), escape(&self.options()))
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// The file with the path's line as it is wanted.
fn edited(text: &str, path: &str, line: Option<&str>) -> String {
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let is_it =
        |line: &str| !line.trim_start().starts_with('#') && fields(line).get(1).is_some_and(|at| unescaped(at) == path);
    let (mut lines, mut is_there) = (vec![], false);
    for there in text.lines() {
        if !is_it(there) {
            lines.push(there.to_owned());
            continue;
        }
        if let Some(line) = line.filter(|_| !is_there) {
            // What differs in blanks alone stays.
            lines.push(if fields(there) == fields(line) { there.to_owned() } else { line.to_owned() });
        }
        is_there = true;
    }
    lines.extend(line.filter(|_| !is_there).map(str::to_owned));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_change_and_go() {
        let line = "tmpfs /mnt tmpfs defaults 0 0";
        assert_eq!(edited("# x\n", "/mnt", Some(line)), format!("# x\n{line}\n"));
        assert_eq!(
            edited("tmpfs   /mnt tmpfs defaults 0 0\n", "/mnt", Some(line)),
            "tmpfs   /mnt tmpfs defaults 0 0\n"
        );
        assert_eq!(
            edited("a /mnt ext4 defaults 0 0\nb /b x y 0 0\n", "/mnt", Some(line)),
            format!("{line}\nb /b x y 0 0\n")
        );
        assert_eq!(edited("a /mnt ext4 defaults 0 0\n", "/mnt", None), "");
    }
}
