//! Who we are to servers: a key and a certificate of our own, made once and kept.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, date_time_ymd,
};

use super::Error;

const DAY: Duration = Duration::from_hours(24);

/// As long as lxc's own: LXD refuses a client certificate that has run out.
const VALID: Duration = Duration::from_hours(10 * 365 * 24);

/// The certificate and key in `directory`, made where none is there.
///
/// # Errors
/// They cannot be written, or only the certificate is there and its key is lost.
pub fn ensure(directory: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let (certificate, key) = (directory.join("client.crt"), directory.join("client.key"));
    if !key.exists() {
        if certificate.exists() {
            return Err(Error::Config(format!(
                "{} is there and its key {} is not; bring the key back, or remove the certificate to have both made anew \
                 (every server must then be enrolled again)",
                certificate.display(),
                key.display()
            )));
        }
        let made = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).map_err(|error| failed(&key, &error))?;
        write(&key, made.serialize_pem().as_bytes(), 0o600)?;
    }
    // A key without a certificate is what an interruption leaves behind: the key is as good as new.
    if !certificate.exists() {
        let text = fs::read_to_string(&key).map_err(|error| failed(&key, &error))?;
        let pair = KeyPair::from_pem(&text).map_err(|error| failed(&key, &error))?;
        let made = parameters().self_signed(&pair).map_err(|error| failed(&certificate, &error))?;
        write(&certificate, made.pem().as_bytes(), 0o644)?;
    }
    Ok((certificate, key))
}

/// What our certificate says: `user@host`, for clients only.
fn parameters() -> CertificateParams {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let today = date_time_ymd(1970, 1, 1) + now;
    let mut parameters = CertificateParams::default();
    // A day earlier, since the server's clock may be behind ours.
    parameters.not_before = today - DAY;
    parameters.not_after = today + VALID;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, "lxdeploy");
    parameters.distinguished_name.push(DnType::CommonName, user_at_host());
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters
}

/// How this client is called in a server's list of certificates.
pub fn user_at_host() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "lxdeploy".into());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    // A common name holds 64 characters.
    format!("{user}@{host}").chars().filter(|character| !character.is_control()).take(64).collect()
}

/// Writes a file whole or not at all; directories that are missing are made for their owner alone.
///
/// # Errors
/// The path and why.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("."));
    private_directory(directory)?;
    let replace = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        let mut file = builder.permissions(Permissions::from_mode(mode)).tempfile_in(directory)?;
        // The umask has no say in what a key's mode is.
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    replace().map_err(|error| failed(path, &error))
}

/// Makes a directory, and those above it, with mode 0700; one that is there is left as it is.
///
/// # Errors
/// The path and why.
pub(super) fn private_directory(directory: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| failed(directory, &error))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Config(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn made_once_and_kept() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("lxdeploy");
        let (certificate, key) = ensure(&directory).unwrap();
        assert_eq!((mode(&directory), mode(&key), mode(&certificate)), (0o700, 0o600, 0o644));
        let before = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
        ensure(&directory).unwrap();
        assert_eq!(before, (fs::read(&certificate).unwrap(), fs::read(&key).unwrap()));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing else is left behind");
    }

    #[test]
    fn a_key_alone_gets_its_certificate_and_a_certificate_alone_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = ensure(directory.path()).unwrap();
        let before = fs::read(&key).unwrap();
        fs::remove_file(&certificate).unwrap();
        ensure(directory.path()).unwrap();
        assert_eq!(fs::read(&key).unwrap(), before);
        super::super::tls::pinned("", &(certificate.clone(), key.clone())).unwrap();
        fs::remove_file(&key).unwrap();
        let error = ensure(directory.path()).unwrap_err().to_string();
        assert!(error.contains("client.key") && error.contains("bring the key back"), "{error}");
        assert!(!key.exists());
    }
}
