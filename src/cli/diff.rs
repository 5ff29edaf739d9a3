use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::common::{Format, SiteArgs, complain, load};
use super::say::{errln, outln};
use super::{Exit, Global};
use crate::diagnostic::Diagnostic;
use crate::kinds::image::Source;
use crate::live;
use crate::model::{Address, Sources};
use crate::plan::{self, Contents};
use crate::report::diff::{Change, Changed};
use crate::report::{self, Style};
use crate::site::{self, Loaded, Revision, SecretMode, Site};

/// `lxdeploy diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// More site files
    #[arg(value_name = "SITE")]
    more: Vec<PathBuf>,
    /// The revision of git to compare the working tree with: HEAD, main, v1.2, 3f0c2aa
    #[arg(long, value_name = "GITREV", env = "LXDEPLOY_FROM", hide_env = true)]
    from: String,
    /// text, or json
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: Format,
}

/// Shows what a change of the files means for each site; no server, and no secret is read.
pub fn run(args: &Args, global: &Global) -> Exit {
    let mut exit = Exit::Done;
    let mut revisions: BTreeMap<PathBuf, Revision> = BTreeMap::new();
    let mut documents = vec![];
    for file in std::iter::once(&args.site.site).chain(&args.more) {
        let site = SiteArgs { site: file.clone(), ..args.site.clone() };
        let revision = match revision(file, &args.from, &mut revisions) {
            Ok(revision) => revision,
            Err(reason) => {
                exit = complain(global, &reason);
                continue;
            }
        };
        let Ok((changed, sources)) = one(&site, revision, global) else {
            exit = Exit::Failed;
            continue;
        };
        let since = format!("{} ({})", revision.name, revision.commit.get(..7).unwrap_or_default());
        match args.format {
            Format::Text => {
                let style = Style::of(&std::io::stdout(), global.no_color);
                outln!("{}", report::diff::text(&changed, &since, &sources, style));
            }
            Format::Json => documents.push(report::diff::json(&changed, &sources)),
        }
    }
    if args.format == Format::Json {
        let commit = revisions.values().next().map(|revision| revision.commit.clone());
        outln!("{}", json!({"format_version": "1.0", "from": args.from, "commit": commit, "sites": documents}));
    }
    exit
}

fn revision<'a>(
    file: &Path,
    name: &str,
    revisions: &'a mut BTreeMap<PathBuf, Revision>,
) -> Result<&'a Revision, String> {
    let root = Revision::root_of(file)?;
    if !revisions.contains_key(&root) {
        let revision = Revision::check_out(&root, name)?;
        revisions.insert(root.clone(), revision);
    }
    revisions.get(&root).ok_or_else(|| format!("{}: no revision", file.display()))
}

/// One site, then and now.
fn one(args: &SiteArgs, revision: &Revision, global: &Global) -> Result<(Changed, Sources), Exit> {
    let file = args.site.display().to_string();
    let before = revision.counterpart(&args.site).filter(|path| path.is_file());
    let old = before.map(|path| old(&path, args, revision, global)).transpose()?;
    if !args.site.exists() {
        let Some(old) = old else {
            return Err(complain(global, &format!("{file}: neither here nor in {}", revision.name)));
        };
        let had = old.objects.into_iter().filter(|object| !object.external).map(|object| object.address).collect();
        return Ok((Changed { file, site: old.name, change: Change::Gone(had) }, Sources::default()));
    }
    let (new, _, sources) = load(args, global, SecretMode::Placeholder).ok_or(Exit::Failed)?;
    let (was, is) = contents(old.as_ref(), &new, revision);
    let snapshot = plan::ideal(old.as_ref().map(|old| (old, &was)), (&new, &is));
    let mut plan = plan::build(&new, &snapshot, &plan::Options::default());
    plan::without_unknown(&mut plan);
    let change = if old.is_some() { Change::Both(plan) } else { Change::New(plan) };
    Ok((Changed { file, site: new.name, change }, sources))
}

fn old(path: &Path, args: &SiteArgs, revision: &Revision, global: &Global) -> Result<Site, Exit> {
    // A file of the command line that the repository has is taken from there.
    let then =
        |file: &PathBuf| revision.counterpart(file).filter(|then| then.is_file()).unwrap_or_else(|| file.clone());
    let options = site::Options {
        vars: args.values.vars.clone(),
        vars_files: args.values.vars_files.iter().map(then).collect(),
        project: args.server.project.clone(),
        secrets: SecretMode::Placeholder,
        ..site::Options::default()
    };
    let Loaded { site, sources, diagnostics, .. } = site::load(path, &options);
    site.ok_or_else(|| {
        let errors: Vec<Diagnostic> = diagnostics.into_iter().filter(Diagnostic::is_error).collect();
        let style = Style::of(&std::io::stderr(), global.no_color);
        errln!("{}\n", revision.named(&report::diagnostics::render(&errors, &sources, style.color)));
        let name = &revision.name;
        complain(
            global,
            &format!("{}: as of {name} it cannot be read, so there is nothing to compare with", args.site.display()),
        )
    })
}

/// The content of both sites' image files; of what git does not hold the paths stand for it.
fn contents(old: Option<&Site>, new: &Site, revision: &Revision) -> (Contents, Contents) {
    let files = |site: &Site| -> BTreeMap<Address, Vec<PathBuf>> {
        let of = site.objects.iter().filter_map(|object| match object.spec.downcast_ref::<Source>() {
            Some(Source::Files(files)) => Some((object.address.clone(), files.clone())),
            _ => None,
        });
        of.collect()
    };
    let (was, is) = (old.map(files).unwrap_or_default(), files(new));
    let is_held = |address: &Address| {
        let all = |of: &BTreeMap<Address, Vec<PathBuf>>| {
            of.get(address).is_some_and(|files| files.iter().all(|file| revision.holds(file)))
        };
        all(&was) && all(&is)
    };
    let of = |site: &Site, files: &BTreeMap<Address, Vec<PathBuf>>| -> Contents {
        let held: Vec<_> = site.objects.iter().filter(|object| is_held(&object.address)).cloned().collect();
        let mut contents = live::fingerprints(&held);
        for (address, files) in files {
            let paths: Vec<String> = files.iter().map(|file| revision.inside(file).display().to_string()).collect();
            contents.entry(address.clone()).or_insert_with(|| Ok(plan::stand_in(&paths.join("\n"))));
        }
        contents
    };
    (old.map(|old| of(old, &was)).unwrap_or_default(), of(new, &is))
}
