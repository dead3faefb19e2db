//! File descriptors: how many this process may have, and how many of them callers may take.
//!
//! Every caller under way may need a connection to a provider. Callers that take the last descriptor would have
//! everybody's calls fail.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::accept::Limits;

/// Kept for what is no connection: the log, standard streams, certificates being read.
const RESERVED: u64 = 16;
/// What one lane keeps open besides: its socket, its timers and wake-ups.
const PER_LANE: u64 = 8;

/// Has this process allowed as many descriptors as the system grants it without asking anybody. Their number; `None`
/// when there is no limit.
pub fn raise_descriptors() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // Some systems name a limit that they do not grant.
        Err(_) => current,
    }
}

impl Limits {
    /// The same limits, with so few connections that `lanes` lanes leave one for a provider to each caller's.
    #[must_use]
    pub fn within(self, descriptors: Option<u64>, lanes: usize) -> Self {
        let Some(descriptors) = descriptors else { return self };
        let lanes = lanes.max(1) as u64;
        let kept = RESERVED + PER_LANE * lanes;
        let share = usize::try_from(descriptors.saturating_sub(kept) / 2 / lanes).unwrap_or(usize::MAX);
        Self { connections: self.connections.min(share.max(1)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_leave_a_descriptor_for_each_of_their_calls() {
        for (descriptors, lanes, connections) in [
            (None, 4, 16_384),
            (Some(1 << 20), 4, 16_384),
            (Some(64), 2, 8),
            (Some(1_024), 2, 248),
            (Some(1_024), 64, 3),
            (Some(20), 2, 1),
            (Some(0), 0, 1),
        ] {
            let limits = Limits::default().within(descriptors, lanes);
            assert_eq!(limits.connections, connections, "{descriptors:?} in {lanes}");
        }
    }
}
