//! Pictures of one site in three languages, and that nothing in them lies on anything else.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::layout::{Layout, layout};
use super::*;
use crate::site;

const SITE: &str = r#"
projects: {acme: {}}
storage_pools: {fast: {driver: dir}}
storage_volumes: {data: {pool: fast}}
networks: {br: {config: {ipv4.address: 10.0.0.1/24}}}
profiles:
  base:
    devices: {root: {type: disk, path: /, pool: fast}, eth0: {type: nic, network: br}}
images: {debian: {source: {file: debian.tar.xz}}}
instances:
  db: {image: debian, project: acme, profiles: [base], devices: {data: {type: disk, pool: fast, source: data, path: /data}}}
  api: {image: "images:<debian>/12", count: 3, profiles: [base, shared], depends_on: [instances.db]}
  web: {image: debian, profiles: [base], depends_on: [instances.api]}
  other: {external: true}
"#;

fn loaded(text: &str) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    std::fs::write(&path, format!("site: acme\n{text}")).unwrap();
    let loaded = site::load(&path, &site::Options::default());
    loaded.site.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

#[test]
fn a_count_is_one_node_and_what_is_not_the_sites_is_dashed() {
    let drawing = drawing(&loaded(SITE), false);
    assert_snapshot!("dot", dot(&drawing));
    assert_snapshot!("mermaid", mermaid(&drawing));
    assert_snapshot!("svg", svg(&drawing));
}

#[test]
fn a_count_drawn_apart_is_a_cluster() {
    let drawing = drawing(&loaded(SITE), true);
    assert_eq!(drawing.clusters.len(), 1);
    assert_snapshot!("dot_apart", dot(&drawing));
    assert_snapshot!("mermaid_apart", mermaid(&drawing));
}

#[test]
fn the_edges_are_the_planners() {
    let site = loaded(SITE);
    let drawing = drawing(&site, true);
    let of_the_site: Vec<(usize, usize)> =
        drawing.edges.iter().copied().filter(|(_, to)| *to < site.objects.len()).collect();
    assert_eq!(of_the_site, graph::edges(&site.objects));
}

#[test]
fn a_thousand_of_a_count_are_drawn_at_once() {
    let drawing = drawing(&loaded(&SITE.replace("count: 3", "count: 1000")), true);
    let text = svg(&drawing);
    assert_eq!(text.matches("<g class=\"node").count(), drawing.nodes.len());
    assert!(drawing.nodes.len() > 1000);
}

#[test]
fn an_empty_site_is_an_empty_picture() {
    let drawing = drawing(&loaded(""), false);
    assert_snapshot!(dot(&drawing), @r#"
    digraph "acme" {
      rankdir=RL;
      node [shape=box, style=rounded, fontname="sans-serif"];
      edge [color=gray50];
    }
    "#);
    assert!(svg(&drawing).contains("viewBox=\"0 0 40 40\""));
}

fn check(drawing: &Drawing, layout: &Layout) {
    let places = &layout.places;
    for (index, a) in places.iter().enumerate() {
        assert!(a.x >= 0.0 && a.y >= 0.0 && a.x + a.width <= layout.width && a.y + a.height <= layout.height, "{a:?}");
        for b in &places[index + 1..] {
            let is_apart = a.x + a.width < b.x || b.x + b.width < a.x || a.y + a.height < b.y || b.y + b.height < a.y;
            assert!(is_apart, "{a:?} lies on {b:?}");
        }
    }
    for ((from, to), line) in drawing.edges.iter().zip(&layout.lines) {
        assert!(places[*to].x + places[*to].width < places[*from].x, "what is needed stands to the left");
        // Where a line goes straight past a column, no box is in its way.
        for at in (1..line.len().saturating_sub(1)).step_by(2) {
            let ((right, y), (left, _)) = (line[at], line[at + 1]);
            let (low, high) = (left.min(right), left.max(right));
            for place in places {
                let meets = place.x < high && place.x + place.width > low && place.y < y && y < place.y + place.height;
                assert!(!meets, "{from} to {to} runs through {place:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_box_lies_on_another_and_no_line_runs_through_one(
        names in prop::collection::vec(".{0,20}", 1..40), picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..80)
    ) {
        let nodes: Vec<Node> = names.into_iter().map(|name| Node { section: "profiles", noun: "profile", name, ..Node::default() }).collect();
        let mut edges: Vec<(usize, usize)> = picks.iter().map(|(a, b)| (a.index(nodes.len()), b.index(nodes.len()))).filter(|(a, b)| a > b).collect();
        edges.sort_unstable();
        edges.dedup();
        let drawing = Drawing { title: "x".into(), nodes, edges, clusters: vec![] };
        let sizes: Vec<(f64, f64)> = drawing.nodes.iter().map(|node| (20.0 + 8.0 * node.name.len() as f64, 42.0)).collect();
        check(&drawing, &layout(&drawing, &sizes));
        let text = svg(&drawing);
        prop_assert_eq!(text.matches("<text class=\"name\"").count(), drawing.nodes.len());
        prop_assert_eq!(text.matches('<').count(), text.matches('>').count());
    }
}
