//! `get_url`: a file from a server, fetched by the guest.
//!
//! ```yaml
//! - get_url:
//!     url: https://example.org/app.tar.gz
//!     dest: /opt/app.tar.gz            # a directory: the name is the URL's
//!     checksum: sha256:2c26b46b…       # or sha256:URL of a file of sums
//!     force: false                     # true: fetched again, and replaced if it differs
//!     headers: {X-Token: abc}          # url_username, url_password, timeout, validate_certs
//!     mode: "0644"                     # owner, group, backup, tmp_dest
//! ```
//!
//! A file that is there is not fetched again, unless `force` is set or its checksum is another one. By the guest's curl,
//! python3 or wget. Returned: `dest`, `url`, `checksum_dest`, `checksum_src`, `msg`, `status_code`, `mode`, `owner` ….
//!
//! In a preview what was fetched is unknown until run for the tasks after it.

use serde::Deserialize;

use super::attributes::{NEW_FILE, Wanted};
use super::stat::algorithm;
use crate::forecast::{Effect, Scope};
use crate::guest::{About, Algorithm, Command, Done, FileKind, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Mode, Module, Pause, Report, Touches, Verdict};
use crate::template::ansible::text;

/// The module.
#[derive(Debug)]
pub struct GetUrl;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    url: String,
    dest: String,
    checksum: Option<String>,
    #[serde(default)]
    force: Flag,
    #[serde(default)]
    backup: Flag,
    timeout: Option<Int>,
    #[serde(rename = "headers")]
    _headers: Option<serde::de::IgnoredAny>,
    #[serde(alias = "username")]
    url_username: Option<String>,
    #[serde(alias = "password")]
    url_password: Option<String>,
    validate_certs: Option<Flag>,
    mode: Option<Mode>,
    owner: Option<String>,
    group: Option<String>,
    #[serde(rename = "force_basic_auth")]
    _force_basic_auth: Option<Flag>,
    #[serde(rename = "http_agent")]
    _http_agent: Option<String>,
    #[serde(rename = "tmp_dest")]
    _tmp_dest: Option<String>,
    #[serde(rename = "use_proxy")]
    _use_proxy: Option<Flag>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
    #[serde(rename = "decompress")]
    _decompress: Option<Flag>,
    #[serde(rename = "attributes", alias = "attr")]
    _attributes: Option<String>,
}

