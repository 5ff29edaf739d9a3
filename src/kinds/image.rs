//! `images`: images and their aliases.
//!
//! ```yaml
//! images:
//!   base:  {source: {file: dist/debian-12.tar.xz}, aliases: [acme/debian-12]}
//!   split: {source: {files: [meta.tar.xz, rootfs.squashfs]}, properties: {os: debian}, public: false}
//!   dated: {source: {file: old.tar.xz}, description: leaves soon, expires_at: "2030-01-01T00:00:00Z", profiles: [base]}
//!   web:   {source: {server: "https://images.example", protocol: simplestreams, alias: debian/12}, auto_update: true}
//!   other: {source: {server: "https://lxd.example:8443", protocol: lxd, alias: debian}}  # or incus, which is the same; its certificate: a remote's of that URL
//!   there: {source: {alias: debian-12}}        # must exist at the target; never created, changed or deleted
//! ```
//!
//! A file's fingerprint is its SHA-256 (of a split image: of both files in a row), so an image that is there
//! already is never sent again. Another file replaces the image: the new one comes first, then the aliases
//! move, then the old one goes. An image serves several sites when they name the same files: each leaves a
//! property `lxdeploy.SITE` on it, and it goes when the last of them does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use super::declare::check_path_part;
use super::{Creation, Declared, Decode, Effect, Kind, Object, Place, Raw, Record, Stamp, Wanted, body};
use crate::diagnostic::Diagnostic;
use crate::lxd::{Body as CallBody, Call, Method, escape};
use crate::model::{Id, Path, value};
use crate::tree::{self, Node, Settings, Spanned, Text};

/// The kind.
#[derive(Debug)]
pub struct Image;

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One file (unified) or two (metadata, root file system).
    Files(Vec<PathBuf>),
    /// Fetched by the server.
    Server {
        /// URL.
        server: String,
        /// `simplestreams` or `lxd`.
        protocol: String,
        /// The alias there, or
        alias: Option<String>,
        /// the fingerprint there.
        fingerprint: Option<String>,
    },
    /// Must be at the target under this alias.
    Alias(String),
    /// Must be at the target with this fingerprint (or its first digits).
    Fingerprint(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Where it comes from: exactly one of `{file: PATH}`, `{files: [META, ROOTFS]}`, `{server: URL, protocol: …,
    /// alias: A}`, `{alias: A}` or `{fingerprint: F}`; the last two must be at the target already.
    source: Option<Spanned<SourceBody>>,
    /// Its aliases; those that others made are theirs.
    aliases: Option<Spanned<Vec<Spanned<String>>>>,
    /// Properties, any names.
    #[serde(default)]
    properties: Settings,
    /// Whoever reaches the server may have it.
    public: Option<Spanned<bool>>,
    /// The server fetches newer versions by itself.
    auto_update: Option<Spanned<bool>>,
    /// When LXD removes it, as RFC 3339 has it.
    expires_at: Option<Spanned<Text>>,
    /// What instances of it get that name no profiles.
    profiles: Option<Spanned<Vec<Spanned<String>>>>,
}

/// Where an image comes from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "source")]
struct SourceBody {
    /// A unified image; the path belongs to the file in which it stands.
    file: Option<Spanned<String>>,
    /// A split image: its metadata and its root file system.
    files: Option<Spanned<Vec<Spanned<String>>>>,
    /// The URL of a server from which LXD fetches it.
    server: Option<Spanned<String>>,
    /// How that server speaks: `simplestreams` or `lxd`.
    protocol: Option<Protocol>,
    /// An alias at that server; without one, at the target.
    alias: Option<Spanned<String>>,
    /// A fingerprint at that server; without one, at the target.
    fingerprint: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Protocol {
    Simplestreams,
    /// That between servers; each calls it by its own name.
    #[serde(alias = "incus")]
    Lxd,
}

const SOURCE_HELP: &str = "exactly one of {file: PATH}, {files: [META, ROOTFS]}, {server: URL, protocol: simplestreams, alias: A}, {alias: A} or {fingerprint: F}";

impl Kind for Image {
    fn section(&self) -> &'static str {
        "images"
    }

