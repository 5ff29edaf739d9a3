//! What the commands that speak of a site have in common.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::builder::BoolishValueParser;

use super::say::{errln, out, outln};
use super::{Exit, Global};
use crate::apply::lock;
use crate::live::{self, Snapshot};
use crate::lxd::{self, Client};
use crate::model::{Address, Masker, Preview, Sources, units};
use crate::plan::{self, Plan};
use crate::report::{self, Style};
use crate::secrets::{Keys, VaultKey, VaultSource};
use crate::site::{self, Loaded, SecretMode, Site};

/// Which site, with which values, on which server.
#[derive(Clone, Debug, clap::Args)]
pub struct SiteArgs {
    /// The site file
    pub site: PathBuf,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub values: ValueArgs,
    /// The site's variables are wanted for plays, whatever the site itself runs.
    #[arg(skip)]
    pub plays: bool,
}

/// Which server.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArgs {
    /// The server: a remote's name, https://host:8443, unix:/path or local
    #[arg(long, env = "LXDEPLOY_REMOTE", hide_env = true)]
    pub remote: Option<String>,
    /// The project of objects that name none
    #[arg(long, env = "LXDEPLOY_PROJECT", hide_env = true)]
    pub project: Option<String>,
    /// The longest that one operation at the server may take
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "LXDEPLOY_TIMEOUT", hide_env = true)]
    pub timeout: Duration,
}

/// Values that the command line gives.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ValueArgs {
    /// A variable, its value read as YAML; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable, env = "LXDEPLOY_VAR", hide_env = true)]
    pub vars: Vec<(String, String)>,
    /// A YAML file of variables; repeatable
    #[arg(long = "vars-file", value_name = "FILE", env = "LXDEPLOY_VARS_FILE", hide_env = true)]
    pub vars_files: Vec<PathBuf>,
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// What encrypted files and `!vault` values are decrypted with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KeyArgs {
    /// A file with the password of ansible-vault, or a program that prints it; repeatable
    #[arg(
        long = "vault-password-file",
        alias = "vault-pass-file",
        value_name = "FILE",
        env = "LXDEPLOY_VAULT_PASSWORD_FILE",
        hide_env = true
    )]
    pub vault_password_files: Vec<PathBuf>,
    /// A vault password by its id: ID@FILE, ID@PROGRAM or ID@prompt; repeatable
    #[arg(long = "vault-id", value_name = "ID@SOURCE", env = "LXDEPLOY_VAULT_ID", hide_env = true)]
    pub vault_ids: Vec<VaultKey>,
    /// Ask for the password of ansible-vault, when something encrypted is met
    #[arg(long, alias = "ask-vault-password", short_alias = 'J', env = "LXDEPLOY_ASK_VAULT_PASS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub ask_vault_pass: bool,
    /// A file of age identities; repeatable [default: lxdeploy/age.txt in ~/.config, where it is there]
    #[arg(long = "identity", value_name = "FILE", env = "LXDEPLOY_AGE_IDENTITY", hide_env = true)]
    pub identities: Vec<PathBuf>,
    /// One for all copies: a password is asked for once.
    #[arg(skip)]
    made: Rc<OnceCell<Rc<Keys>>>,
}

impl KeyArgs {
    /// As the secrets room takes them; nothing is read before it is needed.
    pub fn keys(&self) -> Rc<Keys> {
        self.made.get_or_init(|| Rc::new(self.fresh())).clone()
    }

    fn fresh(&self) -> Keys {
        let of_file = |path: PathBuf| VaultKey { id: "default".into(), source: VaultSource::File(path) };
        let mut vault = self.vault_ids.clone();
        if self.ask_vault_pass {
            vault.push(VaultKey { id: "default".into(), source: VaultSource::Prompt });
        }
        vault.extend(self.vault_password_files.iter().cloned().map(of_file));
        let of_ansible = std::env::var_os("ANSIBLE_VAULT_PASSWORD_FILE").filter(|value| !value.is_empty());
        vault.extend(of_ansible.filter(|_| vault.is_empty()).map(|path| of_file(path.into())));
        let mut identities = self.identities.clone();
        if identities.is_empty() {
            identities.extend(Keys::default_identity().filter(|path| path.exists()));
        }
        Keys::new(vault, identities, Some(ask))
    }
}

/// Asks for a password at the terminal, unseen.
fn ask(question: &str) -> Result<String, String> {
    rpassword::prompt_password(question).map_err(|error| format!("the vault password cannot be asked for: {error}"))
}

