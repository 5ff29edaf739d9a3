//! Every sentence of the format, without a server.

mod encrypted;
mod errors;
mod example;
mod expansion;
mod fuzz;
mod inputs;
mod merge;
mod objects;
mod schema;
mod secrets;
mod templates;
mod variables;
mod why;

use std::path::Path as FilePath;

use serde_json::Value;

use super::{Loaded, Options, SecretMode, Site, load};
use crate::kinds::Object;
use crate::model::Path;
use crate::report;

/// A directory of files, gone at the end of the test.
struct Files(tempfile::TempDir);

/// Files by name.
fn files(files: &[(&str, &str)]) -> Files {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Files(directory)
}

impl Files {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, options: &Options) -> Loaded {
        load(&self.path("site.yaml"), options)
    }

    /// What a user would see, without the directory.
    fn shown(&self, loaded: &Loaded) -> String {
        let text = report::diagnostics::render(&loaded.diagnostics, &loaded.sources, false);
        let directory = format!("{}/", self.0.path().display());
        loaded.masker.mask(&text).replace(&directory, "")
    }

    /// The site, which must be without errors and warnings.
    fn site(&self, options: &Options) -> Site {
        let loaded = self.load(options);
        assert!(loaded.diagnostics.is_empty(), "{}", self.shown(&loaded));
        self.satisfy_the_schema();
        loaded.site.unwrap()
    }

    /// What is right is right to an editor, too.
    fn satisfy_the_schema(&self) {
        for name in ["site.yaml", "platform.yaml"] {
            if let Ok(text) = std::fs::read_to_string(self.path(name)) {
                let errors = schema::CHECKER.errors(&text);
                assert_eq!(errors, None, "the schema does not take {name}:\n{text}");
            }
        }
    }

    /// What is found, as a user would see it.
    fn found(&self) -> String {
        self.shown(&self.load(&Options::default()))
    }
}

/// A site file alone, without its first line.
fn one(text: &str) -> Files {
    files(&[("site.yaml", &format!("site: acme\n{text}"))])
}

/// The site of one file.
fn site(text: &str) -> Site {
    one(text).site(&Options::default())
}

/// What is found in one file.
fn found(text: &str) -> String {
    one(text).found()
}

/// What is found in a site on a platform.
fn found_on(platform: &str, text: &str) -> String {
    on(platform, text).found()
}

/// A site on a platform.
fn on(platform: &str, text: &str) -> Files {
    files(&[
        ("site.yaml", &format!("site: acme\nextends: platform.yaml\n{text}")),
        ("platform.yaml", &format!("platform: base\nrelease: 1.2.0\n{platform}")),
    ])
}

/// `--var`.
fn vars(vars: &[(&str, &str)]) -> Options {
    Options {
        vars: vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Options::default()
    }
}

impl Site {
    fn object(&self, address: &str) -> &Object {
        let found = self.objects.iter().find(|object| object.address.to_string() == address);
        found.unwrap_or_else(|| panic!("{address} is none of {:?}", self.addresses()))
    }

    fn addresses(&self) -> Vec<String> {
        self.objects.iter().map(|object| object.address.to_string()).collect()
    }

    /// A key of an object's config.
    fn config(&self, address: &str, key: &str) -> Option<String> {
        self.object(address).value(&Path::config(key))
    }

    /// `user.x` of the project `x`: what a value became, on its way into LXD's text.
    fn x(&self) -> String {
        self.config("profiles.x", "user.x").unwrap()
    }
}

impl Object {
    fn value(&self, path: &Path) -> Option<String> {
        self.fields.get(path).map(|wanted| match &wanted.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    fn device(&self, device: &str, key: &str) -> Option<String> {
        self.value(&Path::device(device, key))
    }
}

/// The profile whose `user.x` is [`Site::x`].
fn x(value: &str) -> String {
    format!("profiles: {{x: {{config: {{user.x: {value}}}}}}}\n")
}

/// Loads any bytes as a site file.
fn load_bytes(directory: &FilePath, bytes: &[u8]) -> Loaded {
    let path = directory.join("any.yaml");
    std::fs::write(&path, bytes).unwrap();
    load(&path, &Options { secrets: SecretMode::Placeholder, ..Options::default() })
}
