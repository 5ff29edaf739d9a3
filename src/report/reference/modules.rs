use std::fmt::Write;

use super::{COMMENTS, MADE, sentence};
use crate::tasks::registry;

/// What a play may do, by families; each module's file says it in its first lines.
pub fn modules() -> String {
    let mut text = format!("{MADE}# Task modules\n\n");
    text += "Modules are called by their short name (`copy`) or the whole one (`ansible.builtin.copy`). Arguments, return \
        values and semantics are Ansible's; where something is left out or differs, the module says so. The interpreter \
        itself has `meta`, `group_by`, `include_tasks`, `import_tasks`, `include_role`, `import_role`, `include_vars`, \
        `import_playbook` and `validate_argument_spec`.\n\nA preview (`lxdeploy plan`, `lxdeploy run --check`) lays what each \
        task would leave over what the guest is, so that the tasks after it are foreseen. What nobody can know is *unknown \
        until run*, with the reason: whatever a module says of it below; an instance that is not created, does not run, or \
        is started again first; and what hangs on such a thing: a condition, an argument, a file that a command may have \
        changed. A task that may be run or not may leave anything that its module can touch. With `run --check` a task of \
        `check_mode: false` is run as long as nothing before it would change.\n";
    let families = [
        ("files", "Files"),
        ("packages", "Packages"),
        ("system", "System"),
        ("commands", "Commands"),
        ("control", "Control"),
    ];
    let mut unsaid: Vec<&str> = registry::all().map(|module| module.names()[0]).collect();
    for (folder, title) in families {
        let here = format!("tasks/{folder}/");
        let files = COMMENTS.iter().filter_map(|(name, comment)| Some((name.strip_prefix(here.as_str())?, *comment)));
        let _ = write!(text, "\n## {title}\n");
        for (file, comment) in files {
            let Some(at) = unsaid.iter().position(|name| name.rsplit('.').next() == Some(file)) else { continue };
            let name = unsaid.remove(at);
            let (first, rest) = comment.split_once("\n\n").unwrap_or((comment, ""));
            let says = first.strip_prefix(&format!("`{name}`")).unwrap_or(first);
            let says = says.trim_start_matches(':').trim().replace('\n', " ");
            let _ = write!(text, "\n### `{name}`\n\n{}\n", sentence(&capital(&says)));
            if !rest.is_empty() {
                let _ = write!(text, "\n{}\n", rest.trim_end());
            }
        }
    }
    text
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
