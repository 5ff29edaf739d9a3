//! `wait_for`: waits for a port, a file, or what either says.
//!
//! ```yaml
//! - wait_for: {port: 8080, host: 127.0.0.1, state: started, delay: 0, timeout: 300, sleep: 1, msg: words}
//! - wait_for: {path: /var/log/app.log, search_regex: "listening on \\d+"}
//! - wait_for: {path: /run/lock, state: absent}
//! ```
//!
//! `state` is started or present, stopped or absent, drained. One script waits in the guest, so nothing is asked over
//! and over from outside. A port of the guest's own is looked up in its tables of sockets; another host is connected to
//! by bash, nc, python3 or perl. Returned: `elapsed`, `state`, `port`, `path`, `match_groups` (empty).
//! In a preview it is waited for nothing, and what was found is unknown until run.

use serde::Deserialize;

use crate::forecast::Effect;
use crate::guest::{Command, Done, Write};
use crate::tasks::{Call, Failure, Int, Known, Map, Module, Pause, Report, TextList, Touches, Verdict};
use crate::template::{Value, map};

/// The module.
#[derive(Debug)]
pub struct WaitFor;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    host: Option<String>,
    port: Option<Int>,
    #[serde(alias = "dest", alias = "file")]
    path: Option<String>,
    #[serde(default)]
    state: State,
    search_regex: Option<String>,
    timeout: Option<Int>,
    #[serde(default)]
    delay: Int,
    sleep: Option<Int>,
    #[serde(rename = "connect_timeout")]
    _connect_timeout: Option<Int>,
    msg: Option<String>,
    #[serde(rename = "active_connection_states")]
    _states: Option<TextList>,
    #[serde(rename = "exclude_hosts")]
    _exclude_hosts: Option<TextList>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Started,
    Present,
    Stopped,
    Absent,
    Drained,
}

