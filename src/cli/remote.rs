use std::io::{self, IsTerminal};

use clap::builder::BoolishValueParser;

use super::common::{Format, complain};
use super::say::{errln, out, outln};
use super::{Exit, Global};
use crate::lxd::enrol::{self, Found, Target};
use crate::lxd::remotes::{self, OwnRemote, Remote};
use crate::lxd::{self, Address, Error, Token};
use crate::report::remotes::Row;
use crate::report::{self, Style};

/// `lxdeploy remote`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// Give a server a name, and become known to it
    Add(AddArgs),
    /// Show the servers that have a name: lxdeploy's own, lxc's, and those that are built in
    List(ListArgs),
    /// Forget a server of lxdeploy's own; lxc's are left to lxc
    Remove(RemoveArgs),
}

#[derive(clap::Args)]
#[command(after_help = "Secrets come from the environment, never from a flag:\n  \
    LXDEPLOY_TRUST_TOKEN     a token, with a URL or in its place\n  \
    LXDEPLOY_TRUST_PASSWORD  the trust password of a server that has one (LXD up to 5.21)")]
struct AddArgs {
    /// What to call it
    name: String,
    /// https://host[:8443], host, host:port, unix:/path, or what `lxc config trust add` printed
    #[arg(value_name = "URL|TOKEN")]
    target: Option<String>,
    /// Trust the certificate that the server shows now, without a question
    #[arg(long, env = "LXDEPLOY_ACCEPT_CERTIFICATE", hide_env = true, value_parser = BoolishValueParser::new())]
    accept_certificate: bool,
    /// Trust the certificate with this SHA-256 alone, without a question
    #[arg(long, value_name = "SHA256", value_parser = fingerprint, env = "LXDEPLOY_FINGERPRINT", hide_env = true)]
    fingerprint: Option<String>,
    /// The project of objects that name none
    #[arg(long, env = "LXDEPLOY_PROJECT", hide_env = true)]
    project: Option<String>,
}

/// Without the target, which may be a token.
impl std::fmt::Debug for AddArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AddArgs {{ name: {:?}, project: {:?}, .. }}", self.name, self.project)
    }
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// text, or json
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// Which
    name: String,
}

fn fingerprint(text: &str) -> Result<String, String> {
    let hex = text.replace(':', "").to_ascii_lowercase();
    let is_whole = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_whole { Ok(hex) } else { Err("a SHA-256 has 64 hexadecimal digits".into()) }
}

/// Servers by name.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let result = match &args.command {
        // Not under `interruptible`: there Ctrl-C would wait for an answer to the question.
        Commands::Add(args) => add(args).await,
        Commands::List(args) => return list(args, global),
        Commands::Remove(args) => remove(args),
    };
    match result {
        Ok(()) => Exit::Done,
        Err(error) => complain(global, &error.to_string()),
    }
}

/// A variable's text; an empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn add(args: &AddArgs) -> Result<(), Error> {
    remotes::check_name(&args.name)?;
    let (target, token) = what(args)?;
    let known = remotes::own_remote(&args.name)?;
    let urls = match &target {
        Target::Socket(path) => return add_socket(args, path, known.as_ref()),
        Target::Https(_) | Target::Token(_) => target.urls(),
    };
    let urls = match &known {
        Some(remote) if !urls.contains(&remote.url) => return Err(taken(remote)),
        Some(remote) => vec![remote.url.clone()],
        None => urls,
    };
    let found = found(args, &urls, token.as_ref(), known.as_ref()).await?;

    let client = enrol::connect(&args.name, &found)?;
    let greeting = enrol::greet(&client).await?;
    if !greeting.is_trusted {
        match &token {
            Some(token) => enrol::by_token(&client, &greeting, token).await?,
            None if !greeting.may_take_password() => return Err(enrol::no_password(&args.name)),
            None => enrol::by_password(&client, &password(&args.name, &found.url)?).await?,
        }
    }
    let server = client.server().await?;
    let project = args.project.clone().or(known.and_then(|remote| remote.project));
    remotes::add(&args.name, OwnRemote { url: found.url.clone(), project }, Some(&found.certificate))?;
    if greeting.is_trusted && token.is_some() {
        outln!(
            "The token was not needed. If nobody has used it yet, whoever has it still can: `lxc config trust revoke-token` ends that."
        );
    }
    let how = if greeting.is_trusted { "knew this client already" } else { "knows this client now" };
    outln!("remote {}: {} ({} {}) {how}", args.name, found.url, server.kind, server.version);
    hides(&args.name);
    if server.is_restricted && args.project.is_none() {
        outln!("The server shows this client some projects only; --project names the one that sites go to.");
    }
    Ok(())
}

/// Where, and the token if there is one.
fn what(args: &AddArgs) -> Result<(Target, Option<Token>), Error> {
    let secret = match variable("LXDEPLOY_TRUST_TOKEN") {
        Some(text) => Some(Token::read(&text)?.ok_or_else(|| {
            Error::Config("LXDEPLOY_TRUST_TOKEN holds no whole token of `lxc config trust add`".into())
        })?),
        None => None,
    };
    let target = match (&args.target, &secret) {
        (Some(text), _) => Target::read(text)?,
        (None, Some(token)) => Target::Token(token.clone()),
        (None, None) => {
            return Err(Error::Config(format!("which server? `lxdeploy remote add {} URL|TOKEN`", args.name)));
        }
    };
    let token = match &target {
        Target::Token(token) => Some(token.clone()),
        Target::Https(_) | Target::Socket(_) => secret,
    };
    Ok((target, token))
}

fn taken(remote: &Remote) -> Error {
    Error::Config(format!(
        "there is a remote `{name}` already, {url}; `lxdeploy remote remove {name}` frees the name",
        name = remote.name,
        url = remote.url
    ))
}

