//! Plays the storm: tells the providers what to do, sends the requests, and shows each one's end.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use unfail_engine::world::World;
use unfail_policy::time::Time;
use unfail_sim::{Act, Script};

use super::cast::{Actor, CALM, Cast};
use super::client::{Ask, Client, Reply};
use super::script::{Beat, Phase, STORM};
use super::table::Board;
use crate::Error;

/// Between two drawings of what is under way.
const TICK: Duration = Duration::from_millis(100);
/// Requests to ask for a provider that was to be back; one that is not by then is not the storm's to wait for.
const BACK_MOST: u32 = 30;

/// What was asked, what came of it and what it cost.
pub(super) struct Told {
    /// Requests sent.
    pub(super) asked: usize,
    pub(super) replies: Vec<Reply>,
    /// In the order of the storm.
    pub(super) phases: Vec<Calls>,
    /// From the first request to the end of the last.
    pub(super) took: Duration,
}

/// Calls each provider counted in one phase, in the order of the chain.
pub(super) struct Calls {
    pub(super) phase: &'static str,
    pub(super) counts: Vec<u64>,
}

/// Plays every phase against the endpoint at `address`.
///
/// # Errors
/// An act the simulator does not know.
pub(super) async fn play(cast: &Cast, address: SocketAddr, board: &mut Board) -> Result<Told, Error> {
    let world = World::start();
    let began = world.now();
    let client = Client::new(address);
    let mut storm = Storm {
        cast,
        board,
        world,
        client,
        phase: "",
        running: JoinSet::new(),
        asked: 0,
        replies: Vec::new(),
    };
    let mut phases = Vec::new();
    for (index, phase) in STORM.iter().enumerate() {
        let before = cast.counts();
        let title = format!("{}/{} {}", index + 1, STORM.len(), phase.name);
        storm.board.phase(&title, &cast.named(phase.about));
        storm.play(phase).await?;
        let counts: Vec<u64> = cast.counts().iter().zip(&before).map(|(now, then)| now - then).collect();
        storm.board.say(&format!("      calls: {}", cast.tally(&counts)));
        phases.push(Calls { phase: phase.name, counts });
    }
    Ok(Told { asked: storm.asked, replies: storm.replies, phases, took: world.now().since(began) })
}

struct Storm<'a> {
    cast: &'a Cast,
    board: &'a mut Board,
    world: World,
    client: Client,
    /// The phase that is played.
    phase: &'static str,
    running: JoinSet<Reply>,
    /// Requests sent so far.
    asked: usize,
    replies: Vec<Reply>,
}

impl Storm<'_> {
    async fn play(&mut self, phase: &'static Phase) -> Result<(), Error> {
        self.phase = phase.name;
        for beat in phase.beats {
            match *beat {
                Beat::Always(provider, act) => self.script(provider, Script::always(act.parse::<Act>()?)),
                Beat::Next(provider, acts) => {
                    let acts: Vec<Act> = acts.iter().map(|act| act.parse()).collect::<Result<_, _>>()?;
                    self.script(provider, Script::first(acts).then(CALM.parse::<Act>()?));
                }
                Beat::Whole => self.ask(false, None),
                Beat::Stream => self.ask(true, None),
                Beat::Hurried(millis) => self.ask(false, Some(Duration::from_millis(millis))),
                Beat::Many(count, apart_ms) => self.many(count, Duration::from_millis(apart_ms)).await,
                Beat::Settle => self.settle().await,
                Beat::Back(provider) => self.back(provider).await,
                Beat::After(provider, millis) => {
                    let since = self.cast.actors.get(provider).map(Actor::idle);
                    let left = Duration::from_millis(millis).saturating_sub(since.unwrap_or_default());
                    self.rest(self.world.now() + left).await;
                }
            }
        }
        self.settle().await;
        Ok(())
    }

    fn script(&self, provider: usize, script: Script) {
        if let Some(actor) = self.cast.actors.get(provider) {
            actor.play(script);
        }
    }

    fn ask(&mut self, stream: bool, deadline: Option<Duration>) {
        self.asked += 1;
        let ask = Ask { number: self.asked, phase: self.phase, stream, deadline };
        self.running.spawn(self.client.clone().ask(ask));
        self.board.started(ask);
    }

    async fn many(&mut self, count: u32, apart: Duration) {
        let began = self.world.now();
        for index in 0..count {
            self.rest(began + apart * index).await;
            self.ask(index % 2 == 1, None);
        }
    }

    /// Asks until the provider answers again: at once when all went in time, later on a machine that is very busy.
    async fn back(&mut self, provider: usize) {
        let Some(id) = self.cast.actors.get(provider).map(|actor| actor.id) else { return };
        for tries in 0..BACK_MOST {
            self.settle().await;
            self.ask(tries % 2 == 0, None);
            self.settle().await;
            if self.replies.last().is_some_and(|reply| reply.found.provider() == Some(id)) {
                return;
            }
        }
    }

    async fn settle(&mut self) {
        while !self.running.is_empty() {
            self.turn(Time::MAX).await;
        }
    }

    async fn rest(&mut self, until: Time) {
        while self.world.now() < until {
            self.turn(until).await;
        }
    }

    /// Waits for the next request to end, for the next drawing, or until then.
    async fn turn(&mut self, until: Time) {
        let until = until.min(self.world.now() + TICK);
        let ended = tokio::select! {
            biased;
            Some(ended) = self.running.join_next() => Some(ended),
            () = self.world.sleep_until(until) => None,
        };
        self.board.stand(format!("      calls so far: {}", self.cast.tally(&self.cast.counts())));
        match ended {
            Some(Ok(reply)) => {
                self.board.ended(&reply);
                self.replies.push(reply);
            }
            // It has no reply, so the summary counts it as lost.
            Some(Err(_)) => {}
            None => self.board.tick(),
        }
    }
}
