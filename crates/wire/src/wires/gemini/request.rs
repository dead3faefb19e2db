//! A generateContent body into the hub. Model and streaming come from the path; the conversation is read by
//! [`super::history`].

use super::history;
use super::schema::from_openapi;
use super::words::{effort, member, whole_float};
use crate::chat::{
    Amount, ChatRequest, Effort, Format, JsonSchema, Output, Reasoning, Sampling, Tool, ToolChoice, ToolUse,
};
use crate::format::{Inbound, Invalid, Refusal, Unspeakable};
use crate::json::{self, Cursor};

/// Name given to the answer's schema, which has none in this dialect.
const SCHEMA_NAME: &str = "output";

/// Reads a body.
///
/// # Errors
/// [`Refusal::Invalid`] with the path of what is wrong; [`Refusal::Unspeakable`] for features of this provider alone.
pub(super) fn parse(inbound: Inbound<'_>) -> Result<ChatRequest, Refusal> {
    let body = json::parse(inbound.body)?;
    let root = Cursor::root(&body);
    if member(&root, "cachedContent")?.is_some() {
        return Err(unspeakable("cached content"));
    }
    let mut request = ChatRequest {
        model: model(inbound.path_model).to_owned(),
        messages: history::messages(&root)?,
        tools: tools(&root)?,
        stream: inbound.path_stream,
        // Every stream of this dialect carries its usage.
        stream_usage: inbound.path_stream,
        ..ChatRequest::default()
    };
    if let Some(config) = member(&root, "generationConfig")? {
        refuse_vendor_output(&config)?;
        request.output = output(&config)?;
        request.sampling = sampling(&config)?;
        request.reasoning =
            member(&config, "thinkingConfig")?.map(|wanted| reasoning(&wanted)).transpose()?;
    }
    Ok(request)
}

/// The model of a path without the collection's name.
pub(super) fn model(path_model: Option<&str>) -> &str {
    let model = path_model.unwrap_or_default();
    model.strip_prefix("models/").unwrap_or(model)
}

fn tools(root: &Cursor<'_>) -> Result<ToolUse, Refusal> {
    let mut uses = ToolUse::default();
    if let Some(list) = member(root, "tools")? {
        for group in list.items()? {
            let declarations = member(&group, "functionDeclarations")?;
            if group.object()?.len() > usize::from(declarations.is_some()) {
                return Err(unspeakable("the provider's own tools"));
            }
            for declaration in declarations.iter().map(Cursor::items).collect::<Result<Vec<_>, _>>()? {
                for declaration in declaration {
                    uses.tools.push(tool(&declaration)?);
                }
            }
        }
    }
    if let Some(config) = member(root, "toolConfig")?
        && let Some(calling) = member(&config, "functionCallingConfig")?
    {
        choice(&calling, &mut uses)?;
    }
    Ok(uses)
}

fn tool(declaration: &Cursor<'_>) -> Result<Tool, Invalid> {
    let parameters = match member(declaration, "parametersJsonSchema")? {
        Some(schema) => Some(schema.object().map(|_| schema.value().clone())?),
        None => match member(declaration, "parameters")? {
            Some(schema) => Some(schema.object().map(|_| from_openapi(schema.value()))?),
            None => None,
        },
    };
    Ok(Tool {
        name: declaration.need_str("name")?.to_owned(),
        description: declaration.opt("description", Cursor::str)?.map(str::to_owned),
        parameters,
        strict: None,
    })
}

fn choice(calling: &Cursor<'_>, uses: &mut ToolUse) -> Result<(), Invalid> {
    let mut allowed = Vec::new();
    if let Some(names) = member(calling, "allowedFunctionNames")? {
        for name in names.items()? {
            let known = name.str()?;
            if !uses.tools.iter().any(|tool| tool.name == known) {
                return Err(name.invalid(format!("`{known}` is not among the declared functions")));
            }
            allowed.push(known);
        }
    }
    let Some(mode) = calling.get("mode")? else { return Ok(()) };
    let (choice, only_allowed) = match (mode.str()?.to_ascii_uppercase().as_str(), allowed.as_slice()) {
        ("MODE_UNSPECIFIED", _) => (None, false),
        ("AUTO", _) => (Some(ToolChoice::Auto), false),
        ("NONE", _) => (Some(ToolChoice::None), false),
        ("ANY", [only]) => (Some(ToolChoice::Named((*only).to_owned())), false),
        ("ANY", _) => (Some(ToolChoice::Required), true),
        ("VALIDATED", _) => {
            uses.tools.iter_mut().for_each(|tool| tool.strict = Some(true));
            (Some(ToolChoice::Auto), true)
        }
        (other, _) => {
            let words = format!("mode must be `AUTO`, `ANY`, `NONE` or `VALIDATED`, but is `{other}`");
            return Err(mode.invalid(words));
        }
    };
    uses.choice = choice;
    // The hub says "these only" by offering these only.
    if only_allowed && !allowed.is_empty() {
        uses.tools.retain(|tool| allowed.contains(&tool.name.as_str()));
    }
    Ok(())
}

