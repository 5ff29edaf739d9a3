use super::{Exit, Global};

/// `lxdeploy remote`.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_: &Args, _: &Global) -> Exit {
    Exit::Done
}
