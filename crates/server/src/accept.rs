//! Sockets: accepts connections, bounds what a client may do to one, and drains on stop.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::bare::Wordy;
use crate::line::Line;
use crate::patience::Patient;

/// Bytes of request head buffered before the connection is refused outright.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// Pause after the system refused to accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a client may do to a connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A request head must be complete this long after the connection is ready for it; so an idle connection is
    /// closed then as well.
    pub header_timeout: Duration,
    /// A caller that takes no byte of its answer for this long is gone.
    pub write_timeout: Duration,
    /// Requests in flight may go on for this long after a stop.
    pub drain: Duration,
    /// Connections open at once; more wait in the system's queue.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            connections: 16_384,
        }
    }
}

/// Serves `app` on `listener` until `stop` resolves, then lets requests in flight finish within `limits.drain`.
///
/// # Errors
/// Never for a single connection; only when the listener itself is unusable.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(HEAD_BYTES_MAX);
    let service = TowerToHyperService::new(app);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let room = connections.len() < limits.connections;
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    prepare(&stream);
                    let line = Line::new(stream);
                    let socket = TokioIo::new(Wordy::new(line.clone()));
                    let socket = Patient::new(socket, limits.write_timeout);
                    let connection = graceful.watch(http.serve_connection(socket, service.clone()));
                    connections.spawn(line.attend(connection));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(limits.drain, graceful.shutdown()).await;
    if drained.is_err() {
        tracing::warn!(open = connections.len(), "requests still in flight at the end of the drain are cut");
    }
    connections.shutdown().await;
    Ok(())
}

/// Small frames of a token stream must leave at once.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}
