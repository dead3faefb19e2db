//! One streamed answer of a provider: bytes → frames → events, under time limits.

use bytes::Bytes;
use std::time::Duration;
use unfail_policy::classify::Limit;
use unfail_policy::time::Time;
use unfail_wire::Wire;
use unfail_wire::driver::{Driver, StreamFault};
use unfail_wire::event::Event;

use crate::body::{Body, BodyFault};
use crate::world::World;

/// How long the provider may take to close a stream whose answer is complete, so that its connection can be used
/// again. The caller has everything by then.
const LINGER: Duration = Duration::from_millis(250);

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
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(wire: &dyn Wire, body: Body) -> Self {
        Self { body, driver: Driver::new(wire.decoder()), over: false, closed: false }
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
            match self.body.next(until, late, world).await {
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
                    return Some(Err(ReadFault::Body(fault)));
                }
            }
        }
    }
    /// Waits a little for the provider's end of a complete answer, however that looks.
    async fn linger(&mut self, until: Time, world: World) {
        let until = until.min(world.now() + LINGER);
        while let Ok(Some(_)) = self.body.next(until, Limit::Stall, world).await {}
        self.closed = true;
    }
}
