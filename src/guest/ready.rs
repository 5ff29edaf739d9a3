//! Waiting for `ready`: each check loops inside the guest, so nothing is asked over and over from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{exec, last_log_lines};
use crate::kinds::{Check, Condition};
use crate::lxd::{Call, Client, Error};
use crate::model::{Id, units::format_duration};

/// Why an instance is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// Which check, and what it saw.
    pub message: String,
    /// The instance's last log lines.
    pub log_lines: Vec<String>,
}

/// The script's own exit codes, beyond those of any condition.
const TIMED_OUT: i64 = 75;
const NO_CLIENT: i64 = 76;

/// Waits for all checks, one after the other, in `total` time.
///
/// # Errors
/// The first check that does not hold in time.
pub async fn wait_ready(client: &Client, id: &Id, checks: &[Check], total: Duration) -> Result<(), NotReady> {
    let started = Instant::now();
    for check in checks {
        let left = total.saturating_sub(started.elapsed());
        let limit = check.timeout.unwrap_or(left);
        let result = match &check.condition {
            Condition::Ipv4 => ipv4(client, id, limit).await,
            condition => inside(client, id, condition, limit).await,
        };
        if let Err(reason) = result {
            return Err(NotReady {
                message: format!("not ready: {}: {reason}", describe(&check.condition)),
                log_lines: last_log_lines(client, id).await,
            });
        }
    }
    Ok(())
}

/// True if all checks hold now.
pub async fn holds(client: &Client, id: &Id, checks: &[Check]) -> bool {
    for check in checks {
        let limit = check.timeout.unwrap_or(Duration::from_secs(1));
        if inside(client, id, &check.condition, limit).await.is_err() {
            return false;
        }
    }
    true
}

fn describe(condition: &Condition) -> String {
    match condition {
        Condition::Ipv4 => "ipv4".into(),
        Condition::Tcp(port) => format!("tcp {port}"),
        Condition::Http(url) => format!("http {url}"),
        Condition::Exec(words) => format!("exec {}", words.join(" ")),
        Condition::CloudInit => "cloud-init".into(),
    }
}

