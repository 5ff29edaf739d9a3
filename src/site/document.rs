//! # The file
//!
//! A site file says who owns the objects, where they live, and what they are:
//!
//! ```yaml
//! # yaml-language-server: $schema=site.schema.json
//! format: 1                       # 1 where it is not said
//! site: acme                      # the owner stamped on every object: 2 to 32 of a-z, 0-9 and `-`
//! remote: acme-dc                 # a remote's name, https://host:8443, unix:/path or local (default)
//! server_fingerprint: 3f0c…       # optional: the wrong server is refused
//! project: acme                   # where objects live that name no project
//! extends: ../platform.yaml       # the platform under this site
//! inputs: {api_count: 2}          # values for what the platform declares
//! vars: {net: 10.77.0}            # variables for templates
//! vars_files: [vars.yaml]
//! secrets: {db: {env: DB_PASSWORD}, tls: {file: tls.key}, hmac: {generate: 32}, ca: {generate: {ca: Acme}}}
//! recipients: [age1qy…]           # whom `lxdeploy secrets encrypt` encrypts files for, beside those of its platforms
//! playbooks: [playbooks/site.yml] # run after the instances are up and their own `roles` are through
//! roles_path: [../roles]          # where roles are, beside `roles/` and `playbooks/roles/` of these files
//! ```
//!
//! A platform file has `platform: NAME` and `release:` in place of `site:`, `remote:` and `server_fingerprint:`,
//! the same sections, and declares its inputs:
//! `inputs: {api_count: {type: int, default: 2, description: How many, min: 1}}`. A site is laid over its platform:
//! maps by key, scalars and lists replace, and `null` takes out what was inherited. A platform may extend another.
//!
//! Values are Jinja templates. A value that is one whole `{{ }}` keeps the type of its expression. Templates see
//! the variables (weakest first: the platform's `vars` and `vars_files`, inputs, the site's `vars` and
//! `vars_files`, `--vars-file`, `--var`), and `file(PATH)`, `env(NAME)` and `secret(NAME)`. What came from a secret
//! is masked wherever it is shown. `fail(MESSAGE)` refuses the site: `{{ n if n < 9 else fail('at most 8') }}`. Relative paths belong to the file in which they stand.
//!
//! `lxdeploy secrets generate SITE` makes what `generate:` asks for, and keeps it in `SITE.secrets.yaml` beside the
//! site, encrypted for its `recipients:` (of a site without any: for the user alone, below `~/.local/state`). `generate: 32`
//! is a password of so many letters; `{ca: NAME}` an authority, of which templates get the certificate and nobody the
//! key; `{certificate: [api.lxd, 10.77.0.2], signed_by: ca, days: 825}` a key and its certificate in one PEM text.
//!
//! `lxdeploy schema` writes the JSON Schema of all this, for editors; `lxdeploy why SITE ADDRESS.PATH` says where
//! a value comes from.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::Files;
use super::scope::Scope;
use super::{Options, Site};
use crate::diagnostic::{Diagnostic, nearest};
use crate::kinds;
use crate::model::Span;
use crate::secrets::age;
use crate::tree::{Node, Spanned, Value};

/// The format that this lxdeploy reads.
const FORMAT: i64 = 1;

/// What a later lxdeploy will read, and this one must not pass over.
const RESERVED: &[&str] = &["outputs", "network_forwards", "network_zones", "snapshots", "ttl"];

/// The keys of every file beside its sections.
pub const COMMON: &[&str] = &[
    "format",
    "extends",
    "project",
    "inputs",
    "vars",
    "vars_files",
    "secrets",
    "recipients",
    "playbooks",
    "roles_path",
];
/// Those of a site alone.
pub const OF_SITES: &[&str] = &["site", "remote", "server_fingerprint"];
/// Those of a platform alone.
pub const OF_PLATFORMS: &[&str] = &["platform", "release"];

