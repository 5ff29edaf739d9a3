//! Many questions as one script. It is POSIX sh and runs on Debian, Alpine and busybox; each answer is preceded by its
//! length, so nothing in a file or name can be mistaken for another. What comes of it, `answers.rs` reads.

use super::command::Command;
use super::probe::{Algorithm, Look, PackageManager, Probe};
use super::shell::{DATABASE, quote};

/// True for a command that is run by itself: one that reads something, or runs as somebody or somewhere else.
pub fn is_apart(probe: &Probe) -> bool {
    match probe {
        Probe::Output(Look { command, .. }) => {
            let Command { stdin, cwd, user, timeout, .. } = command;
            stdin.is_some() || cwd.is_some() || user.is_some() || timeout.is_some()
        }
        _ => false,
    }
}

/// Probes that one process answers together, by their places: what paths are, and checksums of one kind.
pub(super) fn together<'p>(probes: &[&'p Probe]) -> Vec<(Asked<'p>, Vec<usize>)> {
    let mut groups: Vec<(Asked, Vec<usize>)> = vec![];
    for (index, probe) in probes.iter().enumerate() {
        let group = match probe {
            Probe::Stat { follow, .. } => Asked::Stats(*follow),
            // Not every guest's tool has a line for each of these names.
            Probe::Hash { path, .. } if path.contains('\n') => Asked::Alone(probe),
            Probe::Hash { algorithm, .. } => Asked::Sums(*algorithm),
            other => Asked::Alone(other),
        };
        match groups.iter_mut().find(|(known, _)| *known == group && !matches!(group, Asked::Alone(_))) {
            Some((_, places)) => places.push(index),
            None => groups.push((group, vec![index])),
        }
    }
    groups
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Asked<'p> {
    Stats(bool),
    Sums(Algorithm),
    Alone(&'p Probe),
}

/// The script for those probes that a script answers.
pub fn script(probes: &[&Probe]) -> String {
    let mut script = format!("LC_ALL=C; export LC_ALL\n{DATABASE}\n{FUNCTIONS}\n");
    let flag = |is: bool| if is { "1" } else { "0" };
    for (group, places) in together(probes) {
        let paths = || {
            let paths = places.iter().filter_map(|place| match probes[*place] {
                Probe::Stat { path, .. } | Probe::Hash { path, .. } => Some(quote(path)),
                _ => None,
            });
            paths.collect::<Vec<_>>().join(" ")
        };
        let line = match group {
            Asked::Stats(follow) => format!("ask_stats {} {}", flag(follow), paths()),
            Asked::Sums(algorithm) => format!("ask_sums {} {}", program(algorithm), paths()),
            Asked::Alone(probe) => alone(probe),
        };
        script.push_str(&line);
        script.push('\n');
    }
    script
}

fn alone(probe: &Probe) -> String {
    let flag = |is: bool| if is { "1" } else { "0" };
    match probe {
        Probe::Read { path } => format!("ask_read {}", quote(path)),
        Probe::List { path, depth, follow } => {
            let depth = depth.map(|depth| depth.to_string()).unwrap_or_default();
            format!("ask_list {} {} {}", quote(path), quote(&depth), flag(*follow))
        }
        Probe::User(name) => format!("ask_user {}", quote(name)),
        Probe::Group(name) => format!("ask_group {}", quote(name)),
        Probe::Package { manager: PackageManager::Dpkg, name, candidate } => {
            format!("ask_dpkg {} {}", quote(name), flag(*candidate))
        }
        Probe::Package { manager: PackageManager::Apk, name, .. } => format!("ask_apk {}", quote(name)),
        Probe::Package { manager: PackageManager::Rpm, name, .. } => format!("ask_rpm {}", quote(name)),
        Probe::Unit { name, user } => {
            format!("ask_unit {} {}", quote(name), quote(user.as_deref().unwrap_or_default()))
        }
        Probe::Which(program) => format!("ask_which {}", quote(program)),
        Probe::Output(Look { command, .. }) => {
            let environment = command.environment.iter().map(|(name, value)| quote(&format!("{name}={value}")));
            let environment: Vec<String> = environment.collect();
            let env = if environment.is_empty() { vec![] } else { vec!["env".to_owned()] };
            let words = env.into_iter().chain(environment).chain(command.argv.iter().map(|word| quote(word)));
            format!("ask_output {}", words.collect::<Vec<_>>().join(" "))
        }
        Probe::Hash { path, algorithm } => format!("ask_sum {} {}", program(*algorithm), quote(path)),
        Probe::Stat { path, follow } => format!("ask_stats {} {}", flag(*follow), quote(path)),
    }
}

pub(super) fn program(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Md5 => "md5sum",
        Algorithm::Sha1 => "sha1sum",
        Algorithm::Sha224 => "sha224sum",
        Algorithm::Sha256 => "sha256sum",
        Algorithm::Sha384 => "sha384sum",
        Algorithm::Sha512 => "sha512sum",
    }
}

