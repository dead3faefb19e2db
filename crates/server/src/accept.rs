//! Sockets: accepts connections, bounds what a client may do to one, and drains on stop.

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::app::App;
use crate::bare::Wordy;
use crate::due::Due;
use crate::line::Line;
use crate::patience::Patient;
use crate::share::Share;

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

/// How long callers of requests that are cut have to take the error that says so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves `app` on `listener` until `stop` resolves, then lets requests in flight finish within `limits.drain`. Those
/// that have not finished by then end in an error.
///
/// # Errors
/// Never for a single connection; only when the listener itself is unusable.
pub async fn serve(
    listener: TcpListener,
    app: App,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = Stop { drain: stop, end: std::future::pending() };
    serve_hurried(listener, app, (limits, Share::alone()), stop).await
}

/// When to stop.
#[derive(Debug)]
pub struct Stop<Drain, End> {
    /// Resolves when nobody new is to be let in, and requests under way are to finish.
    pub drain: Drain,
    /// Resolves when they are not to finish either. Not asked before the drain.
    pub end: End,
}

/// The same for one of several lanes, where the drain may be cut short.
///
/// # Errors
/// As [`serve`].
pub(crate) async fn serve_hurried(
    listener: TcpListener,
    app: App,
    (limits, share): (Limits, Share),
    stop: Stop<impl Future<Output = ()>, impl Future<Output = ()>>,
) -> io::Result<()> {
    let Stop { drain: stop, end } = stop;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(HEAD_BYTES_MAX);
    // One buffer for head and body: the system takes that faster than several, and bodies come in pieces.
    http.writev(false);
    let app = Arc::new(app);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        // Listens before it looks, so that nothing moves unseen in between.
        let mut moved = std::pin::pin!(share.moved());
        moved.as_mut().enable();
        let may_take = share.may_take();
        let room = may_take && connections.len() < limits.connections;
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = moved, if !may_take => {}
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    prepare(&stream);
                    let line = Line::new(stream);
                    let socket = TokioIo::new(Wordy::new(line.clone()));
                    let due = Due::new(limits.write_timeout);
                    let socket = Patient::new(socket, limits.write_timeout, due.clone());
                    let app = app.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (app, due) = (app.clone(), due.clone());
                        due.clear();
                        // Boxed, so that idle connections do not carry its room around.
                        Box::pin(async move { Ok::<_, Infallible>(app.answer(request, &due).await) })
                    });
                    let connection = graceful.watch(http.serve_connection(socket, service));
                    connections.spawn(share.take().during(line.attend(connection)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let mut drained = std::pin::pin!(graceful.shutdown());
    let all = tokio::select! {
        biased;
        () = &mut drained => true,
        () = end => false,
        () = tokio::time::sleep(limits.drain) => false,
    };
    if !all {
        let open = app.server.engine.under_way();
        if open > 0 {
            tracing::warn!(open, "requests still under way are ended");
        }
        app.server.engine.leave_off();
        drop(tokio::time::timeout(FAREWELL, drained).await);
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
