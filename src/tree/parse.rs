use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span as Place};

use super::node::{Key, Node, Scalar, Tag, Value};
use crate::diagnostic::Diagnostic;
use crate::model::{FileId, Span};

/// So many nodes may a file stand for, its aliases written out: far beyond any site, and far below what
/// nested aliases ("a billion laughs") would make.
const BUDGET: u64 = 2_000_000;

/// So deep may lists and maps lie in each other, aliases written out. No site is a tenth as deep, and what reads
/// the tree goes down by recursion.
const DEPTH: u32 = 200;

/// Bytes that are no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotText {
    /// What can be shown of them; up to `at` it is what stands in the file.
    pub lossy: String,
    /// The line of the first bad byte, from 1.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
    /// Its offset in bytes.
    pub at: u32,
}

/// The text of a file.
///
/// # Errors
/// Where it is no UTF-8.
pub fn text_of(bytes: Vec<u8>) -> Result<String, NotText> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let good = lossy.get(..at).unwrap_or_default();
        let last = good.rsplit('\n').next().unwrap_or_default();
        let (line, column) = (good.matches('\n').count() + 1, last.chars().count() + 1);
        NotText { line: number(line), column: number(column), at: number(at), lossy }
    })
}

/// Reads YAML into a tree; an empty text is null. What is wrong is pushed to `out`; `None` where nothing can be
/// made of the text.
pub fn parse(file: FileId, text: &str, out: &mut Vec<Diagnostic>) -> Option<Rc<Node>> {
    let mut options = Options::default();
    options.block_scalar_eof_without_line_feed = true;
    options.emit_unresolved_aliases = true;
    options.set_emit_comments(false);
    let mut builder = Builder { file, out, anchors: HashMap::new(), stack: vec![], root: None, documents: 0, spent: 0 };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, place)) => {
                if !builder.event(event, &place) {
                    return None;
                }
            }
            Err(error) => {
                let marker = error.marker();
                let start = marker.byte_offset().unwrap_or(0).min(text.len());
                let span = Span {
                    file,
                    line: number(marker.line()),
                    column: number(marker.col() + 1),
                    start: number(start),
                    end: number(text.len().min(start + 1)),
                };
                builder
                    .out
                    .push(Diagnostic::error(span, format!("not YAML: {}", error.info())).help(remedy(text, start)));
                return None;
            }
        }
    }
    let start = Span { file, line: 1, column: 1, start: 0, end: 0 };
    Some(builder.root.unwrap_or_else(|| null(start)))
}

fn null(span: Span) -> Rc<Node> {
    Rc::new(Node {
        span,
        value: Value::Scalar(Scalar { text: String::new(), plain: true }),
        sensitive: false,
        partial: false,
        tag: None,
    })
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What most often is behind a syntax error, judged by the line in which it was found.
fn remedy(text: &str, at: usize) -> &'static str {
    let from = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    if line.trim_start_matches(' ').starts_with('\t') || line.contains('\t') {
        "indent with spaces: YAML takes no tabs there"
    } else if line.contains("{{") || line.contains("{%") {
        "put the value with the template in quotes: \"{{ … }}\""
    } else if line.matches('"').count() % 2 == 1 || line.matches('\'').count() % 2 == 1 {
        "a quote is opened and not closed"
    } else {
        "look at the indentation here and in the line before, and at brackets that are not closed"
    }
}

struct Builder<'o> {
    file: FileId,
    out: &'o mut Vec<Diagnostic>,
    anchors: HashMap<usize, (Rc<Node>, Size)>,
    stack: Vec<Open>,
    root: Option<Rc<Node>>,
    documents: usize,
    spent: u64,
}

/// How much a node stands for, its aliases written out.
#[derive(Clone, Copy)]
struct Size {
    nodes: u64,
    depth: u32,
}

impl Size {
    const ONE: Size = Size { nodes: 1, depth: 1 };
}

/// A list or map that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    size: Size,
    /// A key was no key.
    partial: bool,
    tag: Option<Tag>,
    content: Content,
}

enum Content {
    Seq(Vec<Rc<Node>>),
    Map { entries: Vec<(Key, Rc<Node>)>, seen: Seen, merged: Vec<(Span, Rc<Node>)>, key: Option<Option<Key>> },
}

/// Where a map's keys stand: few are looked through, many are indexed.
#[derive(Default)]
struct Seen(HashMap<String, Span>);

impl Seen {
    fn place(&mut self, entries: &[(Key, Rc<Node>)], text: &str) -> Option<Span> {
        if entries.len() < 16 {
            return entries.iter().find(|(key, _)| key.text == text).map(|(key, _)| key.span);
        }
        for (key, _) in &entries[self.0.len()..] {
            self.0.insert(key.text.clone(), key.span);
        }
        self.0.get(text).copied()
    }
}