    fn noun(&self) -> &'static str {
        "image"
    }

    fn place(&self) -> Place {
        Place::Project { feature: Some(("features.images", true)) }
    }

    fn free_map(&self) -> &'static str {
        "properties"
    }

    fn collection(&self) -> &'static str {
        "images"
    }

    fn path(&self, _: &Id, live: &Raw) -> Vec<String> {
        vec!["images".into(), fingerprint(live)]
    }

    fn name_of(&self, live: &Raw) -> String {
        fingerprint(live)
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let (body, is_whole) = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics);
        // What is left of a source says nothing of where it is.
        let body: Body = body.filter(|_| is_whole)?;
        let Some(written) = &body.source else {
            if cx.common.external {
                return Some(Declared::plain(cx.common_fields(), Arc::new(Source::Alias(cx.common.name.clone()))));
            }
            cx.diagnostics.push(Diagnostic::error(cx.common.span, "`source` is missing").help(SOURCE_HELP));
            return None;
        };
        let source = source(written, cx)?;
        let mut fields = cx.common_fields();
        // An image's description is one of its properties.
        if let Some(description) = fields.remove(&Path::field("description")) {
            fields.insert(Path::Entry { map: "properties", key: "description".into() }, description);
        }
        if let Source::Alias(_) | Source::Fingerprint(_) = source {
            let declared = body
                .aliases
                .as_ref()
                .map(|a| a.span)
                .or(body.public.as_ref().map(|p| p.span))
                .or(body.auto_update.as_ref().map(|a| a.span));
            if let Some(span) = declared {
                cx.diagnostics.push(
                    Diagnostic::error(span, "an image that must exist at the target is never changed")
                        .help("name its file or server as `source`, or take this key away"),
                );
                return None;
            }
        }
        for alias in body.aliases.iter().flat_map(|aliases| &aliases.value) {
            fields.insert(alias_path(&alias.value), leaf(true.into(), alias));
        }
        if let Some(profiles) = &body.profiles {
            let names: Vec<String> = profiles.value.iter().map(|profile| cx.reference("profiles", profile)).collect();
            fields.insert(Path::field("profiles"), leaf(names.into(), profiles));
        }
        if let Some(public) = &body.public {
            fields.insert(Path::field("public"), leaf(public.value.into(), public));
        }
        if let Some(update) = &body.auto_update {
            fields.insert(Path::field("auto_update"), leaf(update.value.into(), update));
        }
        if let Some(expires) = &body.expires_at {
            fields.insert(Path::field("expires_at"), leaf(expires.value.0.clone().into(), expires));
        }
        if let Source::Server { server, protocol, alias, .. } = &source {
            let alias = alias.as_deref().unwrap_or_default();
            fields
                .insert(Path::field("source"), leaf(format!("{server} {protocol} {alias}").trim_end().into(), written));
        }
        if let Source::Server { fingerprint: Some(fingerprint), .. } = &source {
            fields.insert(Path::field("fingerprint"), leaf(fingerprint.clone().into(), written));
        }
        cx.config(&mut fields, "properties", &super::options::Entity::Image, &body.properties);
        Some(Declared::plain(fields, Arc::new(source)))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_path_part(name, "image")
    }

    /// Each alias is a leaf of its own: those that others made are theirs.
    fn live(&self, live: &Raw, path: &Path) -> Option<Value> {
        let Some(alias) = alias_of(path) else { return body::get(live, path) };
        alias_names(live).iter().any(|name| name == alias).then_some(Value::Bool(true))
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        match (path, value) {
            (Path::Field(name), Value::String(text)) if name == "fingerprint" => text.to_ascii_lowercase(),
            _ => value::text(value),
        }
    }

    /// A fingerprint may be written by its first digits.
    fn same(&self, path: &Path, wanted: &Value, live: &Value) -> bool {
        let (wanted, live) = (self.canonical(path, wanted), self.canonical(path, live));
        wanted == live || *path == Path::field("fingerprint") && wanted.len() >= 12 && live.starts_with(&wanted)
    }

    /// LXD does not keep where an image was fetched from in the file's words.
    fn is_rewritten(&self, path: &Path) -> bool {
        *path == Path::field("source")
    }

    fn effect(&self, path: &Path, _: &Raw) -> (Effect, &'static str) {
        match path {
            Path::Field(name) if name == "fingerprint" => (Effect::Replace, "an image's content is its identity"),
            Path::Field(name) if name == "source" => (Effect::Replace, "the file names another image"),
            _ => (Effect::Live, ""),
        }
    }

    fn stamps(&self, live: &Raw) -> Vec<Stamp> {
        let properties = live.get("properties").and_then(Value::as_object);
        let stamps = properties
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Stamp::in_property(key.strip_prefix(PROPERTY)?, value.as_str()?));
        stamps.collect()
    }

    fn stamp_leaves(&self, site: &str, stamp: Option<&Stamp>) -> Vec<(Path, Option<Value>)> {
        let path = Path::Entry { map: "properties", key: format!("{PROPERTY}{site}") };
        vec![(path, stamp.map(|stamp| stamp.to_property().into()))]
    }

    fn creates_first(&self) -> bool {
        true
    }

    /// An image that is there already (another site's, or nobody's) gets the stamp only; the driver finds it
    /// by its fingerprint before it asks for the calls.
    fn create(&self, object: &Object, cx: &Creation<'_>) -> Vec<Call> {
        let mut body = super::document(object, cx);
        body.retain(|key, _| !key.starts_with(ALIASES));
        body.remove("fingerprint");
        body.remove("name");
        let properties = body.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let public = body.get("public") == Some(&Value::Bool(true));
        let create = match object.spec.downcast_ref::<Source>() {
            Some(Source::Files(files)) => {
                let query: Vec<String> = properties
                    .iter()
                    .map(|(key, value)| format!("{}={}", escape(key), escape(&value::text(value))))
                    .collect();
                let mut call = Call::new(Method::Post, &["images"]);
                call.body = CallBody::Image {
                    metadata: files[0].clone(),
                    rootfs: files.get(1).map(|file| (rootfs_part(file), file.clone())),
                    properties: query.join("&"),
                    public,
                };
                call
            }
            Some(Source::Server { server, protocol, alias, fingerprint }) => {
                let mut source = json!({"type": "image", "mode": "pull", "server": server, "protocol": protocol});
                if let Some(alias) = alias {
                    source["alias"] = alias.clone().into();
                }
                if let Some(fingerprint) = fingerprint {
                    source["fingerprint"] = fingerprint.clone().into();
                }
                if let Some(certificate) = &cx.certificate {
                    source["certificate"] = certificate.clone().into();
                }
                body.insert("source".into(), source);
                Call::post(&["images"], Value::Object(body))
            }
            Some(Source::Alias(_) | Source::Fingerprint(_)) | None => return vec![],
        };
        vec![create.project(&cx.id.project)]
    }

    /// The properties, and then each alias that comes, moves or goes.
    fn update(&self, id: &Id, before: &Raw, after: &Raw) -> Vec<Call> {
        let settable = ["auto_update", "properties", "public", "expires_at", "profiles"];
        let pick = |raw: &Raw| -> Raw {
            settable.iter().filter_map(|key| Some(((*key).to_owned(), raw.get(*key)?.clone()))).collect()
        };
        let mut calls = vec![];
        if pick(before) != pick(after) {
            calls.push(self.call(Method::Put, id, after).json(Value::Object(pick(after))));
        }
        let (old, new) = (alias_names(before), wanted_aliases(after));
        for alias in old.iter().filter(|alias| !new.contains(*alias)) {
            calls.push(Call::delete(&["images", "aliases", alias]).project(&id.project));
        }
        for alias in new.iter().filter(|alias| !old.contains(*alias)) {
            calls.push(alias_call(id, alias, &fingerprint(after)));
        }
        calls
    }

    /// While another site's property is on it, only ours is taken away, and our aliases.
    fn delete(&self, site: &str, id: &Id, live: &Raw) -> Vec<Call> {
        let stamps = self.stamps(live);
        if stamps.iter().any(|stamp| stamp.site != site) {
            let mut after = live.clone();
            let ours = stamps.iter().filter(|stamp| stamp.site == site);
            for record in ours.filter_map(|stamp| Record::parse(&stamp.record).ok()) {
                for key in record.k.keys() {
                    let path = Path::from_record(key, self.free_map());
                    if alias_of(&path).is_some() {
                        body::set(&mut after, &path, None);
                    }
                }
            }
            body::write(&mut after, &self.stamp_leaves(site, None));
            return self.update(id, live, &after);
        }
        vec![self.call(Method::Delete, id, live)]
    }
}

