//! The schema says of a file what an editor can know, and never that a right file is wrong.

use std::path::{Path as FilePath, PathBuf};
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};

use super::*;
use crate::model::FileId;
use crate::site::document::{COMMON, OF_PLATFORMS, OF_SITES};
use crate::site::schema::schema;
use crate::tree;

const LINE: &str = "# yaml-language-server: $schema=";

/// Compiled once.
pub static CHECKER: LazyLock<Checker> = LazyLock::new(Checker::new);

/// Says what an editor would say.
pub struct Checker {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Checker {
    fn new() -> Checker {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("site.schema.json", schema()).unwrap();
        let index = compiler.compile("site.schema.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Checker { schemas, index }
    }

    /// What an editor would underline.
    pub fn errors(&self, text: &str) -> Option<String> {
        let mut diagnostics = vec![];
        let root = tree::parse(FileId(0), text, &mut diagnostics).unwrap_or_else(|| panic!("{diagnostics:?}\n{text}"));
        self.schemas.validate(&root.to_json(), self.index).err().map(|error| format!("{error:#}"))
    }
}

fn root() -> &'static FilePath {
    FilePath::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every site and platform file under `examples/`.
fn examples() -> Vec<PathBuf> {
    let mut files = vec![];
    let mut directories = vec![root().join("examples")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => directories.push(path),
                path if path.extension().is_some_and(|end| end == "yaml" || end == "yml") => files.push(path),
                _ => {}
            }
        }
    }
    let is_ours = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().any(|line| line.starts_with("site:") || line.starts_with("platform:"))
    };
    files.retain(is_ours);
    assert!(!files.is_empty());
    files
}

#[test]
fn the_committed_schema_is_what_the_code_says() {
    let path = root().join("examples/site.schema.json");
    let wanted = format!("{:#}\n", schema());
    if std::env::var_os("LXDEPLOY_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let is_same = std::fs::read_to_string(&path).is_ok_and(|text| text == wanted);
    assert!(is_same, "write it anew: LXDEPLOY_UPDATE_DOCS=1 cargo test --lib schema");
}

#[test]
fn every_key_of_a_file_is_in_it_and_no_other() {
    let schema = schema();
    let sections: Vec<&str> = crate::kinds::all().iter().map(|kind| kind.section()).collect();
    for (file, own) in [("site_file", OF_SITES), ("platform_file", OF_PLATFORMS)] {
        let mut keys: Vec<&str> = [COMMON, own, &sections].concat();
        keys.sort_unstable();
        let mut known: Vec<&String> = schema["$defs"][file]["properties"].as_object().unwrap().keys().collect();
        known.sort_unstable();
        assert_eq!(known, keys);
    }
    for key in crate::kinds::COMMON_KEYS {
        assert!(schema["$defs"]["instance"]["properties"].get(key).is_some(), "{key}");
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let is_lxds = name.ends_with("_config") || name == "device";
        for (key, property) in definition["properties"].as_object().into_iter().flatten().filter(|_| !is_lxds) {
            assert!(
                property["description"].as_str().is_some_and(|text| text.ends_with(['.', '…', '`'])),
                "{name}.{key}: {property}"
            );
        }
    }
}

#[test]
fn examples_name_it_and_are_valid() {
    let checker = &*CHECKER;
    let mut texts: Vec<(String, String)> = [("SITE", super::example::SITE), ("PLATFORM", super::example::PLATFORM)]
        .map(|(n, t)| (n.into(), t.into()))
        .to_vec();
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let named = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(LINE))
            .unwrap_or_else(|| panic!("{path:?} does not begin with {LINE}"));
        assert!(path.parent().unwrap().join(named).is_file(), "{path:?} names {named}, which is not there");
        texts.push((path.display().to_string(), text));
    }
    for (name, text) in texts {
        assert!(text.starts_with(LINE), "{name}");
        assert_eq!(checker.errors(&text), None, "{name}");
    }
}

