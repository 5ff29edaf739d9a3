//! `unarchive`: what an archive holds, in a directory of the guest's.
//!
//! ```yaml
//! - unarchive: {src: app.tar.gz, dest: /opt/app, creates: /opt/app/bin}     # sent from the operator's files/
//! - unarchive: {src: /tmp/app.zip, dest: /opt/app, remote_src: true}        # or a URL
//!   # owner, group, mode, extra_opts, include, exclude, keep_newer, list_files
//! ```
//!
//! tar in whatever compression the guest's tar knows, and zip by its unzip. It is compared with what is there first, so
//! a second run changes nothing. Returned: `dest`, `src`, `handler`, `files`, `owner`, `group`, `mode`.
//!
//! In a preview what is in `dest` after a change is unknown until run, and, where the archive is at the operator's side,
//! whether it would be: it is compared in the guest.

use serde::Deserialize;

use super::attributes::Wanted;
use crate::forecast::{Effect, Scope};
use crate::guest::{Attributes, Command, Content, Done, FileKind, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Mode, Module, Pause, Report, TextList, Touches, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct Unarchive;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    src: String,
    dest: String,
    #[serde(default)]
    remote_src: Flag,
    creates: Option<String>,
    #[serde(default)]
    list_files: Flag,
    #[serde(default)]
    exclude: TextList,
    #[serde(default)]
    include: TextList,
    #[serde(default)]
    keep_newer: Flag,
    #[serde(default)]
    extra_opts: TextList,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<Mode>,
    validate_certs: Option<Flag>,
    copy: Option<Flag>,
    #[serde(rename = "decrypt")]
    _decrypt: Option<Flag>,
    #[serde(rename = "io_buffer_size")]
    _io_buffer_size: Option<String>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
}

impl Module for Unarchive {
    fn names(&self) -> &'static [&'static str] {
        &["unarchive"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if !args.include.is_empty() && !args.exclude.is_empty() {
            return Err(Failure::new("parameters are mutually exclusive: include|exclude"));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["dest"])
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let why = format!("what `{}` unpacks there", call.name);
        Ok(verdict.effects_and([Effect::unknown(Scope::Path(args.dest), why)]))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        if let Some(path) = &args.creates
            && guest.lstat(path)?.is_some()
        {
            return Ok(Verdict::nothing().with("msg", format!("skipped, since {path} exists")));
        }
        let is_directory = guest.stat(&args.dest)?.is_some_and(|stat| stat.kind == FileKind::Directory);
        if !is_directory {
            return Err(Failure::new(format!("dest '{}' must be an existing dir", args.dest)).into());
        }
        let wanted = Wanted { mode: None, owner: args.owner.clone(), group: args.group.clone() };
        wanted.check(guest)?;
        let is_url = args.src.contains("://");
        let is_remote = args.remote_src || is_url || args.copy == Some(false);
        let mut verdict = Verdict::nothing();
        if is_remote && !is_url {
            let found = guest.stat(&args.src)?;
            if found.is_none() {
                return Err(Failure::new(format!("Source '{}' does not exist", args.src)).into());
            }
            let compared = guest.output(args.script("compare", &args.src))?;
            return Ok(args.verdict(verdict, compared, &args.src));
        }
        if is_url {
            let mut command = args.script("fetch", &args.src);
            let request = format!("{}\n{}\n\n", args.src, args.validate_certs.unwrap_or(true));
            command.stdin = Some(request.into_bytes());
            verdict.changes.push(Change::value(args.dest.clone(), None, Some(format!("what {} holds", args.src))));
            verdict.writes.push(Write::Run(command));
            return Ok(verdict.with("src", args.src.as_str()).with("dest", args.dest.as_str()));
        }
        // The archive has to be in the guest to be compared: its place is made of what it is.
        let local = call.controller.find("files", &args.src)?;
        let described = call.controller.describe(&local)?;
        let name = local.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = format!("/tmp/.lxdeploy-{}-{name}", &described.sha1[..12.min(described.sha1.len())]);
        if call.check && guest.stat(&beside)?.is_none() {
            return Err(Pause::Unknown(format!("what {name} holds is compared in the guest")));
        }
        if call.round == 0 {
            let attributes = Attributes { mode: Some(0o600), ..Attributes::default() };
            verdict.writes.push(Write::File {
                path: beside,
                content: Content::Local { path: local, sha1: described.sha1, size: described.size },
                attributes,
                backup: None,
                validate: None,
            });
            verdict.again = true;
            verdict.changed = Some(false);
            return Ok(verdict);
        }
        let compared = guest.output(args.script("compare", &beside))?;
        let mut verdict = args.verdict(verdict, compared, &beside);
        verdict.writes.push(Write::Remove { path: beside });
        Ok(verdict.with("src", local.display().to_string()))
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        let args: Args = call.args()?;
        let output = done.iter().filter_map(Done::output).next();
        let mut verdict = verdict;
        if let Some(output) = output {
            let said = output.errors();
            if !output.is_success() {
                return Err(Failure::new(format!("failed to unpack {} to {}: {}", args.src, args.dest, said.trim())));
            }
            // Of what was fetched the script says whether anything differed.
            if output.text().lines().next() == Some("same") {
                verdict.changes.clear();
                verdict.changed = Some(false);
            }
            if args.list_files {
                let files: Vec<String> = output.text().lines().skip(1).map(str::to_owned).collect();
                verdict = verdict.with("files", Value::from(files));
            }
        }
        Ok(verdict.report())
    }
}

