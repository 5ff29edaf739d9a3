//! `apt`: Debian's packages.
//!
//! ```yaml
//! - apt:
//!     name: [nginx, "redis=5:7.*", "curl:amd64"]   # also pkg, package; one transaction
//!     state: present            # present (default), latest, absent, build-dep, fixed
//!     update_cache: true        # `apt-get update` before; with cache_valid_time only where the lists are older
//!     cache_valid_time: 3600    # seconds; implies update_cache; lists that are not there are not valid
//!     install_recommends: false # as apt is configured where it is not said
//!     default_release: bookworm-backports
//!     purge: false              # with absent: configuration as well
//!     autoremove: false         # what nobody needs any more goes too; alone: just that
//!     upgrade: dist             # no (default), yes or safe, full, dist
//!     only_upgrade: false       # nothing is installed that is not there
//!     deb: /tmp/x.deb           # a file in the guest, or a URL
//!     clean: false              # empties the cache of downloaded packages; autoclean: of outdated ones
//!     dpkg_options: force-confdef,force-confold
//!     lock_timeout: 60          # seconds to wait for another apt or dpkg
//!     allow_downgrade: false    # and allow_change_held_packages, allow_unauthenticated, force
//!     policy_rc_d: 101          # what services are told while packages are installed
//! ```
//!
//! `present` is satisfied by any installed version, `NAME=VERSION` by one that matches. A package that was removed and
//! left its configuration is not installed. Changed configuration files are kept. Returned: `cache_updated`,
//! `cache_update_time`, `stdout`, `stderr`.
//!
//! Nothing is needed in the guest but apt itself (no python3-apt). Check mode asks apt, and so tells what would be
//! installed with the package lists that the guest has now.
//!
//! In a preview apt's simulation says what would come and go. What a package that is not there yet will bring (files
//! outside of /srv, /home, /root, /usr/local, /tmp and /etc/systemd/system, users, groups, units, programs) is unknown until
//! run for the tasks after it, and so is what goes with one that is removed. Where the lists are fetched first, which version
//! there will be.

use serde::Deserialize;

use super::debian::{self, Spec};
use super::{deb_file, joined};
use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Done, Look, Output, PackageManager, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Module, Pause, Report, TextList, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Apt;

/// The arguments.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// Packages.
    #[serde(default, alias = "pkg", alias = "package")]
    pub(super) name: TextList,
    /// What they are to be.
    #[serde(default)]
    pub(super) state: State,
    #[serde(alias = "update-cache")]
    update_cache: Option<Flag>,
    #[serde(default)]
    cache_valid_time: Int,
    #[serde(default)]
    purge: Flag,
    #[serde(alias = "default-release")]
    default_release: Option<String>,
    #[serde(alias = "install-recommends")]
    install_recommends: Option<Flag>,
    #[serde(default)]
    force: Flag,
    #[serde(default, alias = "allow-unauthenticated")]
    allow_unauthenticated: Flag,
    #[serde(default, alias = "allow-downgrade", alias = "allow_downgrades", alias = "allow-downgrades")]
    allow_downgrade: Flag,
    #[serde(default)]
    allow_change_held_packages: Flag,
    #[serde(default)]
    upgrade: Upgrade,
    dpkg_options: Option<String>,
    deb: Option<String>,
    #[serde(default)]
    autoremove: Flag,
    #[serde(default)]
    autoclean: Flag,
    #[serde(default)]
    clean: Flag,
    policy_rc_d: Option<Int>,
    #[serde(default)]
    only_upgrade: Flag,
    #[serde(default)]
    fail_on_autoremove: Flag,
    #[serde(rename = "force_apt_get")]
    _force_apt_get: Option<Flag>,
    lock_timeout: Option<Int>,
    #[serde(rename = "update_cache_retries")]
    _update_cache_retries: Option<Int>,
    #[serde(rename = "update_cache_retry_max_delay")]
    _update_cache_retry_max_delay: Option<Int>,
    #[serde(rename = "auto_install_module_deps")]
    _auto_install_module_deps: Option<Flag>,
}

/// What packages are to be.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    #[default]
    #[serde(alias = "installed")]
    Present,
    Latest,
    #[serde(alias = "removed")]
    Absent,
    BuildDep,
    Fixed,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Upgrade {
    #[default]
    #[serde(alias = "false", alias = "False")]
    No,
    #[serde(alias = "true", alias = "True", alias = "safe")]
    Yes,
    Full,
    Dist,
}

impl Module for Apt {
    fn names(&self) -> &'static [&'static str] {
        &["apt"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        read(call).map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Packages
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        foresee(call, verdict, guest)
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        inspect(&read(call)?, call, guest)
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        finish(call, verdict, done)
    }
}

