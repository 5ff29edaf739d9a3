//! What the commands that speak of a site have in common.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use tokio::sync::watch;

use super::{Exit, Global};
use crate::apply::schedule::Limits;
use crate::apply::{self, Interrupt};
use crate::live::{self, Snapshot};
use crate::lxd::{self, Client};
use crate::model::{Address, Event, Masker, Sources, units};
use crate::plan::{self, Plan};
use crate::report::{self, JsonLines, Plain, Reporter, Style, Terminal};
use crate::site::{self, SecretMode, Site};

/// Which site, with which values, on which server.
#[derive(Debug, clap::Args)]
pub struct SiteArgs {
    /// The site file
    pub site: PathBuf,
    /// The server: a remote's name, https://host:8443, unix:/path or local
    #[arg(long, env = "LXDEPLOY_REMOTE", hide_env = true)]
    pub remote: Option<String>,
    /// The project of objects that name none
    #[arg(long, env = "LXDEPLOY_PROJECT", hide_env = true)]
    pub project: Option<String>,
    /// A variable, its value read as YAML; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable, env = "LXDEPLOY_VAR", hide_env = true)]
    pub vars: Vec<(String, String)>,
    /// A YAML file of variables; repeatable
    #[arg(long = "vars-file", value_name = "FILE", env = "LXDEPLOY_VARS_FILE", hide_env = true)]
    pub vars_files: Vec<PathBuf>,
    /// The longest that one operation at the server may take
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "LXDEPLOY_TIMEOUT", hide_env = true)]
    pub timeout: Duration,
}

/// Which part of the site, and what may be done to it.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Only this object and what it needs; repeatable
    #[arg(long = "target", value_name = "ADDRESS", env = "LXDEPLOY_TARGET", hide_env = true)]
    pub targets: Vec<Address>,
    /// Not this object nor what needs it; repeatable
    #[arg(long = "exclude", value_name = "ADDRESS", env = "LXDEPLOY_EXCLUDE", hide_env = true)]
    pub excludes: Vec<Address>,
    /// Make this object again, changed or not; repeatable
    #[arg(long, value_name = "ADDRESS", env = "LXDEPLOY_REPLACE", hide_env = true)]
    pub replace: Vec<Address>,
    /// Take this object of nobody into the site, or `all`; repeatable
    #[arg(long, value_name = "ADDRESS|all", env = "LXDEPLOY_ADOPT", hide_env = true)]
    pub adopt: Vec<String>,
    /// Volumes, and pools that hold data, may be deleted
    #[arg(long, env = "LXDEPLOY_DELETE_DATA", hide_env = true, value_parser = BoolishValueParser::new())]
    pub delete_data: bool,
}

/// What an apply and a destroy have in common.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Without asking
    #[arg(long, alias = "auto-approve", short = 'y', env = "LXDEPLOY_YES", hide_env = true, value_parser = BoolishValueParser::new())]
    pub yes: bool,
    /// So many steps at once, in place of the measured bounds per kind of work
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), env = "LXDEPLOY_PARALLEL", hide_env = true)]
    pub parallel: Option<u16>,
    /// Stop instances by force at once
    #[arg(long, env = "LXDEPLOY_FORCE_STOP", hide_env = true, value_parser = BoolishValueParser::new())]
    pub force_stop: bool,
    /// text, or json: the plan and then an event a line
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    pub format: Format,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl SiteArgs {
    /// As the site room takes them.
    pub fn options(&self, project: Option<String>, secrets: SecretMode) -> site::Options {
        site::Options { vars: self.vars.clone(), vars_files: self.vars_files.clone(), project, secrets }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() { Err("write NAME=VALUE".into()) } else { Ok((name.to_owned(), value.to_owned())) }
}

fn duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text)
}

