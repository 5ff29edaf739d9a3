//! What command, shell, raw and script have in common: when they run, and what they give back.

use std::time::Duration;

use serde::Deserialize;

use crate::guest::{self, Done, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Pause, Report, TextList, Verdict};
use crate::template::Value;

/// The arguments.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The words as they were written.
    #[serde(rename = "_raw_params")]
    pub raw: Option<String>,
    /// The same, as an argument.
    pub cmd: Option<String>,
    /// The program and its arguments.
    pub argv: Option<TextList>,
    /// Where it runs.
    pub chdir: Option<String>,
    /// It is not run where this is there.
    pub creates: Option<String>,
    /// It is not run where this is not there.
    pub removes: Option<String>,
    /// The shell.
    pub executable: Option<String>,
    /// What it reads.
    pub stdin: Option<String>,
    /// A newline after it.
    pub stdin_add_newline: Option<Flag>,
    /// Newlines at the ends of what it says are taken away.
    #[serde(rename = "strip_empty_ends")]
    _strip_empty_ends: Option<Flag>,
    /// `$NAME` and `~` in the words are what the environment says.
    pub expand_argument_vars: Option<Flag>,
    #[serde(rename = "warn")]
    _warn: Option<Flag>,
}

/// `$NAME` and `~` where nothing else says what they are.
const HOME: &str = "/root";

impl Args {
    /// Reads them; exactly one of the ways to say what is run must be there.
    pub fn read(call: &Call<'_>) -> Result<Self, Failure> {
        let args: Args = call.args()?;
        let ways = [args.raw.is_some(), args.cmd.is_some(), args.argv.is_some()].iter().filter(|is| **is).count();
        match ways {
            0 => Err(Failure::new(format!("{}: no command given", call.name)).with("rc", 256)),
            1 => Ok(args),
            _ => {
                Err(Failure::new(format!("{}: only command or argv can be given, not both", call.name)).with("rc", 256))
            }
        }
    }

    /// The words as one text.
    pub fn line(&self) -> &str {
        self.raw.as_deref().or(self.cmd.as_deref()).unwrap_or_default()
    }

    /// The command around these words.
    pub fn command(&self, call: &Call<'_>, argv: Vec<String>) -> guest::Command {
        let stdin = self.stdin.clone().map(|mut text| {
            if self.stdin_add_newline.unwrap_or(true) {
                text.push('\n');
            }
            text.into_bytes()
        });
        guest::Command {
            argv,
            stdin,
            environment: call.environment.clone(),
            cwd: self.chdir.clone(),
            user: call.user.map(str::to_owned),
            timeout: None,
        }
    }

    /// Is it run at all? `shown` is what the result calls `cmd`.
    pub fn decide(
        &self,
        call: &Call<'_>,
        guest: &Known,
        write: guest::Command,
        shown: Value,
    ) -> Result<Verdict, Pause> {
        for (path, wanted) in [(&self.creates, false), (&self.removes, true)] {
            let Some(path) = path else { continue };
            let whole = match &self.chdir {
                Some(directory) if !path.starts_with('/') => format!("{directory}/{path}"),
                _ => path.clone(),
            };
            if self.is_there(&whole, guest)? == wanted {
                continue;
            }
            let word = if wanted { "does not exist" } else { "exists" };
            let message = format!("Did not run command since '{path}' {word}");
            return Ok(Verdict::nothing()
                .with("cmd", shown)
                .with("rc", 0)
                .with("stdout", format!("skipped, since {path} {word}"))
                .with("stderr", "")
                .with("msg", message)
                .with("start", ())
                .with("end", ())
                .with("delta", ()));
        }
        let is_certain = self.creates.is_some() || self.removes.is_some();
        if call.check && !is_certain {
            return Err(Pause::Unknown(format!("what `{}` does", short(&words(&shown)))));
        }
        let mut verdict = Verdict { changed: Some(true), writes: vec![Write::Run(write)], ..Verdict::default() };
        if is_certain {
            verdict.changes.push(Change::value("command", None, Some(words(&shown))));
        }
        if call.check {
            verdict.unknown_result = Some("what the command will say".into());
        }
        Ok(verdict.with("cmd", shown))
    }