/// Which part of the site, and what may be done to it.
#[derive(Clone, Debug, Default, clap::Args)]
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
    /// Neither roles nor playbooks are run
    #[arg(long, env = "LXDEPLOY_SKIP_TASKS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub skip_tasks: bool,
    /// At most so many objects may be deleted or replaced
    #[arg(long, value_name = "N", env = "LXDEPLOY_MAX_DELETES", hide_env = true)]
    pub max_deletes: Option<usize>,
    /// The site file has moved to another place in git: take over what was applied from the old one
    #[arg(long, env = "LXDEPLOY_ORIGIN_CHANGED", hide_env = true, value_parser = BoolishValueParser::new())]
    pub origin_changed: bool,
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
    /// How long to wait while another apply of the site runs
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, env = "LXDEPLOY_LOCK_TIMEOUT", hide_env = true)]
    pub lock_timeout: Duration,
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
        let ValueArgs { vars, vars_files, keys } = self.values.clone();
        site::Options { vars, vars_files, project, secrets, keys: keys.keys(), plays: self.plays }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() { Err("write NAME=VALUE".into()) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// A duration such as 30s.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
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
            max_deletes: self.max_deletes,
            origin_changed: self.origin_changed,
            skip_tasks: self.skip_tasks,
            roles: BTreeMap::new(),
        })
    }
}

/// A site that is loaded, and its server.
pub struct Opened {
    /// The site.
    pub site: Site,
    /// Hides secrets.
    pub masker: Masker,
    /// The secrets that were read, by name.
    pub secrets: BTreeMap<String, String>,
    /// Its files.
    pub sources: Sources,
    /// The server.
    pub client: Client,
}

/// Prints an error.
pub fn complain(global: &Global, message: &str) -> Exit {
    let style = Style::of(&std::io::stderr(), global.no_color);
    errln!("{} {message}", style.red("error:"));
    Exit::Failed
}

/// Loads a site and shows what was found. `None` if there is an error.
pub fn load(args: &SiteArgs, global: &Global, secrets: SecretMode) -> Option<(Site, Masker, Sources)> {
    let (site, loaded) = load_in(args, args.server.project.clone(), global, secrets)?;
    Some((site, loaded.masker, loaded.sources))
}

/// The same, for objects that live in another project unless they or the site name one.
pub fn load_in(
    args: &SiteArgs,
    project: Option<String>,
    global: &Global,
    secrets: SecretMode,
) -> Option<(Site, Loaded)> {
    let mut loaded = site::load(&args.site, &args.options(project, secrets));
    found(&loaded, args, global);
    Some((loaded.site.take()?, loaded))
}

