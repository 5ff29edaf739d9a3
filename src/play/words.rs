//! `module: a=1 b="two words"`: arguments as words, as Ansible has always taken them.

use crate::tasks::Map;
use crate::template::Value;

/// Options of free-form modules (command, shell, raw, script) that may stand between their words.
const OPTIONS: &[&str] =
    &["creates", "removes", "chdir", "executable", "stdin", "stdin_add_newline", "warn", "strip_empty_ends"];

/// Reads words. With `free` all that is no option of a free-form module is kept as it was written, under `_raw_params`;
/// without it, a word that has no `=` is too.
///
/// # Errors
/// A quote or brace that is not closed.
pub fn read(text: &str, free: bool) -> Result<Map, String> {
    let mut args = Map::new();
    let mut rest: Vec<&str> = vec![];
    let words = split(text)?;
    for word in &words {
        match pair(word) {
            Some((name, value)) if !free || OPTIONS.contains(&name) => {
                args.insert(name.to_owned(), Value::from(unquoted(value)));
            }
            _ => rest.push(word),
        }
    }
    if rest.len() == words.len() && !rest.is_empty() {
        args.insert("_raw_params".into(), text.trim().into());
    } else if !rest.is_empty() {
        args.insert("_raw_params".into(), rest.join(" ").into());
    }
    Ok(args)
}

/// Words at blanks, but not within quotes and Jinja's braces; quotes stay.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let bytes = text.as_bytes();
    let (mut words, mut start, mut at) = (vec![], None, 0);
    let mut quote: Option<u8> = None;
    let mut braces: Vec<&[u8]> = vec![];
    while at < bytes.len() {
        let rest = &bytes[at..];
        let opens =
            [(b"{{", b"}}"), (b"{%", b"%}"), (b"{#", b"#}")].into_iter().find(|(open, _)| rest.starts_with(*open));
        match bytes[at] {
            _ if braces.last().is_some_and(|close| rest.starts_with(close)) => {
                braces.pop();
                at += 1;
            }
            _ if opens.is_some() => {
                braces.extend(opens.map(|(_, close)| close.as_slice()));
                start = start.or(Some(at));
                at += 1;
            }
            _ if !braces.is_empty() => {}
            b'\\' if quote != Some(b'\'') => {
                start = start.or(Some(at));
                at += 1;
            }
            c if quote == Some(c) => quote = None,
            c @ (b'"' | b'\'') if quote.is_none() => {
                start = start.or(Some(at));
                quote = Some(c);
            }
            b' ' | b'\t' | b'\n' if quote.is_none() => {
                if let Some(from) = start.take() {
                    words.push(&text[from..at]);
                }
            }
            _ => start = start.or(Some(at)),
        }
        at += 1;
    }
    if quote.is_some() || !braces.is_empty() {
        return Err("a quote or brace is not closed".into());
    }
    words.extend(start.map(|from| &text[from..]));
    Ok(words)
}

fn pair(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    is_name.then_some((name, value))
}

fn unquoted(value: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace("\\\"", "\"").replace("\\'", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, free: bool) -> String {
        let args = read(text, free).unwrap();
        args.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn words_are_arguments() {
        assert_eq!(shown("name=nginx state=present", false), "name=nginx|state=present");
        assert_eq!(shown("path='a b' mode=\"0644\"", false), "path=a b|mode=0644");
        assert_eq!(shown("src={{ a | default('x y') }} dest=/b", false), "src={{ a | default('x y') }}|dest=/b");
        assert_eq!(shown("main.yml", false), "_raw_params=main.yml");
    }

    #[test]
    fn free_form_keeps_its_words() {
        assert_eq!(shown("echo a=b  'c d' | wc", true), "_raw_params=echo a=b  'c d' | wc");
        assert_eq!(
            shown("make install chdir=/src creates=/usr/bin/x", true),
            "chdir=/src|creates=/usr/bin/x|_raw_params=make install"
        );
        assert_eq!(shown("line one\nline two", true), "_raw_params=line one\nline two");
        assert!(read("echo 'open", true).is_err());
    }
}