    fn is_there(&self, path: &str, guest: &Known) -> Result<bool, Pause> {
        if path.contains(['*', '?', '[']) {
            let root = path.split(['*', '?', '[']).next().unwrap_or_default();
            let root = root.rsplit_once('/').map_or("/", |(directory, _)| directory).to_owned();
            let script = "for path in $1; do [ -e \"$path\" ] || [ -L \"$path\" ] && exit 0; done; exit 1";
            return Ok(guest
                .output(guest::Command::script(script, [path]).about(guest::About::Path(root)))?
                .is_success());
        }
        Ok(guest.lstat(path)?.is_some())
    }

    /// Words in which `$NAME`, `${NAME}` and a leading `~` are what the task's environment says.
    pub fn expanded(&self, call: &Call<'_>, words: Vec<String>) -> Vec<String> {
        if !self.expand_argument_vars.unwrap_or(true) {
            return words;
        }
        words.into_iter().map(|word| expand(&word, call)).collect()
    }
}

fn expand(word: &str, call: &Call<'_>) -> String {
    let find = |name: &str| match call.environment.get(name) {
        Some(value) => Some(value.clone()),
        None => match name {
            "HOME" if call.user.is_none() => Some(HOME.to_owned()),
            "USER" | "LOGNAME" => Some(call.user.unwrap_or("root").to_owned()),
            _ => {
                let value = call.facts.get_attr("env").ok()?.get_attr(name).ok()?;
                value.as_str().map(str::to_owned)
            }
        },
    };
    let mut out = String::new();
    let mut rest = match word.strip_prefix('~') {
        Some(rest) if call.user.is_none() && (rest.is_empty() || rest.starts_with('/')) => {
            out.push_str(HOME);
            rest
        }
        _ => word,
    };
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, tail)) => (name, tail),
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at(end)
            }
        };
        match find(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                out.push_str(&value);
                rest = tail;
            }
            // What is not known stays as it is, as Python has it.
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out + rest
}

/// What the command gave back.
pub fn report(call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
    let Some(output) = done.iter().find_map(Done::output) else { return Ok(verdict.report()) };
    let strips = call.args.get("strip_empty_ends").is_none_or(|flag| flag.to_string().to_lowercase() != "false");
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if strips { text.trim_end_matches(['\r', '\n']).to_owned() } else { text }
    };
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let end = call.controller.now();
    let seconds = i64::try_from(output.elapsed.as_secs()).unwrap_or_default();
    let mut report = verdict.report();
    let values: [(&str, Value); 7] = [
        ("rc", output.code.into()),
        ("stdout", stdout.clone().into()),
        ("stderr", stderr.clone().into()),
        ("start", moment(end - seconds).into()),
        ("end", moment(end).into()),
        ("delta", delta(output.elapsed).into()),
        ("msg", "".into()),
    ];
    report.result.extend(values.map(|(name, value)| (name.to_owned(), value)));
    if output.is_success() {
        return Ok(report);
    }
    let lines = |text: &str| Value::from(text.lines().map(str::to_owned).collect::<Vec<_>>());
    report.result.insert("stdout_lines".into(), lines(&stdout));
    report.result.insert("stderr_lines".into(), lines(&stderr));
    report.result.insert("changed".into(), true.into());
    Err(Failure { message: "non-zero return code".into(), result: report.result, ..Failure::default() })
}

fn delta(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, elapsed.subsec_micros())
}

fn moment(seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(seconds).map(|moment| jiff::tz::TimeZone::UTC.to_datetime(moment));
    moment.map(|moment| moment.strftime("%Y-%m-%d %H:%M:%S.000000").to_string()).unwrap_or_default()
}

/// A command as one would type it.
fn words(shown: &Value) -> String {
    match shown.kind() {
        crate::template::ValueKind::Seq => {
            let words = shown.try_iter().into_iter().flatten();
            words.map(|word| guest::quote(&crate::template::ansible::text(&word))).collect::<Vec<_>>().join(" ")
        }
        _ => crate::template::ansible::text(shown),
    }
}

/// The beginning of a long command.
fn short(line: &str) -> String {
    let first = line.lines().next().unwrap_or_default();
    if first.chars().count() <= 60 && first == line {
        line.to_owned()
    } else {
        first.chars().take(60).chain(['…']).collect()
    }
}

/// A list of words, or a text, as a result has it.
pub fn shown(words: &[String]) -> Value {
    Value::from(words.to_vec())
}