/// Runs a condition as a loop in the guest until it holds or its time is over.
async fn inside(client: &Client, id: &Id, condition: &Condition, limit: Duration) -> Result<(), String> {
    let seconds = limit.as_secs().max(1);
    let environment = |pairs: &[(&str, String)]| -> BTreeMap<String, String> {
        let path = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        pairs.iter().cloned().chain([path]).map(|(key, value)| (key.to_owned(), value)).collect()
    };
    let limit_text = seconds.to_string();
    let (test, environment, arguments): (&str, _, &[String]) = match condition {
        Condition::Tcp(port) => (TCP, environment(&[("LIMIT", limit_text), ("PORT", format!("{port:04X}"))]), &[]),
        Condition::Http(url) => (HTTP, environment(&[("LIMIT", limit_text), ("URL", url.clone())]), &[]),
        Condition::Exec(words) => (EXEC, environment(&[("LIMIT", limit_text)]), words),
        Condition::CloudInit => (CLOUD_INIT, environment(&[("LIMIT", limit_text)]), &[]),
        Condition::Ipv4 => return ipv4(client, id, limit).await,
    };
    let script = format!("{test}\n{LOOP}");
    let command: Vec<String> =
        ["sh", "-c", &script, "ready"].iter().map(|word| (*word).to_owned()).chain(arguments.iter().cloned()).collect();
    let started = Instant::now();
    let result = loop {
        match exec(client, id, &command, &environment).await {
            // Right after its start LXD may find no way in yet; nothing tells when it does.
            Err(Error::Api { message, .. })
                if message.contains("retrieve PID of executing child process") && started.elapsed() < limit =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            result => break result,
        }
    };
    match result {
        Ok(0) => Ok(()),
        Ok(TIMED_OUT) => Err(format!("not within {}", format_duration(limit))),
        Ok(NO_CLIENT) => {
            Err("the guest has no curl, wget, python3 or bash that works, to ask with; use a tcp or exec check".into())
        }
        Ok(code) if *condition == Condition::CloudInit => {
            Err(format!("cloud-init ended with an error (status {code}); see `cloud-init status --long` in the guest"))
        }
        Ok(code) => Err(format!("the check itself fails with code {code}")),
        Err(Error::Api { message, .. }) if message.contains("not found") => {
            Err(format!("the guest has no shell: {message}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Repeats `check` until it succeeds, it says itself that it never will (76), or LIMIT seconds are over.
/// A busybox without fractions in sleep gets whole seconds.
const LOOP: &str = r#"
now() { read -r up rest < /proc/uptime && echo "${up%%.*}"; }
end=$(( $(now) + LIMIT ))
while :; do
    check "$@"; code=$?
    [ "$code" -eq 0 ] && exit 0
    [ "$code" -eq 76 ] && exit 76
    [ "$code" -ge 100 ] && exit "$code"
    [ "$(now)" -ge "$end" ] && exit 75
    sleep 0.1 2>/dev/null || sleep 1
done"#;

/// A socket in state LISTEN (0A) whose local port is PORT, IPv4 or IPv6.
const TCP: &str = r#"
check() {
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        while read -r _ local _ state _; do
            [ "$state" = 0A ] && [ "${local##*:}" = "$PORT" ] && return 0
        done < "$table"
    done
    return 1
}"#;

/// An answer below 400, by whatever the guest has.
const HTTP: &str = r#"
ask_curl() {
    code=$(curl -ks -o /dev/null -m 5 -w '%{http_code}' "$URL") && [ "$code" -ge 200 ] && [ "$code" -lt 400 ]
}
ask_wget() { wget -q -O /dev/null -T 5 "$URL"; }
ask_python3() {
    python3 -c 'import ssl,sys,urllib.request as r
c=ssl.create_default_context(); c.check_hostname=False; c.verify_mode=ssl.CERT_NONE
r.urlopen(sys.argv[1],timeout=5,context=c)' "$URL"
}
ask_bash() {
    [ "${URL#http://}" != "$URL" ] || return 127
    rest=${URL#http://}; host=${rest%%/*}; path=${rest#"$host"}; port=${host##*:}
    [ "$port" != "$host" ] || port=80
    HOST=${host%%:*} PORT=$port URLPATH=/${path#/} bash -c '
        exec 3<>"/dev/tcp/$HOST/$PORT" || exit 1
        printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$URLPATH" "$HOST" >&3
        read -r -t 5 _ code _ <&3; [ "$code" -ge 200 ] && [ "$code" -lt 400 ]'
}
check() {
    for tool in curl wget python3 bash; do
        command -v "$tool" >/dev/null 2>&1 || continue
        "ask_$tool" >/dev/null 2>&1; code=$?
        [ "$code" -eq 0 ] && return 0
        [ "$code" -lt 126 ] && return 1
        # It cannot run here (the wget of a static busybox crashes): the next one may.
    done
    return 76
}"#;

/// A command that ends with 0.
const EXEC: &str = r#"
check() { "$@" >/dev/null 2>&1 && return 0; return 1; }"#;

/// systemd first, since cloud-init does not know its own state before; 0 is done, 2 is done with a
/// recoverable error, 1 is an error (told as 101).
const CLOUD_INIT: &str = r#"
check() {
    if command -v systemctl >/dev/null 2>&1; then
        state=$(systemctl is-system-running 2>/dev/null)
        case "$state" in ''|offline|initializing|unknown) return 1;; esac
    fi
    command -v cloud-init >/dev/null 2>&1 || return 127
    cloud-init status --wait >/dev/null 2>&1; code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 2 ] && return 0
    return $((100 + code))
}"#;

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    network: Option<BTreeMap<String, Interface>>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    addresses: Vec<InterfaceAddress>,
}

#[derive(Deserialize)]
struct InterfaceAddress {
    family: String,
    address: String,
    scope: String,
}

/// Global addresses of an instance, IPv4 first, as LXD's state has them.
///
/// # Errors
/// LXD's refusal.
pub async fn addresses(client: &Client, id: &Id) -> Result<Vec<String>, Error> {
    let call = Call::get(&["instances", &id.name, "state"]).project(&id.project);
    let (state, _) = client.read::<State>(&call).await?;
    let all = state.network.unwrap_or_default().into_values().flat_map(|interface| interface.addresses);
    let mut global: Vec<InterfaceAddress> = all.filter(|address| address.scope == "global").collect();
    global.sort_by(|a, b| (a.family != "inet", &a.address).cmp(&(b.family != "inet", &b.address)));
    Ok(global.into_iter().map(|address| address.address).collect())
}

/// LXD has no event for an address, so this one is asked for, with growing pauses.
async fn ipv4(client: &Client, id: &Id, limit: Duration) -> Result<(), String> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match addresses(client, id).await {
            Ok(found) if found.iter().any(|address| address.contains('.')) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.to_string()),
        }
        if started.elapsed() >= limit {
            return Err(format!("no address within {}", format_duration(limit)));
        }
        tokio::time::sleep(pause.min(limit)).await;
        pause = (pause * 3 / 2).min(Duration::from_secs(1));
    }
}
