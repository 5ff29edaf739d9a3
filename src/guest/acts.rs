//! Acts as scripts for the guest's shell. What is written whole is written beside its place and moved there. Acts that
//! follow each other are one script.

use super::command::Command;
use super::shell::{DATABASE, quote};
use super::write::{Attributes, Content, Write};

/// An act, as the shell has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    script: &'static str,
    words: Vec<String>,
    stdin: Option<Vec<u8>>,
}

impl Act {
    fn new(script: &'static str, words: impl IntoIterator<Item = String>) -> Act {
        Act { script, words: words.into_iter().collect(), stdin: None }
    }

    /// Of a write that needs no more than a shell: no command, and nothing of the operator's machine.
    pub fn of(write: &Write) -> Option<Act> {
        Some(match write {
            Write::File { content: Content::Bytes(bytes), .. } => file(write, From::Stdin(bytes.to_vec()))?,
            Write::File { content: Content::Guest(source), .. } => file(write, From::Copy(source))?,
            Write::Directory { path, attributes } => directory(path, attributes),
            Write::Attributes { path, attributes: wanted, follow } => attributes(path, wanted, *follow),
            Write::Symlink { path, target, attributes } => link(path, target, true, attributes),
            Write::Hardlink { path, target } => link(path, target, false, &Attributes::default()),
            Write::Remove { path } => remove(path),
            Write::Touch { path, accessed, modified } => touch(path, *accessed, *modified),
            Write::File { content: Content::Local { .. }, .. }
            | Write::Fetch { .. }
            | Write::Run(_)
            | Write::Restart { .. }
            | Write::Sleep(_) => return None,
        })
    }

    /// What it reads is longer than goes with a script: a guest's shell may have no printf of its own, and no word of a
    /// command may have more than 128 KiB.
    fn is_long(&self) -> bool {
        self.stdin.as_ref().is_some_and(|bytes| bytes.len() > 16 * 1024)
    }

    /// The act within a script of several.
    fn part(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| quote(word)).collect();
        let body = format!("(set -- {}\n{}\n)", words.join(" "), self.script);
        match &self.stdin {
            Some(bytes) => format!("printf {} | {body} || exit\n", quote(&format(bytes))),
            None => format!("{body} </dev/null || exit\n"),
        }
    }
}

/// Bytes as a format of printf's, which takes what begins with a dash for its options.
fn format(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'-' if index == 0 => text.push_str(r"\055"),
            b'\\' => text.push_str(r"\\"),
            b'%' => text.push_str("%%"),
            b'\n' | b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03o}")),
        }
    }
    text
}

/// So much of a script goes at once.
const MOST: usize = 256 * 1024;

/// True for as many acts as are worth a way of their own: no more of them are kept in memory.
pub fn is_enough(acts: &[Act]) -> bool {
    acts.iter().filter_map(|act| act.stdin.as_ref()).map(Vec::len).sum::<usize>() > MOST
}

/// As few commands as do these acts, in their order. The first that fails is the last.
pub fn together(acts: &[Act]) -> Vec<Command> {
    let mut commands = vec![];
    let mut script = String::new();
    let end = |script: &mut String, commands: &mut Vec<Command>| {
        if !script.is_empty() {
            commands.push(Command::new(["sh", "-s"]).stdin(whole(script)));
            script.clear();
        }
    };
    for act in acts {
        if act.is_long() || script.len() > MOST {
            end(&mut script, &mut commands);
        }
        if act.is_long() {
            let stdin = act.stdin.clone().unwrap_or_default();
            commands.push(Command::script(&whole(act.script), &act.words).stdin(stdin));
        } else {
            script.push_str(&act.part());
        }
    }
    end(&mut script, &mut commands);
    commands
}

/// Attributes as a script takes them: mode, owner, group; empty where nothing is said.
fn words(attributes: &Attributes) -> [String; 3] {
    let mode = attributes.mode.map(|mode| format!("{mode:04o}")).unwrap_or_default();
    [mode, attributes.owner.clone().unwrap_or_default(), attributes.group.clone().unwrap_or_default()]
}

