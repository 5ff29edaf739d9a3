use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use super::Global;
use crate::report::Style;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Logs go to stderr: warnings, with -v what happens, with -vv every request.
pub fn start(global: &Global) {
    let level = match global.verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let filter = Targets::new().with_target("lxdeploy", level).with_default(LevelFilter::OFF);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    let result = match global.log_format {
        Format::Text => {
            let layer =
                layer.without_time().with_target(false).with_ansi(Style::of(&std::io::stderr(), global.no_color).color);
            registry.with(layer.with_filter(filter)).try_init()
        }
        Format::Json => registry.with(layer.json().with_filter(filter)).try_init(),
    };
    // Somebody else's subscriber is there (a test's): theirs is as good.
    drop(result);
}