fn read(call: &Call<'_>) -> Result<Args, Failure> {
    let args: Args = call.args()?;
    let does = !args.name.is_empty()
        || args.deb.is_some()
        || args.upgrade != Upgrade::No
        || args.update_cache.is_some()
        || args.cache_valid_time > 0
        || args.autoremove
        || args.autoclean
        || args.clean
        || args.state == State::Fixed
        || call.args.contains_key("name");
    if does {
        Ok(args)
    } else {
        Err(Failure::new("apt: one of name, deb, upgrade, update_cache, autoremove is needed"))
    }
}

/// As a module; `package` comes here as well.
pub(super) fn inspect(args: &Args, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
    let mut specs = args.name.iter().filter(|name| !name.is_empty()).map(|name| Spec::parse(name)).collect::<Vec<_>>();
    let updated = update(args, call, guest, &specs)?;
    let updated = match updated {
        Cache::Update(verdict) => return Ok(*verdict),
        Cache::Updated(time) => (true, time),
        Cache::AsItIs(time) => (false, time),
    };
    debian::expand(&mut specs, args.state == State::Absent, guest)?;
    let mut verdict = Verdict::nothing();
    let options = options(args);
    if args.clean {
        let command = debian::apt(&options, ["clean"]);
        verdict.change(Change::value("apt cache", Some("kept".into()), Some("clean".into())), Write::Run(command));
    }
    if let Some(deb) = &args.deb
        && let Some(early) = deb_file::install(deb, args.allow_downgrade, &options, guest, &mut verdict)?
    {
        return Ok(early);
    }
    if args.upgrade != Upgrade::No {
        upgrade(args, &options, guest, &mut verdict)?;
    }
    if !specs.is_empty() {
        match args.state {
            State::Absent => remove(args, &specs, &options, guest, &mut verdict)?,
            State::Fixed => {}
            State::BuildDep => {
                let words: Vec<String> =
                    ["build-dep".to_owned()].into_iter().chain(specs.iter().map(Spec::word)).collect();
                if would(guest, &options, &words)? {
                    let packages = joined(specs.iter().map(Spec::word));
                    let change = Change::value("build dependencies", None, Some(packages));
                    verdict.change(change, Write::Run(debian::apt(&options, words)));
                }
            }
            State::Present | State::Latest => install(args, &specs, &options, guest, &mut verdict)?,
        }
    }
    if args.state == State::Fixed {
        let words = ["--fix-broken", "install"].map(str::to_owned);
        if would(guest, &options, &words)? {
            let change = Change::value("broken packages", None, Some("fixed".into()));
            verdict.change(change, Write::Run(debian::apt(&options, words)));
        }
    }
    for (is_wanted, word) in
        [(args.autoremove && args.state != State::Absent, "autoremove"), (args.autoclean, "autoclean")]
    {
        if is_wanted {
            clean_up(args, word, &options, guest, &mut verdict)?;
        }
    }
    let does_more =
        !specs.is_empty() || args.deb.is_some() || args.upgrade != Upgrade::No || args.autoremove || args.autoclean;
    if updated.0 && !does_more && !args.clean {
        verdict.changed = Some(true);
    }
    if args.policy_rc_d.is_some() {
        with_policy(args, &mut verdict);
    }
    Ok(verdict.with("cache_updated", updated.0).with("cache_update_time", updated.1))
}

/// What apt's commands leave: the lists as new as they are, and the packages that a simulation names.
pub(super) fn foresee(call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
    let mut effects = vec![];
    for write in &verdict.writes {
        let Write::Run(command) = write else { continue };
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        if words.contains(&"update") {
            let now = call.controller.now();
            let output = Output { stdout: format!("{now}\n{now}\n").into_bytes(), ..Output::default() };
            effects.extend([Effect::Listed(PackageManager::Dpkg), Effect::Says(lists_age(), output)]);
        } else if ["clean", "autoclean"].iter().any(|word| words.contains(word)) {
            effects.push(Effect::unknown(Scope::Path("/var/cache/apt".into()), "what apt keeps"));
        } else {
            effects.extend(debian::foreseen(command, verdict, guest)?);
        }
    }
    Ok(effects)
}

/// The result with apt's own words.
pub(super) fn finish(call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
    let outputs: Vec<&Output> = done.iter().filter_map(Done::output).collect();
    let all = |text: fn(&Output) -> String| outputs.iter().map(|output| text(output)).collect::<String>();
    let (stdout, stderr) = (all(Output::text), all(Output::errors));
    let mut report = verdict.report_after(done).map_err(|failure| explained(failure, call))?;
    if !outputs.is_empty() {
        report.result.insert("stdout".into(), stdout.into());
        report.result.insert("stderr".into(), stderr.into());
    }
    Ok(report)
}

