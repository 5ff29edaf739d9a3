use std::path::{Path, PathBuf};
use std::rc::Rc;

use fancy_regex::Regex;
use indexmap::IndexMap;

use super::library::{ENDINGS, Library};
use super::roles::folder_variables;
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::Id;
use crate::tasks::Map;
pub(super) use crate::tasks::glob_regex as glob;
use crate::template::Value;

/// The hosts of a site and their groups.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The hosts by name, in the site's order.
    pub hosts: IndexMap<String, Host>,
    /// The hosts of each group but `all`, which has all.
    pub groups: IndexMap<String, Vec<String>>,
}

/// An instance of the site.
#[derive(Clone, Debug)]
pub struct Host {
    /// Which instance it is at the server.
    pub id: Id,
    /// What is known of it as `lxd.*`: name, project, location, config, profiles.
    pub lxd: Value,
}

impl Host {
    /// An instance, and what is known of it.
    pub fn new(id: Id, lxd: &serde_json::Value) -> Self {
        Host { id, lxd: super::roles::settled(lxd) }
    }
}

impl Inventory {
    /// The groups in which a host is, but `all`, sorted.
    pub fn groups_of(&self, host: &str) -> Vec<String> {
        let has = |hosts: &Vec<String>| hosts.iter().any(|name| name == host);
        let mut names: Vec<String> =
            self.groups.iter().filter(|(_, hosts)| has(hosts)).map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// The hosts that a pattern means, in the site's order: names, groups, globs and `~regex`, joined by `:` or `,`;
    /// `!` takes away, `&` keeps what is in both; `[0]` and `[1:3]` choose by place.
    ///
    /// # Errors
    /// A name that is neither host nor group, or a pattern that is none.
    pub fn select(&self, pattern: &str) -> Result<Vec<String>, String> {
        self.select_or(pattern, &mut Err)
    }

    /// The same for a play's `hosts:`, of which a site need not have all, as with Ansible: also what is said of the names
    /// that are nobody's.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn select_known(&self, pattern: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let mut unknown = vec![];
        let found = self.select_or(pattern, &mut |said| {
            unknown.push(said);
            Ok(())
        })?;
        Ok((found, unknown))
    }

    fn select_or(
        &self,
        pattern: &str,
        unknown: &mut dyn FnMut(String) -> Result<(), String>,
    ) -> Result<Vec<String>, String> {
        let parts: Vec<&str> = split(pattern).into_iter().filter(|part| !part.is_empty()).collect();
        let (mut add, mut rest) = (vec![], vec![]);
        for part in parts {
            if part.starts_with(['!', '&']) { rest.push(part) } else { add.push(part) }
        }
        if add.is_empty() && !rest.is_empty() {
            add.push("all");
        }
        let mut found: Vec<String> = vec![];
        for part in add {
            for host in self.part(part, unknown)? {
                if !found.contains(&host) {
                    found.push(host);
                }
            }
        }
        // What is kept comes before what is taken away, as Ansible has it.
        rest.sort_by_key(|part| part.starts_with('!'));
        for part in rest {
            let named = self.part(&part[1..], unknown)?;
            found.retain(|host| named.contains(host) != part.starts_with('!'));
        }
        let place = |host: &String| self.hosts.get_index_of(host).unwrap_or(usize::MAX);
        found.sort_by_key(place);
        Ok(found)
    }

