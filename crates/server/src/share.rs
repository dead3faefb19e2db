//! How many connections each lane has. A burst that arrives while one core is awake must not stay with it: the others
//! would idle for as long as those connections live.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A lane that has so many more than another takes no further ones.
const LEAD: usize = 4;

/// The connections of all lanes.
#[derive(Debug)]
struct Shares {
    open: Vec<AtomicUsize>,
    /// Rings when a connection came or went.
    moved: Notify,
}

/// One lane's part of them.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    all: Arc<Shares>,
    lane: usize,
}

/// One connection of a lane, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Share);

impl Share {
    /// The only lane there is.
    pub(crate) fn alone() -> Self {
        let all = Shares { open: vec![AtomicUsize::new(0)], moved: Notify::new() };
        Self { all: Arc::new(all), lane: 0 }
    }

    /// Parts of so many lanes.
    pub(crate) fn of(lanes: usize) -> Vec<Self> {
        let open = (0..lanes).map(|_| AtomicUsize::new(0)).collect();
        let all = Arc::new(Shares { open, moved: Notify::new() });
        (0..lanes).map(|lane| Self { all: all.clone(), lane }).collect()
    }

    /// Resolves when a connection came or went anywhere; listens once it is enabled or polled.
    pub(crate) fn moved(&self) -> Notified<'_> {
        self.all.moved.notified()
    }

    /// Whether it may take another connection: the lane that has fewest always may.
    pub(crate) fn may_take(&self) -> bool {
        let counts = self.all.open.iter().map(|open| open.load(Ordering::SeqCst));
        let least = counts.min().unwrap_or_default();
        let mine = self.all.open.get(self.lane).map_or(0, |open| open.load(Ordering::SeqCst));
        mine < least + LEAD
    }

    /// Takes one.
    pub(crate) fn take(&self) -> Held {
        if let Some(open) = self.all.open.get(self.lane) {
            open.fetch_add(1, Ordering::SeqCst);
        }
        self.all.moved.notify_waiters();
        Held(self.clone())
    }
}

impl Held {
    /// Has it until `work` is over.
    pub(crate) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        let ended = work.await;
        drop(self);
        ended
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Self(Share { all, lane }) = self;
        if let Some(open) = all.open.get(*lane) {
            open.fetch_sub(1, Ordering::SeqCst);
        }
        all.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::{Limits, Stop, serve_hurried};
    use crate::app::{App, app};
    use crate::state::{Mode, Server};
    use std::future::pending;
    use std::time::Duration;
    use tokio::task::JoinSet;
    use unfail_engine::Engine;
    use unfail_engine::observe::Log;
    use unfail_testkit::eventually;

    #[test]
    fn no_lane_gets_far_ahead_and_the_last_one_is_never_held_up() {
        let lanes = Share::of(3);
        let mut held: Vec<Held> = Vec::new();
        for _ in 0..LEAD {
            assert!(lanes[0].may_take());
            held.push(lanes[0].take());
        }
        assert_eq!([0, 1, 2].map(|lane| lanes[lane].may_take()), [false, true, true]);
        held.push(lanes[1].take());
        assert!(!lanes[0].may_take(), "the third has none yet");
        held.push(lanes[2].take());
        assert!(lanes[0].may_take());
        held.clear();
        assert!(lanes.iter().all(Share::may_take));
        let alone = Share::alone();
        let many: Vec<Held> = (0..100).map(|_| alone.take()).collect();
        assert!(alone.may_take());
        drop(many);
    }

    struct Nothing;

    impl unfail_config::Secrets for Nothing {
        fn env(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, _: &std::path::Path) -> std::io::Result<String> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    fn endpoint() -> App {
        let (config, _) = unfail_config::load("unfail.toml", b"", &Nothing);
        let engine = Arc::new(Engine::new(config.unwrap(), Log::none()).unwrap());
        let (max_body, body_timeout) = (1 << 20, Duration::from_secs(10));
        app(Arc::new(Server { engine, log: Log::none(), mode: Mode::Developer, max_body, body_timeout }))
    }

    /// Callers that come all at once are served by all lanes alike, and so are those that take the place of some.
    #[tokio::test]
    async fn a_burst_of_connections_spreads_over_the_lanes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shares = Share::of(2);
        let mut lanes = JoinSet::new();
        for share in shares.clone() {
            let listener = tokio::net::TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
            let stop = Stop { drain: pending(), end: pending() };
            lanes.spawn(serve_hurried(listener, endpoint(), (Limits::default(), share), stop));
        }
        let open = || [0, 1].map(|lane| shares[0].all.open[lane].load(Ordering::SeqCst));
        let mut callers = Vec::new();
        for wanted in [40, 60] {
            callers.truncate(20);
            while callers.len() < wanted {
                callers.push(tokio::net::TcpStream::connect(address).await.unwrap());
            }
            let all = || open().iter().sum::<usize>() == wanted;
            eventually(Duration::from_secs(10), all).await.expect("every connection is accepted");
            let [first, second] = open();
            assert!(first.abs_diff(second) <= LEAD, "{first} and {second}");
        }
    }
}