/// apt's failure, with what helps.
fn explained(mut failure: Failure, call: &Call<'_>) -> Failure {
    let text = |name: &str| failure.result.get(name).map(ToString::to_string).unwrap_or_default();
    let said = text("stderr") + &text("stdout");
    let told: Vec<&str> =
        said.lines().filter(|line| line.starts_with("E: ") || line.starts_with("dpkg: error")).collect();
    if !told.is_empty() {
        failure.message = format!("apt-get: {}", told.join("; "));
    }
    if said.contains("Unable to fetch") || said.contains("Failed to fetch") || said.contains("404  Not Found") {
        failure.message += if call.args.contains_key("update_cache") || call.args.contains_key("cache_valid_time") {
            "; can the instance reach its mirror?"
        } else {
            "; the package lists may be old: add `update_cache: true`"
        };
    }
    failure
}

enum Cache {
    /// First this.
    Update(Box<Verdict>),
    /// It was brought up to date by this task, at this time.
    Updated(i64),
    /// It stays, from this time.
    AsItIs(i64),
}

/// How old the package lists are.
fn lists_age() -> Look {
    Command::script(debian::LISTS_AGE, [] as [&str; 0]).about(About::Named("package lists".into()))
}

/// Are the package lists to be fetched first?
fn update(args: &Args, call: &Call<'_>, guest: &Known, specs: &[Spec]) -> Result<Cache, Pause> {
    // Everything that the first look will need travels together.
    let probes = specs.iter().filter(|spec| !spec.is_pattern()).map(|spec| spec.probe(args.state != State::Absent));
    let age = Probe::Output(lists_age());
    guest.want(probes.chain([age.clone()]))?;
    let output = guest.ask(age)?;
    let crate::guest::Answer::Output(output) = output else { return Ok(Cache::AsItIs(0)) };
    let text = output.text();
    let mut numbers = text.split_whitespace().map(|word| word.parse::<i64>().unwrap_or_default());
    let (now, then) = (numbers.next().unwrap_or_default(), numbers.max().unwrap_or_default());
    if call.round > 0 {
        return Ok(Cache::Updated(then));
    }
    let is_wanted = args.update_cache.unwrap_or(args.cache_valid_time > 0);
    if !is_wanted || args.cache_valid_time > 0 && then + args.cache_valid_time >= now {
        return Ok(Cache::AsItIs(then));
    }
    let writes = vec![Write::Run(debian::apt(&options(args), ["update"]))];
    Ok(Cache::Update(Box::new(Verdict { writes, again: true, ..Verdict::default() })))
}

fn options(args: &Args) -> Vec<String> {
    let mut words = vec![];
    let options = args.dpkg_options.as_deref().unwrap_or("force-confdef,force-confold");
    for option in options.split(',').filter(|option| !option.is_empty()) {
        words.extend(["-o".to_owned(), format!("Dpkg::Options::=--{}", option.trim())]);
    }
    words.extend(["-o".into(), format!("DPkg::Lock::Timeout={}", args.lock_timeout.unwrap_or(60))]);
    if args.force {
        words.push("--force-yes".into());
    }
    let flags = [
        (args.allow_unauthenticated, "--allow-unauthenticated"),
        (args.allow_downgrade, "--allow-downgrades"),
        (args.allow_change_held_packages, "--allow-change-held-packages"),
        (args.only_upgrade, "--only-upgrade"),
        (args.fail_on_autoremove, "--no-remove"),
    ];
    words.extend(flags.iter().filter(|(is, _)| *is).map(|(_, flag)| (*flag).to_owned()));
    match args.install_recommends {
        Some(true) => words.extend(["-o".into(), "APT::Install-Recommends=yes".into()]),
        Some(false) => words.extend(["-o".into(), "APT::Install-Recommends=no".into()]),
        None => {}
    }
    if let Some(release) = &args.default_release {
        words.extend(["-t".into(), release.clone()]);
    }
    words
}

