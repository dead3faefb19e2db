//! Every field of a chat request before every wire: it is said, it is refused by name, or it is left out for a stated
//! reason.
//!
//! What a host refuses or a model lacks is told by quirks and traits and tested with each wire; here stands what the
//! formats themselves can say. A field the hub gains does not compile before it is named in [`everything`], and fails
//! before it has a row.

#![cfg(test)]

use serde_json::json;
use std::collections::BTreeSet;
use unfail_wire::chat::{
    Amount, ChatRequest, Document, Effort, Format, JsonSchema, Media, Message, Output, Part, Reasoning, Role,
    Sampling, Seal, Source, Thinking, Tool, ToolCall, ToolChoice, ToolResult, ToolUse,
};
use unfail_wire::format::{Unspeakable, Wire};
use unfail_wire::target::{Quirks, Target, Traits};
use unfail_wire::wires::WIRES;

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// This text stands in the body because of it.
    Said(&'static str),
    /// This text stands in the path because of it.
    Path(&'static str),
    /// The request is refused, in these words.
    No(&'static str),
    /// The body is the same without it, for this reason.
    Out(&'static str),
}
use Fate::{No, Out, Path, Said};

/// A field, a request it changes, the change, and what comes of it on each wire of [`WIRES`].
struct Row {
    field: &'static str,
    base: fn() -> ChatRequest,
    set: fn(&mut ChatRequest),
    fates: [Fate; 3],
}

fn row(field: &'static str, base: fn() -> ChatRequest, set: fn(&mut ChatRequest), fates: [Fate; 3]) -> Row {
    Row { field, base, set, fates }
}

// === every field there is ===

/// The fields of a struct by name; does not compile unless it names all.
macro_rules! fields {
    ($of:ident { $($field:ident),+ }) => {{
        let _all = |$of { $($field: _),+ }: $of| ();
        [$(concat!(stringify!($of), ".", stringify!($field))),+].as_slice()
    }};
}

/// The variants of an enum by name; does not compile unless it names all.
macro_rules! variants {
    ($of:ident { $($variant:ident),+ }) => {{
        let _all = |it: $of| match it { $($of::$variant { .. } => ()),+ };
        [$(concat!(stringify!($of), "::", stringify!($variant))),+].as_slice()
    }};
}

fn everything() -> Vec<&'static str> {
    [
        fields!(ChatRequest {
            model,
            messages,
            tools,
            output,
            sampling,
            reasoning,
            stream,
            stream_usage,
            user
        }),
        fields!(Message { role, parts, name }),
        variants!(Role { System, User, Assistant, Tool }),
        variants!(Part { Text, Image, Audio, File, ToolCall, ToolResult, Thinking, Refusal }),
        fields!(Media { mime, source, detail }),
        variants!(Source { Inline, Url }),
        fields!(Document { name, media }),
        fields!(ToolCall { id, name, arguments, seal }),
        fields!(ToolResult { id, content, is_error }),
        fields!(Thinking { text, seal }),
        fields!(Seal { wire, redacted, data }),
        fields!(ToolUse { tools, choice, parallel }),
        fields!(Tool { name, description, parameters, strict }),
        variants!(ToolChoice { Auto, None, Required, Named }),
        fields!(Output { max_tokens, choices, format, logprobs }),
        variants!(Format { Text, JsonObject, JsonSchema }),
        fields!(JsonSchema { name, description, schema, strict }),
        fields!(Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, stop }),
        fields!(Reasoning { amount, visible }),
        variants!(Amount { Effort, Tokens }),
    ]
    .concat()
}

/// Fields without a row of their own: the rows of what they hold tell of them.
const HOLDERS: [&str; 15] = [
    "ChatRequest.messages",
    "ChatRequest.tools",
    "ChatRequest.output",
    "ChatRequest.sampling",
    "ChatRequest.reasoning",
    "Message.role",
    "Message.parts",
    "Media.source",
    "Document.media",
    "ToolResult.content",
    "ToolUse.tools",
    "ToolUse.choice",
    "Output.format",
    "Reasoning.amount",
    "Thinking.seal",
];

/// Values without a row: nothing is said of them. Free text is what an answer is unless something else is asked for,
/// and the name of a seal's maker decides whether the seal is said at all.
const SILENT: [&str; 2] = ["Format::Text", "Seal.wire"];

// === requests ===

fn message(role: Role, parts: impl Into<Vec<Part>>) -> Message {
    Message { role, parts: parts.into(), name: None }
}

fn text(words: &str) -> Part {
    Part::Text(words.to_owned())
}

fn asking(messages: impl Into<Vec<Message>>) -> ChatRequest {
    ChatRequest { model: "route".to_owned(), messages: messages.into(), ..ChatRequest::default() }
}

fn hello() -> ChatRequest {
    asking([message(Role::User, [text("hi")])])
}

fn streaming() -> ChatRequest {
    ChatRequest { stream: true, ..hello() }
}

fn tooled() -> ChatRequest {
    let tool = Tool { name: "look".to_owned(), description: None, parameters: None, strict: None };
    ChatRequest { tools: ToolUse { tools: vec![tool], ..ToolUse::default() }, ..hello() }
}

/// After a call of the model, before its result.
fn calling() -> ChatRequest {
    let (id, name, arguments) = ("call_1".to_owned(), "look".to_owned(), "{}".to_owned());
    let call = Part::ToolCall(ToolCall { id, name, arguments, seal: None });
    let mut request = tooled();
    request.messages.push(message(Role::Assistant, [call]));
    request
}

fn called() -> ChatRequest {
    let mut request = calling();
    let (id, content) = ("call_1".to_owned(), vec![text("found")]);
    let result = Part::ToolResult(ToolResult { id, content, is_error: false });
    request.messages.push(message(Role::Tool, [result]));
    request
}

fn picture() -> Media {
    let source = Source::Inline("aGk=".to_owned());
    Media { mime: Some("image/png".to_owned()), source, detail: None }
}

fn pictured() -> ChatRequest {
    asking([message(Role::User, [text("hi"), Part::Image(picture())])])
}

fn document() -> Part {
    let media = Media { mime: Some("application/pdf".to_owned()), ..picture() };
    Part::File(Document { name: None, media })
}

fn filed() -> ChatRequest {
    asking([message(Role::User, [text("hi"), document()])])
}

fn answered(parts: impl Into<Vec<Part>>) -> ChatRequest {
    let (first, second) = (message(Role::User, [text("hi")]), message(Role::User, [text("and?")]));
    asking([first, message(Role::Assistant, parts), second])
}

/// A thought every wire may take for its own: the maker of its seal is put in when it is known.
fn thought() -> Part {
    let seal = Seal { wire: "own", redacted: false, data: "c2lu".to_owned() };
    Part::Thinking(Thinking { text: "hm".to_owned(), seal: Some(seal) })
}

fn thinking() -> ChatRequest {
    answered([thought(), text("well")])
}

fn schemed() -> ChatRequest {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let wanted = JsonSchema { name: "first".to_owned(), description: None, schema, strict: None };
    let output = Output { format: Format::JsonSchema(wanted), ..Output::default() };
    ChatRequest { output, ..hello() }
}

fn reasoning() -> ChatRequest {
    let amount = Amount::Effort(Effort::High);
    ChatRequest { reasoning: Some(Reasoning { amount, visible: false }), ..hello() }
}

// === changes ===

fn parts(request: &mut ChatRequest) -> impl Iterator<Item = &mut Part> {
    request.messages.iter_mut().flat_map(|message| &mut message.parts)
}

fn say(request: &mut ChatRequest, part: Part) {
    request.messages[0].parts.push(part);
}

fn media(request: &mut ChatRequest) -> &mut Media {
    let found =
        parts(request).find_map(|part| if let Part::Image(media) = part { Some(media) } else { None });
    found.unwrap()
}

fn call(request: &mut ChatRequest) -> &mut ToolCall {
    let found =
        parts(request).find_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None });
    found.unwrap()
}