    fn part(&self, part: &str, unknown: &mut dyn FnMut(String) -> Result<(), String>) -> Result<Vec<String>, String> {
        let (name, range) = match part.strip_suffix(']').and_then(|part| part.rsplit_once('[')) {
            Some((name, range))
                if !part.starts_with('~') && range.chars().all(|c| c.is_ascii_digit() || "-:".contains(c)) =>
            {
                (name, Some(range))
            }
            _ => (part, None),
        };
        let all: Vec<String> = self.hosts.keys().cloned().collect();
        let found: Vec<String> = if name == "all" || name == "*" {
            all
        } else if let Some(hosts) = self.groups.get(name) {
            hosts.clone()
        } else if self.hosts.contains_key(name) {
            vec![name.to_owned()]
        } else if name.starts_with('~') || name.contains(['*', '?', '[']) {
            let text = name.strip_prefix('~').map_or_else(|| glob(name), |regex| format!("^(?:{regex})"));
            let regex = Regex::new(&text).map_err(|error| format!("`{name}` is no pattern: {error}"))?;
            let fits = |name: &str| regex.is_match(name).unwrap_or(false);
            let by_group = self.groups.iter().filter(|(name, _)| fits(name)).flat_map(|(_, hosts)| hosts);
            let named = |host: &String| fits(host) || by_group.clone().any(|member| member == host);
            all.into_iter().filter(named).collect()
        } else if name == "localhost" || name == "127.0.0.1" {
            return Err("lxdeploy runs nothing on the machine that it runs on: name an instance of the site".into());
        } else if name == "ungrouped" {
            all.into_iter().filter(|host| self.groups_of(host).is_empty()).collect()
        } else {
            let names = self.hosts.keys().chain(self.groups.keys()).map(String::as_str);
            let help = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", self.names()),
            };
            unknown(format!("there is no host or group `{name}`; {help}"))?;
            vec![]
        };
        let Some(range) = range else { return Ok(found) };
        let length = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let place = |text: &str, default: i64| {
            let place = if text.is_empty() { default } else { text.parse().unwrap_or(default) };
            usize::try_from(if place < 0 { length + place } else { place }).unwrap_or_default()
        };
        let (from, to) = match range.split_once([':', '-']) {
            Some((from, to)) if !from.is_empty() || range.starts_with(':') => (place(from, 0), place(to, length - 1)),
            _ => (place(range, 0), place(range, 0)),
        };
        Ok(found
            .into_iter()
            .enumerate()
            .filter(|(index, _)| (from..=to).contains(index))
            .map(|(_, host)| host)
            .collect())
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.hosts.keys().chain(self.groups.keys()).map(String::as_str).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// The variables of a host in `group_vars` and `host_vars` beside the site and the playbook, the strongest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn variables(
        &self,
        host: &str,
        directories: &[PathBuf],
        library: &Library,
    ) -> Result<Vec<Rc<Map>>, Diagnostic> {
        let mut layers = vec![];
        let mut add = |kind: &str, name: &str| {
            for directory in directories {
                layers.extend(named_variables(&directory.join(kind), name, library)?.map(Rc::new));
            }
            Ok::<_, Diagnostic>(())
        };
        add("group_vars", "all")?;
        for group in self.groups_of(host) {
            add("group_vars", &group)?;
        }
        add("host_vars", host)?;
        layers.reverse();
        Ok(layers)
    }
}

/// At `:` and `,`, but not within brackets.
fn split(pattern: &str) -> Vec<&str> {
    let mut depth = 0;
    pattern
        .split(move |c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            depth == 0 && (c == ':' || c == ',')
        })
        .map(str::trim)
        .collect()
}

fn named_variables(directory: &Path, name: &str, library: &Library) -> Result<Option<Map>, Diagnostic> {
    let folder = directory.join(name);
    if folder.is_dir() {
        return folder_variables(library, &folder).map(Some);
    }
    let named = ENDINGS.iter().map(|ending| directory.join(format!("{name}.{ending}")));
    let path = named.chain([folder]).find(|path| path.is_file());
    path.map(|path| library.variables(&path, None)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        let host = |name: &str| {
            let id = Id { project: "default".into(), pool: None, name: name.into() };
            (name.to_owned(), Host { id, lxd: Value::from(()) })
        };
        let groups = [("api", vec!["api-1", "api-2"]), ("web", vec!["api-1", "api-2", "proxy"])];
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Inventory {
            hosts: ["memcached", "api-1", "api-2", "proxy"].map(host).into_iter().collect(),
            groups: groups.into_iter().map(|(name, hosts)| (name.to_owned(), owned(hosts))).collect(),
        }
    }

    #[test]
    fn patterns_select() {
        let select = |pattern: &str| inventory().select(pattern).unwrap().join(" ");
        assert_eq!(select("all"), "memcached api-1 api-2 proxy");
        assert_eq!(select("web:!api-2"), "api-1 proxy");
        assert_eq!(select("web:&api"), "api-1 api-2");
        assert_eq!(select("api-*,memcached"), "memcached api-1 api-2");
        assert_eq!(select("!api"), "memcached proxy");
        assert_eq!(select("web[0]"), "api-1");
        assert_eq!(select("web[1:2]"), "api-2 proxy");
        assert_eq!(select("web[-1]"), "proxy");
        assert_eq!(select("~mem.*|pro"), "memcached proxy");
    }

    #[test]
    fn what_is_nobody_is_named() {
        let error = |pattern: &str| inventory().select(pattern).unwrap_err();
        assert_eq!(error("memcache"), "there is no host or group `memcache`; did you mean `memcached`?");
        let known = inventory().select_known("api:memcache").unwrap();
        assert_eq!((known.0.join(" ").as_str(), known.1.len()), ("api-1 api-2", 1));
        assert!(error("localhost").contains("runs nothing on the machine"));
    }
}
