//! Encrypting again what was opened: in the same form, under the same password or for the recipients of today.

use super::keys::Keys;
use super::vault::{self, Fault};
use super::{age, is_encrypted, open};

/// How a file is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// With age, for these recipients.
    Age(Vec<String>),
    /// By ansible-vault, with the password at this place of [`Keys::vault`] and its id where it has one.
    Vault(usize),
}

/// The vault password that a text of ansible-vault's was encrypted with, by its place in [`Keys::vault`]; `None` for
/// what is encrypted with age, or not at all.
///
/// # Errors
/// No password at hand fits.
pub fn vault_key(bytes: &[u8], keys: &Keys) -> Result<Option<usize>, String> {
    if !bytes.trim_ascii_start().starts_with(vault::MARK) {
        return Ok(None);
    }
    // It says what is wrong where nothing fits.
    open(bytes.to_vec(), keys)?;
    let id = vault::id(bytes).unwrap_or_default();
    for index in keys.order(id.as_deref()) {
        match vault::decrypt(bytes, &keys.password(index)?) {
            Ok(_) => return Ok(Some(index)),
            Err(Fault::Mismatch | Fault::Malformed(_)) => {}
        }
    }
    Ok(None)
}

/// Encrypts a file's content.
///
/// # Errors
/// It is encrypted already, or it cannot be encrypted in this form.
pub fn seal(plain: &[u8], form: &Form, keys: &Keys) -> Result<Vec<u8>, String> {
    if is_encrypted(plain) {
        return Err("it is encrypted already".into());
    }
    match form {
        Form::Age(recipients) => age::encrypt(plain, recipients),
        Form::Vault(index) => {
            let id = keys.vault.get(*index).map(|key| key.id.as_str()).filter(|id| *id != "default");
            vault::encrypt(plain, &keys.password(*index)?, id).map(String::into_bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_again_opens_with_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let key = |id: &str, text: &str| {
            let path = directory.path().join(id);
            std::fs::write(&path, text).unwrap();
            format!("{id}@{}", path.display()).parse().unwrap()
        };
        let keys = Keys::new(vec![key("default", "one"), key("prod", "two")], vec![], None);
        for (index, header) in [(0, "$ANSIBLE_VAULT;1.1;AES256\n"), (1, "$ANSIBLE_VAULT;1.2;AES256;prod\n")] {
            let sealed = seal(b"a: 1\n", &Form::Vault(index), &keys).unwrap();
            assert!(sealed.starts_with(header.as_bytes()));
            assert_eq!(vault_key(&sealed, &keys).unwrap(), Some(index));
            assert_eq!(open(sealed.clone(), &keys).unwrap().bytes, b"a: 1\n");
            assert!(seal(&sealed, &Form::Vault(0), &keys).unwrap_err().contains("already"));
        }
        assert_eq!(vault_key(b"a: 1\n", &keys).unwrap(), None);
    }
}