impl Module for WaitFor {
    fn names(&self) -> &'static [&'static str] {
        &["wait_for"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        let wrong = |message: &str| Err(Failure::new(message).with("elapsed", 0));
        match (&args.path, args.port, args.state) {
            (Some(_), Some(_), _) => wrong("port and path parameter can not both be passed to wait_for"),
            (Some(_), _, State::Stopped) => {
                wrong("state=stopped should only be used for checking a port in the wait_for module")
            }
            (Some(_), _, State::Drained) => {
                wrong("state=drained should only be used for checking a port in the wait_for module")
            }
            _ => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn foresee(&self, _: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        Ok(verdict.effects_and([]))
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let number = |value: Int| value.max(0).to_string();
        let what = match (&args.path, args.port) {
            (Some(_), _) => "path",
            (None, Some(_)) if args.state == State::Drained => "drained",
            (None, Some(_)) => "port",
            (None, None) => "time",
        };
        let wanted = if matches!(args.state, State::Stopped | State::Absent) { "gone" } else { "there" };
        let timeout = args.timeout.unwrap_or(300);
        let words = [
            what.to_owned(),
            wanted.to_owned(),
            args.host.clone().unwrap_or_else(|| "127.0.0.1".into()),
            args.port.map(number).unwrap_or_default(),
            args.path.clone().unwrap_or_default(),
            args.search_regex.as_deref().map(extended).unwrap_or_default(),
            number(timeout),
            number(args.delay),
            number(args.sleep.unwrap_or(1)),
        ];
        let write = Write::Run(Command::script(WAIT, words));
        let state = format!("{:?}", args.state).to_lowercase();
        let unknown_result = call.check.then(|| "what is waited for".to_owned());
        let verdict = Verdict { changed: Some(false), writes: vec![write], unknown_result, ..Verdict::default() };
        let none = || Value::from(());
        Ok(verdict
            .with("state", state)
            .with("port", args.port.map_or_else(none, Value::from))
            .with("path", args.path.map_or_else(none, Value::from))
            .with("search_regex", args.search_regex.map_or_else(none, Value::from))
            .with("match_groups", Vec::<Value>::new())
            .with("match_groupdict", map([] as [(&str, Value); 0])))
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        let args: Args = call.args()?;
        let Some(output) = done.iter().find_map(Done::output) else { return Ok(verdict.report()) };
        let elapsed = i64::try_from(output.elapsed.as_secs()).unwrap_or_default();
        if output.is_success() {
            let mut report = verdict.report();
            report.result.insert("elapsed".into(), elapsed.into());
            return Ok(report);
        }
        let place = match (&args.path, args.port) {
            (Some(path), _) => path.clone(),
            (None, Some(port)) => format!("{}:{port}", args.host.as_deref().unwrap_or("127.0.0.1")),
            (None, None) => String::new(),
        };
        let said = output.errors();
        let message = match (args.msg, output.code) {
            (Some(message), _) => message,
            (None, 75) => {
                let what = match (args.search_regex, args.state) {
                    (Some(regex), _) => format!("waiting for search string {regex} in {place}"),
                    (None, State::Stopped) => format!("waiting for {place} to stop"),
                    (None, State::Absent) => format!("waiting for {place} to be absent"),
                    (None, State::Drained) => format!("waiting for {place} to drain"),
                    (None, _) if args.path.is_some() => format!("waiting for {place} to be present"),
                    (None, _) => format!("waiting for {place}"),
                };
                format!("Timeout when {what}")
            }
            (None, _) => format!("wait_for: {}", said.trim()),
        };
        Err(Failure::new(message).with("elapsed", elapsed))
    }
}

/// Python's regular expression as grep -E has it, as far as the two differ in what is used.
fn extended(regex: &str) -> String {
    let pairs =
        [(r"\d", "[0-9]"), (r"\s", "[[:space:]]"), (r"\w", "[[:alnum:]_]"), (r"\S", "[^[:space:]]"), ("(?:", "(")];
    pairs.iter().fold(regex.to_owned(), |text, (python, posix)| text.replace(python, posix))
}

/// WHAT WANTED HOST PORT PATH REGEX TIMEOUT DELAY SLEEP
const WAIT: &str = r#"
what=$1 wanted=$2 host=$3 port=$4 path=$5 regex=$6 timeout=$7 delay=$8 pause=$9
now() { read -r up rest < /proc/uptime && echo "${up%%.*}"; }
start=$(now)
[ "$delay" -eq 0 ] || sleep "$delay"
hex=; [ -z "$port" ] || hex=$(printf %04X "$port")
is_own() { case $host in 127.*|localhost|0.0.0.0|::1|::) return 0 ;; *) return 1 ;; esac; }
listens() {
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        while read -r _ local _ state _; do
            [ "$state" = 0A ] && [ "${local##*:}" = "$hex" ] || continue
            case ${local%:*} in 00000000|*7F|00000000000000000000000000000000|00000000000000000000000001000000) return 0 ;; esac
        done < "$table"
    done
    return 1
}
connects() {
    if command -v bash >/dev/null 2>&1; then
        HOST=$host PORT=$port timeout 5 bash -c 'exec 3<>"/dev/tcp/$HOST/$PORT"' >/dev/null 2>&1
    elif command -v nc >/dev/null 2>&1; then nc -w 5 "$host" "$port" </dev/null >/dev/null 2>&1
    elif command -v python3 >/dev/null 2>&1; then
        python3 -c 'import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)' "$host" "$port" >/dev/null 2>&1
    elif command -v perl >/dev/null 2>&1; then
        perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => 5)' "$host" "$port"
    else echo "the guest has no bash, nc, python3 or perl to connect to $host with" >&2; exit 76; fi
}
says() {
    if command -v bash >/dev/null 2>&1; then
        HOST=$host PORT=$port timeout 5 bash -c 'exec 3<>"/dev/tcp/$HOST/$PORT"; timeout 2 cat <&3' 2>/dev/null | grep -E -e "$regex" >/dev/null
    else timeout 5 nc -w 2 "$host" "$port" </dev/null 2>/dev/null | grep -E -e "$regex" >/dev/null; fi
}
busy() {
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        while read -r _ local _ state _; do
            case $state in 01|02|03|04|05|06|08) [ "${local##*:}" = "$hex" ] && return 0 ;; esac
        done < "$table"
    done
    return 1
}
holds() {
    case $what in
        time) return 1 ;;
        drained) ! busy ;;
        path)
            if [ "$wanted" = gone ]; then ! { [ -e "$path" ] || [ -L "$path" ]; }
            elif [ -n "$regex" ]; then [ -e "$path" ] && grep -E -e "$regex" -- "$path" >/dev/null 2>&1
            else [ -e "$path" ]; fi ;;
        port)
            if [ -n "$regex" ]; then says
            elif is_own; then if listens; then [ "$wanted" = there ]; else [ "$wanted" = gone ]; fi
            elif connects; then [ "$wanted" = there ]
            else [ "$wanted" = gone ]; fi ;;
    esac
}
while :; do
    holds && exit 0
    if [ $(( $(now) - start )) -ge "$timeout" ]; then [ "$what" = time ] && exit 0; exit 75; fi
    sleep "$pause"
done"#;