impl Builder<'_> {
    fn span(&self, place: &Place) -> Span {
        let start = place.start.byte_offset().unwrap_or(0);
        let end = place.end.byte_offset().unwrap_or(start).max(start);
        Span {
            file: self.file,
            line: number(place.start.line()),
            column: number(place.start.col() + 1),
            start: number(start),
            end: number(end),
        }
    }

    /// What a tag means here; what lies in something unsafe is unsafe.
    fn tag(&self, tag: Option<&str>) -> Option<Tag> {
        match tag {
            Some("!vault" | "!vault-encrypted") => Some(Tag::Vault),
            Some("!unsafe") => Some(Tag::Unsafe),
            _ => self.stack.last()?.tag.filter(|tag| *tag == Tag::Unsafe),
        }
    }

    /// False where there is no point in going on.
    fn event(&mut self, event: Event<'_>, place: &Place) -> bool {
        let span = self.span(place);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.out.push(
                        Diagnostic::error(span, "a second document begins here")
                            .help("one file holds one document: take the `---` away"),
                    );
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.to_string());
                let is_text = tag.as_ref().is_some_and(|tag| tag.ends_with("str"));
                let tag = self.tag(tag.as_deref());
                let plain = style == ScalarStyle::Plain && !is_text && tag != Some(Tag::Vault);
                let scalar = Scalar { text: text.into_owned(), plain };
                let node = Rc::new(Node { span, value: Value::Scalar(scalar), sensitive: false, partial: false, tag });
                return self.add(node, Size::ONE, anchor);
            }
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    self.out
                        .push(Diagnostic::error(span, "an alias inside its own anchor").help("write the value out"));
                    return false;
                };
                self.spent = self.spent.saturating_add(size.nodes);
                if self.spent > BUDGET {
                    self.out.push(
                        Diagnostic::error(span, "the aliases of this file multiply beyond all measure")
                            .help("aliases of aliases of aliases: write the values out, or use templates"),
                    );
                    return false;
                }
                return self.add(node, size, 0);
            }
            Event::UnresolvedAlias(name) => {
                self.out.push(
                    Diagnostic::error(span, format!("there is no anchor `&{name}` before this alias"))
                        .help("set the anchor first, or put the text in quotes if it is meant to start with `*`"),
                );
                return self.add(null(span), Size::ONE, 0);
            }
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.tag(tag.map(|tag| tag.to_string()).as_deref());
                let content = Content::Seq(vec![]);
                self.stack.push(Open { span, anchor, size: Size::ONE, partial: false, tag, content });
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.tag(tag.map(|tag| tag.to_string()).as_deref());
                let content = Content::Map { entries: vec![], seen: Seen::default(), merged: vec![], key: None };
                self.stack.push(Open { span, anchor, size: Size::ONE, partial: false, tag, content });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.stack.pop() else { return false };
                let value = match open.content {
                    Content::Seq(items) => Value::Seq(items),
                    Content::Map { mut entries, mut seen, merged, .. } => {
                        for (span, map) in merged {
                            if !matches!(map.value, Value::Map(_)) {
                                let message = format!("`<<` merges maps, and this is {}", map.describe());
                                self.out.push(Diagnostic::error(span, message).help("write `<<: *ANCHOR` of a map"));
                            }
                            for (key, value) in map.entries() {
                                if seen.place(&entries, &key.text).is_none() {
                                    entries.push((key.clone(), value.clone()));
                                }
                            }
                        }
                        Value::Map(entries)
                    }
                };
                let Open { span, partial, tag, .. } = open;
                let node = Rc::new(Node { span, value, sensitive: false, partial, tag });
                return self.add(node, open.size, open.anchor);
            }
            _ => {}
        }
        true
    }

    fn add(&mut self, node: Rc<Node>, size: Size, anchor: usize) -> bool {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return true;
        };
        open.size.nodes = open.size.nodes.saturating_add(size.nodes);
        open.size.depth = open.size.depth.max(size.depth + 1);
        if open.size.depth > DEPTH {
            self.out.push(
                Diagnostic::error(node.span, format!("lists and maps lie more than {DEPTH} deep in each other here"))
                    .help("write it flatter"),
            );
            return false;
        }
        match &mut open.content {
            Content::Seq(items) => items.push(node),
            Content::Map { entries, seen, merged, key } => match key.take() {
                None => *key = Some(key_of(&node, self.out)),
                Some(None) => open.partial = true,
                Some(Some(key)) if key.text == "<<" => match &node.value {
                    Value::Seq(maps) => merged.extend(maps.iter().map(|map| (key.span, map.clone()))),
                    _ => merged.push((key.span, node)),
                },
                Some(Some(key)) => {
                    if let Some(first) = seen.place(entries, &key.text) {
                        self.out.push(
                            Diagnostic::error(key.span, format!("`{}` is there twice", key.text))
                                .related(first, "first here")
                                .help("a key stands once in a map; take one of them away"),
                        );
                    } else {
                        entries.push((key, node));
                    }
                }
            },
        }
        true
    }
}

