//! Connections over HTTP/1.1: one exchange at a time on each, kept for the next.
//!
//! A connection is leased for one exchange and comes back once the answer's body was read to its end. A lease that
//! is dropped before closes its connection: that is how a provider learns that nobody waits any more.

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tower_service::Service;
use unfail_policy::classify::{Limit, Transport};
use unfail_policy::time::Time;

use crate::marking::{Marking, Used};
use crate::pieces::Pieces;
use crate::trouble::{HeadLimits, STALE, Trouble, deepest, unconnected};
use crate::world::World;

/// Idle connections are dropped before the usual server-side idle limit of one minute.
pub(crate) const IDLE: Duration = Duration::from_secs(50);
/// A response's head, and what is written at once, are no larger.
const HEAD_BYTES_MAX: usize = 128 << 10;
/// Idle connections kept per origin.
const IDLE_PER_ORIGIN: usize = 256;

/// Where connections lead: scheme, host and port.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// `https://api.example.com`; names the origin in the pool.
    name: Arc<str>,
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
}

impl Origin {
    /// The origin of an absolute URL; `None` for a relative one.
    pub(crate) fn of(url: &Uri) -> Option<Self> {
        let (scheme, authority) = (url.scheme()?.clone(), url.authority()?.clone());
        let host = match url.port_u16() {
            Some(port) if !is_default(&scheme, port) => {
                HeaderValue::from_str(&format!("{}:{port}", authority.host()))
            }
            _ => HeaderValue::from_str(authority.host()),
        };
        Some(Self { name: format!("{scheme}://{authority}").into(), scheme, authority, host: host.ok()? })
    }

    /// The absolute URL of `path` here.
    pub(crate) fn with(&self, path: &str) -> Option<Uri> {
        let builder = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        builder.path_and_query(path).build().ok()
    }

    /// `https://api.example.com`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// As the `host` header says it.
    pub(crate) fn host(&self) -> HeaderValue {
        self.host.clone()
    }
}

fn is_default(scheme: &Scheme, port: u16) -> bool {
    port == if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

/// A handle on a connection. The task that drives it ends with the handle, or with the connection.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Pieces>,
    /// Knows what came by it.
    used: Used,
}

/// Idle connections of one runtime: a runtime must not use connections that another one drives.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    connector: Marking,
    shelf: Arc<Shelf>,
    world: World,
}

/// A connection under way with one exchange.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Connection,
    origin: Arc<str>,
    shelf: Arc<Shelf>,
    world: World,
}

/// Where idle connections lie.
#[derive(Debug, Default)]
struct Shelf {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one used last is used first; so the others can grow old.
    connections: HashMap<Arc<str>, Vec<(Time, Connection)>>,
    /// A task looks after them.
    swept: bool,
}

/// Why there is no response on a connection.
enum Missed {
    /// The connection ended before anything of the request was written: it may go on another.
    Unsent(Box<Request<Pieces>>),
    Trouble(Trouble),
}

impl Pool {
    pub(crate) fn new(connector: Marking, world: World) -> Self {
        Self { connector, shelf: Arc::default(), world }
    }

    /// Sends one request and waits for the head of its response. A `fresh` one goes by a connection of its own: the
    /// one it went by before was dead.
    pub(crate) async fn send(
        &self,
        mut request: Request<Pieces>,
        origin: &Origin,
        limits: HeadLimits,
        fresh: bool,
    ) -> Result<(Response<Incoming>, Lease), Trouble> {
        let mut now = self.world.now();
        while let Some(mut lease) = if fresh { None } else { self.idle(origin, now) } {
            match lease.exchange(request, limits.head, Some(now)).await {
                Ok(response) => return Ok((response, lease)),
                Err(Missed::Unsent(unsent)) => (request, now) = (*unsent, self.world.now()),
                Err(Missed::Trouble(trouble)) => {
                    if let Trouble::Fault(Transport::StaleConnection, _) = trouble {
                        self.shelf.forget(origin, now);
                    }
                    return Err(trouble);
                }
            }
        }
        // Rare, and large: boxed so that requests on idle connections need not carry its room around.
        let mut lease = Box::pin(self.connect(origin, limits)).await?;
        match lease.exchange(request, limits.head, None).await {
            Ok(response) => Ok((response, lease)),
            Err(Missed::Trouble(trouble)) => Err(trouble),
            Err(Missed::Unsent(_)) => {
                let text = "the connection was closed before the request was sent".to_owned();
                Err(Trouble::Fault(Transport::Connect, text))
            }
        }
    }

    /// A connection that lay idle and still stands.
    fn idle(&self, origin: &Origin, now: Time) -> Option<Lease> {
        let mut idle = self.shelf.lock();
        let known = idle.connections.get_mut(&origin.name)?;
        while let Some((since, connection)) = known.pop() {
            if now.since(since) < IDLE && connection.sender.is_ready() {
                return Some(self.lease(connection, origin));
            }
        }
        None
    }

