//! `git`: a working copy of a repository.
//!
//! ```yaml
//! - git:
//!     repo: https://x.example/app.git
//!     dest: /srv/app            # must not exist, or be a clone
//!     version: v1.2             # a branch, a tag or a commit; HEAD (default)
//!     remote: origin
//!     update: true              # false: whatever is there will do
//!     clone: true               # false: nothing is cloned where nothing is there
//!     force: false              # true: local changes are thrown away; else they are an error
//!     depth: 1
//!     single_branch: false
//!     recursive: true           # submodules
//!     bare: false
//!     refspec: ""
//!     key_file: /root/.ssh/id   # and ssh_opts, accept_hostkey, accept_newhostkey
//!     umask: "0022"
//! ```
//!
//! The remote's commit is compared with the local one (`git ls-remote`), in check mode as well. Returned: `before`,
//! `after`, `remote_url_changed`. `archive`, `verify_commit`, `reference` and `separate_git_dir` are not supported.
//!
//! In a preview what is in `dest` after a change is unknown until run.

use serde::Deserialize;

use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Done, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Module, Pause, Report, Touches, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct Git;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "name")]
    repo: String,
    dest: String,
    #[serde(default = "head")]
    version: String,
    #[serde(default = "origin")]
    remote: String,
    #[serde(default = "yes")]
    update: Flag,
    #[serde(default = "yes")]
    clone: Flag,
    #[serde(default)]
    force: Flag,
    depth: Option<Int>,
    #[serde(default)]
    single_branch: Flag,
    #[serde(default = "yes")]
    recursive: Flag,
    #[serde(default)]
    track_submodules: Flag,
    #[serde(default)]
    bare: Flag,
    refspec: Option<String>,
    key_file: Option<String>,
    ssh_opts: Option<String>,
    #[serde(default)]
    accept_hostkey: Flag,
    #[serde(default)]
    accept_newhostkey: Flag,
    umask: Option<String>,
    executable: Option<String>,
}

fn head() -> String {
    "HEAD".into()
}

fn origin() -> String {
    "origin".into()
}

fn yes() -> bool {
    true
}

impl Module for Git {
    fn names(&self) -> &'static [&'static str] {
        &["git"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["dest"])
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let brings = Effect::unknown(Scope::Path(args.dest), format!("what {} holds", args.repo));
        Ok(verdict.effects_and((!verdict.writes.is_empty()).then_some(brings)))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let git = args.executable.clone().unwrap_or_else(|| "git".into());
        if guest.which(&git)?.is_none() {
            return Err(Failure::new("git: the guest has no git; install it first").into());
        }
        let repo = if args.repo.starts_with('/') { format!("file://{}", args.repo) } else { args.repo.clone() };
        let look = command(&args, call, LOOK, &[&git, &args.dest, &args.remote]);
        let look = Probe::Output(look.about(About::Path(args.dest.clone())));
        let refs = command(&args, call, "exec \"$1\" ls-remote \"$2\"", &[&git, &repo]);
        let refs = Probe::Output(refs.about(match args.repo.starts_with('/') {
            true => About::Path(args.repo.clone()),
            false => About::Named(repo.clone()),
        }));
        if args.update {
            guest.want([look.clone(), refs.clone()])?
        } else {
            guest.want([look.clone()])?
        }
        let local = Local::read(&output(guest, look)?.text());
        let null = || Value::from(());
        let text = |commit: &Option<String>| commit.clone().map_or_else(null, Value::from);
        if let (Some(local), false) = (&local, args.update) {
            return Ok(Verdict::nothing().with("before", text(&local.head)).with("after", text(&local.head)));
        }
        let listed = output(guest, refs)?;
        if !listed.is_success() {
            let said = listed.errors();
            return Err(Failure::new(format!(
                "git: {repo} cannot be read: {}",
                said.trim().lines().last().unwrap_or_default()
            ))
            .with("stderr", said.clone())
            .with("rc", listed.code)
            .into());
        }
        let target = resolve(&listed.text(), &args.version);
        let Some(local) = local else {
            let mut verdict = Verdict::nothing().with("before", null()).with("after", text(&target));
            if args.clone {
                let depth = args.depth.map(|depth| depth.to_string()).unwrap_or_default();
                let flag = |is: bool| if is { "1" } else { "" };
                let words = [
                    &git,
                    &args.dest,
                    &args.remote,
                    &repo,
                    &args.version,
                    depth.as_str(),
                    flag(args.single_branch),
                    flag(args.bare),
                    flag(args.recursive),
                    args.refspec.as_deref().unwrap_or_default(),
                ];
                let after = target.clone().unwrap_or_else(|| args.version.clone());
                verdict.change(
                    Change::value("commit", None, Some(after)),
                    Write::Run(command(&args, call, CLONE, &words)),
                );
            } else {
                verdict.changed = Some(true);
            }
            return Ok(verdict);
        };
        if local.is_dirty && !args.force {
            return Err(Failure::new(format!(
                "Local modifications exist in the destination: {} (force=no).",
                args.dest
            ))
            .with("before", text(&local.head))
            .into());
        }
        let mut verdict = Verdict::nothing();
        let is_url_changed =
            local.url.as_deref().is_some_and(|url| url.trim_end_matches('/') != repo.trim_end_matches('/'));
        let is_same = match &target {
            Some(target) => local.head.as_ref() == Some(target),
            // An abbreviated commit, or one that no ref names.
            None => local.head.as_ref().is_some_and(|head| args.version.len() >= 7 && head.starts_with(&args.version)),
        };
        if is_url_changed {
            verdict.changes.push(Change::value("remote", local.url.clone(), Some(repo.clone())));
        }
        if local.is_dirty {
            verdict.changes.push(Change::value("local modifications", Some("there".into()), None));
        }
        if !is_same {
            let after = target.clone().unwrap_or_else(|| args.version.clone());
            verdict.changes.push(Change::value("commit", local.head.clone(), Some(after)));
        }
        if !verdict.changes.is_empty() {
            let depth = args.depth.map(|depth| depth.to_string()).unwrap_or_default();
            let flag = |is: bool| if is { "1" } else { "" };
            let words = [
                &git,
                &args.dest,
                &args.remote,
                &repo,
                &args.version,
                depth.as_str(),
                flag(args.bare),
                flag(args.recursive),
                args.refspec.as_deref().unwrap_or_default(),
                flag(args.track_submodules),
            ];
            verdict.writes.push(Write::Run(command(&args, call, UPDATE, &words)));
        }
        let after = if verdict.changes.is_empty() { local.head.clone() } else { target.or_else(|| local.head.clone()) };
        Ok(verdict
            .with("before", text(&local.head))
            .with("after", text(&after))
            .with("remote_url_changed", is_url_changed))
    }

    fn finish(&self, _: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        let head = done.iter().rev().filter_map(Done::output).find_map(|output| {
            output.text().lines().last().and_then(|line| line.strip_prefix("HEAD ")).map(str::to_owned)
        });
        let mut report = verdict.report_after(done)?;
        if let Some(head) = head {
            report.result.insert("after".into(), head.into());
        }
        Ok(report)
    }
}

