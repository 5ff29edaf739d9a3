use std::time::Duration;

use super::common::{complain, duration, interruptible};
use super::say::out;
use super::{Exit, Global};
use crate::export;
use crate::live;
use crate::lxd::{self, Client};
use crate::model::Address;

/// `lxdeploy export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server: a remote's name, https://host:8443, unix:/path or local
    #[arg(long, env = "LXDEPLOY_REMOTE", hide_env = true)]
    remote: Option<String>,
    /// The project; of `default` also what is the server's own
    #[arg(long, env = "LXDEPLOY_PROJECT", hide_env = true)]
    project: Option<String>,
    /// The site's name; one whose stamps are there already is written as it was applied
    #[arg(long, value_name = "NAME", env = "LXDEPLOY_SITE", hide_env = true)]
    site: Option<String>,
    /// An object that the file is to define too: a pool, a network of `default`, one of nobody beside the site's own; repeatable
    #[arg(long, value_name = "ADDRESS", env = "LXDEPLOY_WITH", hide_env = true)]
    with: Vec<Address>,
    /// The longest that one request may take
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "LXDEPLOY_TIMEOUT", hide_env = true)]
    timeout: Duration,
}

/// Prints a site file of what lives in a project.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let exported = interruptible(async {
        let told = |error: lxd::Error| complain(global, &error.to_string());
        let endpoint = lxd::resolve(args.remote.as_deref().unwrap_or("local"), None).map_err(told)?;
        let project = args.project.clone().or_else(|| endpoint.project.clone()).unwrap_or_else(|| "default".into());
        let site = args.site.clone().unwrap_or_else(|| export::site_name(&project));
        let client = Client::connect(&endpoint, args.timeout).map_err(told)?;
        let snapshot = live::read_project(&client, &site, &project).await.map_err(told)?;
        let options =
            export::Options { site: Some(site), project, remote: args.remote.clone(), with: args.with.clone() };
        export::site_file(&snapshot, &options).map_err(|reason| complain(global, &reason))
    });
    match exported.await {
        Ok(exported) => {
            out!("{}", exported.text);
            Exit::Done
        }
        Err(exit) => exit,
    }
}
