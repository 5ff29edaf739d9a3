//! Secrets that lxdeploy makes itself: passwords, a certificate authority, and certificates that it signs.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::store::Store;

/// What passwords are made of: nothing that a file of any format takes for a mark.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A certificate that ends so soon is made again.
pub const RENEWED_BEFORE: u32 = 30;

const DAY: Duration = Duration::from_hours(24);

/// How a secret is made, as `generate:` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Letters and digits.
    Password {
        /// So many of them.
        length: usize,
    },
    /// A certificate authority. Templates get its certificate; its key signs here and goes nowhere.
    Authority {
        /// Its common name.
        name: String,
        /// So many days it is valid.
        days: u32,
    },
    /// A server's key and certificate: one text in PEM, the key first.
    Certificate {
        /// The names and addresses that it is for.
        names: Vec<String>,
        /// The secret that is its authority.
        signed_by: String,
        /// So many days it is valid.
        days: u32,
    },
}

/// A secret that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// What templates get.
    pub value: String,
    /// An authority's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// An authority's name, or those that a certificate is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    /// The SHA-256 of the authority that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    /// The day on which it ends, counted from 1970-01-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_day: Option<u64>,
}

/// The days since 1970-01-01.
pub fn today() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / DAY.as_secs()
}

impl Recipe {
    /// Makes the secret. `store` has the authority that signs it.
    ///
    /// # Errors
    /// There is no such authority, or a name that no certificate can have.
    pub fn make(&self, store: &Store, today: u64) -> Result<Made, String> {
        match self {
            Recipe::Password { length } => Ok(Made::plain(password(*length)?)),
            Recipe::Authority { name, days } => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(words)?;
                let certificate = authority(name, today, *days).self_signed(&key).map_err(words)?;
                Ok(Made {
                    key: Some(key.serialize_pem()),
                    names: vec![name.clone()],
                    last_day: Some(today + u64::from(*days)),
                    ..Made::plain(certificate.pem())
                })
            }
            Recipe::Certificate { names, signed_by, days } => {
                let signer = store.get(signed_by).ok_or_else(|| no_authority(signed_by))?;
                let (Some(key), [name]) = (&signer.key, signer.names.as_slice()) else {
                    return Err(no_authority(signed_by));
                };
                let issuer = Issuer::new(authority(name, today, *days), KeyPair::from_pem(key).map_err(words)?);
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(words)?;
                let mut parameters = CertificateParams::new(names.clone()).map_err(words)?;
                valid(&mut parameters, today, *days);
                parameters.distinguished_name.push(DnType::CommonName, names.first().map_or("", String::as_str));
                parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                parameters.use_authority_key_identifier_extension = true;
                let certificate = parameters.signed_by(&key, &issuer).map_err(words)?;
                Ok(Made {
                    names: names.clone(),
                    signed_by: Some(fingerprint(&signer.value)),
                    last_day: Some(today + u64::from(*days)),
                    ..Made::plain(key.serialize_pem() + &certificate.pem())
                })
            }
        }
    }

    /// Why a secret that was made is not what the recipe asks for now; `None` where it is. A password is never too
    /// short: whoever wants another one says so.
    pub fn fault(&self, made: &Made, store: &Store, today: u64) -> Option<String> {
        let (names, signer) = match self {
            Recipe::Password { .. } => return made.last_day.map(|_| "it is a certificate".into()),
            Recipe::Authority { name, .. } => (std::slice::from_ref(name), None),
            Recipe::Certificate { names, signed_by, .. } => (names.as_slice(), Some(signed_by)),
        };
        let Some(last_day) = made.last_day else { return Some("it is no certificate".into()) };
        if made.key.is_some() == signer.is_some() {
            return Some("it is a certificate of another use".into());
        }
        if made.names != names {
            return Some(format!("it is for {}, and is to be for {}", made.names.join(", "), names.join(", ")));
        }
        if last_day <= today {
            return Some("it has ended".into());
        }
        let signer = store.get(signer?)?;
        (made.signed_by.as_deref() != Some(&fingerprint(&signer.value))).then(|| "another authority signed it".into())
    }

    /// True if it ends within [`RENEWED_BEFORE`] days.
    pub fn ends_soon(made: &Made, today: u64) -> bool {
        made.last_day.is_some_and(|last| last <= today + u64::from(RENEWED_BEFORE))
    }
}