impl Args {
    fn script(&self, act: &str, source: &str) -> Command {
        let mode = self.mode.as_ref().and_then(|mode| match mode {
            Mode::Octal(mode) => Some(format!("{mode:o}")),
            Mode::Symbolic(text) => Some(text.clone()),
            Mode::Preserve => None,
        });
        let lines = |list: &TextList| list.iter().map(|item| format!("{item}\n")).collect::<String>();
        let script = format!("{}\n{SCRIPT}", crate::tasks::DOWNLOAD);
        let words = [
            act.to_owned(),
            source.to_owned(),
            self.dest.clone(),
            if self.keep_newer { "1".into() } else { String::new() },
            "60".to_owned(),
            self.owner.clone().unwrap_or_default(),
            self.group.clone().unwrap_or_default(),
            mode.unwrap_or_default(),
            lines(&self.exclude),
            lines(&self.include),
            lines(&self.extra_opts),
        ];
        Command::script(&script, words)
    }

    fn verdict(&self, mut verdict: Verdict, compared: &crate::guest::Output, source: &str) -> Verdict {
        if !compared.is_success() {
            let differs = compared.text();
            let shown = differs.lines().take(20).collect::<Vec<_>>().join("; ");
            let change = Change::value(self.dest.clone(), Some(shown), Some(format!("what {} holds", self.src)));
            verdict.change(change, Write::Run(self.script("extract", source)));
        }
        verdict.with("src", self.src.as_str()).with("dest", self.dest.as_str())
    }
}

/// ACT SOURCE DEST KEEP_NEWER LIMIT OWNER GROUP MODE EXCLUDES INCLUDES OPTIONS
const SCRIPT: &str = r#"
act=$1 source=$2 dest=$3 keep=$4 owner=$6 group=$7 mode=$8 excludes=$9; shift 9; includes=$1 options=$2
if [ "$act" = fetch ]; then
    dir=$(mktemp -d) || exit 1
    trap 'rm -rf "$dir"' EXIT
    read_request
    name=${source%%[?#]*}; source=$dir/${name##*/}
    download "$source" || exit 1
fi
set --
each() { printf '%s' "$1" | while IFS= read -r word; do [ -z "$word" ] || printf '%s\n' "$word"; done; }
is_zip() { case $source in *.zip|*.jar|*.whl) return 0 ;; *) [ "$(head -c 2 "$source" 2>/dev/null)" = PK ] ;; esac; }
old_ifs=$IFS; IFS='
'
for word in $(each "$options"); do set -- "$@" "$word"; done
if is_zip; then
    command -v unzip >/dev/null 2>&1 || { echo "the guest has no unzip" >&2; exit 3; }
    differs() {
        unzip -Z1 "$source" | while IFS= read -r file; do
            case $file in
                */) [ -d "$dest/$file" ] || echo "$file: missing" ;;
                *) if [ ! -e "$dest/$file" ]; then echo "$file: missing"
                   elif ! unzip -p "$source" "$file" 2>/dev/null | cmp -s - "$dest/$file"; then echo "$file: differs"; fi ;;
            esac
        done
    }
    unpack() {
        for word in $(each "$includes"); do set -- "$@" "$word"; done
        [ -z "$excludes" ] || { set -- "$@" -x; for word in $(each "$excludes"); do set -- "$@" "$word"; done; }
        unzip -q -o "$source" "$@" -d "$dest"
    }
    names() { unzip -Z1 "$source"; }
