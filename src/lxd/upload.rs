//! Files on their way to a server, counted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::Error;
use super::client::Progress;

/// The files of an image on their way, with a percentage over all of them.
pub(super) struct Upload {
    total: u64,
    sent: Arc<AtomicU64>,
    progress: Option<Progress>,
}

impl Upload {
    pub(super) async fn open(files: &[&Path], progress: Option<&Progress>) -> Result<Upload, Error> {
        let mut total = 0;
        for path in files {
            let meta = tokio::fs::metadata(path).await;
            total += meta.map_err(|error| Error::Config(format!("{}: {error}", path.display())))?.len();
        }
        Ok(Upload { total, sent: Arc::default(), progress: progress.cloned() })
    }

    /// So many bytes were handed over so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) async fn body(&self, path: &Path) -> Result<(reqwest::Body, u64), Error> {
        let failed = |error: std::io::Error| Error::Config(format!("{}: {error}", path.display()));
        let file = File::open(path).await.map_err(failed)?;
        let length = file.metadata().await.map_err(failed)?.len();
        let (total, sent, progress) = (self.total.max(1), self.sent.clone(), self.progress.clone());
        let chunks = stream::try_unfold(file, move |mut file| {
            let (sent, progress) = (sent.clone(), progress.clone());
            async move {
                let mut chunk = vec![0; 256 << 10];
                let read = file.read(&mut chunk).await?;
                if read == 0 {
                    return Ok::<_, std::io::Error>(None);
                }
                chunk.truncate(read);
                let before = sent.fetch_add(read as u64, Ordering::Relaxed);
                let percent = |bytes: u64| bytes * 100 / total;
                if let Some(progress) = progress.filter(|_| percent(before) != percent(before + read as u64)) {
                    // The receiver may be gone when the apply was interrupted.
                    let _ = progress.send(format!("Upload: {}%", percent(before + read as u64)));
                }
                Ok(Some((chunk, file)))
            }
        });
        Ok((reqwest::Body::wrap_stream(chunks), length))
    }
}
