//! Requests for which no target is considered: they have no course to follow, only an end to tell.

use super::log::Log;
use super::record::{About, Outcome, Path, Record, Timing, millis};
use crate::call::Errand;
use crate::world::World;

/// How such a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Answered from what is known here, such as the names of models.
    Served,
    /// Turned away; why, in one word.
    Rejected(&'static str),
}

impl Log {
    /// Tells of a request for which no target was considered, once it has ended.
    pub fn aside(&self, world: World, errand: &Errand, ending: Aside) {
        let (outcome, error_class) = match ending {
            Aside::Served => (Outcome::Answered, None),
            Aside::Rejected(why) => (Outcome::Rejected, Some(why)),
        };
        let latency = world.now().since(errand.started);
        self.tell(&Record {
            at_ms: world.wall().millis(),
            about: About::of(errand, "".into()),
            path: Path::default(),
            outcome,
            error_class,
            timing: Timing { latency_ms: millis(latency), first_token_ms: None },
            tokens: None,
            cost_usd: None,
        });
    }
}