fn result(request: &mut ChatRequest) -> &mut ToolResult {
    let found =
        parts(request).find_map(|part| if let Part::ToolResult(result) = part { Some(result) } else { None });
    found.unwrap()
}

fn rename_call(request: &mut ChatRequest) {
    call(request).id = "call_9".to_owned();
    result(request).id = "call_9".to_owned();
}

fn thoughts(request: &mut ChatRequest) -> &mut Thinking {
    let found = parts(request)
        .find_map(|part| if let Part::Thinking(thinking) = part { Some(thinking) } else { None });
    found.unwrap()
}

fn schema(request: &mut ChatRequest) -> &mut JsonSchema {
    let Format::JsonSchema(schema) = &mut request.output.format else { panic!("no schema") };
    schema
}

fn reason(request: &mut ChatRequest, amount: Amount) {
    request.reasoning = Some(Reasoning { amount, visible: false });
}

// === rows ===

const NO_MEMBER: Fate = Out("the format has no such member");
const NO_HISTORY: Fate = Out("the format's inventor takes no reasoning back; hosts that do are a quirk");

/// What is said, and by whom.
#[rustfmt::skip]
fn conversation() -> Vec<Row> {
    vec![
        row("Role::System", hello, |r| r.messages.insert(0, message(Role::System, [text("be kind")])),
            [Said("\"role\":\"system\""), Said("\"system\":\"be kind\""), Said("\"systemInstruction\"")]),
        row("Role::System", hello, |r| r.messages.insert(0, message(Role::System, [Part::Image(picture())])),
            [Said("image_url"), No("media in system instructions"), No("media in system instructions")]),
        row("Role::User", hello, |r| r.messages.push(message(Role::User, [text("again")])),
            [Said("again"), Said("again"), Said("again")]),
        row("Role::Assistant", hello, |r| r.messages.push(message(Role::Assistant, [text("well")])),
            [Said("\"role\":\"assistant\""), Said("\"role\":\"assistant\""), Said("\"role\":\"model\"")]),
        row("Role::Tool", calling, |r| *r = called(),
            [Said("\"role\":\"tool\""), Said("found"), Said("\"output\":\"found\"")]),
        row("Message.name", hello, |r| r.messages[0].name = Some("ann".to_owned()),
            [Said("\"name\":\"ann\""), NO_MEMBER, NO_MEMBER]),
        row("Part::Text", hello, |r| say(r, text("more")), [Said("more"), Said("more"), Said("more")]),
        row("Part::Image", hello, |r| say(r, Part::Image(picture())),
            [Said("image_url"), Said("\"type\":\"image\""), Said("\"inlineData\"")]),
        row("Part::Audio", hello, |r| say(r, Part::Audio(Media { mime: Some("audio/wav".to_owned()), ..picture() })),
            [Said("input_audio"), No("audio"), Said("audio/wav")]),
        row("Part::File", hello, |r| say(r, document()),
            [Said("file_data"), Said("\"type\":\"document\""), Said("application/pdf")]),
        row("Part::ToolCall", tooled, |r| *r = calling(),
            [Said("\"tool_calls\""), Said("\"tool_use\""), Said("\"functionCall\"")]),
        row("Part::ToolResult", calling, |r| *r = called(), [Said("found"), Said("found"), Said("found")]),
        row("Part::Thinking", || answered([text("well")]), |r| r.messages[1].parts.insert(0, thought()),
            [NO_HISTORY, Said("\"thinking\":\"hm\""), Said("\"thought\":true")]),
        row("Part::Refusal", || answered([text("well")]), |r| r.messages[1].parts.push(Part::Refusal("never".to_owned())),
            [Said("\"refusal\":\"never\""), Said("\"text\":\"never\""), Said("\"text\":\"never\"")]),
        row("Media.mime", pictured, |r| media(r).mime = Some("image/webp".to_owned()),
            [Said("data:image/webp"), Said("image/webp"), Said("image/webp")]),
        row("Media.detail", pictured, |r| media(r).detail = Some("low".to_owned()),
            [Said("\"detail\":\"low\""), NO_MEMBER, Out("its resolution is another scale and of the whole request")]),
        row("Source::Inline", pictured, |r| media(r).source = Source::Inline("aGhh".to_owned()),
            [Said("aGhh"), Said("aGhh"), Said("aGhh")]),
        row("Source::Url", pictured, |r| media(r).source = Source::Url("https://a.example/b".to_owned()),
            [Said("https://a.example/b"), Said("https://a.example/b"), Said("https://a.example/b")]),
        row("Document.name", filed, |r| parts(r).for_each(|part| if let Part::File(file) = part { file.name = Some("a.pdf".to_owned()) }),
            [Said("\"filename\":\"a.pdf\""), Said("\"title\":\"a.pdf\""), NO_MEMBER]),
        row("ToolCall.id", called, rename_call, [Said("call_9"), Said("call_9"), Said("call_9")]),
        row("ToolCall.name", called, |r| call(r).name = "find".to_owned(), [Said("find"), Said("find"), Said("find")]),
        row("ToolCall.arguments", called, |r| call(r).arguments = "{\"a\":1}".to_owned(),
            [Said("{\\\"a\\\":1}"), Said("{\"a\":1}"), Said("{\"a\":1}")]),
        row("ToolCall.seal", called, |r| call(r).seal = Some(Seal { wire: "gemini", redacted: false, data: "c2ln".to_owned() }),
            [Out("calls carry no state"), Out("calls carry no state"), Said("\"thoughtSignature\":\"c2ln\"")]),
        row("ToolResult.id", called, rename_call,
            [Said("\"tool_call_id\":\"call_9\""), Said("\"tool_use_id\":\"call_9\""), Said("\"functionResponse\":{\"id\":\"call_9\"")]),
        row("ToolResult.is_error", called, |r| result(r).is_error = true,
            [Said("Error: found"), Said("\"is_error\":true"), Said("\"error\":\"found\"")]),
        row("Thinking.text", thinking, |r| thoughts(r).text = "aha".to_owned(), [NO_HISTORY, Said("aha"), Said("aha")]),
        row("Seal.data", thinking, |r| thoughts(r).seal.as_mut().unwrap().data = "b3Ro".to_owned(),
            [NO_HISTORY, Said("b3Ro"), Said("b3Ro")]),
        row("Seal.redacted", thinking, |r| thoughts(r).seal.as_mut().unwrap().redacted = true,
            [NO_HISTORY, Said("redacted_thinking"), Out("this maker redacts nothing")]),
    ]
}