fn output(guest: &Known, probe: Probe) -> Result<&crate::guest::Output, Pause> {
    match probe {
        Probe::Output(look) => guest.output(look),
        _ => Err(Failure::new("no command").into()),
    }
}

fn command(args: &Args, call: &Call<'_>, script: &str, words: &[&str]) -> Command {
    let umask = args.umask.as_ref().map(|umask| format!("umask {umask}\n")).unwrap_or_default();
    let mut command = Command::script(&format!("{umask}{script}"), words.iter().copied());
    command.environment.clone_from(call.environment);
    let mut ssh = vec!["ssh".to_owned(), "-o BatchMode=yes".to_owned()];
    ssh.extend(args.ssh_opts.clone());
    if args.accept_hostkey {
        ssh.push("-o StrictHostKeyChecking=no".into());
    } else if args.accept_newhostkey {
        ssh.push("-o StrictHostKeyChecking=accept-new".into());
    }
    if let Some(key) = &args.key_file {
        ssh.push(format!("-i '{}' -o IdentitiesOnly=yes", key.replace('\'', r"'\''")));
    }
    let more = [("GIT_TERMINAL_PROMPT", "0".to_owned()), ("LC_ALL", "C".into()), ("GIT_SSH_COMMAND", ssh.join(" "))];
    command.environment.extend(more.map(|(name, value)| (name.to_owned(), value)));
    command.user(call.user.map(str::to_owned))
}

/// What is at the destination; fails where no repository is.
const LOOK: &str = r#"
git=$1 dest=$2 remote=$3
[ -e "$dest/.git" ] || [ -f "$dest/HEAD" ] || exit 3
cd "$dest" || exit 3
echo "head $("$git" rev-parse HEAD 2>/dev/null)"
echo "url $("$git" config --get "remote.$remote.url" 2>/dev/null)"
[ -z "$("$git" status --porcelain --untracked-files=no --ignore-submodules=untracked 2>/dev/null)" ] || echo dirty"#;

