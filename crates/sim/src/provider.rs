//! A simulated provider: a listener on loopback that performs its script and remembers what happened.
//!
//! All its tasks live in one set owned by the handle; dropping the handle stops the listener and every connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::act::{Act, Script};
use crate::clock::Clock;
use crate::control;
use crate::flavour::{Flavour, Told};
use crate::http1::{Conn, Gone, Incoming, Request};
use crate::limit::{Gauge, Limiter, Verdict};
use crate::log::{Call, End, Log, Open};
use crate::perform::{Cast, Performance, Step, limited, perform, plainly};
use crate::speak::Speaks;
use crate::speak::voice::{Ask, KeyFault, Plain, Route, Scene, Voice};

/// Connections the kernel may hold before they are accepted: a burst of callers must not be turned away here.
const BACKLOG: u32 = 1024;

/// Where the simulator's own endpoints are.
const CONTROL: &str = "/_sim/";

/// What a provider is.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name the model speaks under.
    pub name: String,
    /// The wire it speaks.
    pub wire: Speaks,
    /// How it differs from others of that wire.
    pub flavour: Flavour,
    /// What it does first; can be changed while it runs.
    pub script: Script,
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
}

impl Setup {
    /// A provider named after its wire, of the vendor's own flavour, on a free port.
    #[must_use]
    pub fn new(wire: Speaks, script: Script) -> Self {
        Setup { name: wire.name().to_owned(), wire, flavour: wire.flavour(), script, port: 0 }
    }

    /// Under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Of another flavour.
    #[must_use]
    pub fn flavoured(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// On this port.
    #[must_use]
    pub fn on(mut self, port: u16) -> Self {
        self.port = port;
        self
    }
}

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    shared: Arc<Shared>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Provider {
    /// Starts a provider of the wire's own vendor on a free port of 127.0.0.1. Must be called inside a tokio runtime.
    pub fn start(wire: Speaks, script: Script) -> io::Result<Self> {
        Provider::start_as(Setup::new(wire, script))
    }

    /// Starts a provider as set up. Must be called inside a tokio runtime.
    pub fn start_as(setup: Setup) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, setup.port).into())?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let clock = Clock::start();
        let running = Mutex::new(Running::new(setup.script));
        let (name, wire, flavour) = (setup.name, setup.wire, setup.flavour);
        let (log, held) = (Log::new(clock), watch::Sender::new(false));
        let shared = Arc::new(Shared { name, wire, flavour, running, held, log, clock });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Provider { shared, address, _tasks: tasks })
    }

    /// `http://127.0.0.1:port`, without a path.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The wire it speaks.
    #[must_use]
    pub fn wire(&self) -> Speaks {
        self.shared.wire
    }

    /// The name its model speaks under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Time since it was started: the clock of [`Call::at`].
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.clock.now()
    }

    /// Changes what it does with calls from now on; a limit starts anew.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// From now on calls are taken, and none of them is answered before [`Provider::release`].
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Answers what was held, and everything after it at once.
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Calls so far, oldest first; the latest 20,000 of them.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.log.calls()
    }

    /// Number of calls so far, each counted when all of it was read.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.log.count()
    }

    /// Number of calls that reached it, each counted from its first byte on, whether or not the rest came; a
    /// connection that was given up without a byte counts as one.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.shared.log.reached()
    }

    /// Calls that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.log.in_flight()
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.shared.log.connections_open()
    }

    /// Calls whose client left before the answer ended.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.shared.log.cancelled()
    }
}

/// A script being played.
#[derive(Debug)]
struct Running {
    script: Script,
    limiter: Option<Limiter>,
}

impl Running {
    fn new(script: Script) -> Self {
        let limiter = script.limit.clone().map(Limiter::new);
        Running { script, limiter }
    }
}

/// What is to be done with a call that passed the vendor's checks.
enum Turn {
    Act(Act, Option<Gauge>),
    Limited(Told),
}

#[derive(Debug)]
struct Shared {
    name: String,
    wire: Speaks,
    flavour: Flavour,
    running: Mutex<Running>,
    /// No answer begins while this is set.
    held: watch::Sender<bool>,
    log: Log,
    clock: Clock,
}

