//! `unfail demo`: the whole thing at work, without any key and without a network.
//!
//! Simulated providers on loopback, the real server in front of them, callers that put both through a storm, and a
//! summary of it. Nothing here decides anything about a request: what is shown is what the endpoint told.

mod cast;
mod client;
mod script;
mod storm;
mod summary;
mod table;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use unfail_engine::observe::Log;
use unfail_engine::world::environment;
use unfail_server::{Limits, app, serve};

use super::{serve as serving, stop};
use crate::Error;
use crate::args::Demo;
use crate::output::{self, Sink};
use cast::Cast;
use summary::Summary;
use table::Board;

/// Exit code of a program ended by Ctrl-C: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(args: &Demo) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(perform(args))
}

async fn perform(args: &Demo) -> Result<ExitCode, Error> {
    let mut stop = std::pin::pin!(stop::asked(1));
    let mut board = Board::new(if args.json { Sink::Err } else { Sink::Out }, plain());
    let cast = Cast::start()?;
    let listener = listen(args.listen, &mut board).await?;
    let address = listener.local_addr()?;
    let server = Arc::new(serving::server(cast.config(address)?, Log::none())?);
    board.say(&opening(&cast, address));
    let (halt, halted) = oneshot::channel::<()>();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, app(server), Limits::default(), async { drop(halted.await) }));
    let unread = board.unread();
    let told = tokio::select! {
        biased;
        () = &mut stop => None,
        () = unread => return Ok(ExitCode::SUCCESS),
        told = storm::play(&cast, address, &mut board) => Some(told?),
    };
    let Some(told) = told else {
        board.say("stopped before the end of the storm");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let summary = Summary::of(&told, &cast);
    output::result(&if args.json { summary.json()? } else { summary.table() });
    if !args.once {
        output::note(&invitation(address));
        stop.await;
    }
    drop(halt);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(if summary.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Colours and redrawing are not wanted: `NO_COLOR` (no-color.org), or a terminal that has neither.
fn plain() -> bool {
    let set = |name| environment(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_some() || set("TERM").is_some_and(|terminal| terminal == "dumb")
}

/// Listens there, or on a free port of the same address when that one is in use.
async fn listen(address: SocketAddr, board: &mut Board) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(format!("{address} is not loopback, and the demo asks nobody for a key").into());
    }
    let cannot = |error: io::Error| format!("cannot listen on {address}: {error}");
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            board.say(&format!("{address} is in use; another port is taken"));
            Ok(TcpListener::bind((address.ip(), 0)).await.map_err(cannot)?)
        }
        bound => Ok(bound.map_err(cannot)?),
    }
}

fn opening(cast: &Cast, address: SocketAddr) -> String {
    let chain: Vec<&str> = cast.actors.iter().map(|actor| actor.id).collect();
    format!(
        "unfail demo: simulated providers on loopback, no key and no network needed\n\
         chain: {}\n\
         listening on http://{address}",
        chain.join(" → ")
    )
}

fn invitation(address: SocketAddr) -> String {
    let curl = serving::curl(address, "auto", "");
    format!("\nstill serving on http://{address}, with every provider answering; Ctrl-C ends it\n{curl}")
}