impl Selection {
    /// As the planner takes it.
    ///
    /// # Errors
    /// `--adopt` is neither an address nor `all`.
    pub fn options(&self, destroy: bool) -> Result<plan::Options, String> {
        let adopt = if self.adopt.iter().any(|text| text == "all") {
            plan::Adopt::All
        } else if self.adopt.is_empty() {
            plan::Adopt::None
        } else {
            plan::Adopt::These(self.adopt.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
        };
        Ok(plan::Options {
            targets: self.targets.clone(),
            excludes: self.excludes.clone(),
            replace: self.replace.clone(),
            adopt,
            delete_data: self.delete_data,
            destroy,
        })
    }
}

/// A site that is loaded, and its server.
pub struct Opened {
    /// The site.
    pub site: Site,
    /// Hides secrets.
    pub masker: Masker,
    /// Its files.
    pub sources: Sources,
    /// The server.
    pub client: Client,
}

/// Prints an error.
pub fn complain(global: &Global, message: &str) -> Exit {
    let style = Style::of(&std::io::stderr(), global.no_color);
    eprintln!("{} {message}", style.red("error:"));
    Exit::Failed
}

/// Loads a site and shows what was found. `None` if there is an error.
pub fn load(args: &SiteArgs, global: &Global, secrets: SecretMode) -> Option<(Site, Masker, Sources)> {
    load_in(args, args.project.clone(), global, secrets)
}

fn load_in(
    args: &SiteArgs,
    project: Option<String>,
    global: &Global,
    secrets: SecretMode,
) -> Option<(Site, Masker, Sources)> {
    let loaded = site::load(&args.site, &args.options(project, secrets));
    found(&loaded, args, global);
    Some((loaded.site?, loaded.masker, loaded.sources))
}

/// Shows what was found while a site was loaded.
pub fn found(loaded: &site::Loaded, args: &SiteArgs, global: &Global) {
    if !loaded.diagnostics.is_empty() {
        let style = Style::of(&std::io::stderr(), global.no_color);
        let text = report::diagnostics::render(&loaded.diagnostics, &loaded.sources, style.color);
        eprintln!("{}\n", loaded.masker.mask(&text));
    }
    let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if errors > 0 {
        let s = if errors == 1 { "" } else { "s" };
        complain(global, &format!("{}: {errors} error{s}", args.site.display()));
    }
}

/// Loads a site and finds its server; nothing is sent yet.
///
/// # Errors
/// What went wrong, told already.
pub fn open(args: &SiteArgs, global: &Global) -> Result<Opened, Exit> {
    let (mut site, mut masker, mut sources) = load(args, global, SecretMode::Read).ok_or(Exit::Failed)?;
    let told = |error: lxd::Error| complain(global, &error.to_string());
    let remote = args.remote.clone().or_else(|| site.remote.as_ref().map(|remote| remote.value.clone()));
    let fingerprint = site.server_fingerprint.as_ref().map(|fingerprint| fingerprint.value.as_str());
    let endpoint = lxd::resolve(remote.as_deref().unwrap_or("local"), fingerprint).map_err(told)?;
    if let Some(project) = endpoint.project.clone().filter(|_| !site.names_project) {
        // A remote of lxc's may name its own project.
        (site, masker, sources) = load_in(args, Some(project), global, SecretMode::Read).ok_or(Exit::Failed)?;
    }
    let client = Client::connect(&endpoint, args.timeout).map_err(told)?;
    Ok(Opened { site, masker, sources, client })
}

/// Loads a site, reads its server, and plans.
///
/// # Errors
/// What went wrong, told already.
pub async fn planned(
    site: &SiteArgs,
    selection: &Selection,
    destroy: bool,
    global: &Global,
) -> Result<(Opened, Snapshot, Plan), Exit> {
    let options = selection.options(destroy).map_err(|reason| complain(global, &reason))?;
    let opened = open(site, global)?;
    let snapshot = opened.read(global).await?;
    let plan = plan::build(&opened.site, &snapshot, &options);
    Ok((opened, snapshot, plan))
}

impl Opened {
    /// Reads the server.
    ///
    /// # Errors
    /// What went wrong, told already; also the wrong server.
    pub async fn read(&self, global: &Global) -> Result<Snapshot, Exit> {
        let started = std::time::Instant::now();
        let snapshot = live::read(&self.client, &self.site.name, &self.site.project, &self.site.objects).await;
        let snapshot = snapshot.map_err(|error| complain(global, &self.masker.mask(&error.to_string())))?;
        tracing::info!(
            "read {} in {} requests, {:.1} ms",
            self.client.name(),
            self.client.requests(),
            started.elapsed().as_secs_f64() * 1000.0
        );
        if let Some(wanted) = &self.site.server_fingerprint
            && !snapshot.server.fingerprint.is_empty()
            && wanted.value != snapshot.server.fingerprint
        {
            return Err(complain(
                global,
                &format!(
                    "{} is another server than the site names: its fingerprint is {}, and `server_fingerprint` is {}",
                    self.client.name(),
                    snapshot.server.fingerprint,
                    wanted.value
                ),
            ));
        }
        Ok(snapshot)
    }

