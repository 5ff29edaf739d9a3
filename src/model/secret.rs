use std::collections::BTreeSet;

/// Replaces the text of secrets in whatever is printed, logged or saved.
///
/// Secrets of fewer than four characters are not searched for (they would eat every `1` of a log);
/// the values that hold them are still marked sensitive and masked whole.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    secrets: BTreeSet<String>,
}

/// What stands in a secret's place.
pub const MASK: &str = "(sensitive)";

impl Masker {
    /// Remembers a secret's text, and each of its lines where it has several.
    pub fn add(&mut self, secret: &str) {
        for text in std::iter::once(secret).chain(secret.lines()) {
            let text = text.trim_end_matches(['\r', '\n']);
            if text.chars().count() >= 4 {
                self.secrets.insert(text.to_owned());
            }
        }
    }

    /// The text with every secret blanked out byte for byte, so that places in it stay true.
    pub fn blanked(&self, text: &str) -> String {
        let mut secrets: Vec<&String> = self.secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .into_iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), &"*".repeat(secret.len())))
    }

    /// Remembers a text that was made of a secret; its lines alone may be of the user's own words.
    pub fn add_whole(&mut self, text: &str) {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.chars().count() >= 4 {
            self.secrets.insert(text.to_owned());
        }
    }

    /// The text with every secret replaced; longer secrets first, so that no tail is left.
    pub fn mask(&self, text: &str) -> String {
        let mut secrets: Vec<&String> = self.secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }

    /// The texts that are searched for.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// The text with every secret replaced by what `with` makes of it, in one pass: what stands in a secret's
    /// place is never searched again. Of several at one place the longest counts.
    pub fn replace(&self, text: &str, with: impl Fn(&str) -> String) -> String {
        let mut secrets: Vec<&String> = self.secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut out = String::new();
        let mut rest = text;
        let next = |rest: &str| {
            let places = secrets.iter().filter_map(|secret| Some((rest.find(secret.as_str())?, *secret)));
            places.min_by_key(|(at, secret)| (*at, std::cmp::Reverse(secret.len())))
        };
        while let Some((at, secret)) = next(rest) {
            out.push_str(&rest[..at]);
            out.push_str(&with(secret));
            rest = &rest[at + secret.len()..];
        }
        out + rest
    }

    /// True when nothing is to be masked.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_secrets_first_and_short_ones_never() {
        let mut masker = Masker::default();
        for secret in ["hunter2", "hunter2-and-more", "abc"] {
            masker.add(secret);
        }
        assert_eq!(masker.mask("a hunter2-and-more b hunter2 c abc"), "a (sensitive) b (sensitive) c abc");
        let doubled = masker.replace("hunter2hunter2-and-more", |secret| format!("<{secret}>"));
        assert_eq!(doubled, "<hunter2><hunter2-and-more>");
    }
}