/// One file of the chain.
pub struct Document {
    /// Its whole tree.
    pub root: Rc<Node>,
    /// Its path.
    pub path: PathBuf,
}

/// A site file and the platforms that it extends, the site first.
pub struct Chain {
    /// At least one.
    pub documents: Vec<Document>,
}

impl Chain {
    /// The site's own file.
    pub fn site(&self) -> &Document {
        &self.documents[0]
    }

    /// The platforms, the nearest first.
    pub fn platforms(&self) -> &[Document] {
        &self.documents[1..]
    }
}

/// Reads a site file and what it extends.
pub fn chain(path: &Path, files: &Files, out: &mut Vec<Diagnostic>) -> Option<Chain> {
    let root = files.read(path, None, out)?;
    if !is_map(&root, out) || !is_readable(&root, out) {
        return None;
    }
    check_keys(&root, true, out);
    let mut documents = vec![Document { root, path: path.to_owned() }];
    let mut seen = vec![identity(path)];
    loop {
        let last = &documents[documents.len() - 1];
        let Some(node) = last.root.get("extends") else { break };
        let Some(text) = node.as_str() else {
            out.push(
                Diagnostic::error(node.span, "`extends` is the path of one platform file")
                    .help("for example ../platform/standard.yaml"),
            );
            return None;
        };
        let next = files.directory(node.span.file).join(text);
        if seen.contains(&identity(&next)) {
            let names: Vec<String> = documents
                .iter()
                .map(|document| document.path.display().to_string())
                .chain([next.display().to_string()])
                .collect();
            out.push(
                Diagnostic::error(node.span, format!("these files extend each other: {}", names.join(" → ")))
                    .help("let one of them stand alone"),
            );
            return None;
        }
        let root = files.read(&next, Some(node.span), out)?;
        if !is_map(&root, out) || !is_readable(&root, out) {
            return None;
        }
        if root.get("site").is_some() && root.get("platform").is_none() {
            out.push(
                Diagnostic::error(node.span, format!("{} is a site, and only platforms are extended", next.display()))
                    .help("a platform file has `platform: NAME` in place of `site:`"),
            );
            return None;
        }
        check_keys(&root, false, out);
        seen.push(identity(&next));
        documents.push(Document { root, path: next });
    }
    Some(Chain { documents })
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn is_map(root: &Rc<Node>, out: &mut Vec<Diagnostic>) -> bool {
    if matches!(root.value, Value::Map(_)) {
        return true;
    }
    out.push(
        Diagnostic::error(root.span, format!("a site file is a map, and this is {}", root.kind_name()))
            .help("it starts with `site: NAME`"),
    );
    false
}

/// False for a file of another format: what else is in it, this lxdeploy cannot judge.
fn is_readable(root: &Node, out: &mut Vec<Diagnostic>) -> bool {
    let Some(node) = root.get("format") else { return true };
    let version = node.to_json();
    let diagnostic = match version.as_i64() {
        Some(FORMAT) => return true,
        Some(version) if version > FORMAT => Diagnostic::error(
            node.span,
            format!("this file has format {version}, and lxdeploy {} reads format {FORMAT}", env!("CARGO_PKG_VERSION")),
        )
        .help(format!("install a newer lxdeploy, one that reads format {version}")),
        Some(version) => Diagnostic::error(node.span, format!("there is no format {version}"))
            .help("write `format: 1`, or take it away"),
        None => Diagnostic::error(node.span, format!("`format` is a whole number, and this is {}", node.describe()))
            .help("write `format: 1`, or take it away"),
    };
    out.push(diagnostic);
    false
}

fn check_keys(root: &Rc<Node>, is_site: bool, out: &mut Vec<Diagnostic>) {
    let own: Vec<&str> = if is_site { OF_SITES.to_vec() } else { OF_PLATFORMS.to_vec() };
    let sections: Vec<&str> = kinds::all().iter().map(|kind| kind.section()).collect();
    for (key, _) in root.entries() {
        let name = key.text.as_str();
        if COMMON.contains(&name) || own.contains(&name) || sections.contains(&name) {
            continue;
        }
        if RESERVED.contains(&name) {
            out.push(reserved(name, key.span));
        } else if is_site && name == "platform" {
            let message = "this is a platform file, and a site file is wanted";
            out.push(
                Diagnostic::error(key.span, message)
                    .help("write a site file with `site: NAME` and `extends:` this one"),
            );
        } else if OF_SITES.contains(&name) {
            out.push(
                Diagnostic::error(key.span, format!("a platform has no `{name}`"))
                    .help("it belongs into the site file"),
            );
        } else if OF_PLATFORMS.contains(&name) {
            out.push(
                Diagnostic::error(key.span, format!("a site has no `{name}`"))
                    .help("it belongs into the platform file"),
            );
        } else {
            let known = COMMON.iter().chain(&own).chain(&sections).copied();
            let diagnostic = Diagnostic::error(key.span, format!("there is no section `{name}`"));
            out.push(match nearest(name, known) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("sections are {}", sections.join(", "))),
            });
        }
    }
    if !is_site && root.get("platform").is_none() {
        out.push(Diagnostic::error(root.span, "a platform file has `platform: NAME`").help("add it at the top"));
    }
    if is_site && root.get("site").is_none() && root.get("platform").is_none() {
        out.push(
            Diagnostic::error(root.span, "`site` is missing")
                .help("add `site: NAME`: the owner stamped on every object"),
        );
    }
}