const PROPERTY: &str = "lxdeploy.";

/// The image's fingerprint.
pub fn fingerprint(live: &Raw) -> String {
    live.get("fingerprint").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The names of an image's aliases, sorted.
pub fn alias_names(live: &Raw) -> Vec<String> {
    let aliases = live.get("aliases").and_then(Value::as_array);
    let name = |alias: &Value| alias.as_str().or_else(|| alias.get("name")?.as_str()).map(str::to_owned);
    let mut names: Vec<String> = aliases.into_iter().flatten().filter_map(name).collect();
    names.sort();
    names
}

/// Makes an alias; its description says whose it is.
pub fn alias_call(id: &Id, alias: &str, fingerprint: &str) -> Call {
    let body = json!({"name": alias, "target": fingerprint, "description": "lxdeploy"});
    Call::post(&["images", "aliases"], body).project(&id.project)
}

/// Points an alias that exists at another image.
pub fn move_alias_call(id: &Id, alias: &str, fingerprint: &str) -> Call {
    Call::put(&["images", "aliases", alias], json!({"target": fingerprint, "description": "lxdeploy"}))
        .project(&id.project)
}

/// The aliases that an image is to have: those that it has, and the leaves that say otherwise.
fn wanted_aliases(after: &Raw) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = alias_names(after).into_iter().collect();
    for (key, value) in after {
        let Some(alias) = key.strip_prefix(ALIASES) else { continue };
        if *value == Value::Bool(true) {
            names.insert(alias.to_owned());
        } else {
            names.remove(alias);
        }
    }
    names
}

