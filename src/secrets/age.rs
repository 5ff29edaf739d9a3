//! Files encrypted with age (age-encryption.org/v1), armored or binary, for X25519 recipients.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::ExposeSecret;
use age::x25519;

/// What an armored file starts with.
pub const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// What a binary one starts with.
pub const BINARY: &[u8] = b"age-encryption.org/";

/// What can decrypt.
pub type Identity = Box<dyn age::Identity + Send + Sync>;

/// The identities of a file, as age-keygen writes it.
///
/// # Errors
/// Why it cannot be read; never with the text of it.
pub fn identities(path: &Path) -> Result<Vec<Identity>, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = age::IdentityFile::from_buffer(BufReader::new(file));
    let file =
        file.map_err(|_| format!("{}: there is something in it that is no AGE-SECRET-KEY-1…", path.display()))?;
    file.into_identities().map_err(|error| format!("{}: {error}", path.display()))
}

/// The recipients that the identities of a file stand for.
///
/// # Errors
/// As [`identities`].
pub fn recipients_of(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    keys.map(|key| {
        let identity: Result<x25519::Identity, _> = key.parse();
        let identity = identity.map_err(|reason| format!("{}: {reason}", path.display()))?;
        Ok(identity.to_public().to_string())
    })
    .collect()
}

/// A new identity's file, as age-keygen writes it, and its recipient.
pub fn generate() -> (String, String) {
    let identity = x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    (format!("# public key: {recipient}\n{}\n", identity.to_string().expose_secret()), recipient)
}

/// True for what files can be encrypted for.
///
/// # Errors
/// What is wrong with it.
pub fn check(recipient: &str) -> Result<(), String> {
    recipient
        .parse::<x25519::Recipient>()
        .map(|_| ())
        .map_err(|_| format!("`{recipient}` is no recipient of age's: one is age1 and 58 more characters"))
}

/// Encrypts bytes for all of the recipients, armored.
///
/// # Errors
/// There is no recipient, or one is none.
pub fn encrypt(plain: &[u8], recipients: &[String]) -> Result<Vec<u8>, String> {
    let parse =
        |text: &String| text.parse::<x25519::Recipient>().map_err(|_| format!("`{text}` is no recipient of age's"));
    let recipients: Vec<x25519::Recipient> = recipients.iter().map(parse).collect::<Result<_, _>>()?;
    let each = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(each).map_err(|error| error.to_string())?;
    let written = || {
        let armor = ArmoredWriter::wrap_output(vec![], Format::AsciiArmor)?;
        let mut output = encryptor.wrap_output(armor)?;
        output.write_all(plain)?;
        output.finish()?.finish()
    };
    written().map_err(|error: std::io::Error| error.to_string())
}

/// Decrypts bytes.
///
/// # Errors
/// None of the identities fits, or the file was changed.
pub fn decrypt(bytes: &[u8], identities: &[Identity]) -> Result<Vec<u8>, String> {
    let decryptor = age::Decryptor::new(ArmoredReader::new(bytes)).map_err(|error| error.to_string())?;
    if decryptor.is_scrypt() {
        return Err("it is encrypted with a passphrase: encrypt it for recipients".into());
    }
    let each = identities.iter().map(|identity| &**identity as &dyn age::Identity);
    let mut reader = decryptor.decrypt(each).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => "it is encrypted for none of the identities at hand".to_owned(),
        error => error.to_string(),
    })?;
    let mut plain = vec![];
    reader.read_to_end(&mut plain).map_err(|error| format!("it was changed or cut off: {error}"))?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (tempfile::NamedTempFile, String) {
        let (text, recipient) = generate();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        (file, recipient)
    }

    #[test]
    fn each_recipient_can_read_it_and_nobody_else() {
        let ((a, for_a), (b, for_b), (c, _)) = (key(), key(), key());
        assert_eq!(recipients_of(a.path()).unwrap(), std::slice::from_ref(&for_a));
        let text = encrypt(b"hush", &[for_a, for_b]).unwrap();
        assert!(text.starts_with(ARMOR));
        for file in [&a, &b] {
            assert_eq!(decrypt(&text, &identities(file.path()).unwrap()).unwrap(), b"hush");
        }
        assert!(decrypt(&text, &identities(c.path()).unwrap()).unwrap_err().contains("none of the identities"));
        assert!(encrypt(b"", &[]).is_err() && encrypt(b"", &["age1x".into()]).unwrap_err().contains("age1x"));
    }

    #[test]
    fn a_binary_file_is_read_and_a_changed_one_is_not() {
        let (file, recipient) = key();
        let recipient: x25519::Recipient = recipient.parse().unwrap();
        let mut bytes = age::encrypt(&recipient, b"hush").unwrap();
        assert!(bytes.starts_with(BINARY));
        let identities = identities(file.path()).unwrap();
        assert_eq!(decrypt(&bytes, &identities).unwrap(), b"hush");
        *bytes.last_mut().unwrap() ^= 1;
        assert!(decrypt(&bytes, &identities).unwrap_err().contains("changed"));
    }
}
