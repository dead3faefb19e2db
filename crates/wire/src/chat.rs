//! The hub: what a chat request and its answer say, independent of who says it.
//!
//! Owned values in a normal form, so that `parse(render(x)) == x` can be a law. Vendor-only fields do not live
//! here; they survive because equal formats pass bytes through instead of translating.

use serde_json::Value;

/// One chat request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatRequest {
    /// Model as the caller named it; the target's own name is given to the renderer separately.
    pub model: String,
    /// The conversation in order. System text keeps its place; renderers hoist it where a wire demands.
    pub messages: Vec<Message>,
    /// Functions the model may call and how.
    pub tools: ToolUse,
    /// Shape and size of the answer.
    pub output: Output,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Reasoning wanted, when the caller said anything about it.
    pub reasoning: Option<Reasoning>,
    /// Stream the answer.
    pub stream: bool,
    /// A streaming caller asked for a usage event.
    pub stream_usage: bool,
    /// Opaque id of the end user, as the caller gave it.
    pub user: Option<String>,
}

/// A turn of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order. Never empty in normal form, but for an assistant turn that said nothing.
    pub parts: Vec<Part>,
    /// Speaker name, where the format has one.
    pub name: Option<String>,
}

/// Who speaks. In normal form all results that follow one assistant turn stand in one `Tool` message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the application (`system`, and `developer` where a format has it).
    System,
    /// The person or program asking.
    User,
    /// The model.
    Assistant,
    /// Results of tool calls: only [`Part::ToolResult`] parts.
    Tool,
}

/// A piece of a message or of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// A picture.
    Image(Media),
    /// Sound.
    Audio(Media),
    /// A document such as a PDF.
    File(Document),
    /// The model calls a function.
    ToolCall(ToolCall),
    /// What a function returned.
    ToolResult(ToolResult),
    /// Reasoning the model chose to show.
    Thinking(Thinking),
    /// The model declined, in its own words.
    Refusal(String),
}

impl Part {
    /// A picture, sound or document.
    #[must_use]
    pub fn is_media(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Audio(_) | Self::File(_))
    }
}

/// Binary content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// MIME type, when known (always for inline data).
    pub mime: Option<String>,
    /// Where the bytes are.
    pub source: Source,
    /// Wanted resolution (`low`, `high`, `auto`), where a format has it.
    pub detail: Option<String>,
}

/// Where the bytes of a [`Media`] are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Base64 text, standard alphabet, as it stood in the message.
    Inline(String),
    /// A URL the provider fetches.
    Url(String),
}

/// A document and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// File name or title.
    pub name: Option<String>,
    /// Its content.
    pub media: Media,
}

/// A function call made by the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Link to the result. Renderers rewrite it where a wire restricts its alphabet.
    pub id: String,
    /// Function name.
    pub name: String,
    /// JSON text as the model produced it; may be invalid JSON. Empty means no arguments.
    pub arguments: String,
    /// Opaque state the provider wants back on this very call.
    pub seal: Option<Seal>,
}

/// The result of a [`ToolCall`].
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// Id of the call it answers.
    pub id: String,
    /// Text, images or documents.
    pub content: Vec<Part>,
    /// The tool reports a failure.
    pub is_error: bool,
}

/// Visible reasoning, or an opaque block that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinking {
    /// The reasoning text; empty when the provider sent only an opaque block.
    pub text: String,
    /// Signature or redacted content.
    pub seal: Option<Seal>,
}

/// Opaque state bound to one family of providers: given back to that family unchanged, dropped for any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Name of the wire that made it.
    pub wire: &'static str,
    /// `true`: the whole block is opaque (redacted), there is no text beside it.
    pub redacted: bool,
    /// The opaque text.
    pub data: String,
}

/// Functions and how they may be called.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolUse {
    /// Functions offered.
    pub tools: Vec<Tool>,
    /// Which of them; `None` when the caller did not say.
    pub choice: Option<ToolChoice>,
    /// More than one call in one turn; `None` when the caller did not say.
    pub parallel: Option<bool>,
}

impl ToolUse {
    /// The function the choice names although it is not among those offered.
    #[must_use]
    pub fn stranger(&self) -> Option<&str> {
        let known = |name: &&String| self.tools.iter().any(|tool| tool.name == **name);
        match &self.choice {
            // Where nothing is offered, there is nothing to choose and the choice is left out.
            Some(ToolChoice::Named(name)) if !self.tools.is_empty() => {
                Some(name).filter(|name| !known(name)).map(String::as_str)
            }
            _ => None,
        }
    }
}

/// A function the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Function name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments; `None` for a function without arguments.
    pub parameters: Option<Value>,
    /// Arguments must match the schema exactly.
    pub strict: Option<bool>,
}

/// Which function to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No call.
    None,
    /// At least one call.
    Required,
    /// This function.
    Named(String),
}

/// Shape and size of the answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// Upper bound of generated tokens, reasoning included.
    pub max_tokens: Option<u64>,
    /// Number of alternative answers; `None` means one.
    pub choices: Option<u32>,
    /// Text or JSON.
    pub format: Format,
    /// Log probabilities with this many alternatives each; `None` when not asked for.
    pub logprobs: Option<u8>,
}

/// Text or JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Format {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that matches a schema.
    JsonSchema(JsonSchema),
}

/// A JSON Schema the answer must match.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonSchema {
    /// Name of the format, where a wire wants one.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The schema.
    pub schema: Value,
    /// The caller asked for guaranteed conformance.
    pub strict: Option<bool>,
}

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0..2; renderers clamp to a wire's range.
    pub temperature: Option<f64>,
    /// Nucleus, 0..1.
    pub top_p: Option<f64>,
    /// Number of candidates.
    pub top_k: Option<u64>,
    /// Best-effort determinism.
    pub seed: Option<i64>,
    /// −2..2.
    pub frequency_penalty: Option<f64>,
    /// −2..2.
    pub presence_penalty: Option<f64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
}

/// How much the model should reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reasoning {
    /// The amount.
    pub amount: Amount,
    /// The caller wants to see it (summaries, thoughts).
    pub visible: bool,
}

/// Amount of reasoning, in words or in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A named effort.
    Effort(Effort),
    /// At most this many tokens.
    Tokens(u64),
}

/// Named reasoning efforts, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// No reasoning.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// Usual.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// All the model can.
    Max,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatResponse {
    /// Id the provider gave.
    pub id: String,
    /// Model that answered, as the provider names it.
    pub model: String,
    /// Unix seconds, when the provider said so.
    pub created: Option<u64>,
    /// The answers; at least one in a valid response.
    pub choices: Vec<Choice>,
    /// Tokens used, when the provider said so.
    pub usage: Option<Usage>,
}

/// One of the alternative answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What the model said, in order: thinking, text, calls, refusal.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Finish,
    /// Log probabilities in the OpenAI shape.
    pub logprobs: Option<Value>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// It was complete.
    Stop,
    /// A stop text matched (which one, when the wire says).
    StopSequence(Option<String>),
    /// Token limit or window reached.
    Length,
    /// The model waits for tool results.
    ToolCalls,
    /// The provider or the model declined, before or during the answer.
    ContentFilter,
}

/// Tokens used by one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All prompt tokens, cached ones included.
    pub input: u64,
    /// Of these, read from a prompt cache.
    pub cache_read: u64,
    /// Of these, written to a prompt cache.
    pub cache_write: u64,
    /// All generated tokens, reasoning included.
    pub output: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
}
