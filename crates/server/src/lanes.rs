//! One single-threaded runtime per core, all accepting from one socket.
//!
//! A request stays on the core that accepted it, together with its connections to providers: no work stealing, no
//! wake-up across cores. Connections spread evenly (`share.rs`).

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use unfail_engine::Engine;

use crate::accept::{Limits, Stop, serve_hurried};
use crate::app::App;
use crate::share::Share;

/// How far the end has come, as every lane learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Ending,
}

/// Serves until what `stop` returns says so, one lane per router: the first on this thread, the others on threads
/// of their own. `stop` is called inside the first lane's runtime, once the socket accepts.
///
/// # Errors
/// When a runtime, a thread or the socket cannot be set up; nothing is served then.
pub fn serve_lanes<Drain: Future<Output = ()>, End: Future<Output = ()>>(
    listener: TcpListener,
    lanes: Vec<App>,
    limits: Limits,
    stop: impl FnOnce() -> Stop<Drain, End>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (stopping, phases) = watch::channel(Phase::Serving);
    let engines: Vec<_> = lanes.iter().map(|lane| lane.server.engine.clone()).collect();
    let shares = Share::of(lanes.len());
    let mut lanes = lanes.into_iter().zip(shares);
    let Some((first, share)) = lanes.next() else { return Ok(()) };
    let (serving, mut served) = mpsc::channel::<()>(1);
    let mut threads = Vec::new();
    for (number, (app, share)) in lanes.enumerate() {
        let (listener, phases, serving) = (listener.try_clone()?, phases.clone(), serving.clone());
        let lane = move || {
            let ended = run(async { lane(listener, app, (limits, share), &phases).await });
            drop(serving);
            ended
        };
        let name = format!("unfail-lane-{}", number + 1);
        threads.push(std::thread::Builder::new().name(name).spawn(lane)?);
    }
    drop(serving);
    let ended = run(async {
        let watching = watch_for(stop(), &stopping, &engines);
        let lanes = async {
            let ended = lane(listener, first, (limits, share), &phases).await;
            // Also when this one could not start: the others must not outlive it.
            stopping.send_modify(|phase| *phase = Phase::Draining.max(*phase));
            served.recv().await;
            ended
        };
        tokio::select! {
            ended = lanes => ended,
            () = watching => Ok(()),
        }
    });
    drop(stopping);
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a lane ended in a panic"))??;
    }
    ended
}

/// Tells every lane when to stop, and never resolves.
async fn watch_for<Drain: Future<Output = ()>, End: Future<Output = ()>>(
    stop: Stop<Drain, End>,
    stopping: &watch::Sender<Phase>,
    engines: &[Arc<Engine>],
) {
    stop.drain.await;
    let count: usize = engines.iter().map(|engine| engine.under_way()).sum();
    tracing::info!("draining, {count} request{} under way", if count == 1 { "" } else { "s" });
    stopping.send_replace(Phase::Draining);
    stop.end.await;
    tracing::info!("told to stop once more: ending at once");
    stopping.send_replace(Phase::Ending);
    std::future::pending().await
}

/// Resolves when `phase` is reached.
async fn reached(mut phases: watch::Receiver<Phase>, phase: Phase) {
    // An error means the first lane is gone, which is a reason to stop as well.
    drop(phases.wait_for(|now| *now >= phase).await);
}

async fn lane(
    listener: TcpListener,
    app: App,
    terms: (Limits, Share),
    phases: &watch::Receiver<Phase>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let drain = reached(phases.clone(), Phase::Draining);
    let end = reached(phases.clone(), Phase::Ending);
    serve_hurried(listener, app, terms, Stop { drain, end }).await
}

/// A runtime for one lane.
fn run(lane: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(lane)
}
