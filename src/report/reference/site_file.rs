use std::fmt::Write;

use serde_json::Value;

use super::{MADE, cell, comment};
use crate::{kinds, site};

/// The reference of site files.
pub fn site_file() -> String {
    let schema = site::schema::schema();
    let mut text = format!("{MADE}# Site files\n\n");
    let file = comment("site/document");
    text += &format!("{}\n", file.replacen("# The file", "## The file", 1));
    text += "\n## Every object\n\nAn object is a key and its body. Every kind has these:\n\n";
    let shared: Vec<&str> =
        kinds::COMMON_KEYS.iter().copied().filter(|key| !["count", "for_each"].contains(key)).collect();
    text += &keys(&schema["$defs"]["instance"], &|key| shared.contains(&key));
    text += "\n\nThe keys under `config` and of devices are LXD's own. Those that LXD is known to have are checked; \
        an unknown one is a warning, since servers differ.\n";
    for kind in kinds::all() {
        let file = kind.noun().replace(' ', "_").to_lowercase();
        let comment = comment(&format!("kinds/{file}"));
        let (title, body) = comment.split_once("\n\n").unwrap_or((comment, ""));
        let _ = write!(text, "\n## {}\n\n{body}\n\n", title.trim_end_matches('.'));
        text += &keys(&schema["$defs"][&file], &|key| !shared.contains(&key));
        text.push('\n');
    }
    let _ = write!(text, "\n## `ready`\n\n{}\n\n", comment("kinds/ready"));
    let checks = schema["$defs"]["instance"]["properties"]["ready"]["anyOf"][0]["anyOf"].as_array();
    text += "| check | what must hold |\n|---|---|\n";
    for check in checks.into_iter().flatten().filter(|check| check["required"].is_array()) {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            check["required"][0].as_str().unwrap_or_default(),
            check["description"].as_str().unwrap_or_default()
        );
    }
    text
}

fn keys(object: &Value, wanted: &dyn Fn(&str) -> bool) -> String {
    let properties = object["properties"].as_object().into_iter().flatten().filter(|(key, _)| wanted(key));
    let rows = properties
        .map(|(key, schema)| format!("| `{key}` | {} |", cell(schema["description"].as_str().unwrap_or_default())));
    format!("| key | meaning |\n|---|---|\n{}", rows.collect::<Vec<_>>().join("\n"))
}
