use std::io::Write;

use clap::builder::BoolishValueParser;

use super::common::{SiteArgs, load};
use super::{Exit, Global};
use crate::report::graph;
use crate::site::SecretMode;

/// `lxdeploy graph`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// dot (Graphviz), mermaid (GitHub and GitLab draw it), or svg
    #[arg(long, value_enum, default_value_t = Format::Dot, env = "LXDEPLOY_GRAPH_FORMAT", hide_env = true)]
    format: Format,
    /// Draw each object of a count
    #[arg(long, env = "LXDEPLOY_EXPAND", hide_env = true, value_parser = BoolishValueParser::new())]
    expand: bool,
}

/// How the picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For Graphviz.
    Dot,
    /// For markdown.
    Mermaid,
    /// For browsers.
    Svg,
}

/// Draws what the objects of a site need; no server, and no secret is read.
pub fn run(args: &Args, global: &Global) -> Exit {
    let Some((site, masker, _)) = load(&args.site, global, SecretMode::Placeholder) else {
        return Exit::Failed;
    };
    let drawing = graph::drawing(&site, args.expand);
    let text = match args.format {
        Format::Dot => graph::dot(&drawing),
        Format::Mermaid => graph::mermaid(&drawing),
        Format::Svg => graph::svg(&drawing),
    };
    // Whoever closes the pipe early has what he wants.
    let _ = std::io::stdout().write_all(masker.mask(&text).as_bytes());
    Exit::Done
}
