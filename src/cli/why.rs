use super::common::{Format, SiteArgs, found};
use super::say::{errln, out, outln};
use super::{Exit, Global};
use crate::report::{self, Style};
use crate::site::{self, SecretMode};

/// `lxdeploy why`.
#[derive(Debug, clap::Args)]
#[command(after_help = "lxdeploy why site.yaml instances.api-1.config.limits.cpu\n\
    lxdeploy why site.yaml instances.api-1    # all that it has, each with its place")]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// SECTION.KEY.PATH: an object, and what to ask of it
    #[arg(value_name = "ADDRESS.PATH")]
    question: String,
    /// text, or json
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: Format,
}

/// Says where a value comes from; no server, and no secret is read.
pub fn run(args: &Args, global: &Global) -> Exit {
    let options = args.site.options(args.site.server.project.clone(), SecretMode::Placeholder);
    let (loaded, answer) = site::why::why(&args.site.site, &options, &args.question);
    found(&loaded, &args.site, global);
    match answer {
        None => Exit::Failed,
        Some(Err(diagnostic)) => {
            let color = Style::of(&std::io::stderr(), global.no_color).color;
            let text = report::diagnostics::render(&[diagnostic], &loaded.sources, color);
            errln!("{}", loaded.masker.mask(&text));
            Exit::Failed
        }
        Some(Ok(answer)) => {
            match args.format {
                Format::Text => {
                    let style = Style::of(&std::io::stdout(), global.no_color);
                    out!("{}", loaded.masker.mask(&report::why::text(&answer, &loaded.sources, style)));
                }
                Format::Json => {
                    let document = report::why::json(&answer, &loaded.sources);
                    outln!("{}", report::json::masked(document, &loaded.masker));
                }
            }
            Exit::Done
        }
    }
}
