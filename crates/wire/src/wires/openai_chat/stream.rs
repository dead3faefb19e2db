//! Reads a streamed answer of any host that speaks the format.
//!
//! ```text
//!            chunk                 `[DONE]`, or the end of a stream; its choices all said why they end
//! (nothing) ───────▶ (answering) ─────────────────────────────────────────────────────────────────▶ (done)
//!                     │        │
//!                     │ error  │ end of the stream before that
//!                     ▼        ▼
//!                   Failed    cut
//! ```
//!
//! Reasons to end are held back until the end itself: some hosts repeat them on every chunk, some add content
//! after them, and only then is it known whether functions were called. Usage beside a choice waits too, for some
//! hosts count in every chunk; a chunk with usage alone says it at once, so that a relay can leave out the whole
//! chunk for a caller who did not ask for it.

use super::answer::{self, Answer, Call, Choice as Alternative, Said};
use super::lenient::{Content, Count, Piece};
use super::words::{self, Ending};
use crate::chat::{Finish, Usage};
use crate::event::{Delta, Event};
use crate::format::{Decoded, Decoder};
use crate::sse::Frame;

/// The state of one stream.
#[derive(Default)]
pub(super) struct ChatDecoder {
    id: String,
    started: bool,
    done: bool,
    choices: Vec<ChoiceState>,
    /// Counted and not yet said.
    usage: Option<Usage>,
    /// Output tokens said last.
    output: u64,
}

struct ChoiceState {
    index: u32,
    calls: Vec<CallState>,
    finish: Option<Finish>,
    /// The reason to end cannot be trusted alone: it was blank, or content came after it.
    loose: bool,
    spoke: bool,
}

struct CallState {
    /// The provider's own index, where it gave one.
    key: Option<u64>,
    /// The provider's own id; empty where it gave none.
    given: String,
    id: String,
    name: String,
    /// Arguments that came before the name.
    early: String,
}

impl Decoder for ChatDecoder {
    fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Decoded {
        if self.done {
            return Decoded::Known;
        }
        let Ok(text) = simdutf8::basic::from_utf8(&frame.data) else {
            return Decoded::Corrupt("a chunk is not valid UTF-8");
        };
        let text = text.trim();
        if frame.event.as_ref() == b"error" {
            return failed_or(text, Decoded::Corrupt("an error that says nothing"));
        }
        if text == words::DONE {
            return self.finish(out);
        }
        match Answer::read(text) {
            Ok(chunk) if chunk.error => failed_or(text, Decoded::Corrupt("an error that says nothing")),
            Ok(mut chunk) => self.chunk(text, &mut chunk, out),
            Err(error) if error.is_data() => failed_or(text, Decoded::Corrupt("not a chat completion chunk")),
            Err(_) => Decoded::Corrupt("a chunk is not JSON"),
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) -> bool {
        if self.done {
            return true;
        }
        let complete = |choice: &ChoiceState| choice.finish.is_some() && !choice.loose;
        if !self.choices.is_empty() && self.choices.iter().all(complete) {
            return matches!(self.finish(out), Decoded::Known);
        }
        self.report(out);
        false
    }
}

fn failed_or(text: &str, otherwise: Decoded) -> Decoded {
    answer::error_in(text).map_or(otherwise, Decoded::Failed)
}

impl ChatDecoder {
    fn chunk(&mut self, text: &str, chunk: &mut Answer<'_>, out: &mut Vec<Event>) -> Decoded {
        let usage = chunk.usage();
        if chunk.choices.is_none() && usage.is_none() && chunk.object.0 != "chat.completion.chunk" {
            return failed_or(text, Decoded::Unknown);
        }
        let choices = chunk.choices.as_deref_mut().unwrap_or_default();
        // A host's first chunk may say nothing at all, not even its id.
        let speaks = !chunk.id.0.is_empty() || !choices.is_empty();
        if speaks && !self.started {
            self.started = true;
            self.id = chunk.id.0.as_ref().to_owned();
            out.push(Event::Start { id: self.id.clone(), model: chunk.model.0.as_ref().to_owned() });
        }
        if let Some(usage) = usage {
            self.usage = Some(usage);
            if choices.is_empty() && self.started {
                self.report(out);
            }
        }
        for alternative in choices {
            if alternative.error.0 {
                return failed_or(text, Decoded::Corrupt("an error that says nothing"));
            }
            let known = self.alternative(alternative, out);
            if !matches!(known, Decoded::Known) {
                return known;
            }
        }
        Decoded::Known
    }