/// What the leaves of aliases begin with.
const ALIASES: &str = "aliases.";

/// The leaf of one alias.
fn alias_path(alias: &str) -> Path {
    Path::field(format!("{ALIASES}{alias}"))
}

/// The alias that a leaf is about.
pub fn alias_of(path: &Path) -> Option<&str> {
    match path {
        Path::Field(name) => name.strip_prefix(ALIASES),
        Path::Entry { .. } | Path::Device { .. } => None,
    }
}

/// LXD tells a VM's disk from a root file system by the part's name.
fn rootfs_part(file: &std::path::Path) -> &'static str {
    let is_disk = file
        .extension()
        .is_some_and(|extension| ["img", "qcow2", "raw"].iter().any(|disk| extension.eq_ignore_ascii_case(disk)));
    if is_disk { "rootfs.img" } else { "rootfs" }
}

fn leaf<T>(value: Value, from: &Spanned<T>) -> Wanted {
    Wanted { value, sensitive: from.sensitive, span: from.span }
}

fn source(body: &Spanned<SourceBody>, cx: &mut Decode<'_>) -> Option<Source> {
    let SourceBody { file, files, server, protocol, alias, fingerprint } = &body.value;
    let path = |text: &Spanned<String>| (cx.directory)(text.span).join(&text.value);
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
    let found = match (file, files, server, alias, fingerprint) {
        (Some(file), None, None, None, None) if protocol.is_none() => Some(Source::Files(vec![path(file)])),
        (None, Some(files), None, None, None) if protocol.is_none() && files.value.len() == 2 => {
            Some(Source::Files(files.value.iter().map(path).collect()))
        }
        (None, None, Some(server), alias, fingerprint) if alias.is_some() != fingerprint.is_some() => {
            Some(Source::Server {
                server: server.value.clone(),
                protocol: match protocol {
                    Some(Protocol::Lxd) => "lxd".into(),
                    Some(Protocol::Simplestreams) | None => "simplestreams".into(),
                },
                alias: text(alias),
                fingerprint: text(fingerprint),
            })
        }
        (None, None, None, Some(alias), None) if protocol.is_none() => Some(Source::Alias(alias.value.clone())),
        (None, None, None, None, Some(fingerprint)) if protocol.is_none() => {
            Some(Source::Fingerprint(fingerprint.value.clone()))
        }
        _ => None,
    };
    let Some(found) = found else {
        let message = match (files, server) {
            (Some(files), _) if files.value.len() != 2 => {
                format!("`files` are two, metadata and root file system; here are {}", files.value.len())
            }
            (_, Some(_)) if file.is_none() && files.is_none() => {
                "a `server` needs either the `alias` or the `fingerprint` of the image".into()
            }
            _ if protocol.is_some() && server.is_none() => "`protocol` goes with `server` alone".into(),
            (None, None) if file.is_none() && alias.is_none() && fingerprint.is_none() => {
                "this `source` names nothing".into()
            }
            _ => "this `source` names more than one place".into(),
        };
        cx.diagnostics.push(Diagnostic::error(body.span, message).help(SOURCE_HELP));
        return None;
    };
    check_source(&body.value, cx).then_some(found)
}

