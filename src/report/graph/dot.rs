//! Graphviz.

use std::fmt::Write;

use super::{Drawing, Node};

/// As Graphviz reads it; what is needed stands to the left of what needs it.
pub fn dot(drawing: &Drawing) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&drawing.title));
    text += "  rankdir=RL;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [color=gray50];\n";
    let clustered: Vec<usize> = drawing.clusters.iter().flat_map(|(_, nodes)| nodes.clone()).collect();
    for (index, node) in drawing.nodes.iter().enumerate().filter(|(index, _)| !clustered.contains(index)) {
        let _ = writeln!(text, "  {}", one(index, node));
    }
    for (number, (name, nodes)) in drawing.clusters.iter().enumerate() {
        let _ = writeln!(text, "  subgraph cluster_{number} {{\n    label={};\n    style=rounded;", quoted(name));
        for index in nodes {
            let _ = writeln!(text, "    {}", one(*index, &drawing.nodes[*index]));
        }
        text += "  }\n";
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  n{from} -> n{to};");
    }
    text + "}\n"
}

fn one(index: usize, node: &Node) -> String {
    let style = match (node.is_external, node.count) {
        (true, _) => ", style=\"rounded,dashed\"",
        (false, Some(_)) => ", peripheries=2",
        (false, None) => "",
    };
    format!("n{index} [label={}{style}];", quoted(&format!("{}\n{}", node.noun, node.label())))
}

/// A quoted identifier; a line's end is `\n`.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", escaped.replace(|c: char| c.is_control(), "\u{fffd}"))
}
