//! A streamed answer into hub events.
//!
//! Every frame is a small complete answer holding what is new. The wire has no closing frame: a stream is whole when
//! every candidate had its finish reason before the provider closed it.
//!
//! ```text
//!            frame: Start, deltas            frame: deltas              close
//!   (fresh) ───────────────────▶ (running) ───────────────▶ (running) ─────────▶ every candidate ended? ── yes ─▶
//!                                                                                Finish…, Usage, End
//!                                                                                        └─ no ─▶ Usage; cut
//! ```
//!
//! Finishes wait for the close, since some models repeat `STOP` on every frame and calls may follow it. A blocked
//! prompt is an answer without content that ends in [`Finish::ContentFilter`].

use super::candidate::{Candidate, Ids, Piece, block_reason, candidate, finish, text_of, usage};
use crate::chat::{Finish, Usage};
use crate::error_body::ErrorBody;
use crate::event::{Delta, Event};
use crate::format::{Decoded, Decoder};
use crate::sse::Frame;
use serde_json::Value;
use std::collections::BTreeMap;

/// Members that make an object a frame of this wire.
const MEMBERS: &[&str] = &["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"];

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct StreamDecoder {
    started: bool,
    id: String,
    choices: BTreeMap<u32, Progress>,
    usage: Option<Usage>,
}

/// What is known of one candidate.
#[derive(Debug, Default)]
struct Progress {
    ids: Ids,
    calls: u32,
    /// The latest finish; calls that came make a stop a [`Finish::ToolCalls`] at the close.
    finish: Option<Finish>,
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Decoded {
        let Ok(chunk) = serde_json::from_slice::<Value>(&frame.data) else {
            return Decoded::Corrupt("a frame is not valid JSON");
        };
        if let Some(error) = ErrorBody::in_success(&chunk) {
            return Decoded::Failed(Box::new(error));
        }
        match chunk.as_object() {
            None => Decoded::Corrupt("a frame is not an object"),
            Some(object) if !MEMBERS.iter().any(|member| object.contains_key(*member)) => Decoded::Unknown,
            Some(_) => self.chunk(&chunk, out).unwrap_or_else(Decoded::Corrupt),
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) -> bool {
        let whole = !self.choices.is_empty() && self.choices.values().all(|choice| choice.finish.is_some());
        if whole {
            out.extend(self.choices.iter().filter_map(|(choice, progress)| {
                let finish = match progress.finish.clone()? {
                    Finish::Stop if progress.calls > 0 => Finish::ToolCalls,
                    finish => finish,
                };
                Some(Event::Finish { choice: *choice, finish })
            }));
        }
        // Tokens of a cut stream were spent too.
        out.extend(self.usage.take().map(Event::Usage));
        if whole {
            out.push(Event::End);
        }
        whole
    }
}

impl StreamDecoder {
    fn chunk(&mut self, chunk: &Value, out: &mut Vec<Event>) -> Result<Decoded, &'static str> {
        if !self.started {
            self.started = true;
            self.id = text_of(chunk, "responseId");
            out.push(Event::Start { id: self.id.clone(), model: text_of(chunk, "modelVersion") });
        }
        self.usage = usage(chunk).or(self.usage);
        let candidates = match chunk.get("candidates").unwrap_or(&Value::Null) {
            Value::Null => [].iter(),
            Value::Array(candidates) => candidates.iter(),
            _ => return Err("the candidates are not a list"),
        };
        if candidates.len() == 0 && block_reason(chunk).is_some() {
            self.choices.entry(0).or_default().finish = Some(Finish::ContentFilter);
        }
        let mut strange = false;
        for value in candidates {
            let choices = &mut self.choices;
            let ids = |index| std::mem::take(&mut choices.entry(index).or_default().ids);
            let (candidate, ids) = candidate(value, &self.id, ids)?;
            let progress = self.choices.entry(candidate.index).or_default();
            progress.ids = ids;
            strange |= candidate.pieces.iter().any(|piece| matches!(piece, Piece::Other | Piece::Media(_)));
            progress.advance(candidate, out)?;
        }
        Ok(if strange { Decoded::Unknown } else { Decoded::Known })
    }
}

impl Progress {
    fn advance(&mut self, candidate: Candidate, out: &mut Vec<Event>) -> Result<(), &'static str> {
        let choice = candidate.index;
        let mut say = |delta| out.push(Event::Delta { choice, delta });
        for piece in candidate.pieces {
            let (said, seal) = match piece {
                Piece::Text(text, seal) => {
                    (Some(text).filter(|text| !text.is_empty()).map(Delta::Text), seal)
                }
                Piece::Thought(text, seal) => {
                    (Some(text).filter(|text| !text.is_empty()).map(Delta::Thinking), seal)
                }
                Piece::Call(made) => {
                    let call = self.calls;
                    self.calls = call.saturating_add(1);
                    say(Delta::ToolCall { call, id: made.id, name: made.name, seal: made.seal });
                    (Some(Delta::Arguments { call, json: made.arguments }), None)
                }
                Piece::Media(_) | Piece::Other => (None, None),
            };
            said.into_iter().chain(seal.map(Delta::ThinkingSeal)).for_each(&mut say);
        }
        candidate.logprobs.map(Delta::Logprobs).into_iter().for_each(&mut say);
        if let Some(ending) = candidate.ending {
            self.finish = Some(finish(ending, false)?);
        }
        Ok(())
    }
}