/// The error of what a later lxdeploy will read.
pub fn reserved(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        span,
        format!("`{name}` is reserved and does not exist yet in lxdeploy {}", env!("CARGO_PKG_VERSION")),
    )
    .help("take it away until a later lxdeploy brings it")
}

/// True for a key that a later lxdeploy will read inside an object.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// What the files say of the site itself.
pub fn header(chain: &Chain, options: &Options, scope: &Rc<Scope>, out: &mut Vec<Diagnostic>) -> Site {
    let site = &chain.site().root;
    let text = |root: &Rc<Node>, key: &str, out: &mut Vec<Diagnostic>| -> Option<Spanned<String>> {
        let node = scope.render(root.get(key)?, None, out)?;
        match node.as_str() {
            Some(text) => Some(Spanned { value: text.to_owned(), span: node.span, sensitive: node.sensitive }),
            None => {
                out.push(
                    Diagnostic::error(node.span, format!("`{key}` is text, and this is {}", node.kind_name()))
                        .help("write a name here"),
                );
                None
            }
        }
    };
    let name = text(site, "site", out);
    if let Some(name) = &name {
        check_name(name, out);
    }
    let remote = text(site, "remote", out);
    if let Some(remote) =
        remote.as_ref().filter(|remote| remote.value.is_empty() || remote.value.contains(char::is_whitespace))
    {
        out.push(
            Diagnostic::error(remote.span, format!("`{}` is no remote", remote.value))
                .help("write a remote's name, https://host:8443, unix:/path or local"),
        );
    }
    let project = std::iter::once(site)
        .chain(chain.platforms().iter().map(|document| &document.root))
        .find_map(|root| text(root, "project", out));
    if let Some(project) = &project {
        check_project(project, out);
    }
    let fingerprint = text(site, "server_fingerprint", out).map(|mut fingerprint| {
        fingerprint.value = fingerprint.value.replace(':', "").to_ascii_lowercase();
        if fingerprint.value.len() != 64 || !fingerprint.value.chars().all(|c| c.is_ascii_hexdigit()) {
            out.push(
                Diagnostic::error(fingerprint.span, "a fingerprint is the SHA-256 of a certificate: 64 hex digits")
                    .help("`lxc info` shows it as certificate_fingerprint"),
            );
        }
        fingerprint
    });
    let platform = chain.platforms().first().and_then(|document| {
        Some((
            text(&document.root, "platform", out)?.value,
            text(&document.root, "release", out).map(|release| release.value),
        ))
    });
    recipients(chain, out);
    Site {
        name: name.map(|name| name.value).unwrap_or_default(),
        remote,
        server_fingerprint: fingerprint,
        names_project: options.project.is_some() || project.is_some(),
        project: options.project.clone().or(project.map(|project| project.value)).unwrap_or_else(|| "default".into()),
        platform,
        playbooks: paths(chain, "playbooks", scope, out),
        roles_path: paths(chain, "roles_path", scope, out),
        directories: chain.documents.iter().map(|document| directory_of(&document.path)).collect(),
        ..Site::default()
    }
}

