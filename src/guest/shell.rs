//! What is written for the guest's own shell: quoting, and the words of scripts that every POSIX sh knows.

/// A word that a shell reads as it is, whatever is in it.
pub fn quote(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Where programs are, for guests whose exec has less.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `database NAME KEY`: the line of a user or group, by name or number.
pub const DATABASE: &str = r#"
database() {
    if command -v getent >/dev/null 2>&1; then getent "$1" -- "$2" 2>/dev/null || getent "$1" "$2" 2>/dev/null; return; fi
    [ -r "/etc/$1" ] || return 2
    while IFS= read -r line || [ -n "$line" ]; do
        name=${line%%:*}; rest=${line#*:}; rest=${rest#*:}
        if [ "$name" = "$2" ] || [ "${rest%%:*}" = "$2" ]; then printf '%s\n' "$line"; return 0; fi
    done <"/etc/$1"
    return 2
}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        assert_eq!(quote("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("-n a\nb"), "'-n a\nb'");
    }
}