/// Kinds of output the hub has no words for.
fn refuse_vendor_output(config: &Cursor<'_>) -> Result<(), Refusal> {
    for (key, what) in [
        ("speechConfig", "spoken output"),
        ("responseFormat", "a list of response formats"),
        ("imageConfig", "pictures as output"),
    ] {
        if member(config, key)?.is_some() {
            return Err(unspeakable(what));
        }
    }
    if let Some(modalities) = member(config, "responseModalities")? {
        for modality in modalities.items()? {
            if !modality.str()?.eq_ignore_ascii_case("text") {
                return Err(unspeakable("output other than text"));
            }
        }
    }
    Ok(())
}

fn output(config: &Cursor<'_>) -> Result<Output, Refusal> {
    let choices = match member(config, "candidateCount")? {
        Some(count) => match whole(&count)? {
            0 => return Err(count.invalid("at least one candidate must be asked for").into()),
            // One is what the hub says by saying nothing.
            1 => None,
            many => Some(u32::try_from(many).map_err(|_| count.invalid("too many candidates"))?),
        },
        None => None,
    };
    let wants_logprobs =
        member(config, "responseLogprobs")?.map(|flag| flag.bool()).transpose()? == Some(true);
    let alternatives = read(config, "logprobs", |count| {
        u8::try_from(whole(count)?).map_err(|_| count.invalid("at most 20 alternatives can be asked for"))
    })?;
    Ok(Output {
        max_tokens: read(config, "maxOutputTokens", whole)?,
        choices,
        format: format(config)?,
        logprobs: wants_logprobs.then(|| alternatives.unwrap_or(0)),
    })
}

fn format(config: &Cursor<'_>) -> Result<Format, Refusal> {
    let mime = member(config, "responseMimeType")?.map(|mime| mime.str()).transpose()?;
    if mime.is_some_and(|mime| mime.eq_ignore_ascii_case("text/x.enum")) {
        return Err(unspeakable("output of one word out of a list"));
    }
    let schema = match member(config, "responseJsonSchema")? {
        Some(schema) => Some(schema),
        None => config.get("_responseJsonSchema")?,
    };
    let schema = match schema {
        Some(schema) => Some(schema.value().clone()),
        None => member(config, "responseSchema")?.map(|schema| from_openapi(schema.value())),
    };
    Ok(match schema {
        Some(schema) => Format::JsonSchema(JsonSchema {
            name: SCHEMA_NAME.to_owned(),
            description: None,
            schema,
            strict: None,
        }),
        None if mime.is_some_and(|mime| mime.eq_ignore_ascii_case("application/json")) => Format::JsonObject,
        None => Format::Text,
    })
}

fn sampling(config: &Cursor<'_>) -> Result<Sampling, Invalid> {
    let mut stop = Vec::new();
    if let Some(stops) = member(config, "stopSequences")? {
        for text in stops.items()? {
            stop.push(text.str()?.to_owned());
        }
    }
    Ok(Sampling {
        temperature: read(config, "temperature", Cursor::f64)?,
        top_p: read(config, "topP", Cursor::f64)?,
        top_k: read(config, "topK", whole)?,
        seed: read(config, "seed", Cursor::i64)?,
        frequency_penalty: read(config, "frequencyPenalty", Cursor::f64)?,
        presence_penalty: read(config, "presencePenalty", Cursor::f64)?,
        stop,
    })
}

fn reasoning(wanted: &Cursor<'_>) -> Result<Reasoning, Invalid> {
    let visible = member(wanted, "includeThoughts")?.map(|flag| flag.bool()).transpose()? == Some(true);
    let level = member(wanted, "thinkingLevel")?;
    let budget = member(wanted, "thinkingBudget")?;
    let amount = match (level, budget) {
        (Some(level), Some(_)) => {
            return Err(level.invalid("`thinkingLevel` and `thinkingBudget` exclude each other"));
        }
        (Some(level), None) => match level.str()? {
            "THINKING_LEVEL_UNSPECIFIED" => Amount::Effort(Effort::Medium),
            word => Amount::Effort(
                effort(word).ok_or_else(|| level.invalid(format!("`{word}` is no thinking level")))?,
            ),
        },
        (None, Some(budget)) => match budget.i64()? {
            0 => Amount::Effort(Effort::None),
            // -1 leaves the amount to the model, as does saying nothing.
            tokens => u64::try_from(tokens).map_or(Amount::Effort(Effort::Medium), Amount::Tokens),
        },
        (None, None) => Amount::Effort(Effort::Medium),
    };
    Ok(Reasoning { amount, visible })
}

/// An optional member in either spelling.
fn read<'a, T>(
    config: &Cursor<'a>,
    camel: &'static str,
    read: impl FnOnce(&Cursor<'a>) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    member(config, camel)?.map(|found| read(&found)).transpose()
}

/// A non-negative integer; some clients write `40.0`.
fn whole(cursor: &Cursor<'_>) -> Result<u64, Invalid> {
    let float = cursor.value().as_f64().filter(|_| cursor.value().is_f64());
    match float.and_then(whole_float) {
        Some(count) => Ok(count),
        None => cursor.u64(),
    }
}

fn unspeakable(what: &'static str) -> Refusal {
    Unspeakable { what }.into()
}
