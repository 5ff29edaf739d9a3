//! Mermaid, which GitHub and GitLab draw in a fence of markdown.

use std::fmt::Write;

use super::{Drawing, Node};

/// As Mermaid reads it.
pub fn mermaid(drawing: &Drawing) -> String {
    let mut text = "flowchart RL\n".to_owned();
    let clustered: Vec<usize> = drawing.clusters.iter().flat_map(|(_, nodes)| nodes.clone()).collect();
    for (index, node) in drawing.nodes.iter().enumerate().filter(|(index, _)| !clustered.contains(index)) {
        let _ = writeln!(text, "  {}", one(index, node));
    }
    for (number, (name, nodes)) in drawing.clusters.iter().enumerate() {
        let _ = writeln!(text, "  subgraph g{number} [{}]", quoted(name));
        for index in nodes {
            let _ = writeln!(text, "    {}", one(*index, &drawing.nodes[*index]));
        }
        text += "  end\n";
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
    if drawing.nodes.iter().any(|node| node.is_external) {
        text += "  classDef external stroke-dasharray: 4 3\n";
    }
    text
}

fn one(index: usize, node: &Node) -> String {
    let label = quoted(&format!("{}: {}", node.noun, node.label()));
    let class = if node.is_external { ":::external" } else { "" };
    // The double frame of a subroutine stands for several.
    let (open, close) = if node.count.is_some() { ("[[", "]]") } else { ("[", "]") };
    format!("n{index}{open}{label}{close}{class}")
}

/// In quotes, where nothing but letters and digits is left to be read as markup.
fn quoted(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_control() {
            escaped.push('\u{fffd}');
        } else if c.is_ascii_punctuation() && !"-.,/:".contains(c) {
            // Mermaid's own spelling of an entity.
            let _ = write!(escaped, "#{};", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    format!("\"{escaped}\"")
}
