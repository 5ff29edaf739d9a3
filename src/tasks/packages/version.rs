//! Python's requirements: names, versions, and whether one meets the other (PEP 440, as far as it is used by hand).

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// `Django[argon2]>=4.2,<5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The name without extras.
    pub name: String,
    /// `>=4.2,<5`; empty where any will do.
    pub specifier: String,
}

impl Requirement {
    /// Reads a requirement.
    pub fn parse(text: &str) -> Self {
        let text = text.split(';').next().unwrap_or(text);
        let at = text.find(['<', '>', '=', '!', '~']).unwrap_or(text.len());
        let (name, specifier) = text.split_at(at);
        let name = name.split('[').next().unwrap_or(name).trim();
        Requirement { name: name.to_owned(), specifier: specifier.replace(' ', "") }
    }

    /// The name as Python compares names.
    pub fn key(&self) -> String {
        canonical(&self.name)
    }

    /// Does an installed version do?
    pub fn is_met_by(&self, version: &str) -> bool {
        self.specifier.split(',').filter(|clause| !clause.is_empty()).all(|clause| {
            let at = clause.find(|c| !"<>=!~".contains(c)).unwrap_or(clause.len());
            let (operator, wanted) = clause.split_at(at);
            if let Some(prefix) = wanted.strip_suffix(".*") {
                let is_in = version == prefix || version.starts_with(&format!("{prefix}."));
                return if operator == "!=" { !is_in } else { is_in };
            }
            let order = compare(version, wanted);
            match operator {
                "==" | "===" => order == Ordering::Equal,
                "!=" => order != Ordering::Equal,
                ">=" => order != Ordering::Less,
                "<=" => order != Ordering::Greater,
                ">" => order == Ordering::Greater,
                "<" => order == Ordering::Less,
                "~=" => {
                    let prefix = wanted.rsplit_once('.').map_or(wanted, |(front, _)| front);
                    order != Ordering::Less && (version == prefix || version.starts_with(&format!("{prefix}.")))
                }
                _ => false,
            }
        })
    }
}

fn canonical(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

/// Numbers by number; a pre-release (a, b, rc, dev) is before its release, and a post-release after.
fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (parts(left), parts(right));
    for index in 0..left.len().max(right.len()) {
        let at = |parts: &[(i64, u64)]| parts.get(index).copied().unwrap_or((0, 0));
        match at(&left).cmp(&at(&right)) {
            Ordering::Equal => {}
            order => return order,
        }
    }
    Ordering::Equal
}

/// Each part's rank (of words: dev, a, b, rc, a number, post) and number.
fn parts(version: &str) -> Vec<(i64, u64)> {
    let version = version.trim_start_matches('v').split('+').next().unwrap_or_default().to_lowercase();
    let mut parts = vec![];
    let mut rest = version.as_str();
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            parts.push((0, rest[..end].parse().unwrap_or(u64::MAX)));
            rest = &rest[end..];
        } else if c.is_ascii_alphabetic() {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let rank = match &rest[..end] {
                "dev" => -4,
                "a" | "alpha" => -3,
                "b" | "beta" => -2,
                "rc" | "c" | "pre" => -1,
                _ => 1,
            };
            rest = rest[end..].trim_start_matches(['.', '-']);
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            parts.push((rank, rest[..end].parse().unwrap_or(0)));
            rest = &rest[end..];
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    parts
}

/// `pip list --format=freeze`: versions by canonical name.
pub fn listed(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (name, version) = line.split_once("==")?;
        Some((canonical(name.trim()), version.trim().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_met() {
        let meets = |requirement: &str, version: &str| Requirement::parse(requirement).is_met_by(version);
        assert!(meets("django", "4.2.1") && meets("django>=4.2,<5", "4.2.1") && !meets("django<4.2", "4.2.1"));
        assert!(meets("a==1.0", "1") && meets("a==1.*", "1.9") && !meets("a!=1.*", "1.9"));
        assert!(
            meets("a~=1.4", "1.5") && !meets("a~=1.4", "2.0") && meets("a>1.0rc1", "1.0") && meets("a<1.0", "1.0rc1")
        );
        assert!(meets("a>=1.10", "1.10.0") && !meets("a>=1.10", "1.9"));
        assert_eq!(Requirement::parse("Foo_Bar[x,y]>=1 ; python_version<'3'").key(), "foo-bar");
    }
}