/// A script, with what all of them have in front.
fn whole(script: &str) -> String {
    format!("LC_ALL=C; export LC_ALL\n{DATABASE}\n{COMMON}\n{script}")
}

/// `fail TEXT`; `owned PATH OWNER GROUP`, by names or numbers; `beside PATH`: where what is to take its place is made.
const COMMON: &str = r#"
fail() { printf '%s\n' "$*" >&2; exit 1; }
id_of() { # DATABASE NAME
    case $2 in *[!0-9]*) ;; *) echo "$2"; return ;; esac
    line=$(database "$1" "$2") || fail "there is no $([ "$1" = passwd ] && echo user || echo group) $2 in the guest"
    line=${line#*:*:}; echo "${line%%:*}"
}
owned() { # PATH OWNER GROUP [-h]
    owner=; group=
    if [ -n "$2" ]; then owner=$(id_of passwd "$2") || exit 1; fi
    if [ -n "$3" ]; then group=$(id_of group "$3") || exit 1; fi
    [ -z "$owner$group" ] || chown ${4:+"$4"} "$owner${group:+:$group}" "$1" || exit 1
}
beside() {
    name=${1##*/}
    while [ "${#name}" -gt 200 ]; do name=${name%?}; done
    printf '%s/.lxdeploy-%s.' "${1%/*}" "$name"; echo x
}
replace() { # NEW PATH: also where PATH is a link to a directory
    mv -fT -- "$1" "$2" 2>/dev/null && return
    if [ -L "$2" ] || [ -d "$1" ]; then rm -f -- "$2"; fi
    mv -f -- "$1" "$2"
}"#;

/// A file that is to be written, with its content from wherever it is; of any other write `None`.
pub fn file(write: &Write, from: From<'_>) -> Option<Act> {
    let Write::File { path, attributes, backup, validate, .. } = write else { return None };
    let (how, source, stdin) = match from {
        From::Stdin(bytes) => ("stdin", bytes.len().to_string(), Some(bytes)),
        From::Copy(source) => ("copy", source.to_owned(), None),
        From::Sent(source) => ("sent", source.to_owned(), None),
    };
    let words = [path.to_owned()]
        .into_iter()
        .chain(words(attributes))
        .chain([backup.clone().unwrap_or_default(), how.to_owned(), source])
        .chain(validate.iter().flatten().cloned());
    Some(Act { stdin, ..Act::new(FILE, words) })
}

/// Where a file's content comes from.
#[derive(Clone, Debug)]
pub enum From<'a> {
    /// What the script reads. It is told how many bytes these are, for a connection may break in the middle.
    Stdin(Vec<u8>),
    /// Another file of the guest's.
    Copy(&'a str),
    /// A temporary file beside its place, which is used up.
    Sent(&'a str),
}

/// PATH MODE OWNER GROUP BACKUP HOW SOURCE [VALIDATE…]
const FILE: &str = r#"
path=$1 mode=$2 owner=$3 group=$4 backup=$5 how=$6 source=$7; shift 7
if [ -L "$path" ]; then path=$(readlink -f -- "$path") || fail "$path: a link to nowhere"; fi
[ ! -d "$path" ] || fail "$path is a directory"
[ -d "${path%/*}/" ] || fail "the directory ${path%/*} is not there"
umask 077
if [ "$how" = sent ]; then temporary=$source; else
    temporary=$(beside "$path"); temporary=${temporary%x}
    rm -f -- "$temporary"
    set -C
    case $how in
    copy) cat -- "$source" >"$temporary" ;;
    *) cat >"$temporary" && { [ "$(wc -c <"$temporary")" -eq "$source" ] || { echo "only a part of it came" >&2; false; }; } ;;
    esac || { code=$?; rm -f -- "$temporary"; exit $code; }
    set +C
