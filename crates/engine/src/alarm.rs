//! Tells the operator of a trouble that is his to mend, once in a while and not once per request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use unfail_policy::time::Time;

/// How often, at most.
const PAUSE: Duration = Duration::from_secs(60);

/// Remembers when it last rang.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    rang: Mutex<Option<Time>>,
}

impl Alarm {
    /// Says `why` on the process's own log, unless it has done so within the last minute.
    pub(crate) fn ring(&self, now: Time, why: &str) {
        if self.is_due(now) {
            tracing::warn!(why, "requests fail for a want of the gateway's own; no provider is to blame");
        }
    }

    fn is_due(&self, now: Time) -> bool {
        let mut rang = self.rang.lock().unwrap_or_else(PoisonError::into_inner);
        let due = rang.is_none_or(|rang| now.since(rang) >= PAUSE);
        if due {
            *rang = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_once_a_minute() {
        let alarm = Alarm::default();
        for (seconds, due) in [(5, true), (5, false), (64, false), (65, true), (66, false), (500, true)] {
            assert_eq!(alarm.is_due(Time::ZERO + Duration::from_secs(seconds)), due, "{seconds} s");
        }
    }
}