/// What is wanted of the answer.
#[rustfmt::skip]
fn options() -> Vec<Row> {
    let told = "a stream always tells it";
    vec![
        row("ChatRequest.model", hello, |r| r.model = "other".to_owned(), [Out("the target has its own name"); 3]),
        row("ChatRequest.stream", hello, |r| r.stream = true,
            [Said("\"stream\":true"), Said("\"stream\":true"), Path("streamGenerateContent")]),
        row("ChatRequest.stream_usage", streaming, |r| r.stream_usage = true,
            [Out("always asked for"), Out(told), Out(told)]),
        row("ChatRequest.user", hello, |r| r.user = Some("u-1".to_owned()),
            [Said("\"user\":\"u-1\""), Said("\"user_id\":\"u-1\""), NO_MEMBER]),
        row("Tool.name", tooled, |r| r.tools.tools[0].name = "find".to_owned(), [Said("find"), Said("find"), Said("find")]),
        row("Tool.description", tooled, |r| r.tools.tools[0].description = Some("finds".to_owned()),
            [Said("finds"), Said("finds"), Said("finds")]),
        row("Tool.parameters", tooled, |r| r.tools.tools[0].parameters = Some(json!({"type": "object", "properties": {"city": {}}})),
            [Said("city"), Said("city"), Said("city")]),
        row("Tool.strict", tooled, |r| r.tools.tools[0].strict = Some(true),
            [Said("\"strict\":true"), Said("\"strict\":true"), Said("\"mode\":\"VALIDATED\"")]),
        row("ToolChoice::Auto", tooled, |r| r.tools.choice = Some(ToolChoice::Auto),
            [Said("\"tool_choice\":\"auto\""), Said("{\"type\":\"auto\"}"), Said("\"mode\":\"AUTO\"")]),
        row("ToolChoice::None", tooled, |r| r.tools.choice = Some(ToolChoice::None),
            [Said("\"tool_choice\":\"none\""), Said("{\"type\":\"none\"}"), Said("\"mode\":\"NONE\"")]),
        row("ToolChoice::Required", tooled, |r| r.tools.choice = Some(ToolChoice::Required),
            [Said("\"tool_choice\":\"required\""), Said("{\"type\":\"any\"}"), Said("\"mode\":\"ANY\"")]),
        row("ToolChoice::Named", tooled, |r| r.tools.choice = Some(ToolChoice::Named("look".to_owned())),
            [Said("\"tool_choice\":{"), Said("{\"type\":\"tool\",\"name\":\"look\"}"), Said("\"allowedFunctionNames\":[\"look\"]")]),
        row("ToolUse.parallel", tooled, |r| r.tools.parallel = Some(false),
            [Said("\"parallel_tool_calls\":false"), Said("\"disable_parallel_tool_use\":true"), No("one call at a time")]),
        row("ToolUse.parallel", tooled, |r| r.tools.parallel = Some(true),
            [Said("\"parallel_tool_calls\":true"), Out("so it is anyway"), Out("so it is anyway")]),
        row("Output.max_tokens", hello, |r| r.output.max_tokens = Some(77),
            [Said("\"max_completion_tokens\":77"), Said("\"max_tokens\":77"), Said("\"maxOutputTokens\":77")]),
        row("Output.choices", hello, |r| r.output.choices = Some(2),
            [Said("\"n\":2"), No("several alternative answers"), Said("\"candidateCount\":2")]),
        row("Output.logprobs", hello, |r| r.output.logprobs = Some(3),
            [Said("\"top_logprobs\":3"), No("log probabilities"), Said("\"logprobs\":3")]),
        row("Format::JsonObject", hello, |r| r.output.format = Format::JsonObject,
            [Said("json_object"), Said("one JSON object"), Said("application/json")]),
        row("Format::JsonSchema", hello, |r| *r = schemed(),
            [Said("json_schema"), Said("json_schema"), Said("responseJsonSchema")]),
        row("JsonSchema.name", schemed, |r| schema(r).name = "second".to_owned(), [Said("second"), NO_MEMBER, NO_MEMBER]),
        row("JsonSchema.description", schemed, |r| schema(r).description = Some("a colour".to_owned()),
            [Said("a colour"), NO_MEMBER, NO_MEMBER]),
        row("JsonSchema.schema", schemed, |r| schema(r).schema["properties"]["city"] = json!({"type": "string"}),
            [Said("city"), Said("city"), Said("city")]),
        row("JsonSchema.strict", schemed, |r| schema(r).strict = Some(true),
            [Said("\"strict\":true"), Out("so it is anyway"), Out("so it is anyway")]),
        row("Sampling.temperature", hello, |r| r.sampling.temperature = Some(0.25),
            [Said("\"temperature\":0.25"), Said("\"temperature\":0.25"), Said("\"temperature\":0.25")]),
        row("Sampling.top_p", hello, |r| r.sampling.top_p = Some(0.25),
            [Said("\"top_p\":0.25"), Said("\"top_p\":0.25"), Said("\"topP\":0.25")]),
        row("Sampling.top_k", hello, |r| r.sampling.top_k = Some(7), [NO_MEMBER, Said("\"top_k\":7"), Said("\"topK\":7")]),
        row("Sampling.seed", hello, |r| r.sampling.seed = Some(7), [Said("\"seed\":7"), NO_MEMBER, Said("\"seed\":7")]),
        row("Sampling.frequency_penalty", hello, |r| r.sampling.frequency_penalty = Some(0.5),
            [Said("\"frequency_penalty\":0.5"), NO_MEMBER, Said("\"frequencyPenalty\":0.5")]),
        row("Sampling.presence_penalty", hello, |r| r.sampling.presence_penalty = Some(0.5),
            [Said("\"presence_penalty\":0.5"), NO_MEMBER, Said("\"presencePenalty\":0.5")]),
        row("Sampling.stop", hello, |r| r.sampling.stop = vec!["END".to_owned()],
            [Said("\"stop\":[\"END\"]"), Said("\"stop_sequences\":[\"END\"]"), Said("\"stopSequences\":[\"END\"]")]),
        row("Amount::Effort", hello, |r| reason(r, Amount::Effort(Effort::High)),
            [Said("\"reasoning_effort\":\"high\""), Said("\"effort\":\"high\""), Said("\"thinkingLevel\":\"HIGH\"")]),
        row("Amount::Tokens", hello, |r| reason(r, Amount::Tokens(5_000)),
            [Said("\"reasoning_effort\":\"high\""), Said("\"effort\":\"high\""), Said("\"thinkingLevel\":\"LOW\"")]),
        row("Reasoning.visible", reasoning, |r| r.reasoning.as_mut().unwrap().visible = true,
            [Out("the format's inventor shows none, hosts that do show it always"), Said("summarized"), Said("\"includeThoughts\":true")]),
    ]
}

