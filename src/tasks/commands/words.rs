//! Words as Python's shlex splits them.

/// Splits a line at blanks; quotes keep blanks, and a backslash keeps what follows it.
///
/// # Errors
/// A quote that is not closed.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let next = chars.next().ok_or("No escaped character")?;
                let word = word.get_or_insert_default();
                if !['"', '\\'].contains(&next) {
                    word.push('\\');
                }
                word.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(chars.next().ok_or("No escaped character")?),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("No closing quotation".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_shlex_splits_them() {
        let split = |line: &str| split(line).unwrap().join("|");
        assert_eq!(split("a  b\tc"), "a|b|c");
        assert_eq!(split(r#"echo "two words" 'it'\''s'"#), "echo|two words|it's");
        assert_eq!(split(r#"a "" b"#), "a||b");
        assert_eq!(split(r#""a\"b" "c\d""#), r#"a"b|c\d"#);
        assert!(super::split("echo 'open").is_err());
    }
}
