//! The reference under `docs/` is what `lxdeploy docs --roles playbooks/roles` says. `LXDEPLOY_UPDATE_DOCS=1 cargo test
//! --test docs` writes it anew.

use std::path::Path;

use clap::Command;
use lxdeploy::kinds;
use lxdeploy::report::reference;
use lxdeploy::tasks::registry;

#[test]
fn the_reference_is_what_the_code_says() {
    let made = tempfile::tempdir().unwrap();
    let roles = root().join("playbooks/roles");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lxdeploy"));
    let output = command.arg("docs").arg(made.path()).arg("--roles").arg(roles).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["cli.md", "site-file.md", "tasks.md", "roles.md"] {
        is_kept(&format!("docs/{name}"), &std::fs::read_to_string(made.path().join(name)).unwrap());
    }
}

#[test]
fn every_kind_and_module_says_what_it_is() {
    let (site_file, modules) = (reference::site_file(), reference::modules());
    for kind in kinds::all() {
        let title = format!("\n## `{}`: ", kind.section());
        assert!(site_file.contains(&title), "the file of {} does not begin with its section", kind.noun());
    }
    for name in registry::all().map(|module| module.names()[0]) {
        assert!(modules.contains(&format!("\n### `{name}`\n\n")), "{name} has no file that begins with its name");
    }
}

#[test]
fn every_variable_of_a_role_is_in_its_table() {
    let mut wrong = vec![];
    for role in std::fs::read_dir(root().join("playbooks/roles")).unwrap() {
        let role = role.unwrap().path();
        let read = |file: &str| {
            std::fs::read_to_string(role.join(file))
                .unwrap_or_else(|error| panic!("{}/{file}: {error}", role.display()))
        };
        let (readme, specs) = (read("README.md"), read("meta/argument_specs.yml"));
        let specs: serde_json::Value = serde_yaml::from_str(&specs).unwrap();
        let options = specs["argument_specs"]["main"]["options"].as_object().unwrap();
        let defaults: serde_json::Value = serde_yaml::from_str(&read("defaults/main.yml")).unwrap();
        let name = role.file_name().unwrap().to_string_lossy().into_owned();
        wrong.extend(
            options
                .keys()
                .filter(|key| !readme.contains(&format!("`{key}`")))
                .map(|key| format!("{name}: {key} is not in the README")),
        );
        wrong.extend(
            defaults
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| !options.contains_key(*key))
                .map(|key| format!("{name}: {key} is not in the specs")),
        );
        wrong.extend(
            options
                .iter()
                .filter(|(_, option)| option["description"].is_null())
                .map(|(key, _)| format!("{name}: {key} says nothing")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_and_flag_says_what_it_does() {
    let mut wrong = vec![];
    reference::each(&whole(), &mut vec![], &mut |path, command| {
        if command.get_about().is_none() {
            wrong.push(path.join(" "));
        }
        let silent = command.get_arguments().filter(|arg| arg.get_help().is_none() && !arg.is_hide_set());
        wrong.extend(silent.map(|arg| format!("{} {}", path.join(" "), arg.get_id())));
    });
    assert!(wrong.is_empty(), "without a word of help: {}", wrong.join(", "));
}

#[track_caller]
fn is_kept(name: &str, wanted: &str) {
    let path = root().join(name);
    if std::env::var_os("LXDEPLOY_UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first = kept.lines().zip(wanted.lines()).find(|(kept, wanted)| kept != wanted);
    assert!(
        kept == wanted,
        "{name} is not what the code says; write it anew: LXDEPLOY_UPDATE_DOCS=1 cargo test --test docs\n{first:?}"
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn whole() -> Command {
    let mut command = lxdeploy::cli::command().disable_help_subcommand(true);
    command.build();
    command
}