fn render(mut request: ChatRequest, wire: &dyn Wire) -> Result<String, Unspeakable> {
    for part in parts(&mut request) {
        if let Part::Thinking(Thinking { seal: Some(seal), .. }) = part {
            seal.wire = wire.name();
        }
    }
    let (quirks, traits) = (Quirks::NONE, Traits::default());
    let target = Target { model: "m-1", quirks: &quirks, traits: &traits, default_max_tokens: 4_096 };
    let body = wire.render(&request, &target)?;
    Ok(format!("{} {}", wire.path("m-1", request.stream), String::from_utf8(body).unwrap()))
}

#[test]
fn every_field_has_a_row() {
    let rows = conversation().into_iter().chain(options()).map(|row| row.field);
    let told: BTreeSet<_> = rows.chain(HOLDERS).chain(SILENT).collect();
    let there: BTreeSet<_> = everything().into_iter().collect();
    assert_eq!(told.symmetric_difference(&there).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_field_fares_as_its_row_says() {
    assert_eq!(WIRES.len(), 3, "a wire has no column");
    for Row { field, base, set, fates } in conversation().into_iter().chain(options()) {
        for (wire, fate) in WIRES.iter().zip(fates) {
            let before = render(base(), *wire).unwrap();
            let mut request = base();
            set(&mut request);
            let after = render(request, *wire);
            let case = format!("{field} on {}: {fate:?}\n{before}\n{after:?}", wire.name());
            match fate {
                No(what) => assert_eq!(after, Err(Unspeakable { what }), "{case}"),
                Out(why) => assert!(after.as_ref() == Ok(&before) && !why.is_empty(), "{case}"),
                Said(mark) | Path(mark) => {
                    let (path, body) = after.as_ref().unwrap().split_once(' ').unwrap();
                    let place = if matches!(fate, Path(_)) { path } else { body };
                    assert!(place.contains(mark) && !before.contains(mark), "{case}");
                }
            }
        }
    }
}
