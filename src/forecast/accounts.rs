//! What users and groups that come and go make of the answers.

use super::Belief;
use crate::guest::{Answer, Group, Probe, User};

const FILES: &[&str] = &["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];

/// The content of the files that hold users and groups.
pub fn is_file_of(probe: &Probe) -> bool {
    match probe {
        Probe::Stat { path, .. } | Probe::Hash { path, .. } | Probe::Read { path } => FILES.contains(&path.as_str()),
        _ => false,
    }
}

fn by_then() -> Option<Belief> {
    Some(Belief::Unknown("what an earlier task makes of the users and groups".to_owned()))
}

/// A user is so, or gone.
pub fn user(name: &str, user: Option<&User>, probe: &Probe, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    match probe {
        Probe::User(asked) if asked == name => Some(Belief::Known(Answer::User(user.cloned()))),
        Probe::User(asked) if user.is_some_and(|user| asked.parse() == Ok(user.uid)) => {
            Some(Belief::Known(Answer::User(user.cloned())))
        }
        Probe::User(asked) => match below(probe) {
            // Asked by a number that was this user's.
            Belief::Known(Answer::User(Some(found))) if found.name == name && found.name != *asked => {
                Some(Belief::Known(Answer::User(None)))
            }
            other => Some(other),
        },
        Probe::Group(_) => match below(probe) {
            Belief::Known(Answer::Group(Some(mut group))) => {
                group.members.retain(|member| member != name);
                if user.is_some_and(|user| user.groups.contains(&group.name)) {
                    group.members.push(name.to_owned());
                }
                Some(Belief::Known(Answer::Group(Some(group))))
            }
            other => Some(other),
        },
        _ if is_file_of(probe) => by_then(),
        _ => None,
    }
}

/// A group is so, or gone.
pub fn group(name: &str, group: Option<&Group>, probe: &Probe, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    match probe {
        Probe::Group(asked) if asked == name || group.is_some_and(|group| asked.parse() == Ok(group.gid)) => {
            Some(Belief::Known(Answer::Group(group.cloned())))
        }
        Probe::Group(asked) => match below(probe) {
            Belief::Known(Answer::Group(Some(found))) if found.name == name && found.name != *asked => {
                Some(Belief::Known(Answer::Group(None)))
            }
            other => Some(other),
        },
        _ if is_file_of(probe) => by_then(),
        _ => None,
    }
}