impl Made {
    fn plain(value: String) -> Self {
        Made { value, key: None, names: vec![], signed_by: None, last_day: None }
    }
}

fn no_authority(name: &str) -> String {
    format!("`{name}` is no authority that was generated: it is a secret of {{generate: {{ca: NAME}}}}")
}

fn words(error: rcgen::Error) -> String {
    error.to_string()
}

fn password(length: usize) -> Result<String, String> {
    // Bytes beyond the last whole round are dropped: every letter is as likely.
    let rounds = 256 / LETTERS.len() * LETTERS.len();
    let mut text = String::new();
    let mut bytes = [0; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
        let letters = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < rounds);
        text.extend(letters.take(length - text.len()).map(|byte| char::from(LETTERS[byte % LETTERS.len()])));
    }
    Ok(text)
}

/// What an authority's certificate says; the same each time, so that it need not be read back.
fn authority(name: &str, today: u64, days: u32) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    valid(&mut parameters, today, days);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn valid(parameters: &mut CertificateParams, today: u64, days: u32) {
    let today = date_time_ymd(1970, 1, 1) + DAY * u32::try_from(today).unwrap_or(u32::MAX);
    // A day earlier, since a guest's clock may be behind ours.
    parameters.not_before = today - DAY;
    parameters.not_after = today + DAY * days;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
}

fn fingerprint(certificate: &str) -> String {
    Sha256::digest(certificate.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: Recipe = Recipe::Authority { name: String::new(), days: 3650 };

    fn certificate(names: &[&str]) -> Recipe {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Recipe::Certificate { names, signed_by: "ca".into(), days: 825 }
    }

    #[test]
    fn passwords_are_letters_and_never_the_same() {
        let store = Store::default();
        let made = |length| Recipe::Password { length }.make(&store, 0).unwrap().value;
        assert_eq!(made(100).len(), 100);
        assert!(made(500).bytes().all(|byte| LETTERS.contains(&byte)));
        assert_ne!(made(32), made(32));
    }

    #[test]
    fn a_certificate_holds_its_key_and_its_names() {
        let mut store = Store::default();
        let refused = certificate(&["a.lxd"]).make(&store, 20_000).err().unwrap();
        assert!(refused.contains("`ca` is no authority"), "{refused}");
        store.set("ca", CA.make(&store, 20_000).unwrap());
        let recipe = certificate(&["a.lxd", "10.0.0.1"]);
        let made = recipe.make(&store, 20_000).unwrap();
        assert!(made.value.starts_with("-----BEGIN PRIVATE KEY-----"), "the key is first");
        assert_eq!(made.value.matches("-----BEGIN CERTIFICATE-----").count(), 1);
        assert!(!store.get("ca").unwrap().value.contains("PRIVATE"), "templates get no authority's key");
        assert_eq!(recipe.fault(&made, &store, 20_000), None);
    }

    #[test]
    fn what_no_longer_fits_says_why() {
        let mut store = Store::default();
        store.set("ca", CA.make(&store, 20_000).unwrap());
        let recipe = certificate(&["a.lxd"]);
        let made = recipe.make(&store, 20_000).unwrap();
        let fault = |recipe: &Recipe, store: &Store, day| recipe.fault(&made, store, day).unwrap();
        assert_eq!(fault(&certificate(&["b.lxd"]), &store, 20_000), "it is for a.lxd, and is to be for b.lxd");
        assert_eq!(fault(&recipe, &store, 20_825), "it has ended");
        assert_eq!(fault(&CA, &store, 20_000), "it is a certificate of another use");
        store.set("ca", CA.make(&store, 20_000).unwrap());
        assert_eq!(fault(&recipe, &store, 20_000), "another authority signed it");
        assert!(!Recipe::ends_soon(&made, 20_000) && Recipe::ends_soon(&made, 20_800));
        let password = Recipe::Password { length: 8 };
        assert!(password.fault(&made, &store, 0).is_some(), "a certificate is no password");
        let short = password.make(&store, 0).unwrap();
        assert_eq!(Recipe::Password { length: 64 }.fault(&short, &store, 0), None);
    }
}
