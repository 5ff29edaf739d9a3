//! What reading an object of any kind has in common: config, devices, description.

use serde_json::Value;

use super::options::{self, Entity};
use super::{Decode, Fields, Reference, Wanted};
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::{Path, Span};
use crate::tree::{Mapping, Settings, Spanned, Text};

impl Decode<'_> {
    /// The leaves that every object may have: `description`.
    pub fn common_fields(&self) -> Fields {
        let mut fields = Fields::new();
        if let Some(description) = &self.common.description {
            let value = Value::String(description.value.clone());
            let wanted = Wanted { value, sensitive: description.sensitive, span: description.span };
            fields.insert(Path::field("description"), wanted);
        }
        fields
    }

    /// The keys of a free map, each checked against LXD's catalogue.
    pub fn config(&mut self, fields: &mut Fields, map: &'static str, entity: &Entity<'_>, settings: &Settings) {
        for (key, value) in &settings.0 {
            if map == "config" {
                self.check(entity, key, value);
                if value.sensitive && *entity == Entity::Instance && readable_in_the_guest(&key.value) {
                    self.diagnostics.push(
                        Diagnostic::warning(value.span, format!("`{}` can be read inside the guest, and it holds a secret", key.value))
                            .help("LXD keeps config in clear text and gives user.* and cloud-init.* to the guest; let a playbook write the secret into a file instead"),
                    );
                }
            }
            fields.insert(Path::Entry { map, key: key.value.clone() }, wanted(value));
        }
    }

    /// The keys of devices, and what they refer to.
    pub fn devices(&mut self, fields: &mut Fields, devices: &Mapping<Settings>) {
        for (device, settings) in &devices.0 {
            if settings.0.is_empty() {
                let message = format!("the device `{}` has no keys", device.value);
                self.diagnostics
                    .push(Diagnostic::error(device.span, message).help("give it a `type`, or take it away"));
            }
            let get = |name: &str| settings.0.iter().find(|(key, _)| key.value == name).map(|(_, value)| value);
            let kind = get("type").map(|value| value.value.0.clone());
            if let Some(kind) = get("type") {
                self.known("device type", options::device_types(), kind);
            }
            let is_root = get("path").is_some_and(|path| path.value.0 == "/");
            for (key, value) in &settings.0 {
                self.check(&Entity::Device(kind.as_deref()), key, value);
                let mut wanted = wanted(value);
                match key.value.as_str() {
                    "network" => wanted.value = self.named("networks", value).into(),
                    "security.acls" => wanted.value = self.named_list("network_acls", value).into(),
                    "pool" => wanted.value = self.named("storage_pools", value).into(),
                    "source" if !is_root && kind.as_deref() == Some("disk") => {
                        if let Some(pool) = get("pool") {
                            let pool = self.name_only("storage_pools", &pool.value.0);
                            let name = self.named("storage_volumes", value);
                            if let Some(reference) = self.references.last_mut() {
                                reference.pool = Some(pool);
                            }
                            wanted.value = name.into();
                        }
                    }
                    _ => {}
                }
                fields.insert(Path::device(&device.value, &key.value), wanted);
            }
        }
    }

    /// LXD's name for what one value refers to.
    pub fn named(&mut self, section: &'static str, value: &Spanned<Text>) -> String {
        self.reference(section, &Spanned { value: value.value.0.clone(), span: value.span, sensitive: value.sensitive })
    }

    /// The same for a comma-separated list.
    pub fn named_list(&mut self, section: &'static str, value: &Spanned<Text>) -> String {
        let parts = value.value.0.split(',').map(str::trim).filter(|part| !part.is_empty());
        let names: Vec<String> = parts
            .map(|part| {
                self.reference(section, &Spanned { value: part.to_owned(), span: value.span, sensitive: false })
            })
            .collect();
        names.join(",")
    }

    /// LXD's name for a text, without noting a reference.
    fn name_only(&self, section: &str, text: &str) -> String {
        self.names.find(section, text, &self.common.project).map_or_else(|| text.to_owned(), |(_, name)| name)
    }

    /// Warns of a type or driver that LXD is not known to have; servers differ.
    pub fn known(&mut self, what: &str, words: impl Iterator<Item = &'static str>, text: &Spanned<Text>) {
        let words: Vec<&str> = words.collect();
        let word = text.value.0.as_str();
        if words.contains(&word) || text.sensitive {
            return;
        }
        let warning = Diagnostic::warning(text.span, format!("`{word}` is no {what} that LXD is known to have"));
        self.diagnostics.push(match nearest(word, words.iter().copied()) {
            Some(near) => warning.help(format!("did you mean `{near}`?")),
            None => warning.help(format!("known are {}", words.join(", "))),
        });
    }

    fn check(&mut self, entity: &Entity<'_>, key: &Spanned<String>, value: &Spanned<Text>) {
        if value.sensitive {
            // The text of a secret is in no error, and a placeholder is of no type.
            return;
        }
        self.diagnostics.extend(options::check(entity, &key.value, &value.value.0, key.span, value.span));
    }

    /// Notes a need of something by its name alone.
    pub fn needs(&mut self, section: &'static str, name: &str, span: Span) {
        self.references.push(Reference { section, name: name.to_owned(), address: None, pool: None, span });
    }
}

/// A leaf of text.
pub fn wanted(value: &Spanned<Text>) -> Wanted {
    Wanted { value: Value::String(value.value.0.clone()), sensitive: value.sensitive, span: value.span }
}

/// LXD hands these to the guest over /dev/lxd and as cloud-init seed.
fn readable_in_the_guest(key: &str) -> bool {
    key.starts_with("user.") || key.starts_with("cloud-init.")
}

/// LXD's rule for host names, which instances and ACLs share: 1 to 63 of `[A-Za-z0-9-]`, no hyphen at an edge.
pub fn check_hostname(name: &str, what: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 63 {
        return Err(format!("{what} names have 1 to 63 characters"));
    }
    if let Some(bad) = name.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        return Err(format!("{what} names are made of letters, digits and `-`; `{bad}` is none of them"));
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("{what} names do not start with a digit"));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(format!("{what} names neither start nor end with `-`"));
    }
    Ok(())
}

/// The rule for names that are parts of a URL: no slash, not `.` or `..`, nothing that a terminal would hide.
pub fn check_path_part(name: &str, what: &str) -> Result<(), String> {
    if name.is_empty() || name == "." || name == ".." {
        return Err(format!("{what} names are neither empty nor `.` nor `..`"));
    }
    if let Some(bad) = name.chars().find(|c| *c == '/' || c.is_control()) {
        return Err(format!("{what} names hold no {bad:?}"));
    }
    Ok(())
}
