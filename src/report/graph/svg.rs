//! A picture that needs no other program, for light and dark pages.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::layout::{GAP_X, Place, layout};
use super::{Drawing, Node};

/// Of the fixed font, per letter, at 13 px; a little more than the widest of the usual fonts has.
const LETTER: f64 = 8.2;
const SMALL: f64 = 6.9;
const HEIGHT: f64 = 42.0;
const PADDING: f64 = 12.0;

/// A hue for each kind, in degrees.
const HUES: &[(&str, u16)] = &[
    ("projects", 265),
    ("storage_pools", 30),
    ("storage_volumes", 45),
    ("network_acls", 345),
    ("networks", 150),
    ("profiles", 210),
    ("images", 300),
    ("instances", 190),
];

/// As a browser draws it.
pub fn svg(drawing: &Drawing) -> String {
    let sizes: Vec<(f64, f64)> = drawing.nodes.iter().map(|node| (width(node), HEIGHT)).collect();
    let layout = layout(drawing, &sizes);
    let (width, height) = (layout.width.ceil(), layout.height.ceil());
    let title = escaped(&drawing.title);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"What the objects of {title} need\">\n<title>{title}</title>\n{}\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        style(drawing)
    );
    text += "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto\"><path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n";
    for (line, (from, to)) in layout.lines.iter().zip(&drawing.edges) {
        let is_external = drawing.nodes[*to].is_external;
        let class = if is_external { "edge external" } else { "edge" };
        let _ = writeln!(
            text,
            "<path class=\"{class}\" marker-end=\"url(#tip)\" d=\"{}\"><title>{} needs {}</title></path>",
            curve(line),
            escaped(&full(&drawing.nodes[*from])),
            escaped(&full(&drawing.nodes[*to]))
        );
    }
    for (node, place) in drawing.nodes.iter().zip(&layout.places) {
        text += &one(node, place);
    }
    text + "</svg>\n"
}

fn full(node: &Node) -> String {
    format!("{}.{}", node.section, node.label())
}

#[allow(clippy::cast_precision_loss)] // names are short
fn width(node: &Node) -> f64 {
    let name = node.label().chars().map(letters).sum::<usize>() as f64 * LETTER;
    let noun = node.noun.chars().count() as f64 * SMALL;
    (name.max(noun) + 2.0 * PADDING).ceil()
}

/// East Asian letters take two.
fn letters(c: char) -> usize {
    if ('\u{1100}'..='\u{115f}').contains(&c) || ('\u{2e80}'..='\u{ffe6}').contains(&c) || c >= '\u{1f000}' {
        2
    } else {
        1
    }
}

fn one(node: &Node, place: &Place) -> String {
    let Place { x, y, width, height } = place;
    let external = if node.is_external { " external" } else { "" };
    let mut text = format!("<g class=\"node {}{external}\"><title>{}</title>", node.section, escaped(&full(node)));
    if node.count.is_some() {
        let _ =
            write!(text, "<rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>", x + 4.0, y + 4.0);
    }
    let _ = write!(text, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>");
    let _ = write!(text, "<text class=\"noun\" x=\"{}\" y=\"{}\">{}</text>", x + PADDING, y + 16.0, escaped(node.noun));
    let _ = writeln!(
        text,
        "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text></g>",
        x + PADDING,
        y + 33.0,
        escaped(&node.label())
    );
    text
}

/// Straight past columns, and bent between them.
fn curve(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        if at == 0 {
            let _ = write!(path, "M{x} {y:.1}");
        } else if at % 2 == 1 {
            let (from_x, from_y) = points[at - 1];
            let bend = ((from_x - x) / 2.0).max(GAP_X / 3.0);
            let _ = write!(path, "C{} {from_y:.1} {} {y:.1} {x} {y:.1}", from_x - bend, x + bend);
        } else {
            let _ = write!(path, "L{x} {y:.1}");
        }
    }
    path
}

fn style(drawing: &Drawing) -> String {
    let mut text = "<style>\n.page{fill:#fff}.edge{fill:none;stroke:#8a8f98;stroke-width:1.2}.tip{fill:#8a8f98}\
         .external rect,.edge.external{stroke-dasharray:5 3}rect{stroke-width:1.2}\
         text{font-family:ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}\
         .name{font-size:13px;fill:#16191d}.noun{font-size:11px;fill:#545b66}\n"
        .to_owned();
    let used: BTreeSet<&str> = drawing.nodes.iter().map(|node| node.section).collect();
    let hues = || HUES.iter().filter(|(section, _)| used.contains(section));
    for (section, hue) in hues() {
        let _ = writeln!(text, ".{section} rect{{fill:hsl({hue} 70% 96%);stroke:hsl({hue} 45% 50%)}}");
    }
    text += "@media(prefers-color-scheme:dark){.page{fill:#15181c}.name{fill:#eef1f4}.noun{fill:#aab2bd}\n";
    for (section, hue) in hues() {
        let _ = writeln!(text, ".{section} rect{{fill:hsl({hue} 30% 16%);stroke:hsl({hue} 45% 60%)}}");
    }
    text + "}\n</style>\n"
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
