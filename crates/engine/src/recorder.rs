//! Watches one request to its end and tells the log about it, exactly once, also when the caller just leaves.

use std::sync::Arc;
use std::time::Duration;
use unfail_catalog::Price;
use unfail_policy::classify::{Class, Fault};
use unfail_policy::time::{Time, Wall};
use unfail_wire::chat::Usage;
use unfail_wire::event::Event;

use crate::call::Errand;
use crate::failure::{Failure, Trail};
pub(crate) use crate::observe::millis;
use crate::observe::{About, Attempts, Log, Outcome, Path, Record, Timing, Tokens};
use crate::world::World;

/// Watches one request.
#[derive(Debug)]
pub(crate) struct Recorder {
    log: Log,
    world: World,
    started: Time,
    began: Wall,
    /// Taken when the record is told.
    draft: Option<Box<Draft>>,
}

#[derive(Debug)]
struct Draft {
    about: About,
    primary: Option<Arc<str>>,
    answered_by: Option<Arc<str>>,
    price: Option<Price>,
    trail: Arc<Trail>,
    first_token: Option<Duration>,
    usage: Option<Usage>,
}

/// Who answered, and at what price.
#[derive(Debug, Clone)]
pub(crate) struct Winner {
    pub(crate) target: Arc<str>,
    pub(crate) price: Option<Price>,
}

impl Recorder {
    pub(crate) fn new(
        log: Log,
        world: World,
        errand: &Errand,
        route: Arc<str>,
        primary: Option<Arc<str>>,
    ) -> Self {
        let about = About::of(errand, route);
        let draft = Draft {
            about,
            primary,
            answered_by: None,
            price: None,
            trail: Arc::default(),
            first_token: None,
            usage: None,
        };
        let began = world.wall();
        Self { log, world, started: errand.started, began, draft: Some(Box::new(draft)) }
    }

    /// A target's answer has content.
    pub(crate) fn committed(&mut self, winner: Winner, trail: Arc<Trail>, stream: bool) {
        let first_token = self.world.now().since(self.started);
        if let Some(draft) = &mut self.draft {
            draft.about.stream = stream;
            draft.answered_by = Some(winner.target);
            draft.price = winner.price;
            draft.trail = trail;
            draft.first_token = Some(first_token);
        }
    }

    /// More of a streamed answer went to the caller.
    pub(crate) fn saw(&mut self, events: &[Event]) {
        let last = events.iter().rev().find_map(|event| match event {
            Event::Usage(usage) => Some(*usage),
            _ => None,
        });
        if let (Some(draft), Some(usage)) = (&mut self.draft, last) {
            draft.usage = Some(usage);
        }
    }

    /// The caller got all of it at once; returns its cost in USD. Usage that counts nothing is not told.
    pub(crate) fn answered_whole(&mut self, usage: Option<Usage>) -> Option<f64> {
        let draft = self.draft.as_mut()?;
        draft.usage = usage.filter(|usage| *usage != Usage::default());
        let cost = draft.cost_usd();
        self.answered();
        cost
    }

    /// The caller got all of it.
    pub(crate) fn answered(&mut self) {
        self.tell(Outcome::Answered, None);
    }

    /// The stream broke after content; `trail` says so.
    pub(crate) fn cut(&mut self, fault: &Fault, trail: Arc<Trail>) {
        if let Some(draft) = &mut self.draft {
            draft.trail = trail;
        }
        self.tell(Outcome::Cut, Some(fault.class.name()));
    }

    /// No target answered.
    pub(crate) fn failed(&mut self, failure: &Failure, class: Option<&'static str>) {
        if let Some(draft) = &mut self.draft {
            draft.trail = failure.trail.clone();
        }
        self.tell(Outcome::Failed, class);
    }

    /// The caller left before there was an answer.
    pub(crate) fn left(mut self, trail: Arc<Trail>) {
        if let Some(draft) = &mut self.draft {
            draft.trail = trail;
        }
    }

    /// unfail had to stop before the end.
    pub(crate) fn stopped(&mut self, failure: &Failure) {
        if let Some(draft) = &mut self.draft {
            draft.trail = failure.trail.clone();
        }
        self.tell(Outcome::Stopped, None);
    }

    fn tell(&mut self, outcome: Outcome, error_class: Option<&'static str>) {
        let Some(draft) = self.draft.take() else { return };
        let cost_usd = draft.cost_usd();
        let Draft { about, primary, answered_by, trail, first_token, usage, .. } = *draft;
        let record = Record {
            at_ms: self.began.millis(),
            about,
            path: Path {
                fallback_used: answered_by.is_some() && answered_by != primary,
                primary,
                answered_by,
                calls: trail.calls,
                retries: trail.retries,
                attempts: Attempts(trail),
            },
            outcome,
            error_class,
            timing: Timing {
                latency_ms: millis(self.world.now().since(self.started)),
                first_token_ms: first_token.map(millis),
            },
            tokens: usage.map(|usage| Tokens {
                input: usage.input,
                cached: usage.cache_read,
                output: usage.output,
                reasoning: usage.reasoning,
            }),
            cost_usd,
        };
        self.log.tell(&record);
    }
}

impl Draft {
    fn cost_usd(&self) -> Option<f64> {
        let cost = self.price.as_ref()?.cost(self.usage.as_ref()?);
        Some(cost.usd())
    }
}

impl Drop for Recorder {
    /// Dropped before the end: the caller left.
    fn drop(&mut self) {
        self.tell(Outcome::Cancelled, Some(Class::Cancelled.name()));
    }
}