impl Module for GetUrl {
    fn names(&self) -> &'static [&'static str] {
        &["get_url"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        args.sum().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["dest"])
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        if !verdict.writes.iter().any(|write| matches!(write, Write::Run(_))) {
            return Ok(verdict.effects_and([])); // what is there stays
        }
        let why = format!("what `{}` fetches", call.name);
        let dest = verdict.result.get("dest").map(ToString::to_string).unwrap_or_default();
        Ok(verdict.effects_and([]).into_iter().chain([Effect::unknown(Scope::Path(dest), why)]).collect())
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let is_directory =
            args.dest.ends_with('/') || guest.stat(&args.dest)?.is_some_and(|stat| stat.kind == FileKind::Directory);
        let name = args.url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let name = if name.is_empty() { "index.html" } else { name };
        let dest = if is_directory { format!("{}/{name}", args.dest.trim_end_matches('/')) } else { args.dest.clone() };
        let wanted = Wanted { mode: args.mode.clone(), owner: args.owner.clone(), group: args.group.clone() };
        guest.want([
            Probe::Stat { path: dest.clone(), follow: true },
            Probe::Hash { path: dest.clone(), algorithm: Algorithm::Sha1 },
        ])?;
        wanted.check(guest)?;
        let stat = guest.stat(&dest)?.cloned();
        let sum = match args.sum()? {
            Some((algorithm, sum)) if sum.contains("://") => {
                let listed = guest.output(fetched(&sum, &args, call).about(About::Named(sum.clone())))?;
                if !listed.is_success() {
                    return Err(Failure::new(format!(
                        "the sums at {sum} cannot be fetched: {}",
                        listed.errors().trim()
                    ))
                    .into());
                }
                let found = sum_of(&listed.text(), name);
                let found = found
                    .ok_or_else(|| Failure::new(format!("Unable to find a checksum for file '{name}' in '{sum}'")))?;
                Some((algorithm, found))
            }
            other => other,
        };
        let there = match (&sum, &stat) {
            (Some((algorithm, _)), Some(_)) => guest.hash(&dest, *algorithm)?.map(str::to_owned),
            _ => None,
        };
        let is_as_wanted = match (&sum, &stat) {
            (_, None) => false,
            (Some((_, sum)), Some(_)) => there.as_deref() == Some(sum.as_str()),
            (None, Some(_)) => !args.force,
        };
        let mut verdict = Verdict::nothing();
        if is_as_wanted {
            let message =
                if sum.is_some() { "file already exists" } else { "file already exists but file attributes changed" };
            if let Some(stat) = &stat {
                let changes = wanted.changes(stat, guest)?;
                if !changes.is_empty() {
                    verdict.writes.push(wanted.write(&dest, stat, true)?);
                }
                verdict = verdict.with("msg", if changes.is_empty() { "file already exists" } else { message });
                verdict.changes = changes;
            }
        } else {
            let before = stat.as_ref().map(|stat| format!("{} bytes", stat.size));
            let attributes = wanted.attributes(stat.as_ref(), NEW_FILE)?;
            let command = args.download(&dest, sum.as_ref(), call);
            verdict.change(
                Change::value(dest.clone(), before, Some(format!("fetched from {}", args.url))),
                Write::Run(command),
            );
            if !attributes.is_empty() {
                verdict.writes.push(Write::Attributes { path: dest.clone(), attributes, follow: true });
            }
        }
        verdict.result.extend(wanted.result(stat.as_ref(), NEW_FILE, guest)?);
        let checksum = guest.hash(&dest, Algorithm::Sha1)?.unwrap_or_default().to_owned();
        Ok(verdict.with("dest", dest).with("url", args.url).with("state", "file").with("checksum_dest", checksum))
    }

    fn finish(&self, _: &Call<'_>, mut verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        let Some(output) = done.iter().find_map(Done::output) else { return Ok(verdict.report()) };
        if !output.is_success() {
            let said = output.errors();
            return Err(Failure::new(format!("Request failed: {}", said.trim().lines().last().unwrap_or_default()))
                .with("url", verdict.result.get("url").cloned().unwrap_or_default())
                .with("dest", verdict.result.get("dest").cloned().unwrap_or_default()));
        }
        let text = output.text();
        let words: Vec<&str> = text.split_whitespace().collect();
        // With `force` what was fetched may be what was there.
        if words.first() == Some(&"same") {
            verdict.changes.retain(|change| !change.after.as_deref().unwrap_or_default().starts_with("fetched"));
            verdict.changed = Some(!verdict.changes.is_empty());
        }
        let mut report = verdict.report();
        report.result.insert("status_code".into(), 200.into());
        report.result.insert("msg".into(), "OK".into());
        if let Some(sum) = words.get(1) {
            report.result.insert("checksum_src".into(), (*sum).into());
            report.result.insert("checksum_dest".into(), (*sum).into());
        }
        if let Some(size) = words.get(2).and_then(|size| size.parse::<u64>().ok()) {
            report.result.insert("size".into(), size.into());
        }
        Ok(report)
    }
}

impl Args {
    fn sum(&self) -> Result<Option<(Algorithm, String)>, Failure> {
        let Some(sum) = self.checksum.as_deref().filter(|sum| !sum.is_empty()) else { return Ok(None) };
        let (name, sum) = sum
            .split_once(':')
            .ok_or_else(|| Failure::new("The checksum parameter has to be in format <algorithm>:<checksum>"))?;
        let sum = sum.trim();
        let sum = if sum.contains("://") { sum.to_owned() } else { sum.to_lowercase() };
        Ok(Some((algorithm(name.trim())?, sum)))
    }

