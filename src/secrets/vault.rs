//! The format of ansible-vault, 1.1 and 1.2 (with a vault id): AES-256 in counter mode, an HMAC over the
//! ciphertext, keys by PBKDF2 (Ansible's `parsing/vault`, class `VaultAES256`).

use std::io::Read;

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What every such text starts with.
pub const MARK: &[u8] = b"$ANSIBLE_VAULT;";

const ROUNDS: u32 = 10_000;
const BLOCK: usize = 16;
/// So long are the lines that ansible-vault writes.
const COLUMNS: usize = 80;

/// Why a text cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The password is another one, or the text was changed: the two cannot be told apart.
    Mismatch,
    /// It is no such text.
    Malformed(String),
}

/// The vault id that a text was encrypted with; version 1.1 has none.
///
/// # Errors
/// It is of another version or cipher.
pub fn id(text: &[u8]) -> Result<Option<String>, Fault> {
    parts(text).map(|(id, _)| id)
}

/// Decrypts a text.
///
/// # Errors
/// See [`Fault`].
pub fn decrypt(text: &[u8], password: &[u8]) -> Result<Vec<u8>, Fault> {
    let (_, body) = parts(text)?;
    let inner = from_hex(&body)?;
    let mut lines = inner.split(|byte| *byte == b'\n');
    let mut field = || lines.next().ok_or_else(|| cut("it is cut off")).and_then(from_hex);
    let (salt, tag, mut data) = (field()?, field()?, field()?);
    let keys = Derived::new(password, &salt);
    keys.mac(&data)?.verify_slice(&tag).map_err(|_| Fault::Mismatch)?;
    keys.cipher(&mut data)?;
    let padding = data.last().map_or(0, |last| usize::from(*last));
    if padding == 0 || padding > BLOCK || padding > data.len() {
        return Err(cut("its padding is wrong"));
    }
    data.truncate(data.len() - padding);
    Ok(data)
}

/// Encrypts bytes; of version 1.2 with a vault id, else 1.1, as ansible-vault does.
///
/// # Errors
/// The system gives no random bytes, or the id is none.
pub fn encrypt(plain: &[u8], password: &[u8], id: Option<&str>) -> Result<String, String> {
    if id.is_some_and(|id| id.is_empty() || id.contains([';', '\n', '\r'])) {
        return Err("a vault id is a word without `;`".into());
    }
    let mut salt = [0; 32];
    let random = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut salt));
    random.map_err(|error| format!("/dev/urandom: {error}"))?;
    let internal = |_| "a key of a wrong length".to_owned();
    let keys = Derived::new(password, &salt);
    let padding = BLOCK - plain.len() % BLOCK;
    let mut data = plain.to_vec();
    data.resize(plain.len() + padding, u8::try_from(padding).unwrap_or_default());
    keys.cipher(&mut data).map_err(internal)?;
    let tag = keys.mac(&data).map_err(internal)?.finalize().into_bytes();
    let inner = [to_hex(&salt), to_hex(&tag), to_hex(&data)].join("\n");
    let body = to_hex(inner.as_bytes());
    let mut text = match id {
        Some(id) => format!("$ANSIBLE_VAULT;1.2;AES256;{id}\n"),
        None => "$ANSIBLE_VAULT;1.1;AES256\n".to_owned(),
    };
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(COLUMNS));
        text += line;
        text.push('\n');
        rest = after;
    }
    Ok(text)
}

