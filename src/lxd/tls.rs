//! TLS with a pinned server certificate. LXD's is self-signed, so it is known by its fingerprint alone.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme, version,
};
use sha2::{Digest, Sha256};

use super::Error;

/// SHA-256 of a certificate's DER in lower-case hex: LXD's `certificate_fingerprint`.
pub fn fingerprint_of(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate.as_ref()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A configuration that accepts the pinned certificate alone and shows the client's.
pub fn pinned(fingerprint: &str, identity: &(PathBuf, PathBuf)) -> Result<ClientConfig, Error> {
    let unreadable =
        |path: &PathBuf, error: &dyn std::fmt::Display| Error::Config(format!("{}: {error}", path.display()));
    let (certificate, key) = identity;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, &error))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned { fingerprint: Some(fingerprint.to_owned()), provider: provider.clone() };
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| Error::Config(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key_der)
        .map_err(|error| unreadable(certificate, &error))
}

/// A configuration that reaches nobody: reqwest wants one even for a socket, and would else load the CA roots.
pub fn unused() -> Result<ClientConfig, Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| Error::Config(error.to_string()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// For one server to answer a connection, and for each of its words after that.
const PATIENCE: Duration = Duration::from_secs(10);

/// The certificate that a server shows, whoever it may be; it proves that the key is the server's, and no more.
///
/// # Errors
/// Nobody answers there, or not with TLS 1.3.
pub async fn shown_by(host: &str, port: u16) -> Result<CertificateDer<'static>, Error> {
    let host = host.to_owned();
    let looking = tokio::task::spawn_blocking(move || look(&host, port));
    looking.await.map_err(|error| Error::NotSent(error.to_string()))?
}

fn look(host: &str, port: u16) -> Result<CertificateDer<'static>, Error> {
    let failed = |error: &dyn fmt::Display| Error::NotSent(format!("{host} port {port}: {error}"));
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned { fingerprint: None, provider: provider.clone() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // LXD up to 6.9 spins for ever over an HTTP/2 connection that ends before its first request.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| failed(&error))?;
    let mut stream = reach(host, port).map_err(|error| failed(&error))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| failed(&error))?;
    }
    let certificate = connection.peer_certificates().and_then(<[_]>::first).map(|first| first.clone().into_owned());
    if let Err(error) = leave(&mut connection, &mut stream) {
        tracing::debug!("{host} port {port}: {error} on closing");
    }
    certificate.ok_or_else(|| failed(&"the server shows no certificate"))
}

fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut result = Err(io::Error::other("the name has no address"));
    for address in (host, port).to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, PATIENCE);
        if result.is_ok() {
            break;
        }
    }
    let stream = result?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Says goodbye, and reads what the server still sends, so that the connection is closed and not reset.
fn leave(connection: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    connection.send_close_notify();
    while connection.wants_write() {
        connection.write_tls(stream)?;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    io::copy(stream, &mut io::sink()).map(drop)
}

/// What the server showed in place of the pinned certificate.
#[derive(Debug)]
struct OtherCertificate {
    fingerprint: String,
}

impl fmt::Display for OtherCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate has the fingerprint {}", self.fingerprint)
    }
}

impl std::error::Error for OtherCertificate {}

/// The fingerprint that the server showed, where an error came of its not being the pinned one.
pub fn other_fingerprint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    // An io::Error's source is its content's source: the content itself has to be asked for.
    let content = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    if let Some(found) = content.and_then(|content| other_fingerprint(content)) {
        return Some(found);
    }
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) = error.downcast_ref()
        && let Some(other) = other.downcast_ref::<OtherCertificate>()
    {
        return Some(other.fingerprint.clone());
    }
    other_fingerprint(error.source()?)
}

#[derive(Debug)]
struct Pinned {
    /// `None` accepts any: only for [`shown_by`], which sends nothing.
    fingerprint: Option<String>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = fingerprint_of(end_entity);
        if self.fingerprint.as_ref().is_none_or(|pinned| *pinned == fingerprint) {
            return Ok(ServerCertVerified::assertion());
        }
        let other = OtherError(Arc::new(OtherCertificate { fingerprint }));
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
