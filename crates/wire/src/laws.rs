//! What a sequence of hub events must obey, checked on everything that passes the driver.
//!
//! A decoder translates frame by frame; these laws say that all frames make one answer. They hold for
//! every wire, so a breach is either a provider that contradicts itself or a fault of our decoder.

use crate::chat::{ChatResponse, Part};
use crate::event::{Delta, Event};

/// Alternative answers followed in one stream. OpenAI allows `n` up to 128; no other wire allows more.
pub const CHOICES_MAX: usize = 128;

/// The laws of one stream:
///
/// 1. `Start` comes first and once.
/// 2. A choice has nothing after its `Finish`, which comes once.
/// 3. The calls of a choice are numbered 0, 1, 2, … in the order they begin.
/// 4. `Arguments` belong to a call that began.
/// 5. The output tokens told by `Usage` never shrink.
/// 6. `End` comes when every choice that began is finished, and nothing comes after it.
#[derive(Debug, Default)]
pub struct Laws {
    state: State,
    choices: Vec<Progress>,
    /// Output tokens told last.
    output: u64,
}

/// ```text
///           Start            End
///   Before ───────▶ Running ─────▶ Over
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    Running,
    Over,
}

/// How far one choice came.
#[derive(Debug)]
struct Progress {
    index: u32,
    /// Calls that began.
    calls: u32,
    finished: bool,
}

impl Laws {
    /// Whether `event` may come now.
    ///
    /// # Errors
    /// The law it breaks.
    pub fn check(&mut self, event: &Event) -> Result<(), &'static str> {
        match (self.state, event) {
            (State::Before, Event::Start { .. }) => self.state = State::Running,
            (State::Before, _) => return Err("an event before the start"),
            (State::Over, _) => return Err("an event after the end"),
            (State::Running, Event::Start { .. }) => return Err("a second start"),
            (State::Running, Event::Delta { choice, delta }) => self.delta(*choice, delta)?,
            (State::Running, Event::Finish { choice, .. }) => self.open(*choice)?.finished = true,
            (State::Running, Event::Usage(usage)) => {
                if usage.output < self.output {
                    return Err("output tokens that shrink");
                }
                self.output = usage.output;
            }
            (State::Running, Event::End) => {
                if self.choices.iter().any(|choice| !choice.finished) {
                    return Err("an end before every choice is finished");
                }
                self.state = State::Over;
            }
        }
        Ok(())
    }

    /// Output tokens told last, 0 until any were; `None` before the start.
    pub(crate) fn output(&self) -> Option<u64> {
        (self.state != State::Before).then_some(self.output)
    }

    /// The stream has ended as it should.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn delta(&mut self, choice: u32, delta: &Delta) -> Result<(), &'static str> {
        let progress = self.open(choice)?;
        match delta {
            Delta::ToolCall { call, .. } if *call != progress.calls => Err("a call out of order"),
            Delta::ToolCall { .. } => {
                progress.calls += 1;
                Ok(())
            }
            Delta::Arguments { call, .. } if *call >= progress.calls => {
                Err("arguments of a call that did not begin")
            }
            _ => Ok(()),
        }
    }

    /// The choice `index`, which must not be finished.
    fn open(&mut self, index: u32) -> Result<&mut Progress, &'static str> {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let place = match known {
            Some(place) => place,
            None if self.choices.len() == CHOICES_MAX => return Err("too many choices"),
            None => {
                self.choices.push(Progress { index, calls: 0, finished: false });
                self.choices.len() - 1
            }
        };
        self.choices
            .get_mut(place)
            .filter(|choice| !choice.finished)
            .ok_or("more of a choice that is finished")
    }
}

/// What a complete answer must obey: it has a choice, and a choice holds only what a model can say.
///
/// # Errors
/// The law it breaks.
pub fn check_response(response: &ChatResponse) -> Result<(), &'static str> {
    if response.choices.is_empty() {
        return Err("an answer without a choice");
    }
    let mut parts = response.choices.iter().flat_map(|choice| &choice.parts);
    if parts.any(|part| matches!(part, Part::ToolResult(_))) {
        return Err("a tool result said by the model");
    }
    Ok(())
}
