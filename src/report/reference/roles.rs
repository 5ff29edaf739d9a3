use std::fmt::Write;

use serde_json::Value;

use super::{MADE, cell, sentence};

/// A role as it says of itself.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// `meta/argument_specs.yml`.
    pub specs: Value,
}

/// The reference of roles: what each is for, and its variables.
pub fn roles(roles: &[Role]) -> String {
    let mut text = format!(
        "{MADE}# Roles\n\nThe variables of the roles, as their `meta/argument_specs.yml` says; given under `vars:` of a role \
        in a site file, or by a playbook. Each role's own README says more. A `*` marks what must be given.\n"
    );
    for role in roles {
        let main = &role.specs["argument_specs"]["main"];
        let about = main["short_description"].as_str().unwrap_or_default();
        let _ = write!(text, "\n## `{}`\n\n{}\n", role.name, sentence(about));
        let options = rows(&main["options"], "");
        if !options.is_empty() {
            let _ =
                write!(text, "\n| variable | type | default | meaning |\n|---|---|---|---|\n{}\n", options.join("\n"));
        }
    }
    text
}

/// A line for each variable, and for what is in it.
fn rows(options: &Value, above: &str) -> Vec<String> {
    let mut rows = vec![];
    for (name, option) in options.as_object().into_iter().flatten() {
        let mark = if option["required"] == Value::Bool(true) { " *" } else { "" };
        let kind = option["type"].as_str().unwrap_or("str");
        let kind = option["elements"].as_str().map_or_else(|| kind.to_owned(), |of| format!("{kind} of {of}"));
        let default = option.get("default").map_or_else(String::new, |default| format!("`{default}`"));
        let mut about = match &option["description"] {
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            about => about.as_str().unwrap_or_default().to_owned(),
        };
        if let Some(choices) = option["choices"].as_array() {
            let choices: Vec<String> =
                choices.iter().map(|choice| format!("`{}`", choice.as_str().unwrap_or_default())).collect();
            about = format!("{} One of {}", sentence(&about), choices.join(", "));
        }
        if option["no_log"] == Value::Bool(true) {
            about = format!("{} A secret", sentence(&about));
        }
        rows.push(format!(
            "| `{above}{name}`{mark} | {} | {} | {} |",
            cell(&kind),
            cell(&default),
            cell(&sentence(&about))
        ));
        rows.extend(self::rows(&option["options"], &format!("{above}{name}.")));
    }
    rows
}