    /// DEST BACKUP PROGRAM SUM; what to fetch is what the script reads.
    fn download(&self, dest: &str, sum: Option<&(Algorithm, String)>, call: &Call<'_>) -> Command {
        let program = match sum.map(|(algorithm, _)| algorithm) {
            None => "",
            Some(Algorithm::Md5) => "md5sum",
            Some(Algorithm::Sha1) => "sha1sum",
            Some(Algorithm::Sha224) => "sha224sum",
            Some(Algorithm::Sha256) => "sha256sum",
            Some(Algorithm::Sha384) => "sha384sum",
            Some(Algorithm::Sha512) => "sha512sum",
        };
        let backup = if self.backup { super::place::backup_name(dest, call) } else { String::new() };
        let sum = sum.map(|(_, sum)| sum.as_str()).unwrap_or_default();
        let script = format!("{}\n{KEEP}", crate::tasks::DOWNLOAD);
        let mut command = Command::script(&script, [dest, &backup, program, sum, &self.limit()]);
        command.stdin = Some(self.request(&self.url, call));
        command.environment.clone_from(call.environment);
        command
    }

    fn limit(&self) -> String {
        self.timeout.unwrap_or(10).max(1).to_string()
    }

    /// What is fetched, a line for each word: the URL, whether certificates are checked, credentials, headers.
    fn request(&self, url: &str, call: &Call<'_>) -> Vec<u8> {
        let mut lines = vec![url.to_owned(), self.validate_certs.unwrap_or(true).to_string()];
        let user = self
            .url_username
            .as_ref()
            .map(|user| format!("{user}:{}", self.url_password.as_deref().unwrap_or_default()));
        lines.push(user.unwrap_or_default());
        let headers = call.args.get("headers").map(crate::tasks::entries).unwrap_or_default();
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {}", text(value))));
        (lines.join("\n") + "\n").into_bytes()
    }
}

fn fetched(url: &str, args: &Args, call: &Call<'_>) -> Command {
    let script = format!("{}\nread_request; download -", crate::tasks::DOWNLOAD);
    let mut command = Command::script(&script, ["", "", "", "", &args.limit()]);
    command.stdin = Some(args.request(url, call));
    command
}

/// A file's sum in a list of them, or the only one.
fn sum_of(listed: &str, name: &str) -> Option<String> {
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let named = lines.iter().find_map(|words| match words.as_slice() {
        [sum, file] if file.trim_start_matches('*').rsplit('/').next() == Some(name) => Some((*sum).to_lowercase()),
        [_, file, "=", sum] if file.trim_matches(['(', ')']) == name => Some((*sum).to_lowercase()),
        _ => None,
    });
    named.or_else(|| match lines.as_slice() {
        [words] if words.len() == 1 => Some(words[0].to_lowercase()),
        _ => None,
    })
}

/// DEST BACKUP PROGRAM SUM LIMIT
const KEEP: &str = r#"
dest=$1 backup=$2 program=$3 sum=$4
file=$(mktemp "${dest%/*}/.lxdeploy-XXXXXX") || exit 1
trap 'rm -f -- "$file"' EXIT
read_request
download "$file" || { echo "$url: cannot be fetched (exit code $?)" >&2; exit 1; }
if [ -n "$program" ]; then
    found=$("$program" < "$file"); found=${found%% *}
    [ "$found" = "$sum" ] || { echo "The checksum for $dest did not match $sum; it was $found." >&2; exit 1; }
fi
sha=$(sha1sum < "$file" 2>/dev/null); size=$(wc -c < "$file")
if cmp -s "$file" "$dest"; then echo "same ${sha%% *} $size"; exit 0; fi
[ -z "$backup" ] || [ ! -e "$dest" ] || cp -p -- "$dest" "$backup" || exit 1
if [ -e "$dest" ]; then cp -p -- "$dest" "$file.kept" && cat "$file" > "$file.kept" && mv -f -- "$file.kept" "$dest"
else chmod 644 "$file" && mv -f -- "$file" "$dest"; fi || exit 1
echo "new ${sha%% *} $size""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_found_in_lists() {
        assert_eq!(sum_of("AB  a.tar\ncd *b.tar\n", "b.tar").as_deref(), Some("cd"));
        assert_eq!(sum_of("AB  ./a.tar\n", "a.tar").as_deref(), Some("ab"));
        assert_eq!(sum_of("AB\n", "x").as_deref(), Some("ab"));
        assert_eq!(sum_of("SHA256 (x) = EF\nSHA256 (y) = 01\n", "x").as_deref(), Some("ef"));
        assert_eq!(sum_of("AB a\ncd b\n", "x"), None);
    }
}
