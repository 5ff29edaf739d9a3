//! `pip`: Python's packages.
//!
//! ```yaml
//! - pip:
//!     name: [django, "gunicorn>=21,<24"]   # or requirements: /srv/app/requirements.txt
//!     version: "4.2"                       # of a single name
//!     state: present            # present (default), latest, absent, forcereinstall
//!     virtualenv: /srv/venv     # made where it is missing
//!     virtualenv_command: python3 -m venv
//!     virtualenv_python: python3.11
//!     virtualenv_site_packages: false
//!     executable: pip3.11       # in place of a virtualenv
//!     extra_args: --no-cache-dir
//!     editable: false
//!     chdir: /srv
//!     umask: "0022"
//!     break_system_packages: false
//! ```
//!
//! Names are compared with `pip list`, so nothing is run where they are there. `requirements`, `latest`, URLs and
//! `extra_args` are answered by pip itself (`--dry-run`, since pip 22.2); an older pip is run, and its words tell
//! whether something changed. Returned: `cmd`, `name`, `version`, `requirements`, `virtualenv`, `stdout`, `stderr`.
//!
//! In a preview what is in the environment after a change is unknown until run, and with a pip that knows no `--dry-run`
//! whether there would be any.

use serde::Deserialize;

use super::version::{self, Requirement};
use super::{apt, joined};
use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Done, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, Report, TextList, Touches, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct Pip;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    name: TextList,
    version: Option<String>,
    requirements: Option<String>,
    #[serde(default)]
    state: State,
    virtualenv: Option<String>,
    #[serde(default)]
    virtualenv_site_packages: Flag,
    virtualenv_command: Option<String>,
    virtualenv_python: Option<String>,
    extra_args: Option<String>,
    #[serde(default)]
    editable: Flag,
    chdir: Option<String>,
    executable: Option<String>,
    umask: Option<String>,
    #[serde(default)]
    break_system_packages: Flag,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Latest,
    Absent,
    Forcereinstall,
}

/// What commands say about an environment's packages.
fn topic(args: &Args) -> String {
    format!("pip's packages in {}", args.virtualenv.as_deref().unwrap_or("the system"))
}

