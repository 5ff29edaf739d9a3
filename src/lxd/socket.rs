//! Why a local socket does not let us in, and what does.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is told where the kernel refuses the connection to a socket.
pub(super) fn permission_denied(path: &Path) -> String {
    let shown = path.display();
    let Ok(meta) = fs::metadata(path) else {
        return format!(
            "{shown}: permission denied, by a directory above it; run as root, or name the server by --remote"
        );
    };
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let group = group_name(&groups, meta.gid()).unwrap_or_else(|| meta.gid().to_string());
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty() && user != "root");
    if user.as_ref().is_some_and(|user| is_member(&groups, meta.gid(), user)) {
        return format!(
            "{shown}: permission denied: the user became a member of the group `{group}` after this session began; \
             log in again, or `newgrp {group}`"
        );
    }
    let user = user.as_deref().unwrap_or("USER");
    format!(
        "{shown}: permission denied: it is open to root and to the group `{group}`, and this user is not in it; \
         `sudo usermod -aG {group} {user}` and a new login change that (members of it are as good as root), or name \
         another server by --remote"
    )
}

/// A group's name in the text of /etc/group.
fn group_name(groups: &str, gid: u32) -> Option<String> {
    line(groups, gid).and_then(|line| line.split(':').next()).map(str::to_owned)
}

fn is_member(groups: &str, gid: u32, user: &str) -> bool {
    line(groups, gid)
        .and_then(|line| line.split(':').nth(3))
        .is_some_and(|users| users.split(',').any(|name| name == user))
}

fn line(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find(|line| line.split(':').nth(2) == Some(gid.to_string().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_number() {
        let groups = "root:x:0:\nlxd:x:105:ann,bob\n";
        assert_eq!(group_name(groups, 105).as_deref(), Some("lxd"));
        assert_eq!(group_name(groups, 10), None);
        assert!(is_member(groups, 105, "bob") && !is_member(groups, 105, "bo") && !is_member(groups, 0, "bob"));
    }
}
