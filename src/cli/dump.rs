use std::path::Path;
use std::time::SystemTime;

use super::common::{Selection, SiteArgs, complain, interruptible, load, load_in, open, right_server};
use super::plan::PlanFormat;
use super::say::{errln, out};
use super::{Exit, Global};
use crate::live::dump::{self, Of};
use crate::model::{Masker, Sources, units};
use crate::plan::{self, Note, Plan};
use crate::report::Style;
use crate::site::{self, SecretMode, Site};

/// `lxdeploy dump`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
}

/// Writes the snapshot as JSON to stdout.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let written = interruptible(async {
        let opened = open(&args.site, global)?;
        let snapshot = opened.read(global).await?;
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        dump::write(&snapshot, &of(&opened.site, &opened.masker), units::format_utc(seconds))
            .map_err(|reason| complain(global, &reason))
    });
    match written.await {
        Ok(text) => {
            out!("{text}");
            Exit::Done
        }
        Err(exit) => exit,
    }
}

fn of<'a>(site: &'a Site, masker: &'a Masker) -> Of<'a> {
    Of { site: &site.name, project: &site.project, objects: &site.objects, masker }
}

/// Plans a site against a dump.
///
/// # Errors
/// What went wrong, told already.
pub fn planned(
    live: &Path,
    args: &SiteArgs,
    selection: &Selection,
    destroy: bool,
    format: PlanFormat,
    global: &Global,
) -> Result<(Plan, Masker, Sources), Exit> {
    let options = selection.options(destroy).map_err(|reason| complain(global, &reason))?;
    let (mut site, mut masker, mut sources) = load(args, global, SecretMode::Read).ok_or(Exit::Failed)?;
    let told = |masker: &Masker, reason: &str| complain(global, &masker.mask(&format!("{}: {reason}", live.display())));
    let text = std::fs::read_to_string(live).map_err(|error| told(&masker, &error.to_string()))?;
    let dump = dump::parse(&text).map_err(|reason| told(&masker, &reason))?;
    if !site.names_project && dump.site == site.name && dump.project != site.project {
        // The remote's own project, when it was dumped.
        let loaded = load_in(args, Some(dump.project.clone()), global, SecretMode::Read);
        let (again, loaded) = loaded.ok_or(Exit::Failed)?;
        (site, masker, sources) = (again, loaded.masker, loaded.sources);
    }
    site.origin = site::origin(&args.site);
    let as_of = dump.as_of.clone();
    let snapshot = dump.snapshot(&of(&site, &masker)).map_err(|reason| told(&masker, &reason))?;
    right_server(&site, &snapshot, &live.display().to_string()).map_err(|reason| complain(global, &reason))?;
    let mut plan = plan::build(&site, &snapshot, &options);
    let server = &snapshot.server;
    let (name, print) = (&server.name, server.fingerprint.get(..12).unwrap_or(&server.fingerprint));
    let text = format!("as of {as_of}: {name} (fingerprint {print}), from {}", live.display());
    match format {
        PlanFormat::Text | PlanFormat::Markdown => plan.notes.insert(0, Note { address: None, code: "as-of", text }),
        // The document is the same as online, byte for byte.
        PlanFormat::Json => errln!("{} {text}", Style::of(&std::io::stderr(), global.no_color).cyan("note:")),
    }
    Ok((plan, masker, sources))
}
