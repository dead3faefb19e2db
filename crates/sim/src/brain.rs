//! The simulated model: a deterministic answer to a prompt, independent of any wire.
//!
//! Says what it heard, so that a test can see what reached the provider. Knows no JSON of any vendor.

use serde_json::{Value, json};

use crate::schema;

/// Characters per token, by the usual rule of thumb.
const CHARS_PER_TOKEN: usize = 4;
/// Tokens charged for a picture.
const IMAGE_TOKENS: u32 = 85;
/// A text longer than this is cut into large pieces, so that a huge body is not a million frames.
const LONG_TEXT: usize = 64 * 1024;
/// Characters in such a large piece.
const LARGE_PIECE: usize = 4096;

/// What the model is asked, whichever wire it came over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prompt {
    /// All instructions of the application, joined by newlines.
    pub system: String,
    /// The conversation in order.
    pub turns: Vec<Turn>,
    /// Functions offered.
    pub tools: Vec<Tool>,
    /// Whether they may or must be called.
    pub choice: Choice,
    /// Several calls in one answer are allowed.
    pub parallel: bool,
    /// Shape of the answer.
    pub format: Format,
    /// Reasoning is wanted.
    pub reasoning: bool,
    /// Reasoning is not to be shown; it is counted all the same.
    pub discreet: bool,
    /// Most tokens of the answer, reasoning included.
    pub tokens_max: Option<u32>,
    /// Texts that end the answer.
    pub stops: Vec<String>,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Turn {
    /// Who speaks.
    pub who: Who,
    /// All text of the turn, joined by newlines.
    pub text: String,
    /// Pictures shown.
    pub images: Vec<Image>,
    /// Results of calls, in a turn of [`Who::Tool`].
    pub results: Vec<Outcome>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Who {
    /// The caller.
    #[default]
    User,
    /// The model, earlier.
    Assistant,
    /// Functions that were called.
    Tool,
}

/// A picture in a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// MIME type of inline data, or the URL.
    pub source: String,
    /// Bytes of inline data after decoding; absent for a URL.
    pub bytes: Option<usize>,
}

/// What a function returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Name or id of the call.
    pub of: String,
    /// The result as text.
    pub text: String,
}

/// A function offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// JSON schema of its arguments.
    pub schema: Value,
}

/// Whether functions may or must be called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// As the model likes.
    #[default]
    Auto,
    /// Not at all.
    Never,
    /// At least one.
    Must,
    /// Exactly this one.
    Named(String),
}

/// Shape of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Format {
    /// Prose.
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON valid against this schema.
    Schema(Value),
}

/// What the script wants of the answer, besides an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Name the model speaks under.
    pub name: String,
    /// Exact words to say instead of its own.
    pub say: Option<String>,
    /// Text to put behind its words, when they are prose.
    pub flourish: &'static str,
    /// Least number of tokens, reached by padding.
    pub tokens_min: usize,
    /// Least number of bytes, reached by padding.
    pub bytes_min: usize,
    /// What the answer is made to look like.
    pub shape: Shape,
}

/// What an answer is made to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// An answer.
    #[default]
    Full,
    /// Well formed, with no answer in it.
    Empty,
    /// The model declined after being asked.
    Declined,
    /// The prompt was blocked before the model saw it.
    Blocked,
}

/// The model's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// Reasoning shown, when asked for.
    pub thinking: String,
    /// There was reasoning, shown or not.
    pub thought: bool,
    /// What it says.
    pub text: String,
    /// Functions it calls.
    pub calls: Vec<Called>,
    /// Why it ended.
    pub stop: Stop,
    /// Tokens counted.
    pub usage: Usage,
    /// What it is made to look like.
    pub shape: Shape,
}

/// A function call of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// Function.
    pub name: String,
    /// Arguments, valid for the function's schema.
    pub arguments: Value,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stop {
    /// It was complete.
    #[default]
    End,
    /// The token limit was reached.
    Length,
    /// This stop text came up; it is not part of the answer.
    Sequence(String),
    /// Functions are to be called.
    Calls,
}

/// Tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the prompt.
    pub input: u32,
    /// Of the answer, reasoning included.
    pub output: u32,
    /// Of the reasoning.
    pub thinking: u32,
}

/// Tokens of a text: a quarter of its characters, rounded up.
#[must_use]
pub fn tokens(text: &str) -> u32 {
    u32::try_from(text.chars().count().div_ceil(CHARS_PER_TOKEN)).unwrap_or(u32::MAX)
}

/// Cuts a text into the pieces a stream carries it in: one token each.
#[must_use]
pub fn pieces(text: &str) -> Vec<String> {
    let size = if text.len() > LONG_TEXT { LARGE_PIECE } else { CHARS_PER_TOKEN };
    let mut made = Vec::new();
    let mut piece = String::new();
    for (at, letter) in text.chars().enumerate() {
        if at > 0 && at.is_multiple_of(size) {
            made.push(std::mem::take(&mut piece));
        }
        piece.push(letter);
    }
    if !piece.is_empty() {
        made.push(piece);
    }
    made
}

impl Prompt {
    /// Tokens of everything in it.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        let turns = self.turns.iter().map(|turn| {
            let results: u32 = turn.results.iter().map(|result| tokens(&result.text)).sum();
            let images = u32::try_from(turn.images.len()).unwrap_or_default() * IMAGE_TOKENS;
            tokens(&turn.text) + results + images
        });
        let tools = self.tools.iter().map(|tool| tokens(&tool.name) + tokens(&tool.schema.to_string()));
        (tokens(&self.system) + turns.sum::<u32>() + tools.sum::<u32>()).max(1)
    }

    fn heard(&self) -> &str {
        let user = self.turns.iter().rev().find(|turn| turn.who == Who::User);
        user.map(|turn| turn.text.as_str()).unwrap_or_default()
    }
}