else
    for word in $(each "$excludes"); do set -- "$@" "--exclude=$word"; done
    [ -z "$keep" ] || set -- "$@" --keep-newer-files
    [ -z "$owner" ] || set -- "$@" "--owner=$owner"
    [ -z "$group" ] || set -- "$@" "--group=$group"
    if tar --version 2>/dev/null | grep -q GNU; then
        differs() {
            found=$(LC_ALL=C tar --diff -C "$dest" "$@" -f "$source" $(each "$includes") 2>&1); code=$?
            [ -z "$owner" ] || found=$(printf '%s\n' "$found" | grep -v 'Uid differs')
            [ -z "$group" ] || found=$(printf '%s\n' "$found" | grep -v 'Gid differs')
            [ -z "$mode" ] || found=$(printf '%s\n' "$found" | grep -v 'Mode differs')
            # An ownership that is not asked for is root's when unpacked by root as in the archive; times of links never are.
            printf '%s\n' "$found" | grep -v -e '^$' -e 'Mod time differs' -e 'implausibly old' -e 'Invalid owner' -e 'Invalid group'
        }
    else
        differs() {
            tar -t -f "$source" | while IFS= read -r file; do
                case $file in
                    */) [ -d "$dest/$file" ] || echo "$file: missing" ;;
                    *) if [ ! -e "$dest/$file" ] && [ ! -L "$dest/$file" ]; then echo "$file: missing"
                       elif [ -f "$dest/$file" ] && ! tar -x -O -f "$source" "$file" 2>/dev/null | cmp -s - "$dest/$file"; then echo "$file: differs"; fi ;;
                esac
            done
        }
    fi
    unpack() { tar -x -C "$dest" "$@" -f "$source" $(each "$includes"); }
    names() { tar -t -f "$source"; }
fi
found=$(differs "$@")
owned() {
    [ -z "$owner$group$mode" ] || names | while IFS= read -r file; do
        [ -z "$owner" ] || chown -h -- "$owner" "$dest/$file"
        [ -z "$group" ] || chgrp -h -- "$group" "$dest/$file"
        [ -z "$mode" ] || [ -L "$dest/$file" ] || chmod -- "$mode" "$dest/$file"
    done
}
others() {
    [ -n "$owner$group" ] || return 0
    names | while IFS= read -r file; do
        [ -e "$dest/$file" ] || continue
        set -- $(IFS=' '; stat -c '%U %G %u %g' -- "$dest/$file" | tr ' ' '\n')
        [ -z "$owner" ] || [ "$1" = "$owner" ] || [ "$3" = "$owner" ] || echo "$file: owner"
        [ -z "$group" ] || [ "$2" = "$group" ] || [ "$4" = "$group" ] || echo "$file: group"
    done
}
wrong=$(others)
if [ "$act" = compare ]; then
    printf '%s\n' "$found" "$wrong" | grep -v '^$'
    [ -z "$found$wrong" ]; exit
fi
if [ "$act" = fetch ] && [ -z "$found$wrong" ]; then echo same; else echo new; unpack "$@" && owned || exit 1; fi
names"#;
