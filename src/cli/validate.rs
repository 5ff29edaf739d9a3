use super::common::{SiteArgs, load};
use super::say::outln;
use super::{Exit, Global};
use crate::report::Style;
use crate::site::SecretMode;

/// `lxdeploy validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
}

/// Checks a site; no server, and no secret is read.
pub fn run(args: &Args, global: &Global) -> Exit {
    let Some((site, ..)) = load(&args.site, global, SecretMode::Placeholder) else {
        return Exit::Failed;
    };
    let style = Style::of(&std::io::stdout(), global.no_color);
    let platform = match &site.platform {
        Some((name, Some(release))) => format!(", on platform {name} {release}"),
        Some((name, None)) => format!(", on platform {name}"),
        None => String::new(),
    };
    outln!("{}", style.green(&format!("Site {} is valid: {} objects{platform}.", site.name, site.objects.len())));
    if !site.deviations.is_empty() {
        let paths: Vec<&str> = site.deviations.iter().map(|(path, _)| path.as_str()).collect();
        outln!("It deviates from its platform in {}.", paths.join(", "));
    }
    // The process ends here, and taking thousands of objects apart takes time.
    std::mem::forget(site);
    Exit::Done
}
