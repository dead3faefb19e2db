//! One streamed answer of a provider: bytes → frames → events, under time limits.

use bytes::Bytes;
use std::time::Duration;
use unfail_policy::classify::Limit;
use unfail_policy::time::Time;
use unfail_wire::Wire;
use unfail_wire::driver::{Driver, StreamFault};
use unfail_wire::event::Event;

use crate::body::{Body, BodyFault};
use crate::trouble::Trouble;
use crate::world::World;

/// How long the provider may take to close a stream whose answer is complete, so that its connection can be used
/// again. The caller has everything by then.
const LINGER: Duration = Duration::from_millis(250);

/// What only keeps a stream alive (comments, pings, frames that say nothing) may hold it up for this many times its
/// stall limit. Providers send such signs while a model thinks, which takes longer than the pause between two tokens;
/// one that sends nothing else has stalled, and the frames come from something that is not the model.
const KEEP_ALIVE_STALLS: u32 = 4;

/// What may have arrived before the request's deadline without having been read, because the caller takes its answer
/// slowly: about what sockets and buffers hold, and more than most answers have.
const LATE_BYTES: usize = 1 << 20;

/// How long such bytes may take, in all, to come from the system to here.
const LATE_TIME: Duration = LINGER;

/// How long a stream that has had content may say nothing: the stall limit from frame to frame, and
/// [`KEEP_ALIVE_STALLS`] times as long in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence {
    /// Between two frames.
    stall: Duration,
    /// The request's own.
    deadline: Time,
    /// Since when nothing was said; `None` when the last frame said something, or there was none yet.
    since: Option<Time>,
}

impl Silence {
    pub(crate) const fn new(stall: Duration, deadline: Time) -> Self {
        Self { stall, deadline, since: None }
    }

    /// When the frame waited for from `now` on must be there, and which limit has passed when it is not.
    pub(crate) fn until(&mut self, now: Time) -> (Time, Limit) {
        let since = *self.since.get_or_insert(now);
        let stalled = (now + self.stall).min(since + self.stall.saturating_mul(KEEP_ALIVE_STALLS));
        if stalled < self.deadline { (stalled, Limit::Stall) } else { (self.deadline, Limit::Total) }
    }

    /// A frame came that said these.
    pub(crate) fn heard(&mut self, events: &[Event]) {
        if !events.is_empty() {
            self.since = None;
        }
    }
}

/// How reading a stream ended badly.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// Below the format: transport, time, size.
    Body(BodyFault),
    /// In the format.
    Stream(StreamFault),
}

/// Reads one stream.
pub(crate) struct Reader {
    body: Body,
    driver: Driver,
    /// The answer said that it is complete: whatever follows can neither go on with it nor spoil it.
    over: bool,
    /// The provider closed the stream, or it failed: nothing more will be read.
    closed: bool,
    /// What is left of the bytes and the time that the deadline's passing leaves.
    late: (usize, Duration),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(wire: &dyn Wire, body: Body) -> Self {
        Self {
            body,
            driver: Driver::new(wire.decoder()),
            over: false,
            closed: false,
            late: (LATE_BYTES, LATE_TIME),
        }
    }

    /// The answer is complete; only the end of its stream is still waited for.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// What has already arrived, without waiting: the next frame and, appended to `events`, what it says.
    pub(crate) fn ready(&mut self, events: &mut Vec<Event>) -> Option<Result<Bytes, ReadFault>> {
        if self.over {
            return None;
        }
        let piece = self.driver.next(events)?;
        self.over = events.last() == Some(&Event::End);
        Some(piece.map(|piece| piece.raw).map_err(|fault| {
            self.closed = true;
            ReadFault::Stream(fault)
        }))
    }

    /// The next frame, or `None` when the stream is complete.
    pub(crate) async fn next(
        &mut self,
        events: &mut Vec<Event>,
        until: Time,
        late: Limit,
        world: World,
    ) -> Option<Result<Bytes, ReadFault>> {
        loop {
            if let Some(piece) = self.ready(events) {
                return Some(piece);
            }
            if self.over && !self.closed {
                self.linger(until, world).await;
            }
            if self.closed {
                return None;
            }
            match self.arrived(until, late, world).await {
                Ok(Some(bytes)) => self.driver.push(bytes),
                Ok(None) => {
                    self.closed = true;
                    match self.driver.finish(events) {
                        Ok(None) if events.is_empty() => return None,
                        Ok(last) => return Some(Ok(last.map(|piece| piece.raw).unwrap_or_default())),
                        Err(fault) => return Some(Err(ReadFault::Stream(fault))),
                    }
                }
                Err(fault) => {
                    self.closed = true;
                    self.driver.cut(events);
                    return Some(Err(ReadFault::Body(fault)));
                }
            }
        }
    }

    /// The next bytes. Past the deadline that is what had arrived before, as far as anybody can tell.
    async fn arrived(&mut self, until: Time, late: Limit, world: World) -> Result<Option<Bytes>, BodyFault> {
        let now = world.now();
        if late != Limit::Total || now < until {
            return self.body.next(until, late, world).await;
        }
        let (bytes, time) = self.late;
        let got = self.body.next(now + time, late, world).await?;
        let read = got.as_ref().map_or(0, Bytes::len);
        self.late = (bytes.saturating_sub(read), time.saturating_sub(world.now().since(now)));
        if read > bytes { Err(BodyFault::Trouble(Trouble::Late(late))) } else { Ok(got) }
    }

    /// Waits a little for the provider's end of a complete answer, however that looks.
    async fn linger(&mut self, until: Time, world: World) {
        let until = until.min(world.now() + LINGER);
        while let Ok(Some(_)) = self.body.next(until, Limit::Stall, world).await {}
        self.closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames by when they came, in stalls of 10 s, and whether they said something; when the next must be there.
    fn check(frames: &[(u64, bool)], expected: u64, limit: Limit) {
        let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
        let mut silence = Silence::new(Duration::from_secs(10), at(100));
        let mut until = silence.until(at(0));
        for (seconds, says) in frames {
            assert!(at(*seconds) <= until.0, "{frames:?}: {seconds} is too late");
            silence.heard(if *says { &[Event::End] } else { &[] });
            until = silence.until(at(*seconds));
        }
        assert_eq!(until, (at(expected), limit), "{frames:?}");
    }

    #[test]
    fn what_says_nothing_holds_a_stream_up_for_a_while() {
        check(&[], 10, Limit::Stall);
        check(&[(7, true)], 17, Limit::Stall);
        check(&[(7, false)], 17, Limit::Stall);
        check(&[(9, false), (18, false), (27, false)], 37, Limit::Stall);
        check(&[(9, false), (18, false), (27, false), (36, false)], 40, Limit::Stall);
        check(&[(9, false), (18, false), (27, false), (36, true)], 46, Limit::Stall);
        check(&[(9, true), (18, false), (27, false), (36, false), (45, false)], 49, Limit::Stall);
        let talking: Vec<(u64, bool)> = (1..=19).map(|beat| (beat * 5, true)).collect();
        check(&talking, 100, Limit::Total);
    }
}
