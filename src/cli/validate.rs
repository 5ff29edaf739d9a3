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
    let platform = site.platform_release().map(|platform| format!(", on platform {platform}")).unwrap_or_default();
    outln!("{}", style.green(&format!("Site {} is valid: {} objects{platform}.", site.name, site.objects.len())));
    if let Some(deviation) = site.deviation() {
        outln!("{} {deviation}", style.cyan("note:"));
    }
    // The process ends here, and taking thousands of objects apart takes time.
    std::mem::forget(site);
    Exit::Done
}