/// GIT DEST REMOTE REPO VERSION DEPTH SINGLE BARE RECURSIVE REFSPEC
const CLONE: &str = r#"
set -e
git=$1 dest=$2 remote=$3 repo=$4 version=$5 depth=$6 single=$7 bare=$8 recursive=$9; shift 9; refspec=$1
mkdir -p "$(dirname "$dest")"
set -- clone --origin "$remote"
[ -z "$bare" ] || set -- "$@" --bare
is_ref=
if [ "$version" = HEAD ] || "$git" ls-remote --exit-code "$repo" "refs/heads/$version" "refs/tags/$version" >/dev/null 2>&1; then is_ref=1; fi
if [ -n "$depth" ] && [ -n "$is_ref" ]; then set -- "$@" --depth "$depth" --no-single-branch; fi
[ -z "$single" ] || set -- "$@" --single-branch
if [ "$version" != HEAD ] && [ -n "$is_ref" ]; then set -- "$@" --branch "$version"; fi
"$git" "$@" "$repo" "$dest" >&2
cd "$dest"
[ -z "$refspec" ] || "$git" fetch "$remote" "$refspec" >&2
if [ -z "$bare" ]; then
    if [ "$version" != HEAD ] && [ -z "$is_ref" ]; then
        "$git" checkout --force "$version" >&2 || { "$git" fetch "$remote" "$version" >&2 && "$git" checkout --force "$version" >&2; }
    fi
    if [ -n "$recursive" ] && [ -f .gitmodules ]; then "$git" submodule update --init --recursive >&2; fi
fi
echo "HEAD $("$git" rev-parse HEAD)""#;

/// GIT DEST REMOTE REPO VERSION DEPTH BARE RECURSIVE REFSPEC TRACK
const UPDATE: &str = r#"
set -e
git=$1 dest=$2 remote=$3 repo=$4 version=$5 depth=$6 bare=$7 recursive=$8 refspec=$9; shift 9; track=$1
cd "$dest"
"$git" remote set-url "$remote" "$repo" 2>/dev/null || "$git" remote add "$remote" "$repo"
if [ -n "$bare" ]; then
    "$git" fetch --force "$remote" '+refs/heads/*:refs/heads/*' --tags >&2
else
    "$git" reset --hard HEAD >&2 || true
    set -- fetch --force --tags
    [ -z "$depth" ] || set -- "$@" --depth "$depth"
    "$git" "$@" "$remote" >&2 || "$git" fetch --force "$remote" >&2
    [ -z "$refspec" ] || "$git" fetch "$remote" "$refspec" >&2
    if [ "$version" = HEAD ]; then
        "$git" remote set-head "$remote" --auto >/dev/null 2>&1 || true
        branch=$("$git" symbolic-ref --short "refs/remotes/$remote/HEAD" 2>/dev/null || true)
        branch=${branch#"$remote"/}
        [ -z "$branch" ] || version=$branch
    fi
    if "$git" show-ref --verify --quiet "refs/remotes/$remote/$version"; then
        if "$git" show-ref --verify --quiet "refs/heads/$version"; then
            "$git" checkout --force "$version" >&2; "$git" reset --hard "$remote/$version" >&2
        else
            "$git" checkout --force --track -b "$version" "$remote/$version" >&2
        fi
    else
        "$git" checkout --force "$version" >&2 || { "$git" fetch "$remote" "$version" >&2 && "$git" checkout --force FETCH_HEAD >&2; }
    fi
    if [ -n "$recursive" ] && [ -f .gitmodules ]; then
        "$git" submodule sync >&2
        if [ -n "$track" ]; then "$git" submodule update --init --recursive --remote >&2
        else "$git" submodule update --init --recursive --force >&2; fi
    fi
fi
echo "HEAD $("$git" rev-parse HEAD)""#;

struct Local {
    head: Option<String>,
    url: Option<String>,
    is_dirty: bool,
}

impl Local {
    fn read(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        text.starts_with("head ").then(|| Local {
            head: value("head "),
            url: value("url "),
            is_dirty: text.lines().any(|line| line == "dirty"),
        })
    }
}

/// The commit that a version means at the remote; `None` where only the clone can tell.
fn resolve(listed: &str, version: &str) -> Option<String> {
    let find = |name: &str| {
        listed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, known)| *known == name)
            .map(|(commit, _)| commit.to_owned())
    };
    if version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit()) {
        return Some(version.to_lowercase());
    }
    if version == "HEAD" {
        return find("HEAD");
    }
    find(&format!("refs/heads/{version}"))
        .or_else(|| find(&format!("refs/tags/{version}^{{}}")))
        .or_else(|| find(&format!("refs/tags/{version}")))
        .or_else(|| find(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_branches_tags_and_commits() {
        let listed = "a1\tHEAD\na1\trefs/heads/main\nb2\trefs/tags/v1\nc3\trefs/tags/v1^{}\nd4\trefs/tags/light\n";
        assert_eq!(resolve(listed, "HEAD").as_deref(), Some("a1"));
        assert_eq!(resolve(listed, "main").as_deref(), Some("a1"));
        assert_eq!(resolve(listed, "v1").as_deref(), Some("c3"));
        assert_eq!(resolve(listed, "light").as_deref(), Some("d4"));
        assert_eq!(resolve(listed, "abc1234"), None);
    }

    #[test]
    fn what_is_there_is_read() {
        let local = Local::read("head a1\nurl file:///r\ndirty\n").unwrap();
        assert!(local.is_dirty && local.head.as_deref() == Some("a1"));
        assert!(Local::read("").is_none());
    }
}
