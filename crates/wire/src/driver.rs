//! One streamed answer: bytes in, hub events and the bytes to pass on out.
//!
//! The one place that decides what an unknown frame, a corrupt frame, a reported error, stray bytes and the end of
//! the stream mean, for every wire. Decoders only translate; nothing here knows a format.

use crate::error_body::ErrorBody;
use crate::event::Event;
use crate::format::{Decoded, Decoder};
use crate::laws::Laws;
use crate::sse::{Frame, FrameError, FrameKind, Framer};
use bytes::Bytes;

/// Drives one stream through framing, decoding and the laws.
///
/// ```text
///           `End` decoded             closed by the provider
///   Open ─────────────────▶ Ended ──────────────────────────▶ Complete
///    │                                                            ▲
///    ├── closed by the provider, and the wire needs no end ───────┘
///    │
///    └── corrupt · failed · stray · too large · a law broken · closed too early ──▶ Failed
/// ```
///
/// Decoders are shown events with data only: silence, stray bytes and events whose data is blank are dealt with here.
/// `Failed` is final: nothing more is produced, and [`Driver::finish`] never says that the answer is complete. The tokens
/// counted until then are told beside the fault, as the last [`Event::Usage`]: they were spent.
pub struct Driver {
    framer: Framer,
    decoder: Box<dyn Decoder>,
    laws: Laws,
    state: State,
    /// Output tokens told last; `None` until the start was told.
    told: Option<u64>,
    /// Frames passed on without being understood.
    unknown: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Complete,
    Failed,
}

/// The bytes of one frame, for callers who speak the same format as the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The frame as it came, terminator included.
    pub raw: Bytes,
    /// The decoder did not understand it; it is passed on and says nothing in the hub.
    pub unknown: bool,
}

/// Why a stream cannot be trusted any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The bytes are not what the wire allows, or the events break a law of [`crate::laws`]. A broken law is told
    /// like a corrupt frame, because the caller can do the same about both: not believe this answer.
    #[error("the stream is corrupt: {0}")]
    Corrupt(&'static str),
    /// The provider reported an error inside the stream.
    #[error("the provider reported an error: {}", .0.message)]
    Failed(Box<ErrorBody>),
    /// The provider closed the stream before the answer was complete.
    #[error("the stream ended before the answer was complete")]
    Truncated,
    /// One event is larger than [`crate::sse::FRAME_BYTES_MAX`].
    #[error("an event of the stream is too large")]
    TooLarge,
}

impl From<FrameError> for StreamFault {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge => Self::TooLarge,
        }
    }
}

impl Driver {
    /// A driver for one answer.
    #[must_use]
    pub fn new(decoder: Box<dyn Decoder>) -> Self {
        Self {
            framer: Framer::default(),
            decoder,
            laws: Laws::default(),
            state: State::Open,
            told: None,
            unknown: 0,
        }
    }

    /// Adds the next bytes from the provider. Take every piece with [`Driver::next`] before the next push or
    /// [`Driver::finish`].
    pub fn push(&mut self, chunk: Bytes) {
        self.framer.push(chunk);
    }

    /// The next frame: its bytes are returned, its events appended. `None`: more bytes are needed, or the driver
    /// has failed.
    ///
    /// # Errors
    /// [`StreamFault`], once; no event of the faulty frame is appended, only tokens counted before it and not yet told.
    pub fn next(&mut self, events: &mut Vec<Event>) -> Option<Result<Piece, StreamFault>> {
        loop {
            let frame = match self.state {
                State::Open | State::Ended => self.framer.next()?,
                State::Complete | State::Failed => return None,
            };
            let read = frame.map_err(StreamFault::from).and_then(|frame| self.read(frame, events));
            match read {
                Ok(None) => {}
                Ok(Some(piece)) => return Some(Ok(piece)),
                Err(fault) => {
                    self.fail(Vec::new(), events);
                    return Some(Err(fault));
                }
            }
        }
    }

