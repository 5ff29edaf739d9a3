//! `getent`: entries of a database of the guest's, as `ansible_facts.getent_DATABASE`.
//!
//! ```yaml
//! - getent: {database: passwd, key: root, split: ":", fail_key: true, service: files}
//! ```

use serde::Deserialize;

use crate::guest::{About, Command};
use crate::tasks::{Call, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::{Value, map};

/// The module.
#[derive(Debug)]
pub struct Getent;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    database: String,
    key: Option<String>,
    split: Option<String>,
    fail_key: Option<Flag>,
    service: Option<String>,
}

impl Module for Getent {
    fn names(&self) -> &'static [&'static str] {
        &["getent"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let script = r#"
if command -v getent >/dev/null 2>&1; then getent ${3:+-s "$3"} "$1" ${2:+"$2"}
elif [ -r "/etc/$1" ]; then if [ -n "$2" ]; then grep "^$2:" "/etc/$1" || exit 2; else cat "/etc/$1"; fi
else exit 1; fi"#;
        let key = args.key.as_deref().unwrap_or_default();
        let about = match args.database.as_str() {
            "passwd" | "group" | "shadow" | "gshadow" | "initgroups" => About::Accounts,
            database => About::Path(format!("/etc/{database}")),
        };
        let command = Command::script(script, [&args.database, key, args.service.as_deref().unwrap_or_default()]);
        let output = guest.output(command.about(about))?;
        let name = format!("getent_{}", args.database);
        match output.code {
            0 => {}
            1 => return Err(Failure::new("Missing arguments, or database unknown.").into()),
            2 if args.fail_key.unwrap_or(true) => {
                return Err(Failure::new("One or more supplied key could not be found in the database.").into());
            }
            2 => {
                let facts = Map::from_iter([(name, map([(key, Value::from(()))]))]);
                return Ok(Verdict { facts, ..Verdict::default() }
                    .with("msg", "One or more supplied key could not be found in the database."));
            }
            _ => return Err(Failure::new("Enumeration not supported on this database.").into()),
        }
        let of_colons = ["passwd", "shadow", "group", "gshadow"].contains(&args.database.as_str());
        let split = args.split.clone().or(of_colons.then(|| ":".to_owned()));
        let text = output.text();
        let mut entries: indexmap::IndexMap<String, Vec<String>> = indexmap::IndexMap::new();
        for line in text.lines() {
            let mut parts: Vec<String> = match &split {
                Some(split) => line.split(split.as_str()).map(str::to_owned).collect(),
                None => line.split_whitespace().map(str::to_owned).collect(),
            };
            if !parts.is_empty() {
                let name = parts.remove(0);
                entries.insert(name, parts);
            }
        }
        let facts = Map::from_iter([(name, map(entries))]);
        Ok(Verdict { facts, ..Verdict::default() })
    }
}