/// `put TEXT` writes one record: its length in bytes, a newline, the text. A list ends with an empty one.
const FUNCTIONS: &str = r#"
put() { printf '%s\n%s' "${#1}" "$1"; }
FORMAT='%f %u %g %s %i %d %h %X %Y %Z %U %G'
# Which are there, a digit each; a line of each that is; where those that are links point.
ask_stats() {
    follow=$1 there=; shift
    for path do
        shift
        if [ -e "$path" ] || { [ "$follow" = 0 ] && [ -L "$path" ]; }; then
            there=${there}1; set -- "$@" "$path"
        else there=${there}0; fi
    done
    put "$there"
    if [ "$#" = 0 ]; then put ''; return; fi
    if [ "$follow" = 1 ]; then put "$(stat -L -c "$FORMAT" -- "$@" 2>/dev/null)"
    else put "$(stat -c "$FORMAT" -- "$@" 2>/dev/null)"; fi
    for path do
        link=; [ -L "$path" ] && link=$(readlink -- "$path"; echo x) && link=${link%?x}
        put "$link"
    done
}
# Which are files, a digit each; a sum in front of each line.
ask_sums() {
    program=$1 there=; shift
    for path do
        shift
        if [ -f "$path" ]; then there=${there}1; set -- "$@" "$path"; else there=${there}0; fi
    done
    put "$there"
    if [ "$#" = 0 ]; then put ''; return; fi
    sums=$("$program" -- "$@" 2>/dev/null) ||
        sums=$(for path do "$program" <"$path" 2>/dev/null || { echo '!'; echo; }; done)
    put "$sums"
}
ask_sum() { if [ -f "$2" ]; then put 1; put "$("$1" <"$2" 2>/dev/null || echo '!')"; else put 0; put ''; fi; }
ask_read() {
    if [ -f "$1" ]; then
        size=$(wc -c <"$1") && size=$((size + 0)) && printf '%s\n' "$((size + 1))" && printf = && head -c "$size" <"$1"
    else put ''; fi
}
ask_list() {
    if ! [ -d "$1" ]; then put '-'; return; fi
    put +
    from=$1 follow=$3; [ "${from%/}" = "" ] || from=${from%/}
    set -- -mindepth 1 ${2:+-maxdepth "$2"}
    [ "$follow" = 1 ] && how=-L || how=-P
    if find --version 2>/dev/null | grep -q GNU; then
        find $how "$from" "$@" -printf '%y %m %U %G %s %i %D %n %A@ %T@ %C@ %u %g\0%p\0%l\0' 2>/dev/null
    else
        find $how "$from" "$@" -exec sh -c 'for file; do
            s=$(stat -c "%f %u %g %s %i %d %h %X %Y %Z %U %G" -- "$file") || continue
            link=; [ -L "$file" ] && link=$(readlink -- "$file")
            printf "%s\0%s\0%s\0" "$s" "$file" "$link"; done' sh {} + 2>/dev/null
    fi
    printf '\0\0\0'
}
ask_user() {
    line=$(database passwd "$1") || { put ''; return; }
    put "$line"
    name=${line%%:*}; rest=${line#*:*:*:}; gid=${rest%%:*}
    group=$(database group "$gid"); put "${group%%:*}"
    put "$(id -Gn -- "$name" 2>/dev/null || id -Gn "$name" 2>/dev/null)"
    shadow=; [ -r /etc/shadow ] && shadow=$(grep "^$name:" /etc/shadow 2>/dev/null); put "$shadow"
    if grep -q "^$name:" /etc/passwd 2>/dev/null; then put 1; else put ''; fi
}
ask_group() { put "$(database group "$1")"; }
ask_dpkg() {
    found=$(dpkg-query -W -f '${db:Status-Want} ${db:Status-Status} ${Version}\n' "$1" 2>/dev/null)
    put "$found"
    case $2$found in
    0* | *' installed '*) put ''; put '' ;;
    *)
        put "$(dpkg-query -W -f '${db:Status-Status} ${Provides}\n' 2>/dev/null | grep '^installed .' | tr ',' '\n' |
            sed 's/^installed //; s/^ *//; s/[ (].*//' | grep -Fxc -- "$1")"
        put "$(apt-cache policy "$1" 2>/dev/null)" ;;
    esac
}
ask_apk() {
    if apk info -e "$1" >/dev/null 2>&1; then put "$(apk list --installed "$1" 2>/dev/null | head -n 1)"; else put ''; fi
    put "$(apk policy "$1" 2>/dev/null)"
}
ask_rpm() {
    # It says on its stdout that something is not installed.
    versions=$(rpm -q --qf '%{EVR}\n' -- "$1" 2>/dev/null) ||
        versions=$(rpm -q --whatprovides --qf '%{EVR}\n' -- "$1" 2>/dev/null) || versions=
    put "$versions"
}
PROPERTIES=Id,Names,Description,LoadState,ActiveState,SubState,UnitFileState,UnitFilePreset,FragmentPath,SourcePath
PROPERTIES=$PROPERTIES,DropInPaths,NeedDaemonReload,CanReload,CanStart,Type,MainPID,Result,ExecMainStatus,ActiveEnterTimestamp
ask_unit() {
    if ! [ -d /run/systemd/system ]; then put ''; return; fi
    if [ -n "$2" ]; then
        put "$(su -s /bin/sh "$2" -c 'XDG_RUNTIME_DIR=/run/user/$(id -u); export XDG_RUNTIME_DIR; exec systemctl --user show --property="$0" -- "$1"' "$PROPERTIES" "$1" 2>/dev/null; echo .)"
    else
        put "$(systemctl show --property="$PROPERTIES" -- "$1" 2>/dev/null; echo .)"
    fi
}
# What the command says on stderr, on stdout, `xCODE`, and the length of the last two.
ask_output() {
    both=$({ out=$(unset LC_ALL; "$@" </dev/null; echo "x$?"); } 2>&1; printf '%s\n%s' "$out" "${#out}x")
    put "${both%x}"
}
ask_which() {
    case $1 in
    */*) if [ -x "$1" ]; then put "$1"; else put ''; fi ;;
    *) put "$(command -v "$1" 2>/dev/null)" ;;
    esac
}"#;