fn key_of(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<Key> {
    if let Value::Scalar(scalar) = &node.value {
        return Some(Key { text: scalar.text.clone(), span: node.span });
    }
    out.push(
        Diagnostic::error(node.span, format!("a key is text, and this is {}", node.kind_name()))
            .help("if this is a template, put it in quotes: \"{{ … }}\""),
    );
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(text: &str) -> (Option<Rc<Node>>, Vec<Diagnostic>) {
        let mut out = vec![];
        (parse(FileId(0), text, &mut out), out)
    }

    fn json(text: &str) -> serde_json::Value {
        let (node, out) = tree(text);
        assert_eq!(out, []);
        node.unwrap().to_json()
    }

    #[test]
    fn scalars_keep_their_text_and_their_place() {
        let (node, _) = tree("a: 0644\nb:\n  c: '2'\n");
        let node = node.unwrap();
        assert_eq!(node.get("a").unwrap().as_str(), Some("0644"));
        let c = node.get("b").unwrap().get("c").unwrap();
        assert_eq!((c.span.line, c.span.column, c.kind_name()), (3, 6, "text"));
    }

    #[test]
    fn merge_keys_anchors_and_block_scalars() {
        assert_eq!(
            json("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\ntext: |\n  one\n  two"),
            serde_json::json!({"base": {"x": 1, "y": 2}, "use": {"y": 3, "x": 1}, "text": "one\ntwo"})
        );
        assert_eq!(json(""), serde_json::json!(null));
        assert_eq!(json("# nothing\n"), serde_json::json!(null));
        assert_eq!(json("\u{feff}a: 1\r\nb: x\r\n"), serde_json::json!({"a": 1, "b": "x"}));
    }

    #[test]
    fn what_is_wrong_has_a_place_and_a_remedy() {
        let first = |text: &str| {
            let (_, out) = tree(text);
            let diagnostic = &out[0];
            let span = diagnostic.span.unwrap();
            format!(
                "{}:{} {} ({})",
                span.line,
                span.column,
                diagnostic.message,
                diagnostic.help.as_deref().unwrap_or_default()
            )
        };
        assert!(first("a: 1\nb: 2\na: 3\n").starts_with("3:1 `a` is there twice"));
        assert!(first("a: {{ x }}\n").contains("put it in quotes"), "{}", first("a: {{ x }}\n"));
        assert!(first("a: *none\n").starts_with("1:4 there is no anchor `&none`"));
        assert!(first("a: 1\n---\nb: 2\n").contains("second document"));
        assert!(first("a:\n\tb: 1\n").contains("no tabs"), "{}", first("a:\n\tb: 1\n"));
        assert!(first("a: \"x\nb: 1\n").starts_with(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn ansibles_tags_stay_on_the_node() {
        let (node, out) = tree(
            "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nb: !unsafe {x: ['{{ y }}', 3]}\nc: !other 1\nd: !vault 12\ne: '{{ z }}'\n",
        );
        let node = node.unwrap();
        let get = |key: &str| node.get(key).unwrap().clone();
        assert_eq!(out, []);
        assert_eq!((get("a").tag, get("a").as_str()), (Some(Tag::Vault), Some("$ANSIBLE_VAULT;1.1;AES256\n6162\n")));
        let items = get("b").get("x").unwrap().items().to_vec();
        assert!(get("b").is_unsafe() && items.iter().all(|item| item.is_unsafe()));
        assert_eq!(get("b").to_json(), serde_json::json!({"x": ["{{ y }}", 3]}));
        assert_eq!((get("c").tag, get("d").tag, get("e").tag), (None, Some(Tag::Vault), None));
        assert_eq!(get("d").kind_name(), "text");
        // A node is small: thousands of them are a site.
        assert!(size_of::<Node>() <= 56, "{}", size_of::<Node>());
    }

    #[test]
    fn an_alias_bomb_is_refused_at_once() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(",")));
        }
        let (node, out) = tree(&text);
        assert!(node.is_none() && out[0].message.contains("beyond all measure"));
    }

    #[test]
    fn bytes_that_are_no_text_have_a_place() {
        let error = text_of(b"a: 1\nb: \xff\n".to_vec()).unwrap_err();
        assert_eq!((error.line, error.column, error.at), (2, 4, 8));
        assert_eq!(text_of("ä".into()), Ok("ä".into()));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_places_lie_within(text in "[a-z:{}\\[\\]&*!|>'\"%#,\\- \n\t~<0-9\u{e4}]{0,80}") {
            let (_, out) = tree(&text);
            for span in out.iter().filter_map(|diagnostic| diagnostic.span) {
                prop_assert!(span.start as usize <= text.len() && span.end as usize <= text.len());
            }
        }
    }
}
