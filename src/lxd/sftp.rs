//! Files of instances over LXD's SFTP (`/1.0/instances/NAME/sftp`, no API extension tells of it).

use std::path::Path;

use reqwest::header;
use russh_sftp::client::RawSftpSession;
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::io::AsyncReadExt;

use super::{Call, Client, Error};
use crate::model::Id;

/// An SFTP session with one instance's root file system.
pub struct Sftp {
    session: RawSftpSession,
}

/// One packet's data: what every server takes.
const PIECE: usize = 32 * 1024;

/// So many packets are on their way at once.
const AHEAD: usize = 16;

impl Client {
    /// Opens a session.
    ///
    /// # Errors
    /// The server has no SFTP, or the instance cannot be reached.
    pub async fn sftp(&self, id: &Id) -> Result<Sftp, Error> {
        let call = Call::get(&["instances", &id.name, "sftp"]).project(&id.project);
        let http = self.upgradable()?;
        let request = http.get(self.url(&call)).header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "sftp");
        let upgraded = self.upgraded(request, &call).await?;
        let session = RawSftpSession::new(upgraded);
        session.set_timeout(120);
        session.init().await.map_err(|error| Error::Protocol(format!("sftp: {error}")))?;
        Ok(Sftp { session })
    }
}

impl Sftp {
    /// Ends the session; the server's part of it ends with it.
    pub fn close(self) {
        // It may be closed already.
        let _ = self.session.close_session();
    }

    /// Sends a local file's content into a new file that only root can read.
    ///
    /// # Errors
    /// The local file's, or the guest's.
    pub async fn send(&self, from: &Path, to: &str) -> Result<(), String> {
        let mut file = tokio::fs::File::open(from).await.map_err(|error| format!("{}: {error}", from.display()))?;
        let failed = |error: russh_sftp::client::error::Error| format!("{to}: {error}");
        let flags = OpenFlags::CREATE | OpenFlags::WRITE | OpenFlags::TRUNCATE;
        let handle = self.session.open(to, flags, FileAttributes::empty()).await.map_err(failed)?.handle;
        // The mode of an open is ignored by LXD's server.
        let private = FileAttributes { permissions: Some(0o600), ..FileAttributes::empty() };
        self.session.setstat(to, private).await.map_err(failed)?;
        let mut offset = 0;
        loop {
            let mut pieces = vec![];
            for _ in 0..AHEAD {
                let mut piece = Vec::with_capacity(PIECE);
                (&mut file).take(PIECE as u64).read_to_end(&mut piece).await.map_err(|error| error.to_string())?;
                if piece.is_empty() {
                    break;
                }
                pieces.push(piece);
            }
            if pieces.is_empty() {
                break;
            }
            let mut writes = vec![];
            for piece in pieces {
                let length = piece.len() as u64;
                writes.push(self.session.write(handle.clone(), offset, piece));
                offset += length;
            }
            futures_util::future::try_join_all(writes).await.map_err(failed)?;
        }
        self.session.close(handle).await.map_err(failed)?;
        Ok(())
    }
}

impl std::fmt::Debug for Sftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sftp")
    }
}