impl Shared {
    fn set_script(&self, script: Script) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Running::new(script);
    }

    fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Resolves when nothing is held back.
    async fn released(&self) {
        // The sender lives as long as this, so waiting cannot fail.
        self.held.subscribe().wait_for(|held| !held).await.ok();
    }

    fn accepts(&self, key: &str) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.script.accept_keys.as_ref().is_none_or(|keys| keys.iter().any(|known| known == key))
    }

    fn turn(&self) -> Turn {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gauge = None;
        if let Some(limiter) = &mut running.limiter {
            let (verdict, read) = limiter.ask(self.clock.now());
            if let Verdict::Wait(wait) = verdict {
                return Turn::Limited(Told::measured(limiter.stated(), wait, read));
            }
            gauge = Some(read);
        }
        let next = running.script.queue.pop_front();
        Turn::Act(next.unwrap_or_else(|| running.script.default.clone()), gauge)
    }

    /// Decides a call: what is done, and the steps of it.
    fn decide(&self, request: &Request, serial: u64, arrived: Duration) -> (String, Performance) {
        let voice = self.wire.voice();
        let spent = self.clock.now().saturating_sub(arrived);
        let scene = Scene { flavour: &self.flavour, serial, wall: self.clock.wall(), spent };
        let ask = match self.admit(voice, request, &scene) {
            Ok(ask) => ask,
            Err((why, plain)) => return (why.to_owned(), plainly(plain, voice.headers(&scene), scene.wall)),
        };
        let accepted = request.header("accept-encoding").unwrap_or_default();
        let gzip = accepted.split(',').any(|coding| coding.trim().starts_with("gzip"));
        let turn = self.turn();
        let gauge = if let Turn::Act(_, gauge) = &turn { *gauge } else { None };
        let cast = Cast { voice, ask: &ask, scene: &scene, name: &self.name, gauge, gzip };
        match turn {
            Turn::Act(act, _) => (act.to_string(), perform(&act, &cast)),
            Turn::Limited(told) => ("limited".to_owned(), limited(&told, &cast)),
        }
    }

    /// The vendor's checks before any act: path, key, body. What is no generation is answered here.
    fn admit(
        &self,
        voice: &dyn Voice,
        request: &Request,
        scene: &Scene<'_>,
    ) -> Result<Ask, (&'static str, Plain)> {
        let route = voice.route(request);
        if route == Route::Unknown {
            return Err(("unknown path", voice.lost(request, scene)));
        }
        match voice.key(request) {
            None => return Err(("no key", voice.key_refused(KeyFault::Missing, scene))),
            Some(key) if !self.accepts(key) => {
                return Err(("wrong key", voice.key_refused(KeyFault::Wrong, scene)));
            }
            Some(_) => {}
        }
        match &route {
            Route::Models => return Err(("models", Plain::json(200, &voice.models(scene)))),
            Route::Model(id) => return Err(("model", Plain::json(200, &voice.model(id, scene)))),
            Route::Generate | Route::Count | Route::Unknown => {}
        }
        let ask = voice.read(request, &route, scene).map_err(|plain| ("invalid request", plain))?;
        match route {
            Route::Count => Err(("count", Plain::json(200, &voice.count(&ask)))),
            _ => Ok(ask),
        }
    }

    /// Answers one of the simulator's own endpoints.
    fn control(&self, request: &Request) -> Plain {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/_sim/calls") => Plain::json(200, &control::calls(&self.log.calls())),
            ("POST", "/_sim/script") => match control::script(&request.body) {
                Ok(script) => {
                    self.set_script(script);
                    Plain::json(200, &serde_json::json!({"ok": true}))
                }
                Err(fault) => Plain::json(400, &serde_json::json!({"error": fault})),
            },
            _ => Plain::json(404, &serde_json::json!({"error": "GET /_sim/calls or POST /_sim/script"})),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                // Out of file handles: let the running ones end before the next try.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until either side ends it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let connected = shared.log.connect();
    let mut conn = Conn::new(stream);
    let mut spoke = false;
    while conn.next_byte().await {
        spoke = true;
        shared.log.reach();
        let request = match conn.next().await {
            Incoming::Request(request) => request,
            Incoming::Closed => return,
            Incoming::Bad(status) => {
                shared.log.unreach();
                let refused = plainly(Plain::html(status, "bad request\n"), Vec::new(), shared.clock.wall());
                play(&mut conn, refused.steps).await.ok();
                return conn.close().await;
            }
        };
        if request.path.starts_with(CONTROL) {
            shared.log.unreach();
            let answer = plainly(shared.control(&request), Vec::new(), shared.clock.wall());
            if play(&mut conn, answer.steps).await.is_err() {
                return;
            }
            continue;
        }
        let arrived = shared.clock.now();
        let call = shared.log.begin(entry(&request, connected.number));
        let (act, performance) = shared.decide(&request, call.number, arrived);
        call.answered(act, performance.status);
        if shared.is_held() && conn.until(shared.released()).await.is_err() {
            return call.ended(End::CallerGone);
        }
        match conclude(&mut conn, call, performance.steps).await {
            Next::Keep if !request.wants_close() => {}
            Next::Keep | Next::Close => return conn.close().await,
            Next::Reset => return conn.reset(),
            Next::Drop => return,
        }
    }
    if !spoke {
        shared.log.reach();
    }
}

fn entry(request: &Request, connection: u64) -> Call {
    Call {
        number: 0,
        connection,
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.headers.clone(),
        body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
        at: Duration::ZERO,
        act: String::new(),
        status: None,
        end: End::Open,
        ended: None,
    }
}

/// What becomes of the connection after a call.
enum Next {
    Keep,
    Close,
    Reset,
    Drop,
}

/// Plays the steps of a call and notes how it ended.
async fn conclude(conn: &mut Conn, call: Open, steps: Vec<Step>) -> Next {
    let (end, next) = match play(conn, steps).await {
        Err(Gone) => (End::CallerGone, Next::Drop),
        Ok(None) => (End::Sent, Next::Keep),
        Ok(Some(Step::Cut)) => (End::Broken, Next::Close),
        Ok(Some(Step::CloseWhenIdle(span))) => {
            call.ended(End::Sent);
            // A client that leaves or asks again before is told the same: the connection is over.
            conn.pause(span).await.ok();
            return Next::Close;
        }
        Ok(Some(Step::CloseOnNextRequest)) => {
            call.ended(End::Sent);
            return if conn.next_byte().await { Next::Reset } else { Next::Drop };
        }
        Ok(Some(_)) => (End::Broken, Next::Reset),
    };
    call.ended(end);
    next
}

/// Plays steps up to the first that ends the connection, which is returned.
async fn play(conn: &mut Conn, steps: Vec<Step>) -> Result<Option<Step>, Gone> {
    for step in steps {
        match step {
            Step::Write(bytes) => conn.write(&bytes).await?,
            Step::Pause(span) => conn.pause(span).await?,
            Step::Hang => return Err(conn.hang().await),
            ending => return Ok(Some(ending)),
        }
    }
    Ok(None)
}
