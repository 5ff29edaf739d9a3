use std::fmt;
use std::str::FromStr;

/// `SECTION.KEY`: how a user names an object of a site, for example `instances.api-1`.
///
/// Split at the first dot: a key may hold dots, a section never does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The section of the site file, for example `instances`.
    pub section: String,
    /// The object's key in that section; of a `count`, the expanded name.
    pub key: String,
}

impl Address {
    /// An address from its two parts.
    pub fn new(section: impl Into<String>, key: impl Into<String>) -> Self {
        Address { section: section.into(), key: key.into() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.key)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((section, key)) if !section.is_empty() && !key.is_empty() => Ok(Address::new(section, key)),
            _ => Err(format!("`{text}` is not an address; write SECTION.KEY, for example instances.api-1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_dot() {
        let address: Address = "profiles.a.b".parse().unwrap();
        assert_eq!(address, Address::new("profiles", "a.b"));
        assert_eq!(address.to_string(), "profiles.a.b");
    }

    #[test]
    fn a_bare_word_is_no_address() {
        for text in ["api", ".api", "instances.", ""] {
            assert!(text.parse::<Address>().unwrap_err().contains("SECTION.KEY"));
        }
    }
}
