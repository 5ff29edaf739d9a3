//! `apt`'s `deb:`: a package that comes as a file.

use super::debian;
use crate::guest::{About, Command, PackageManager, Write};
use crate::tasks::{Change, Failure, Known, Pause, Verdict};

/// A package file, in the guest or behind a URL. `Some` where something is to be done before it can be looked at.
pub fn install(
    deb: &str,
    allow_downgrade: bool,
    options: &[String],
    guest: &Known,
    verdict: &mut Verdict,
) -> Result<Option<Verdict>, Pause> {
    let is_url = deb.contains("://");
    let name = deb.rsplit('/').next().unwrap_or("package.deb").split(['?', '#']).next().unwrap_or_default();
    let path = if is_url { format!("/var/cache/apt/archives/lxdeploy-{name}") } else { deb.to_owned() };
    if guest.stat(&path)?.is_none() {
        if !is_url {
            return Err(Failure::new(format!("{deb} is not there in the guest; copy it first")).into());
        }
        let fetch = Command::new(["/usr/lib/apt/apt-helper", "download-file", deb, &path]);
        return Ok(Some(Verdict {
            changes: vec![Change::value(format!("package {name}"), None, Some(deb.to_owned()))],
            writes: vec![Write::Run(fetch)],
            again: true,
            ..Verdict::default()
        }));
    }
    let fields =
        guest.output(Command::new(["dpkg-deb", "-f", &path, "Package", "Version"]).about(About::Path(path.clone())))?;
    if !fields.is_success() {
        return Err(Failure::new(format!("{deb} is no package: {}", fields.errors().trim())).into());
    }
    let text = fields.text();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    let (name, version) = (field("Package:").unwrap_or_default(), field("Version:").unwrap_or_default());
    let package = guest.installed(PackageManager::Dpkg, &name)?;
    let is_there = package.installed.as_ref() == Some(&version);
    let is_older = match &package.installed {
        Some(installed) if !is_there => debian::compare(guest, &version, "lt", installed)?,
        _ => false,
    };
    if is_there {
        return Ok(None);
    }
    if is_older && !allow_downgrade {
        let installed = package.installed.clone().unwrap_or_default();
        let why =
            format!("a later version of {name} is installed ({installed}); `allow_downgrade: true` installs {version}");
        return Err(Failure::new(why).into());
    }
    let change = Change::value(format!("package {name}"), package.installed.clone(), Some(version));
    let path = if path.starts_with('/') { path } else { format!("./{path}") };
    verdict.change(change, Write::Run(debian::apt(options, ["install", &path])));
    Ok(None)
}
