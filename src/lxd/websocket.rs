use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use reqwest::header;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::client::unresting;
use super::{Call, Client, Error};

/// A websocket at the server.
pub(super) type Socket = WebSocketStream<Unminded<reqwest::Upgraded>>;

/// A connection on which nobody minds that the other side has left while something is written to it.
///
/// LXD pings a stream, and closes it as soon as a command is at its end. Whoever answers the ping then cannot, and would
/// take that for the end of the stream: what was sent before it is still there to be read.
#[derive(Debug)]
pub(super) struct Unminded<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Unminded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unminded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes).map(|result| unminded(result, bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx).map(|result| unminded(result, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx).map(|result| unminded(result, ()))
    }
}

fn unminded<T>(result: io::Result<T>, otherwise: T) -> io::Result<T> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            Ok(otherwise)
        }
        result => result,
    }
}

impl Client {
    /// Makes a websocket of a GET.
    pub(super) async fn websocket(&self, http: &reqwest::Client, call: &Call) -> Result<Socket, Error> {
        let request = http
            .get(self.url(call))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key());
        let upgraded = self.upgraded(request, call).await?;
        Ok(WebSocketStream::from_raw_socket(Unminded(upgraded), Role::Client, None).await)
    }

    /// Sends a request that turns its connection into something else than HTTP.
    pub(super) async fn upgraded(
        &self,
        request: reqwest::RequestBuilder,
        call: &Call,
    ) -> Result<reqwest::Upgraded, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Protocol(format!("{}: {error}", call.path));
        let response = unresting(request.send()).await.map_err(|error| failed(&error))?;
        if response.status() != reqwest::StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            let body = response.bytes().await.unwrap_or_default();
            return Err(super::client::refused(&body, status.as_u16()).unwrap_or_else(|| failed(&status)));
        }
        response.upgrade().await.map_err(|error| failed(&error))
    }
}