/// Answers a prompt.
#[must_use]
pub fn reply(prompt: &Prompt, wish: &Wish) -> Reply {
    let mut reply = Reply { shape: wish.shape, ..Reply::default() };
    if prompt.reasoning {
        reply.thinking = format!("The caller said: {}. I answer that.", head(prompt.heard(), 60));
    }
    if wish.shape == Shape::Full {
        if wish.say.is_none() {
            reply.calls = calls(prompt);
        }
        if reply.calls.is_empty() {
            reply.text = said(prompt, wish);
            // What the script wants delivered is delivered, whatever the caller's limits say.
            if wish.tokens_min == 0 && wish.bytes_min == 0 {
                limit(&mut reply, prompt);
            }
        } else {
            reply.stop = Stop::Calls;
        }
    }
    reply.usage = usage(prompt, &reply);
    reply.thought = prompt.reasoning;
    if prompt.discreet {
        reply.thinking.clear();
    }
    reply
}

fn usage(prompt: &Prompt, reply: &Reply) -> Usage {
    let thinking = tokens(&reply.thinking);
    let called = reply.calls.iter().map(|call| tokens(&call.name) + tokens(&call.arguments.to_string()));
    let output = thinking + tokens(&reply.text) + called.sum::<u32>();
    Usage { input: prompt.tokens(), output, thinking }
}

/// The calls to make: none after results, one otherwise, several when the caller's words ask for them.
fn calls(prompt: &Prompt) -> Vec<Called> {
    let heard = prompt.heard();
    let last_is_user = prompt.turns.last().is_some_and(|turn| turn.who == Who::User);
    let called = |tool: &Tool, salt: u32| Called {
        name: tool.name.clone(),
        arguments: schema::instance(&tool.schema, salt),
    };
    match &prompt.choice {
        Choice::Never => return Vec::new(),
        Choice::Named(name) => {
            return prompt
                .tools
                .iter()
                .filter(|tool| tool.name == *name)
                .map(|tool| called(tool, 0))
                .collect();
        }
        Choice::Auto if !last_is_user || heard.contains("without tools") => return Vec::new(),
        Choice::Auto | Choice::Must => {}
    }
    let several = prompt.parallel && (heard.contains("both") || heard.contains("parallel"));
    match (prompt.tools.as_slice(), several) {
        ([], _) => Vec::new(),
        ([only], true) => vec![called(only, 0), called(only, 1)],
        (tools, true) => tools.iter().map(|tool| called(tool, 0)).collect(),
        ([first, ..], false) => {
            let tool = prompt.tools.iter().find(|tool| heard.contains(&tool.name)).unwrap_or(first);
            vec![called(tool, 0)]
        }
    }
}

/// The words of an answer without calls.
fn said(prompt: &Prompt, wish: &Wish) -> String {
    let mut text = match (&wish.say, &prompt.format) {
        (Some(words), _) => words.clone(),
        (None, Format::Schema(schema)) => schema::instance(schema, 0).to_string(),
        (None, Format::Json) => json!({ "heard": prompt.heard() }).to_string(),
        (None, Format::Text) => format!("{}{}", prose(prompt, &wish.name), wish.flourish),
    };
    // Blanks behind JSON leave it valid; prose is padded with words.
    let padding = if prompt.format == Format::Text { " and so on" } else { "          " };
    while tokens(&text) < u32::try_from(wish.tokens_min).unwrap_or(u32::MAX) || text.len() < wish.bytes_min {
        let missing = (wish.tokens_min * CHARS_PER_TOKEN).max(wish.bytes_min).saturating_sub(text.len());
        text.push_str(&padding.repeat(missing.div_ceil(padding.len()).max(1)));
    }
    text
}

fn prose(prompt: &Prompt, name: &str) -> String {
    let Some(last) = prompt.turns.last() else { return format!("{name} heard nothing") };
    if !last.results.is_empty() {
        let quoted = last.results.iter().map(|result| format!("{} returned {}", result.of, result.text));
        return format!("{name} learned: {}", quoted.collect::<Vec<_>>().join("; "));
    }
    let mut notes =
        vec![format!("turn {}", prompt.turns.iter().filter(|turn| turn.who == Who::User).count())];
    if !prompt.system.is_empty() {
        notes.push(format!("system: {}", head(&prompt.system, 60)));
    }
    let mut text = format!("{name} heard: {} ({})", prompt.heard(), notes.join("; "));
    for image in
        prompt.turns.iter().rev().find(|turn| turn.who == Who::User).into_iter().flat_map(|t| &t.images)
    {
        match image.bytes {
            Some(bytes) => text.push_str(&format!(" I see a {} of {bytes} bytes.", image.source)),
            None => text.push_str(&format!(" I see a picture at {}.", image.source)),
        }
    }
    text
}

/// Ends the text at the first stop sequence and at the token limit, whichever comes first.
fn limit(reply: &mut Reply, prompt: &Prompt) {
    let first = prompt.stops.iter().filter(|stop| !stop.is_empty());
    let first = first.filter_map(|stop| reply.text.find(stop.as_str()).map(|at| (at, stop))).min();
    if let Some((at, stop)) = first {
        reply.text.truncate(at);
        reply.stop = Stop::Sequence(stop.clone());
    }
    let Some(most) = prompt.tokens_max else { return };
    let left = most.saturating_sub(tokens(&reply.thinking));
    if tokens(&reply.text) > left {
        reply.text = head(&reply.text, left as usize * CHARS_PER_TOKEN);
        reply.stop = Stop::Length;
    }
}

fn head(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
