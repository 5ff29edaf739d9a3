//! How a guest fetches a key for its package manager: by whatever it has.

use crate::guest::{Command, Probe};
use crate::tasks::{DOWNLOAD, Failure, Known, Pause};

/// A command that prints what is behind a URL.
pub fn printed(url: &str, then: &str) -> Command {
    Command::script(&format!("{DOWNLOAD}\nread_request\n{then}"), [url]).stdin(request(url))
}

/// A command that keeps a key: armored under one name, binary under the other.
pub fn key(guest: &Known, url: &str, armored: &str, binary: &str) -> Result<Command, Pause> {
    guest.want(["curl", "wget", "/usr/lib/apt/apt-helper", "python3"].map(|tool| Probe::Which(tool.into())))?;
    let mut has_any = false;
    for tool in ["curl", "wget", "/usr/lib/apt/apt-helper", "python3"] {
        has_any |= guest.which(tool)?.is_some();
    }
    if !has_any {
        return Err(
            Failure::new(format!("the guest has no curl, wget, apt-helper or python3 to fetch {url} with")).into()
        );
    }
    let script = r#"
set -e; umask 022
mkdir -p "${2%/*}"
file=$(mktemp "${2%/*}/.lxdeploy-XXXXXX")
trap 'rm -f "$file"' EXIT
download "$file"
[ -s "$file" ] || { echo "$1: empty" >&2; exit 1; }
chmod 644 "$file"
if grep -q 'BEGIN PGP PUBLIC KEY BLOCK' "$file"; then mv "$file" "$2"; else mv "$file" "$3"; fi"#;
    Ok(Command::script(&format!("{DOWNLOAD}\nread_request\n{script}"), [url, armored, binary]).stdin(request(url)))
}

/// What [`DOWNLOAD`] reads, without credentials and headers.
fn request(url: &str) -> String {
    format!("{url}\ntrue\n\n")
}