/// Shows what was found while a site was loaded.
pub fn found(loaded: &Loaded, args: &SiteArgs, global: &Global) {
    if !loaded.diagnostics.is_empty() {
        let style = Style::of(&std::io::stderr(), global.no_color);
        let text = report::diagnostics::render(&loaded.diagnostics, &loaded.sources, style.color);
        errln!("{}\n", loaded.masker.mask(&text));
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
    open_in(args, global, SecretMode::Read)
}

/// The same, with a text in each secret's place.
///
/// # Errors
/// As [`open`].
pub fn open_without_secrets(args: &SiteArgs, global: &Global) -> Result<Opened, Exit> {
    open_in(args, global, SecretMode::Placeholder)
}

fn open_in(args: &SiteArgs, global: &Global, secrets: SecretMode) -> Result<Opened, Exit> {
    let load = |project| load_in(args, project, global, secrets).ok_or(Exit::Failed);
    let (mut site, mut loaded) = load(args.server.project.clone())?;
    let told = |error: lxd::Error| complain(global, &error.to_string());
    let remote = args.server.remote.clone().or_else(|| site.remote.as_ref().map(|remote| remote.value.clone()));
    let fingerprint = site.server_fingerprint.as_ref().map(|fingerprint| fingerprint.value.as_str());
    let endpoint = lxd::resolve(remote.as_deref().unwrap_or("local"), fingerprint).map_err(told)?;
    if let Some(project) = endpoint.project.clone().filter(|_| !site.names_project) {
        // A remote of lxc's may name its own project.
        (site, loaded) = load(Some(project))?;
    }
    let client = Client::connect(&endpoint, args.server.timeout).map_err(told)?;
    let Loaded { masker, secrets, sources, .. } = loaded;
    Ok(Opened { site, masker, secrets, sources, client })
}

/// The same for commands that run something inside of instances; also gives the keys.
///
/// # Errors
/// What went wrong, told already.
pub fn open_for_plays(args: &SiteArgs, global: &Global) -> Result<(Opened, Rc<Keys>), Exit> {
    let args = SiteArgs { plays: true, ..args.clone() };
    Ok((open(&args, global)?, args.values.keys.keys()))
}

/// Finds the server of a site whose file is lost.
///
/// # Errors
/// What went wrong, told already.
pub fn open_named(name: &str, args: &ServerArgs, global: &Global) -> Result<Opened, Exit> {
    let told = |error: lxd::Error| complain(global, &error.to_string());
    let endpoint = lxd::resolve(args.remote.as_deref().unwrap_or("local"), None).map_err(told)?;
    let client = Client::connect(&endpoint, args.timeout).map_err(told)?;
    let project = args.project.clone().or(endpoint.project).unwrap_or_else(|| "default".to_owned());
    let site = Site { name: name.to_owned(), project, ..Site::default() };
    let (masker, secrets, sources) = Default::default();
    Ok(Opened { site, masker, secrets, sources, client })
}

/// A plan, and all that it was made of.
pub struct Planned {
    /// The site and its server.
    pub opened: Opened,
    /// The server as it was read.
    pub snapshot: Snapshot,
    /// What was asked for.
    pub options: plan::Options,
    /// The plan.
    pub plan: Plan,
    /// What encrypted files of plays are opened with.
    pub keys: std::rc::Rc<Keys>,
}

/// Loads a site, reads its server, and plans.
///
/// # Errors
/// What went wrong, told already.
pub async fn planned(site: &SiteArgs, selection: &Selection, destroy: bool, global: &Global) -> Result<Planned, Exit> {
    let mut options = selection.options(destroy).map_err(|reason| complain(global, &reason))?;
    let mut opened = open(site, global)?;
    let file = site.site.clone();
    // git takes its time, and so does the server.
    let origin = tokio::task::spawn_blocking(move || site::origin(&file));
    let snapshot = opened.read(global).await?;
    opened.site.origin = origin.await.unwrap_or_default();
    let keys = site.values.keys.keys();
    if !destroy {
        // What goes is made of nothing: a role that is lost is no reason to keep it.
        options.roles = opened.role_contents(&snapshot, keys.clone()).map_err(|reason| complain(global, &reason))?;
    }
    let plan = plan::build(&opened.site, &snapshot, &options);
    Ok(Planned { opened, snapshot, options, plan, keys })
}

impl Opened {
    /// Reads the server.
    ///
    /// # Errors
    /// What went wrong, told already; also the wrong server.
    pub async fn read(&self, global: &Global) -> Result<Snapshot, Exit> {
        self.settled(global, async || self.snapshot().await).await
    }

    /// Reads what is to be known of the site's instances before something is done inside of them.
    ///
    /// # Errors
    /// As [`Opened::read`].
    pub async fn read_instances(&self, global: &Global) -> Result<Snapshot, Exit> {
        let Site { name, project, objects, .. } = &self.site;
        self.settled(global, async || live::read_instances(&self.client, name, project, objects).await).await
    }

    /// Reads the server, again where a run was killed and what it had begun is at its end only now.
    async fn settled(
        &self,
        global: &Global,
        read: impl AsyncFn() -> Result<Snapshot, lxd::Error>,
    ) -> Result<Snapshot, Exit> {
        let started = std::time::Instant::now();
        let settled = async || {
            let snapshot = read().await?;
            let was_killed = lock::settle(&self.client, &self.site.name, &snapshot).await?;
            if was_killed { read().await } else { Ok(snapshot) }
        };
        let snapshot = settled().await;
        let snapshot = snapshot.map_err(|error| complain(global, &self.masker.mask(&error.to_string())))?;
        tracing::info!(
            "read {} in {} requests, {:.1} ms",
            self.client.name(),
            self.client.requests(),
            started.elapsed().as_secs_f64() * 1000.0
        );
        right_server(&self.site, &snapshot, self.client.name()).map_err(|reason| complain(global, &reason))?;
        Ok(snapshot)
    }

    /// Reads the server; of a site without a file, all of it.
    ///
    /// # Errors
    /// As [`live::read`].
    pub async fn snapshot(&self) -> Result<Snapshot, lxd::Error> {
        let Site { name, project, objects, .. } = &self.site;
        match self.sources.paths().next() {
            Some(_) => live::read(&self.client, name, project, objects).await,
            None => live::read_everywhere(&self.client, name).await,
        }
    }

    /// A plan as JSON, masked.
    pub fn document(&self, plan: &Plan, preview: Option<&Preview>) -> serde_json::Value {
        report::json::masked(report::json::plan(plan, preview, &self.sources), &self.masker)
    }

    /// Shows a plan on stdout.
    pub fn show(&self, plan: &Plan, preview: Option<&Preview>, format: Format, global: &Global) {
        show((plan, preview), (&self.masker, &self.sources), format, global);
    }
}

/// Refuses another server than the site names.
///
/// # Errors
/// It is another one; `name` is what the user called it by.
pub fn right_server(site: &Site, snapshot: &Snapshot, name: &str) -> Result<(), String> {
    let shown = &snapshot.server.fingerprint;
    match &site.server_fingerprint {
        Some(wanted) if !shown.is_empty() && wanted.value != *shown => Err(format!(
            "{name} is another server than the site names: its fingerprint is {shown}, and `server_fingerprint` is {}",
            wanted.value
        )),
        _ => Ok(()),
    }
}

/// Shows a plan on stdout.
pub fn show(
    (plan, preview): (&Plan, Option<&Preview>),
    (masker, sources): (&Masker, &Sources),
    format: Format,
    global: &Global,
) {
    match format {
        Format::Text => {
            let style = Style::of(&std::io::stdout(), global.no_color);
            let inside = preview.map(|preview| report::inside::text(preview, style, global.verbose > 0));
            out!("{}", masker.mask(&(report::text::plan(plan, sources, style) + &inside.unwrap_or_default())));
        }
        Format::Json => outln!("{}", report::json::masked(report::json::plan(plan, preview, sources), masker)),
    }
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