fi
trap 'rm -f -- "$temporary"' EXIT
if [ -f "$path" ]; then
    set_owner=$(stat -c %u:%g -- "$path") set_mode=$(stat -c %a -- "$path")
else set_owner=0:0 set_mode=644; fi
chown "$set_owner" "$temporary" || exit 1
(owned "$temporary" "$owner" "$group") || exit 1
chmod "${mode:-$set_mode}" "$temporary" || exit 1
if [ "$#" -gt 0 ]; then
    n=$#
    while [ "$n" -gt 0 ]; do
        word=$1; shift
        case $word in *%s*) word=${word%%%s*}$temporary${word#*%s} ;; esac
        set -- "$@" "$word"; n=$((n - 1))
    done
    "$@" >&2 || fail "failed to validate: $* ended with $?"
fi
if [ -n "$backup" ] && [ -f "$path" ]; then cp -p -- "$path" "$backup" || exit 1; fi
replace "$temporary" "$path" || exit 1
trap - EXIT"#;

/// A directory, and those above it that are missing.
fn directory(path: &str, attributes: &Attributes) -> Act {
    Act::new(DIRECTORY, [path.to_owned()].into_iter().chain(words(attributes)))
}

const DIRECTORY: &str = r#"
path=$1 mode=$2 owner=$3 group=$4 done=
rest=$path links=0
while [ -n "$rest" ]; do
    rest=${rest#/}; part=${rest%%/*}
    [ "$part" = "$rest" ] && rest= || rest=${rest#*/}
    [ -n "$part" ] || continue
    done=$done/$part
    if [ -d "$done" ]; then continue; fi
    if [ -L "$done" ] && [ "$links" -lt 16 ]; then # what it leads to is made
        target=$(readlink -- "$done"; echo x); target=${target%?x}; links=$((links + 1))
        case $target in /*) done= ;; *) done=${done%/*} ;; esac
        rest=$target${rest:+/$rest}
        continue
    fi
    mkdir -- "$done" || exit 1
    owned "$done" "$owner" "$group"
    [ -z "$mode" ] || chmod "$mode" "$done" || exit 1
done"#;

/// Owner, group and mode of what is there.
fn attributes(path: &str, attributes: &Attributes, follow: bool) -> Act {
    let flag = if follow { "" } else { "-h" }.to_owned();
    Act::new(ATTRIBUTES, [path.to_owned()].into_iter().chain(words(attributes)).chain([flag]))
}

const ATTRIBUTES: &str = r#"
if [ -z "$5" ] || [ ! -L "$1" ]; then owned "$1" "$3" "$4"; [ -z "$2" ] || chmod "$2" "$1"
else owned "$1" "$3" "$4" -h; fi"#;

/// A link; `symbolic` or not.
fn link(path: &str, target: &str, symbolic: bool, attributes: &Attributes) -> Act {
    let [_, owner, group] = words(attributes);
    let kind = if symbolic { "-s" } else { "" }.to_owned();
    Act::new(LINK, [path.to_owned(), target.to_owned(), kind, owner, group])
}

const LINK: &str = r#"
if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir -- "$1" || fail "$1 is a directory, and not empty"; fi
temporary=$(beside "$1"); temporary=${temporary%x}
rm -f -- "$temporary"
ln ${3:+"$3"} -- "$2" "$temporary" || exit 1
owned "$temporary" "$4" "$5" -h
replace "$temporary" "$1" || { rm -f -- "$temporary"; exit 1; }"#;

/// A path and all below it is gone.
fn remove(path: &str) -> Act {
    Act::new("rm -rf -- \"$1\" || exit 1\n[ ! -e \"$1\" ] && [ ! -L \"$1\" ]", [path.to_owned()])
}

/// Times; seconds since 1970, or now where this is empty.
fn touch(path: &str, accessed: Option<i64>, modified: Option<i64>) -> Act {
    let text = |seconds: Option<i64>| seconds.map(|seconds| format!("@{seconds}")).unwrap_or_default();
    Act::new(TOUCH, [path.to_owned(), text(accessed), text(modified)])
}

const TOUCH: &str = r#"
[ -e "$1" ] || : >>"$1" || exit 1
touch -a ${2:+-d "$2"} -- "$1" && touch -m ${3:+-d "$3"} -- "$1""#;

/// Runs the rest of its words as another user. Whatever the guest has for that: util-linux's setpriv or runuser, su.
pub const AS_USER: &str = r#"
user=$1 dir=$2; shift 2
line=$(database passwd "$user") || { echo "there is no user $user in the guest" >&2; exit 125; }
name=${line%%:*}; rest=${line#*:*:}; uid=${rest%%:*}; rest=${rest#*:}; gid=${rest%%:*}
rest=${rest#*:*:}; home=${rest%%:*}; shell=${rest#*:}
HOME=$home USER=$name LOGNAME=$name SHELL=${shell:-/bin/sh}; export HOME USER LOGNAME SHELL
cd "${dir:-$home}" 2>/dev/null || { [ -z "$dir" ] && cd / || { echo "cannot change to $dir" >&2; exit 125; }; }
[ "$(id -u)" = "$uid" ] && exec "$@"
if command -v setpriv >/dev/null 2>&1 && setpriv --help 2>/dev/null | grep -q init-groups; then
    exec setpriv --reuid="$uid" --regid="$gid" --init-groups -- "$@"
elif command -v runuser >/dev/null 2>&1; then exec runuser -u "$name" -- "$@"
elif command -v su >/dev/null 2>&1; then
    # busybox looks for options among the words of the command, too, unless it is told where they end.
    exec su -s /bin/sh -c 'exec "$@"' -- "$name" sh "$@"
else echo "the guest has none of setpriv, runuser, su to become $name with" >&2; exit 125; fi"#;

/// A command as its user.
pub fn as_user(user: &str, command: &Command) -> Vec<String> {
    let script = format!("{DATABASE}\n{AS_USER}");
    let words = ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned(), user.to_owned()];
    let cwd = command.cwd.clone().unwrap_or_default();
    words.into_iter().chain([cwd]).chain(command.argv.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(path: &str) -> Act {
        Act::of(&Write::Remove { path: path.into() }).unwrap()
    }

    fn written(path: &str, bytes: &[u8]) -> Act {
        let content = Content::Bytes(bytes.into());
        let attributes = Attributes::default();
        Act::of(&Write::File { path: path.into(), content, attributes, backup: None, validate: None }).unwrap()
    }

    #[test]
    fn short_acts_are_one_command_and_a_long_one_is_its_own() {
        let long = vec![b'x'; 20_000];
        let acts = [removed("/a"), written("/b", b"50% \\\0\xff'\n"), written("/c", &long), removed("/d")];
        let commands = together(&acts);
        let [first, second, third] = commands.as_slice() else { panic!("{commands:?}") };
        let text = |command: &Command| String::from_utf8(command.stdin.clone().unwrap()).unwrap();
        assert_eq!((first.argv.join(" ").as_str(), third.argv.join(" ").as_str()), ("sh -s", "sh -s"));
        let first = text(first);
        assert!(first.find("set -- /a\n") < first.find("set -- /b"), "{first}");
        assert!(first.contains(r"printf '50%% \\\000\377'\''"), "{first}");
        assert_eq!((second.argv[..2].join(" ").as_str(), second.stdin.as_deref()), ("sh -c", Some(long.as_slice())));
        assert!(text(third).contains("set -- /d\n"));
    }

    #[test]
    fn what_begins_with_a_dash_is_no_option_of_printfs() {
        assert_eq!(format(b"-----BEGIN a-b\n"), "\\055----BEGIN a-b\n");
        assert_eq!(format(b""), "");
    }

    #[test]
    fn a_script_has_an_end() {
        let acts: Vec<Act> = (0..40).map(|n| written(&format!("/{n}"), &[b'x'; 10_000])).collect();
        assert_eq!(together(&acts).len(), 2);
    }
}