fn install(args: &Args, specs: &[Spec], options: &[String], guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
    let mut missing: Vec<&Spec> = vec![];
    for spec in specs {
        let package = guest.package(PackageManager::Dpkg, &spec.name)?;
        let is_there = match &package.installed {
            Some(version) => spec.is_satisfied_by(version, guest)?,
            // What has versions of its own is wanted itself, whoever else provides its name.
            None => package.is_provided && package.candidate.is_none() && spec.version.is_none(),
        };
        if is_there && (args.state != State::Latest || package.is_held && !args.allow_change_held_packages)
            || package.installed.is_none() && args.only_upgrade
        {
            continue;
        }
        let candidate = spec.candidate(package, guest, args.default_release.as_deref())?;
        if is_there && (candidate.is_none() || candidate == package.installed) {
            continue;
        }
        if package.is_awaited && candidate.is_none() {
            verdict.changes.push(Change::value(format!("package {}", spec.name), None, Some("(the newest)".into())));
            missing.push(spec);
            continue;
        }
        if candidate.is_none() && !package.is_virtual && !package.is_provided {
            let help = match package.candidate {
                None => "; is its repository in the sources, and are the package lists there (`update_cache: true`)?",
                Some(_) => "",
            };
            return Err(Failure::new(format!("No package matching '{}' is available{help}", spec.word())).into());
        }
        let after = candidate.unwrap_or_else(|| "installed".to_owned());
        verdict.changes.push(Change::value(format!("package {}", spec.name), package.installed.clone(), Some(after)));
        missing.push(spec);
    }
    if !missing.is_empty() {
        let words = ["install".to_owned()].into_iter().chain(missing.iter().map(|spec| spec.word()));
        let mut options = options.to_vec();
        if args.autoremove {
            options.push("--auto-remove".into());
        }
        // A version that is asked for may be an older one, as Ansible asks for it.
        verdict.writes.push(Write::Run(debian::apt(&options, words)));
    }
    Ok(())
}

fn remove(args: &Args, specs: &[Spec], options: &[String], guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
    let mut words = vec!["remove".to_owned()];
    for spec in specs {
        let package = guest.installed(PackageManager::Dpkg, &spec.name)?;
        let before = match &package.installed {
            Some(version) => version.clone(),
            None if args.purge && package.is_configured => "configuration".to_owned(),
            None => continue,
        };
        verdict.changes.push(Change::value(format!("package {}", spec.name), Some(before), None));
        words.push(spec.name.clone());
    }
    let mut options = options.to_vec();
    if args.purge {
        options.push("--purge".into());
    }
    if args.autoremove {
        options.push("--auto-remove".into());
    }
    if words.len() > 1 {
        verdict.writes.push(Write::Run(debian::apt(&options, words)));
    } else if args.autoremove {
        clean_up(args, "autoremove", &options, guest, verdict)?;
    }
    Ok(())
}

fn upgrade(args: &Args, options: &[String], guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
    let word = match args.upgrade {
        Upgrade::Dist | Upgrade::Full => "dist-upgrade",
        _ => "upgrade",
    };
    let mut options = options.to_vec();
    if args.upgrade == Upgrade::Yes {
        options.push("--with-new-pkgs".into());
    }
    if args.autoremove {
        options.push("--auto-remove".into());
    }
    let mut simulated = options.clone();
    simulated.push("-s".into());
    let output = guest.output(debian::apt(&simulated, [word]).about(About::Packages))?;
    let changes = debian::simulated(&output.text());
    if !changes.is_empty() {
        verdict.changes.extend(changes);
        verdict.writes.push(Write::Run(debian::apt(&options, [word])));
    }
    Ok(())
}

/// `autoremove` or `autoclean`, where there is something to go.
fn clean_up(args: &Args, word: &str, options: &[String], guest: &Known, verdict: &mut Verdict) -> Result<(), Pause> {
    let mut options = options.to_vec();
    if args.purge && word == "autoremove" && !options.iter().any(|option| option == "--purge") {
        options.push("--purge".into());
    }
    if would(guest, &options, &[word.to_owned()])? {
        let change = Change::value(word, None, Some("done".into()));
        verdict.change(change, Write::Run(debian::apt(&options, [word])));
    }
    Ok(())
}

/// True if a simulation would do something.
fn would(guest: &Known, options: &[String], words: &[String]) -> Result<bool, Pause> {
    let simulated: Vec<String> = options.iter().cloned().chain(["-s".to_owned()]).collect();
    let text = guest.output(debian::apt(&simulated, words.iter().cloned()).about(About::Packages))?.text();
    Ok(text.lines().any(|line| ["Inst ", "Remv ", "Purg ", "Del "].iter().any(|word| line.starts_with(word))))
}

/// Services are not started while packages are installed: what policy-rc.d says goes for that time.
fn with_policy(args: &Args, verdict: &mut Verdict) {
    let code = args.policy_rc_d.unwrap_or(101).to_string();
    for write in &mut verdict.writes {
        let Write::Run(command) = write else { continue };
        let words = ["sh", "-c", POLICY, "sh", &code].map(str::to_owned);
        command.argv = words.into_iter().chain(std::mem::take(&mut command.argv)).collect();
    }
}

const POLICY: &str = r#"
file=/usr/sbin/policy-rc.d; code=$1; shift; kept=
if [ -e "$file" ]; then kept=$(mktemp) && cp -p "$file" "$kept" || exit 1; fi
printf '#!/bin/sh\nexit %s\n' "$code" >"$file" && chmod 755 "$file" || exit 1
"$@"; result=$?
if [ -n "$kept" ]; then cp -p "$kept" "$file"; rm -f "$kept"; else rm -f "$file"; fi
exit $result"#;