/// The id of the header, and the hex of all lines below it.
fn parts(text: &[u8]) -> Result<(Option<String>, Vec<u8>), Fault> {
    let text = std::str::from_utf8(text).map_err(|_| cut("it is no text"))?;
    let mut lines = text.trim().lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().trim().split(';').collect();
    let id = match header[..] {
        ["$ANSIBLE_VAULT", "1.1" | "1.2", "AES256"] => None,
        ["$ANSIBLE_VAULT", "1.2", "AES256", id] => Some(id.to_owned()),
        ["$ANSIBLE_VAULT", version, ..] if !["1.1", "1.2"].contains(&version) => {
            return Err(Fault::Malformed(format!("its version is {version}, and 1.1 and 1.2 can be read")));
        }
        ["$ANSIBLE_VAULT", _, cipher, ..] if cipher != "AES256" => {
            return Err(Fault::Malformed(format!("its cipher is {cipher}, and AES256 alone can be read")));
        }
        _ => return Err(cut("its first line is no `$ANSIBLE_VAULT;1.1;AES256`")),
    };
    Ok((id, lines.flat_map(|line| line.trim().bytes()).collect()))
}

fn cut(reason: &str) -> Fault {
    Fault::Malformed(reason.to_owned())
}

struct Derived([u8; 80]);

impl Derived {
    fn new(password: &[u8], salt: &[u8]) -> Self {
        let mut bytes = [0; 80];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, ROUNDS, &mut bytes);
        Derived(bytes)
    }

    fn mac(&self, data: &[u8]) -> Result<Hmac<Sha256>, Fault> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0[32..64]).map_err(|_| cut("no key"))?;
        mac.update(data);
        Ok(mac)
    }

    fn cipher(&self, data: &mut [u8]) -> Result<(), Fault> {
        let cipher = Ctr128BE::<Aes256>::new_from_slices(&self.0[..32], &self.0[64..]);
        cipher.map_err(|_| cut("no key"))?.apply_keystream(data);
        Ok(())
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| cut("there is something in it that is no hex"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by ansible-vault of ansible-core 2.19.14.
    const OF_ANSIBLE: &[u8] = include_bytes!("fixtures/vault-1.1.yml");
    const WITH_ID: &[u8] = include_bytes!("fixtures/vault-1.2-prod.yml");
    const PLAIN: &[u8] = b"db_password: hunter2-from-vault\nlist: [1, \"two words\"]\n";

    #[test]
    fn what_ansible_wrote_is_read() {
        assert_eq!(decrypt(OF_ANSIBLE, b"test-password").as_deref(), Ok(PLAIN));
        assert_eq!(decrypt(WITH_ID, b"other-password").as_deref(), Ok(PLAIN));
        assert_eq!((id(OF_ANSIBLE), id(WITH_ID)), (Ok(None), Ok(Some("prod".into()))));
    }

    #[test]
    fn what_we_write_has_the_same_shape_and_is_read() {
        for plain in [&b""[..], b"x", b"sixteen bytes ok", PLAIN] {
            let text = encrypt(plain, b"pw", Some("dev")).unwrap();
            assert!(text.starts_with("$ANSIBLE_VAULT;1.2;AES256;dev\n") && text.lines().all(|line| line.len() <= 80));
            assert_eq!(decrypt(text.as_bytes(), b"pw").as_deref(), Ok(plain));
        }
        assert!(encrypt(b"", b"pw", None).unwrap().starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
        assert!(encrypt(b"", b"pw", Some("a;b")).is_err());
    }

    #[test]
    fn a_wrong_password_and_a_changed_text_are_found() {
        assert_eq!(decrypt(OF_ANSIBLE, b"other"), Err(Fault::Mismatch));
        let mut changed = OF_ANSIBLE.to_vec();
        let last = changed.len() - 2;
        changed[last] = if changed[last] == b'1' { b'2' } else { b'1' };
        assert_eq!(decrypt(&changed, b"test-password"), Err(Fault::Mismatch));
        for text in ["", "$ANSIBLE_VAULT;1.1;AES256", "$ANSIBLE_VAULT;1.1;AES256\n6", "$ANSIBLE_VAULT;1.1;AES256\nzz"] {
            assert!(matches!(decrypt(text.as_bytes(), b"x"), Err(Fault::Malformed(_))), "{text:?}");
        }
        assert!(matches!(id(b"$ANSIBLE_VAULT;1.0;AES\n"), Err(Fault::Malformed(reason)) if reason.contains("1.0")));
    }
}