fn add_socket(args: &AddArgs, path: &std::path::Path, known: Option<&Remote>) -> Result<(), Error> {
    let url = format!("unix:{}", path.display());
    if let Some(remote) = known.filter(|remote| remote.url != url) {
        return Err(taken(remote));
    }
    let project = args.project.clone().or_else(|| known.and_then(|remote| remote.project.clone()));
    remotes::add(&args.name, OwnRemote { url: url.clone(), project }, None)?;
    outln!("remote {}: {url}", args.name);
    hides(&args.name);
    Ok(())
}

/// Says so where lxc has a remote of this name.
fn hides(name: &str) {
    if let Some(other) = remotes::of_others().into_iter().find(|remote| remote.name == name) {
        outln!("{} has a remote {name} too ({}); lxdeploy takes its own.", other.source.display(), other.url);
    }
}

/// The server, with a certificate that is agreed to.
async fn found(args: &AddArgs, urls: &[String], token: Option<&Token>, known: Option<&Remote>) -> Result<Found, Error> {
    let pinned = match known {
        Some(remote) => remote.fingerprint()?,
        None => None,
    };
    let expected = match (&args.fingerprint, token) {
        (Some(fingerprint), Some(token)) if *fingerprint != token.fingerprint => {
            return Err(Error::Config(format!(
                "--fingerprint is {fingerprint}, and the token is of a server with {}",
                token.fingerprint
            )));
        }
        (Some(fingerprint), _) => Some(fingerprint.as_str()),
        (None, token) => token.map(|token| token.fingerprint.as_str()),
    };
    if let Some(pinned) = pinned {
        let found = enrol::find(urls, None).await?;
        if found.fingerprint != pinned {
            return Err(Error::CertificateChanged {
                endpoint: args.name.clone(),
                expected: pinned,
                shown: found.fingerprint,
            });
        }
        if let Some(expected) = expected.filter(|expected| *expected != pinned) {
            return Err(Error::Config(format!(
                "{} shows the certificate that was trusted before ({pinned}), and expected is {expected}: that is another server's",
                found.url
            )));
        }
        return Ok(found);
    }
    let found = enrol::find(urls, expected).await?;
    if expected.is_none() && !args.accept_certificate {
        let failed = |error: io::Error| Error::Config(format!("the answer cannot be read: {error}"));
        let is_right = report::trusts(&found.url, &found.fingerprint, &mut io::stdin().lock(), &mut io::stderr());
        if !io::stdin().is_terminal() {
            // Nobody pressed Enter.
            errln!("");
        }
        if !is_right.map_err(failed)? {
            return Err(Error::Config(
                "declined; nothing was written. Where nobody can be asked, --fingerprint SHA256 says which certificate is right".into(),
            ));
        }
    }
    Ok(found)
}

/// The trust password: from the environment, unseen from the terminal, or a line of stdin.
fn password(name: &str, url: &str) -> Result<String, Error> {
    if let Some(password) = variable("LXDEPLOY_TRUST_PASSWORD") {
        return Ok(password);
    }
    let failed = |error: io::Error| Error::Config(format!("the trust password cannot be read: {error}"));
    let password = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("Trust password of {url} (empty if it has none): ")).map_err(failed)?
    } else {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(failed)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err(Error::Config(format!(
            "{url} does not know this client yet, and there is no trust password. {}; \
             where the server has a trust password, LXDEPLOY_TRUST_PASSWORD may hold it",
            enrol::token_remedy(name)
        )));
    }
    Ok(password)
}

fn list(args: &ListArgs, global: &Global) -> Exit {
    let rows = rows();
    match args.format {
        Format::Text => out!("{}", report::remotes::table(&rows, Style::of(&io::stdout(), global.no_color))),
        Format::Json => outln!("{}", report::remotes::json(&rows)),
    }
    Exit::Done
}

fn rows() -> Vec<Row> {
    let own = remotes::own_directory();
    let kept = remotes::all().into_iter().filter(|remote| remote.name != "local").map(|remote| {
        let directory = remote.source.parent().unwrap_or(&remote.source);
        Row {
            source: if directory == own { "lxdeploy".into() } else { directory.display().to_string() },
            fingerprint: remote.fingerprint().unwrap_or_else(|error| {
                tracing::warn!("{error}");
                None
            }),
            name: remote.name,
            url: remote.url,
            protocol: remote.protocol,
            project: remote.project,
        }
    });
    let mut rows: Vec<Row> = kept.collect();
    let built_in = |name: &str, url: String, protocol: &str| Row {
        name: name.into(),
        url,
        protocol: protocol.into(),
        project: None,
        source: "built in".into(),
        fingerprint: None,
    };
    let socket = match lxd::resolve("local", None).map(|endpoint| endpoint.address) {
        Ok(Address::Socket(path)) => format!("unix:{}", path.display()),
        Ok(Address::Https { .. }) | Err(_) => "unix:".into(),
    };
    rows.push(built_in("local", socket, "lxd"));
    for (name, url) in remotes::built_in() {
        if rows.iter().all(|row| row.name != name) {
            rows.push(built_in(name, url.into(), "simplestreams"));
        }
    }
    rows
}

fn remove(args: &RemoveArgs) -> Result<(), Error> {
    let removed = remotes::remove(&args.name)?;
    outln!("removed {} ({})", args.name, removed.url);
    if removed.url.starts_with("https://") {
        outln!("The server still knows this client's certificate; `lxc config trust remove` there ends that.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_with_and_without_colons() {
        let hex = "ab".repeat(32);
        assert_eq!(fingerprint(&["AB"; 32].join(":")), Ok(hex.clone()));
        assert!(fingerprint(&hex[1..]).is_err());
    }
}
