//! One single-threaded runtime per core, all accepting from one socket.
//!
//! A request stays on the core that accepted it, together with its connections to providers: no work stealing, no
//! wake-up across cores. An idle core is the first to accept, so connections spread by load.

use axum::Router;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use tokio::sync::watch;

use crate::accept::{Limits, serve};

/// Serves until what `stop` returns resolves, one lane per router: the first on this thread, the others on threads
/// of their own. `stop` is called inside the first lane's runtime, once the socket accepts.
///
/// # Errors
/// When a runtime, a thread or the socket cannot be set up; nothing is served then.
pub fn serve_lanes<Stop: Future<Output = ()>>(
    listener: TcpListener,
    lanes: Vec<Router>,
    limits: Limits,
    stop: impl FnOnce() -> Stop,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (stopping, stopped) = watch::channel(false);
    let mut lanes = lanes.into_iter();
    let Some(first) = lanes.next() else { return Ok(()) };
    let mut threads = Vec::new();
    for (number, app) in lanes.enumerate() {
        let (listener, mut stopped) = (listener.try_clone()?, stopped.clone());
        let stop = async move {
            // An error means the first lane is gone, which is a reason to stop as well.
            drop(stopped.wait_for(|stopping| *stopping).await);
        };
        let name = format!("unfail-lane-{}", number + 1);
        threads.push(
            std::thread::Builder::new().name(name).spawn(move || lane(listener, app, limits, || stop))?,
        );
    }
    let served = lane(listener, first, limits, || {
        let stop = stop();
        async {
            stop.await;
            stopping.send_replace(true);
        }
    });
    // Also when the first lane could not start: the others must not outlive it.
    stopping.send_replace(true);
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a lane ended in a panic"))??;
    }
    served
}

fn lane<Stop: Future<Output = ()>>(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: impl FnOnce() -> Stop,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        serve(listener, app, limits, stop()).await
    })
}