    async fn connect(&self, origin: &Origin, limits: HeadLimits) -> Result<Lease, Trouble> {
        let until = limits.connected.min(limits.head);
        let mut connector = self.connector.clone();
        let connecting = async {
            let nowhere = || Trouble::Fault(Transport::Connect, "the URL leads nowhere".to_owned());
            let url = origin.with("/").ok_or_else(nowhere)?;
            let stream = connector.call(url).await.map_err(|error| self.refused(unconnected(&*error)))?;
            let used = stream.used();
            // One buffer for head and body: the system takes that faster than several.
            let handshake =
                http1::Builder::new().writev(false).max_buf_size(HEAD_BYTES_MAX).handshake(stream).await;
            let (sender, driver) =
                handshake.map_err(|error| Trouble::Fault(Transport::Connect, deepest(&error)))?;
            Ok((Connection { sender, used }, driver))
        };
        let late = if limits.head <= limits.connected { Limit::FirstToken } else { Limit::Connect };
        let (connection, driver) =
            within(self.world, until, connecting).await.ok_or(Trouble::Late(late))??;
        TokioExecutor::new().execute(async move {
            // How it ended is told to whoever used it.
            drop(driver.await);
        });
        Ok(self.lease(connection, origin))
    }

    /// Where no descriptor is left, those of idle connections are given up for what comes next.
    fn refused(&self, trouble: Trouble) -> Trouble {
        if let Trouble::Fault(Transport::NoDescriptor, _) = trouble {
            let idle = std::mem::take(&mut self.shelf.lock().connections);
            drop(idle);
        }
        trouble
    }

    fn lease(&self, connection: Connection, origin: &Origin) -> Lease {
        Lease { connection, origin: origin.name.clone(), shelf: self.shelf.clone(), world: self.world }
    }
}

impl Lease {
    /// Sends a request and waits for the head of its response; `reused` at that time is a connection that has had an
    /// exchange before.
    async fn exchange(
        &mut self,
        request: Request<Pieces>,
        until: Time,
        reused: Option<Time>,
    ) -> Result<Response<Incoming>, Missed> {
        let heard = self.connection.used.heard();
        let answered = within(self.world, until, self.connection.sender.try_send_request(request)).await;
        match answered {
            Some(Ok(response)) => Ok(response),
            None => Err(Missed::Trouble(Trouble::Late(Limit::FirstToken))),
            Some(Err(mut error)) => match error.take_message() {
                Some(unsent) => Err(Missed::Unsent(Box::new(unsent))),
                None => {
                    let error = error.into_error();
                    let soon = reused.is_some_and(|sent| self.world.now().since(sent) < STALE);
                    // An end is read, a reset is not: whatever else was read is an answer that had begun.
                    let end = u64::from(error.is_incomplete_message());
                    let silent = !error.is_parse() && self.connection.used.reads_since(heard) <= end;
                    let stale = soon && silent;
                    let fault =
                        if stale { Transport::StaleConnection } else { Transport::ResetBeforeHeaders };
                    Err(Missed::Trouble(Trouble::Fault(fault, deepest(&error))))
                }
            },
        }
    }

    /// The answer was read to its end: the connection may carry another exchange.
    pub(crate) fn finish(mut self) {
        if self.connection.sender.is_ready() {
            return self.put_back();
        }
        // The end of the body has been seen, the connection's own task has not run since.
        TokioExecutor::new().execute(async move {
            if self.connection.sender.ready().await.is_ok() {
                self.put_back();
            }
        });
    }

    fn put_back(self) {
        let Self { connection, origin, shelf, world } = self;
        let mut idle = shelf.lock();
        match idle.connections.get_mut(&origin) {
            Some(known) if known.len() >= IDLE_PER_ORIGIN => return,
            Some(known) => known.push((world.now(), connection)),
            None => drop(idle.connections.insert(origin, vec![(world.now(), connection)])),
        }
        if !std::mem::replace(&mut idle.swept, true) {
            TokioExecutor::new().execute(sweep(Sweeper(Arc::downgrade(&shelf)), world));
        }
    }
}

impl Shelf {
    /// A poisoned shelf is used on: whatever lies there is a whole connection.
    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what has lain here since `before`. Where one idle connection died unseen, what else lay idle at that time
    /// has most likely met the same end (a restart, a gateway on the way that forgot it): each would cost a request
    /// of its own. What was put back since has answered since.
    fn forget(&self, origin: &Origin, before: Time) {
        let mut dead = Vec::new();
        if let Some(known) = self.lock().connections.get_mut(&origin.name) {
            (dead, *known) = std::mem::take(known).into_iter().partition(|(since, _)| *since <= before);
        }
        // Outside the lock: dropping a connection wakes the task that drives it.
        drop(dead);
    }
}

/// Looks after a shelf; when its runtime ends, the next connection put back finds another.
struct Sweeper(Weak<Shelf>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(shelf) = self.0.upgrade() {
            shelf.lock().swept = false;
        }
    }
}

/// Drops what lay too long, until nothing is left.
async fn sweep(sweeper: Sweeper, world: World) {
    loop {
        world.sleep_until(world.now() + IDLE).await;
        let Some(shelf) = sweeper.0.upgrade() else { return };
        let now = world.now();
        let mut idle = shelf.lock();
        idle.connections.retain(|_, known| {
            known.retain(|(since, connection)| now.since(*since) < IDLE && !connection.sender.is_closed());
            !known.is_empty()
        });
        if idle.connections.is_empty() {
            return;
        }
    }
}

/// What `work` gives, or `None` at `until`.
async fn within<T>(world: World, until: Time, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => Some(done),
        () = world.sleep_until(until) => None,
    }
}