    /// The provider closed the stream: appends what the decoder held back and, when the answer is complete, makes
    /// sure that [`Event::End`] was said. A last frame that lacked its blank line is returned with one.
    ///
    /// # Errors
    /// [`StreamFault::Truncated`] when the answer was not complete (also after any earlier fault), or what the last
    /// frame reported. Only tokens counted and not yet told are appended then.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<Option<Piece>, StreamFault> {
        let (before, told) = (events.len(), self.told);
        match self.close(events) {
            Ok(piece) => {
                self.state = State::Complete;
                Ok(piece)
            }
            Err(fault) => {
                self.told = told;
                let held = events.split_off(before);
                self.fail(held, events);
                Err(fault)
            }
        }
    }

    /// Nothing more will come, because the transport broke or nobody waits any longer: appends tokens counted and not
    /// yet told. An answer that has said its end stays complete.
    pub fn cut(&mut self, events: &mut Vec<Event>) {
        if self.state == State::Open {
            self.fail(Vec::new(), events);
        }
    }

    /// Frames so far that were passed on without being understood.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<Option<Piece>, StreamFault> {
        match self.state {
            State::Open | State::Ended => {}
            State::Complete => return Ok(None),
            State::Failed => return Err(StreamFault::Truncated),
        }
        let piece = match self.framer.finish() {
            Some(frame) => self.read_last(frame, events)?,
            None => None,
        };
        if self.state == State::Open {
            let from = events.len();
            // Unless the answer proves to be complete; the decoder has nothing more to say in either case.
            self.state = State::Failed;
            if !self.decoder.end(events) {
                return Err(StreamFault::Truncated);
            }
            // What the decoder held back is judged before the end, which only a cut can make wrong here.
            events.pop_if(|event| *event == Event::End);
            self.obey(events, from)?;
            self.laws.check(&Event::End).map_err(|_| StreamFault::Truncated)?;
            events.push(Event::End);
        }
        Ok(piece)
    }

    /// The frame left over when the stream ended. Half an event does not decode, which is a cut and no corruption.
    fn read_last(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<Option<Piece>, StreamFault> {
        let whole = frame.kind != FrameKind::Event;
        let piece = self.read(frame, events).map_err(|fault| match fault {
            StreamFault::Corrupt(_) if !whole => StreamFault::Truncated,
            fault => fault,
        })?;
        Ok(piece.map(|piece| Piece { raw: [piece.raw.as_ref(), b"\n\n"].concat().into(), ..piece }))
    }

    /// Reads one frame; `None` for one that is neither passed on nor says anything.
    fn read(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<Option<Piece>, StreamFault> {
        let silent = match (self.state, frame.kind) {
            // After its end an answer can neither go on nor be spoilt.
            (State::Ended, FrameKind::Stray) => return Ok(None),
            (State::Ended, _) | (_, FrameKind::Silence) => true,
            (_, FrameKind::Stray) => return Err(stray(&frame.data)),
            (_, FrameKind::Event) => frame.data.trim_ascii().is_empty(),
        };
        let from = events.len();
        let unknown = !silent && self.decode(&frame, events).inspect_err(|_| events.truncate(from))?;
        self.unknown += u64::from(unknown);
        Ok(Some(Piece { raw: frame.raw, unknown }))
    }

    /// Decodes one event; returns whether it was unknown.
    fn decode(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<bool, StreamFault> {
        let from = events.len();
        let unknown = match self.decoder.frame(frame, events) {
            Decoded::Known => false,
            Decoded::Unknown => true,
            Decoded::Corrupt(why) => return Err(StreamFault::Corrupt(why)),
            Decoded::Failed(error) => return Err(StreamFault::Failed(error)),
        };
        self.obey(events, from)?;
        self.told = self.laws.output();
        Ok(unknown)
    }

    /// Holds the events from `from` on against the laws.
    fn obey(&mut self, events: &[Event], from: usize) -> Result<(), StreamFault> {
        for event in events.iter().skip(from) {
            self.laws.check(event).map_err(StreamFault::Corrupt)?;
        }
        if self.laws.is_over() {
            self.state = State::Ended;
        }
        Ok(())
    }

    /// Nothing more is believed. Of `held` and of what the decoder holds back, tokens are told.
    fn fail(&mut self, mut held: Vec<Event>, events: &mut Vec<Event>) {
        if self.state != State::Failed {
            self.decoder.end(&mut held);
            self.state = State::Failed;
        }
        for event in held {
            let Event::Usage(usage) = event else { continue };
            if self.told.is_some_and(|told| told <= usage.output) {
                self.told = Some(usage.output);
                events.push(event);
            }
        }
    }
}

/// What bytes that are no event stream mean: an error body in disguise, or nothing to be believed.
fn stray(bytes: &[u8]) -> StreamFault {
    match ErrorBody::in_bytes(bytes) {
        Some(error) => StreamFault::Failed(Box::new(error)),
        None => StreamFault::Corrupt("bytes that are no server-sent events"),
    }
}