impl Module for Pip {
    fn names(&self) -> &'static [&'static str] {
        &["pip"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        let wrong = |message: &str| Err(Failure::new(format!("pip: {message}")));
        match (args.name.is_empty(), args.requirements.is_some()) {
            (true, false) => return wrong("name or requirements is needed"),
            (false, true) => return wrong("name or requirements, not both"),
            _ => {}
        }
        if args.executable.is_some() && args.virtualenv.is_some() {
            return wrong("executable or virtualenv, not both");
        }
        if args.state == State::Latest && args.version.is_some() {
            return wrong("version is incompatible with state=latest");
        }
        if args.version.is_some() && names(&args).len() > 1 {
            return wrong("`version` is of a single name; write NAME==VERSION for each of several");
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Anything
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let why = format!("what `{}` installs", call.name);
        let venv = args.virtualenv.as_ref().map(|path| beside(args.chdir.as_deref(), path));
        let places = match &venv {
            Some(venv) => vec![venv.clone()],
            None => vec!["/usr/local".to_owned(), "/root/.local".to_owned()],
        };
        let all = places.into_iter().map(Scope::Path).chain([Scope::Named(topic(&args))]);
        let all = all.map(|scope| Effect::unknown(scope, why.clone())).filter(|_| !verdict.writes.is_empty());
        Ok(verdict.effects_and(all))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let venv = args.virtualenv.as_ref().map(|path| beside(args.chdir.as_deref(), path));
        let mut verdict = Verdict::nothing();
        let is_venv_there = match &venv {
            Some(venv) => guest.stat(&format!("{venv}/bin/activate"))?.is_some(),
            None => true,
        };
        let pip = match &venv {
            Some(venv) => vec![format!("{venv}/bin/pip")],
            None => found(&args, guest)?,
        };
        if let (Some(venv), false) = (&venv, is_venv_there) {
            let change = Change::value("virtualenv", None, Some(venv.clone()));
            verdict.change(change, Write::Run(make_venv(&args, call, venv, guest)?));
        }
        let names = names(&args);
        let mut words = args.extra_args.as_deref().map(split).unwrap_or_default();
        if args.editable && !words.iter().any(|word| word == "-e") {
            words.push("-e".into());
        }
        let is_opaque = args.requirements.is_some() || !words.is_empty() || names.iter().any(|name| is_url(name));
        let targets = match &args.requirements {
            Some(file) => vec!["-r".to_owned(), file.clone()],
            None => names.clone(),
        };
        let command = |verb: &[&str]| {
            let all =
                verb.iter().map(|word| (*word).to_owned()).chain(words.iter().cloned()).chain(targets.iter().cloned());
            run(&args, call, venv.as_deref(), pip.iter().cloned().chain(all).collect())
        };
        let verb: &[&str] = match args.state {
            State::Present => &["install"],
            State::Latest => &["install", "-U"],
            State::Absent => &["uninstall", "-y"],
            State::Forcereinstall => &["install", "-U", "--force-reinstall"],
        };
        let mut is_run = !is_venv_there && args.state != State::Absent;
        if is_run {
            verdict.changes.push(Change::value("packages", None, Some(joined(targets.clone()))));
        } else if args.state == State::Forcereinstall {
            verdict.changes.push(Change::value(
                "packages",
                None,
                Some(format!("reinstalled: {}", joined(targets.clone()))),
            ));
            is_run = true;
        } else if args.state == State::Absent || !is_opaque && args.state == State::Present {
            let listed =
                run(&args, call, venv.as_deref(), pip.iter().cloned().chain(LIST.map(str::to_owned)).collect());
            let output = guest.output(listed.about(About::Named(topic(&args))))?;
            if !output.is_success() {
                return Err(Failure::new(format!("pip list failed: {}", output.errors().trim())).into());
            }
            let installed = version::listed(&output.text());
            for name in &names {
                let requirement = Requirement::parse(name);
                let has = installed.get(&requirement.key());
                let fits = has.is_some_and(|version| requirement.is_met_by(version));
                if args.state == State::Present && !fits {
                    let after = requirement.specifier.clone();
                    let after = if after.is_empty() { "installed".to_owned() } else { after };
                    verdict.changes.push(Change::value(requirement.name, has.cloned(), Some(after)));
                    is_run = true;
                } else if args.state == State::Absent && has.is_some() {
                    verdict.changes.push(Change::value(requirement.name, has.cloned(), None));
                    is_run = true;
                }
            }
        } else {
            let output = guest.output(command(&[verb, &["--dry-run"]].concat()).about(About::Named(topic(&args))))?;
            let text = output.text();
            if output.is_success() {
                if let Some(line) = text.lines().find_map(|line| line.strip_prefix("Would install ")) {
                    verdict.changes.push(Change::value("packages", None, Some(line.to_owned())));
                    is_run = true;
                }
            } else if output.errors().contains("no such option: --dry-run") {
                // Its words will tell.
                if call.check {
                    return Err(Pause::Unknown("what pip finds that is missing".into()));
                }
                verdict.changed = Some(false);
                is_run = true;
            } else {
                return Err(Failure::new(format!("pip: {}", last(&output.errors())))
                    .with("stdout", text)
                    .with("stderr", output.errors())
                    .into());
            }
        }
        let command = command(verb);
        verdict = verdict
            .with("cmd", Value::from(command.argv.clone()))
            .with("name", Value::from(names))
            .with("version", args.version.clone().map_or(Value::from(()), Value::from))
            .with("requirements", args.requirements.clone().map_or(Value::from(()), Value::from))
            .with("virtualenv", venv.clone().map_or(Value::from(()), Value::from));
        if is_run {
            verdict.writes.push(Write::Run(command));
        }
        Ok(verdict)
    }

    fn finish(&self, call: &Call<'_>, mut verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        if verdict.changed == Some(false) {
            let words = done.iter().filter_map(Done::output).map(|output| output.text()).collect::<String>();
            verdict.changed = Some(words.contains("Successfully installed"));
        }
        apt::finish(call, verdict, done)
    }
}

