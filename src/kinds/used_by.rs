//! LXD's account of who uses an object: the URLs of `used_by`.

use percent_encoding::percent_decode_str;

use super::{all, by_section};
use crate::model::Id;

/// Section and place of what a URL names: `/1.0/instances/api?project=acme`.
pub fn parse(url: &str) -> Option<(&'static str, Id)> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let project = plain(query.split('&').find_map(|part| part.strip_prefix("project=")).unwrap_or("default"));
    let parts: Vec<&str> = path.strip_prefix("/1.0/")?.split('/').collect();
    let id = |name: &str, pool: Option<&str>| Id { project: project.clone(), pool: pool.map(plain), name: plain(name) };
    match parts.as_slice() {
        ["instances" | "containers" | "virtual-machines", name, ..] => Some(("instances", id(name, None))),
        ["storage-pools", pool, "volumes", "custom", name, ..] => Some(("storage_volumes", id(name, Some(pool)))),
        [collection, name] => {
            let kind = all().iter().find(|kind| kind.collection() == *collection)?;
            Some((kind.section(), id(name, None)))
        }
        _ => None,
    }
}

/// The users in words, each once: the first few, and how many more there are.
pub fn in_words<'a>(urls: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const SHOWN: usize = 6;
    let word = |url: &str| match parse(url) {
        Some((section, id)) => format!("the {} {id}", by_section(section).map_or("object", |kind| kind.noun())),
        None => url.to_owned(),
    };
    let users: std::collections::BTreeSet<String> = urls.into_iter().map(word).collect();
    let shown: Vec<&str> = users.iter().take(SHOWN).map(String::as_str).collect();
    let more = users.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!users.is_empty()).then(|| shown.join(", ") + &more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_users() {
        let shown = |url: &str| parse(url).map(|(section, id)| format!("{section} {id}"));
        assert_eq!(shown("/1.0/instances/p2?project=pj").as_deref(), Some("instances p2 (project pj)"));
        assert_eq!(shown("/1.0/profiles/p%20p").as_deref(), Some("profiles p p"));
        assert_eq!(
            shown("/1.0/storage-pools/fast/volumes/custom/v1?project=q").as_deref(),
            Some("storage_volumes fast/v1 (project q)")
        );
        assert_eq!(shown("/1.0/network-acls/web").as_deref(), Some("network_acls web"));
        assert_eq!(shown("/1.0/nonsense"), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        let urls: Vec<String> = (1..=8).map(|n| format!("/1.0/instances/i{n}")).collect();
        let text = in_words(urls.iter().map(String::as_str)).unwrap();
        assert!(text.starts_with("the instance i1, ") && text.ends_with("the instance i6 and 2 more"), "{text}");
        assert_eq!(in_words([]), None);
    }
}