    /// Shows a plan on stdout.
    pub fn show(&self, plan: &Plan, format: Format, global: &Global) {
        match format {
            Format::Text => {
                let style = Style::of(&std::io::stdout(), global.no_color);
                print!("{}", self.masker.mask(&report::text::plan(plan, &self.sources, style)));
            }
            Format::Json => println!("{}", report::json::masked(report::json::plan(plan, &self.sources), &self.masker)),
        }
    }

    /// Asks where needed, runs the plan, and tells how it goes.
    pub async fn run(&self, plan: &Plan, snapshot: &Snapshot, args: &RunArgs, global: &Global) -> Exit {
        if !args.yes {
            let question = if plan.destroy { "Destroy all of this?" } else { "Apply this plan?" };
            match interruptible(ask(question, global)).await {
                Ok(true) => {}
                Ok(false) => return complain(global, "declined; nothing was written"),
                Err(exit) => return exit,
            }
        }
        let interrupt = interrupts();
        let limits = args.parallel.map_or_else(Limits::default, |parallel| Limits::of(parallel.into()));
        let mut reporter = self.reporter(args.format, global);
        let run = apply::Run {
            client: &self.client,
            snapshot,
            limits,
            force_stop: args.force_stop,
            shows_progress: reporter.shows_progress(),
        };
        let mut emit = |event: Event| reporter.event(&event);
        let is_done = apply::run(plan, &run, interrupt.clone(), &mut emit).await;
        match (is_done, *interrupt.borrow()) {
            (true, _) => Exit::Done,
            (false, 0) => Exit::Failed,
            (false, _) => Exit::Interrupted,
        }
    }

    fn reporter(&self, format: Format, global: &Global) -> Box<dyn Reporter> {
        let masker = self.masker.clone();
        let stderr = std::io::stderr();
        match format {
            Format::Json => Box::new(JsonLines::new(Box::new(std::io::stdout()), masker)),
            Format::Text if stderr.is_terminal() => {
                Box::new(Terminal::new(Style::of(&stderr, global.no_color), masker))
            }
            Format::Text => Box::new(Plain::new(Box::new(stderr), Style::default(), masker)),
        }
    }
}

/// A yes or no; without a terminal nobody can be asked.
async fn ask(question: &'static str, global: &Global) -> Result<bool, Exit> {
    if !std::io::stdin().is_terminal() {
        return Err(complain(global, "there is no terminal to ask at; --yes applies the plan without asking"));
    }
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let asking = tokio::task::spawn_blocking(move || {
        let mut input: Box<dyn BufRead> = Box::new(std::io::stdin().lock());
        let mut output: Box<dyn Write> = Box::new(std::io::stderr());
        report::confirm(question, &mut input, &mut output)
    });
    let answer = asking.await.map_err(std::io::Error::other).and_then(|answer| answer);
    answer.map_err(|error| complain(global, &error.to_string()))
}

/// Counts Ctrl-C.
fn interrupts() -> Interrupt {
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            sender.send_modify(|count| *count += 1);
        }
    });
    receiver
}

/// Runs what only reads; Ctrl-C leaves it at once.
///
/// # Errors
/// The command's own, or that it was interrupted.
pub async fn interruptible<T>(command: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(Exit::Interrupted),
        result = command => result,
    }
}