/// Whom files are encrypted for: of all files of the chain, each once. They are read as they stand, without templates,
/// so that nothing has to be decrypted before.
pub fn recipients(chain: &Chain, out: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    for node in chain.documents.iter().filter_map(|document| document.root.get("recipients")) {
        if node.items().is_empty() && !node.is_null() && !matches!(node.value, Value::Seq(_)) {
            out.push(Diagnostic::error(node.span, "`recipients` is a list").help("recipients: [age1…, age1…]"));
        }
        for item in node.items() {
            match item.as_str().ok_or_else(|| format!("this is {}", item.describe())).and_then(|text| {
                age::check(text)?;
                Ok(text)
            }) {
                Ok(text) if found.iter().any(|known| known == text) => {}
                Ok(text) => found.push(text.to_owned()),
                Err(reason) => out.push(
                    Diagnostic::error(item.span, reason)
                        .help("`lxdeploy secrets keygen` makes an identity and prints its recipient, age1…"),
                ),
            }
        }
    }
    found
}

/// The paths of a list, each belonging to the file in which it stands; the nearest file that has the list counts.
fn paths(chain: &Chain, key: &str, scope: &Rc<Scope>, out: &mut Vec<Diagnostic>) -> Vec<Spanned<PathBuf>> {
    let found = chain.documents.iter().find_map(|document| Some((document, document.root.get(key)?)));
    let Some((document, node)) = found else { return vec![] };
    let Some(node) = scope.render(node, None, out).filter(|node| !node.is_null()) else { return vec![] };
    let items = if node.items().is_empty() { std::slice::from_ref(&node) } else { node.items() };
    let path = |item: &Rc<Node>| match item.as_str().filter(|text| !text.is_empty()) {
        Some(text) => {
            let value = directory_of(&document.path).join(text);
            Some(Spanned { value, span: item.span, sensitive: false })
        }
        None => {
            let message = format!("`{key}` is a list of paths, and this is {}", item.describe());
            out.push(
                Diagnostic::error(item.span, message).help("a relative path belongs to the file in which it stands"),
            );
            None
        }
    };
    items.iter().filter_map(path).collect()
}

fn directory_of(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    directory.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Refuses a project's name that LXD would refuse.
pub fn check_project(project: &Spanned<String>, out: &mut Vec<Diagnostic>) {
    if let Some(Err(rule)) = kinds::by_section("projects").map(|kind| kind.check_name(&project.value)) {
        let message = format!("LXD would refuse the project `{}`: {rule}", project.value);
        out.push(Diagnostic::error(project.span, message).help("write another name"));
    }
}

fn check_name(name: &Spanned<String>, out: &mut Vec<Diagnostic>) {
    let length = name.value.chars().count();
    let help = "a site's name has 2 to 32 characters of a-z, 0-9 and `-`";
    if let Some(bad) = name.value.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        out.push(Diagnostic::error(name.span, format!("a site's name holds no {bad:?}")).help(help));
    } else if !(2..=32).contains(&length) {
        out.push(Diagnostic::error(name.span, format!("this site's name has {length} characters")).help(help));
    }
}