const LIST: [&str; 3] = ["list", "--format=freeze", "--disable-pip-version-check"];

/// `a>=1,<2` was split at its comma as a list: the parts that start with an operator belong to the name before.
fn names(args: &Args) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for part in args.name.iter().filter(|part| !part.is_empty()) {
        match names.last_mut() {
            Some(last) if part.starts_with(['<', '>', '=', '!', '~']) => *last = format!("{last},{part}"),
            _ => names.push(part.clone()),
        }
    }
    if let (Some(version), [name]) = (&args.version, names.as_mut_slice()) {
        let has_operator = version.starts_with(['<', '>', '=', '!', '~']);
        *name = if has_operator { format!("{name}{version}") } else { format!("{name}=={version}") };
    }
    names
}

fn is_url(name: &str) -> bool {
    name.contains("://") || name.starts_with(['/', '.']) || name.ends_with(".whl") || name.ends_with(".tar.gz")
}

fn beside(directory: Option<&str>, path: &str) -> String {
    match directory {
        Some(directory) if !path.starts_with('/') => format!("{directory}/{path}"),
        _ => path.to_owned(),
    }
}

/// The guest's own pip.
fn found(args: &Args, guest: &Known) -> Result<Vec<String>, Pause> {
    if let Some(executable) = &args.executable {
        return Ok(vec![executable.clone()]);
    }
    guest.want(["pip3", "pip", "python3"].map(|tool| Probe::Which(tool.into())))?;
    for tool in ["pip3", "pip"] {
        if guest.which(tool)?.is_some() {
            return Ok(vec![tool.to_owned()]);
        }
    }
    if guest.which("python3")?.is_some() {
        let words = ["python3", "-m", "pip"];
        if guest.output(Command::new(words.into_iter().chain(["--version"])).about(About::Packages))?.is_success() {
            return Ok(words.map(str::to_owned).to_vec());
        }
    }
    Err(Failure::new("pip: the guest has no pip; install python3-pip first").into())
}

fn make_venv(args: &Args, call: &Call<'_>, venv: &str, guest: &Known) -> Result<Command, Pause> {
    let mut words = match &args.virtualenv_command {
        Some(command) => split(command),
        None if guest.which("virtualenv")?.is_some() => vec!["virtualenv".to_owned()],
        None => ["python3", "-m", "venv"].map(str::to_owned).to_vec(),
    };
    if args.virtualenv_site_packages {
        words.push("--system-site-packages".into());
    }
    match &args.virtualenv_python {
        Some(python) if words.iter().any(|word| word.ends_with("venv")) && words[0].contains("python") => {
            words[0].clone_from(python)
        }
        Some(python) => words.push(format!("-p{python}")),
        None => {}
    }
    words.push(venv.to_owned());
    Ok(run(args, call, None, words))
}

fn run(args: &Args, call: &Call<'_>, venv: Option<&str>, argv: Vec<String>) -> Command {
    let umask = args.umask.as_ref().map(|umask| format!("umask {umask}; ")).unwrap_or_default();
    let path = venv.map(|venv| format!("PATH={venv}/bin:$PATH; export PATH; ")).unwrap_or_default();
    let mut command = if umask.is_empty() && path.is_empty() {
        Command::new(argv)
    } else {
        Command::script(&format!("{umask}{path}exec \"$@\""), argv)
    };
    command.environment.clone_from(call.environment);
    command.environment.insert("PIP_DISABLE_PIP_VERSION_CHECK".into(), "1".into());
    if args.break_system_packages {
        command.environment.insert("PIP_BREAK_SYSTEM_PACKAGES".into(), "1".into());
    }
    command.cwd = Some(args.chdir.clone().unwrap_or_else(|| "/tmp".into()));
    command.user(call.user.map(str::to_owned))
}

/// Words as a shell splits them.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut is_word) = (vec![], String::new(), None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, is_word) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if is_word || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            (None, c) => word.push(c),
        }
    }
    if is_word || !word.is_empty() {
        words.push(word);
    }
    words
}

fn last(text: &str) -> &str {
    text.trim().lines().last().unwrap_or_default()
}
