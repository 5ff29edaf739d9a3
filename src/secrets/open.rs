//! What is encrypted is known by its first bytes, and decrypted in memory.

use super::age;
use super::keys::Keys;
use super::vault::{self, Fault};

/// A file's content as it is meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content.
    pub bytes: Vec<u8>,
    /// It was encrypted: every value in it is a secret.
    pub encrypted: bool,
}

/// True for a file of ansible-vault's or age's.
pub fn is_encrypted(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.starts_with(vault::MARK) || text.starts_with(age::ARMOR) || bytes.starts_with(age::BINARY)
}

/// Decrypts a file's content where it is encrypted; nothing is written anywhere.
///
/// # Errors
/// No key fits, and what to do.
pub fn open(bytes: Vec<u8>, keys: &Keys) -> Result<Opened, String> {
    if !is_encrypted(&bytes) {
        return Ok(Opened { bytes, encrypted: false });
    }
    if bytes.trim_ascii_start().starts_with(vault::MARK) {
        return Ok(Opened { bytes: of_vault(&bytes, keys)?, encrypted: true });
    }
    if keys.identities.is_empty() {
        return Err("it is encrypted with age, and there is no identity: give --identity FILE".into());
    }
    let bytes = age::decrypt(bytes.trim_ascii_start(), keys.identities()?.as_slice())?;
    Ok(Opened { bytes, encrypted: true })
}

/// The text of a `!vault` value.
///
/// # Errors
/// As [`open`]; also where it is no text.
pub fn decrypt_value(text: &str, keys: &Keys) -> Result<String, String> {
    let plain = of_vault(text.as_bytes(), keys)?;
    String::from_utf8(plain).map_err(|_| "what is encrypted is no text".into())
}

fn of_vault(text: &[u8], keys: &Keys) -> Result<Vec<u8>, String> {
    let malformed = |reason: String| format!("it is no text of ansible-vault's that can be read: {reason}");
    let id = match vault::id(text) {
        Ok(id) => id,
        Err(Fault::Malformed(reason)) => return Err(malformed(reason)),
        Err(Fault::Mismatch) => None,
    };
    let named = id.as_ref().map_or_else(String::new, |id| format!(" (vault id {id})"));
    if keys.vault.is_empty() {
        return Err(format!(
            "it is encrypted by ansible-vault{named}, and there is no password: give --vault-password-file FILE, --vault-id or --ask-vault-pass"
        ));
    }
    for index in keys.order(id.as_deref()) {
        match vault::decrypt(text, &keys.password(index)?) {
            Ok(plain) => return Ok(plain),
            Err(Fault::Mismatch) => {}
            Err(Fault::Malformed(reason)) => return Err(malformed(reason)),
        }
    }
    Err(format!("no vault password at hand decrypts it{named}: it is another one, or the text was changed"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::keys::VaultKey;
    use super::*;

    const OF_ANSIBLE: &[u8] = include_bytes!("fixtures/vault-1.1.yml");
    const WITH_ID: &[u8] = include_bytes!("fixtures/vault-1.2-prod.yml");

    fn keys(directory: &std::path::Path, ids: &[&str]) -> Keys {
        let key = |text: &&str| text.replace('@', &format!("@{}/", directory.display())).parse().unwrap();
        Keys::new(ids.iter().map(key).collect(), vec![], None)
    }

    #[test]
    fn passwords_come_from_files_and_programs_and_the_right_one_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode| {
            std::fs::write(directory.path().join(name), text).unwrap();
            std::fs::set_permissions(directory.path().join(name), PermissionsExt::from_mode(mode)).unwrap();
        };
        write("pw", " test-password\n", 0o600);
        write("get-client.sh", "#!/bin/sh\n[ \"$1 $2\" = '--vault-id prod' ] && echo other-password\n", 0o700);
        let both = keys(directory.path(), &["default@pw", "prod@get-client.sh"]);
        for text in [OF_ANSIBLE, WITH_ID] {
            let opened = open(text.to_vec(), &both).unwrap();
            assert!(opened.encrypted && opened.bytes.starts_with(b"db_password: hunter2"));
        }
        let wrong = open(WITH_ID.to_vec(), &keys(directory.path(), &["default@pw"])).err().unwrap();
        assert!(wrong.contains("no vault password at hand decrypts it (vault id prod)"), "{wrong}");
        let none = open(OF_ANSIBLE.to_vec(), &Keys::default()).err().unwrap();
        assert!(none.contains("--vault-password-file"), "{none}");
        let prompt: VaultKey = "dev@prompt".parse().unwrap();
        let asked = |answer| open(OF_ANSIBLE.to_vec(), &Keys::new(vec![prompt.clone()], vec![], answer));
        assert!(asked(Some(|_: &str| Ok("test-password".into()))).is_ok());
        assert!(asked(None).err().unwrap().contains("nobody can be asked"));
    }

    #[test]
    fn nothing_is_read_for_what_is_not_encrypted() {
        let keys = Keys::new(vec!["/no/such/file".parse().unwrap()], vec!["/no/such/key".into()], None);
        assert!(open(b"a: 1\n".to_vec(), &keys).is_ok_and(|opened| !opened.encrypted && opened.bytes == b"a: 1\n"));
        assert!(open(OF_ANSIBLE.to_vec(), &keys).err().unwrap().contains("/no/such/file"));
    }
}