    fn alternative(&mut self, found: &mut Alternative<'_>, out: &mut Vec<Event>) -> Decoded {
        let ending = found.finish_reason.take().map(|reason| (words::ending(&reason.0), reason));
        if let Some((Ending::Broken, reason)) = &ending {
            return Decoded::Failed(answer::given_up(&reason.0));
        }
        let index = u32::try_from(found.index.get()).unwrap_or(u32::MAX);
        let position = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(ChoiceState {
                index,
                calls: Vec::new(),
                finish: None,
                loose: false,
                spoke: false,
            });
            self.choices.len() - 1
        });
        let Some(choice) = self.choices.get_mut(position) else {
            return Decoded::Known;
        };
        let before = out.len();
        // A host that answers in one piece sends a message where a delta should be.
        let said = found.delta.as_mut().or(found.message.as_mut().filter(|_| !choice.spoke));
        let logprobs = answer::logprobs(found.logprobs.take());
        choice.said(said, logprobs, &self.id, out);
        if out.len() > before {
            choice.spoke = true;
            choice.loose |= choice.finish.is_some();
        }
        if let Some((Ending::Finished(finish), reason)) = ending {
            choice.loose |= reason.0.is_empty();
            // A blank reason or a repeated `stop` does not take back what was said before.
            if !reason.0.is_empty() || choice.finish.is_none() {
                choice.finish = Some(finish);
            }
        }
        Decoded::Known
    }

    /// Says what was counted. A host that counts again and finds less does not take back what was said.
    fn report(&mut self, out: &mut Vec<Event>) {
        if let Some(usage) = self.usage.take() {
            self.output = self.output.max(usage.output);
            out.push(Event::Usage(Usage { output: self.output, ..usage }));
        }
    }

    /// The wire's own end: says all that was held back.
    fn finish(&mut self, out: &mut Vec<Event>) -> Decoded {
        self.done = true;
        // Hosts that break off inside still close their streams politely.
        if self.choices.iter().any(|choice| choice.spoke && choice.finish.is_none()) {
            return Decoded::Corrupt("it ended without a reason to end");
        }
        if self.choices.iter().any(|choice| choice.calls.iter().any(|call| call.name.is_empty())) {
            return Decoded::Corrupt("a call without a name");
        }
        for choice in &mut self.choices {
            let finish =
                words::settle(choice.finish.take().unwrap_or(Finish::Stop), !choice.calls.is_empty());
            out.push(Event::Finish { choice: choice.index, finish });
        }
        self.report(out);
        out.push(Event::End);
        Decoded::Known
    }
}

/// Takes the words out, in the order they are said.
fn speak(said: &mut Said<'_>, push: &mut impl FnMut(Delta)) {
    let reasoning = said.reasoning();
    if !reasoning.is_empty() {
        push(Delta::Thinking(reasoning.to_owned()));
    }
    match std::mem::take(&mut said.content) {
        Content::Text(text) if !text.is_empty() => push(Delta::Text(text.into_owned())),
        Content::Nothing | Content::Text(_) => {}
        Content::Pieces(pieces) => pieces.into_iter().for_each(|piece| match piece {
            Piece::Text(text) if !text.is_empty() => push(Delta::Text(text.into_owned())),
            Piece::Thinking(text) if !text.is_empty() => push(Delta::Thinking(text)),
            Piece::Text(_) | Piece::Thinking(_) => {}
        }),
    }
    let refusal = std::mem::take(&mut said.refusal.0);
    if !refusal.is_empty() {
        push(Delta::Refusal(refusal.into_owned()));
    }
}

impl ChoiceState {
    /// What one chunk adds: words, the log probabilities of these words, calls.
    fn said(
        &mut self,
        mut said: Option<&mut Said<'_>>,
        logprobs: Option<serde_json::Value>,
        answer_id: &str,
        out: &mut Vec<Event>,
    ) {
        let choice = self.index;
        if let Some(said) = &mut said {
            speak(said, &mut |delta| out.push(Event::Delta { choice, delta }));
        }
        out.extend(logprobs.map(|value| Event::Delta { choice, delta: Delta::Logprobs(value) }));
        for call in said.map(Said::calls).unwrap_or_default() {
            self.call(call, answer_id, out);
        }
    }

    fn call(&mut self, piece: Call<'_>, answer_id: &str, out: &mut Vec<Event>) {
        let given = piece.id().to_owned();
        let Call { index: Count(key), function, .. } = piece;
        let function = function.unwrap_or_default();
        let position = self.slot(key, &given, &function.name.0);
        let taken = self.calls.iter().enumerate().any(|(at, call)| at != position && call.id == given);
        let choice = self.index;
        let Some(call) = self.calls.get_mut(position) else {
            return;
        };
        let number = u32::try_from(position).unwrap_or(u32::MAX);
        if call.given.is_empty() {
            call.given.clone_from(&given);
        }
        call.early.push_str(&function.arguments());
        if call.name.is_empty() {
            if function.name.0.is_empty() {
                return;
            }
            call.name = function.name.0.into_owned();
            let seeds = [answer_id, &choice.to_string(), &number.to_string(), &call.name];
            call.id =
                if call.given.is_empty() || taken { words::call_id(&seeds) } else { call.given.clone() };
            let (id, name) = (call.id.clone(), call.name.clone());
            out.push(Event::Delta { choice, delta: Delta::ToolCall { call: number, id, name, seal: None } });
        }
        let json = std::mem::take(&mut call.early);
        if !json.is_empty() {
            out.push(Event::Delta { choice, delta: Delta::Arguments { call: number, json } });
        }
    }

    /// Which call a piece belongs to. The index says it, but some hosts send whole calls that all have the same
    /// index or none; these differ in id or name.
    fn slot(&mut self, key: Option<u64>, given: &str, name: &str) -> usize {
        let found = match key {
            Some(key) => self.calls.iter().rposition(|call| call.key == Some(key)),
            None => self.calls.len().checked_sub(1),
        };
        let same = |call: &CallState| {
            let other_id = !given.is_empty() && !call.given.is_empty() && call.given != given;
            let other_name = !name.is_empty() && !call.name.is_empty() && call.name != name;
            // Without an index, a name begins a call.
            let next = key.is_none() && !name.is_empty() && !call.name.is_empty();
            !(other_name || next || (other_id && !name.is_empty()))
        };
        if let Some(position) = found.filter(|position| self.calls.get(*position).is_some_and(same)) {
            return position;
        }
        let empty = String::new;
        self.calls.push(CallState { key, given: empty(), id: empty(), name: empty(), early: empty() });
        self.calls.len() - 1
    }
}