#[test]
fn what_the_decoder_takes_the_schema_takes() {
    let checker = &*CHECKER;
    for text in [
        "site: acme\n",
        "site: acme\nproject: {{ p }}\n".replace("{{ p }}", "'{{ p }}'").as_str(),
        "site: acme\ninstances:\n  a:\n  b: {}\n  c: null\n",
        "site: acme\ninstances: {a: {profiles: '{{ list }}', config: '{{ map }}', count: '{{ n }}', enabled: '{{ yes }}'}}\n",
        "site: acme\ninstances: {a: {config: {limits.cpu: 2, limits.memory: null, security.nesting: 'yes', no.such.key: 1}}}\n",
        "site: acme\ninstances: {a: {config: {security.nesting: 1, boot.autostart.priority: '3'}, ready: ipv4}}\n",
        "site: acme\ninstances: {a: {ready: {tcp: '{{ port }}'}, ephemeral: off, protect: 'on'}}\n",
        "site: acme\ninstances: {a: {for_each: {x:, y: {z: 1}}, description: 7, renamed_from: 12, stop_timeout: 0}}\n",
        "site: acme\ninstances: {a: {ready: [cloud-init: , {http: 'http://x/', timeout: 60s}, exec: ['true']]}}\n",
        "site: acme\nstorage_volumes: {v: {config: {size: 1GiB}}}\n",
        "site: acme\nstorage_pools: {p: {driver: novel, members: {n1: {config: {source: /a}}}}}\n",
        "site: acme\nsecrets: {a: {env: X}, b: null}\nvars:\nvars_files:\n",
        "platform: base\nrelease: 1.2\ninputs: {n: {type: int, min: 1, default: 2}, any: , free: {}}\nnetworks:\n",
    ] {
        assert_eq!(checker.errors(text), None, "{text}");
    }
}

#[test]
fn what_is_wrong_is_underlined() {
    let (checker, directory) = (&*CHECKER, tempfile::tempdir().unwrap());
    for text in [
        "{}",
        "sites: acme\n",
        "site: Acme!\n",
        "site: acme\nrelease: 1\n",
        "platform: base\nremote: dc\n",
        "site: acme\nformat: 2\n",
        "site: acme\nroles: {}\n",
        "site: acme\ninstances: [a]\n",
        "site: acme\ninstances: {a: [b]}\n",
        "site: acme\ninstances: {a: {imgae: base}}\n",
        "site: acme\ninstances: {a: {state: paused}}\n",
        "site: acme\ninstances: {a: {profiles: base}}\n",
        "site: acme\ninstances: {a: {count: many}}\n",
        "site: acme\ninstances: {a: {count: -1}}\n",
        "site: acme\ninstances: {a: {protect: maybe}}\n",
        "site: acme\ninstances: {a: {config: {security.nesting: perhaps}}}\n",
        "site: acme\ninstances: {a: {config: {limits.cpu: [2]}}}\n",
        "site: acme\ninstances: {a: {devices: {eth0: nic}}}\n",
        "site: acme\ninstances: {a: {ready: [{tcp: 70000}]}}\n",
        "site: acme\ninstances: {a: {ready: [udp]}}\n",
        "site: acme\nnetworks: {n: {count: 2}}\n",
        "site: acme\nnetwork_acls: {w: {ingress: [{protocol: tcp}]}}\n",
        "site: acme\nimages: {b: {source: {fil: x}}}\n",
        "site: acme\nsecrets: {a: {generate: []}}\n",
        "platform: base\ninputs: {n: {type: integer}}\n",
        "platform: base\ninputs: {n: 3}\n",
    ] {
        assert!(checker.errors(text).is_some(), "the schema takes this:\n{text}");
        let loaded = load_bytes(directory.path(), text.as_bytes());
        assert!(loaded.site.is_none(), "validate takes this:\n{text}");
    }
}

#[test]
fn the_readmes_excerpts_are_valid() {
    let checker = &*CHECKER;
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let is_whole = block.starts_with("site:") || block.contains("\nsite:") || block.starts_with("platform:");
        let text = if is_whole { block.to_owned() } else { format!("site: readme\n{block}") };
        assert_eq!(checker.errors(&text), None, "{text}");
    }
}