/// What can be said of a source without asking anybody. A file may still have to be built, so that a missing one
/// is a warning here; plan needs it.
fn check_source(source: &SourceBody, cx: &mut Decode<'_>) -> bool {
    let before = cx.diagnostics.len();
    for text in source.file.iter().chain(source.files.iter().flat_map(|files| &files.value)) {
        let path = (cx.directory)(text.span).join(&text.value);
        if text.value.is_empty() || path.is_dir() {
            cx.diagnostics.push(
                Diagnostic::error(text.span, format!("`{}` is no file", text.value)).help("name the image's file"),
            );
        } else if !path.exists() && !cx.common.external {
            cx.diagnostics.push(
                Diagnostic::warning(text.span, format!("there is no file {}", path.display()))
                    .help("build it before you plan; a relative path belongs to the file in which it stands"),
            );
        }
    }
    if let Some(server) = &source.server {
        let host = server.value.strip_prefix("https://").or_else(|| server.value.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(char::is_whitespace)) {
            cx.diagnostics.push(
                Diagnostic::error(server.span, format!("`{}` is no URL of an image server", server.value))
                    .help("for example https://cloud-images.ubuntu.com/releases"),
            );
        }
    }
    if let Some(alias) = source.alias.as_ref().filter(|alias| alias.value.is_empty()) {
        cx.diagnostics.push(Diagnostic::error(alias.span, "an empty alias").help("for example debian/12"));
    }
    if let Some(fingerprint) = &source.fingerprint {
        let text = &fingerprint.value;
        if text.is_empty() || text.len() > 64 || !text.chars().all(|c| c.is_ascii_hexdigit()) {
            cx.diagnostics.push(
                Diagnostic::error(fingerprint.span, format!("`{text}` is no fingerprint")).help(
                    "a fingerprint is 64 hex digits, or the first of them; put it in quotes if it is digits alone",
                ),
            );
        }
    }
    !cx.diagnostics[before..].iter().any(Diagnostic::is_error)
}
