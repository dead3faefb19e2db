//! Each wire's normal answer, field by field against the vendors' documents, whole and streamed.

use serde_json::{Value, json};
use unfail_sim::{Act, Flavour, Provider, Script, Setup, Speaks};
use unfail_testkit::sse::{Event, events};

use crate::ask::{Ask, anthropic, ask, gemini, openai, post, provider, raw, streamed_text, text_of};

const TEXT: &str = "Simone heard: hello (turn 1)";

/// Puts fixed values where the answer tells the time.
fn timeless(mut value: Value) -> Value {
    if let Some(created) = value.get_mut("created") {
        assert!(created.as_u64().unwrap() > 1_700_000_000, "a Unix time in seconds");
        *created = json!(0);
    }
    value
}

#[tokio::test]
async fn openai_chat_whole() {
    let provider = provider(Speaks::OpenAiChat, Act::default());
    let answer = post(&provider, &ask(Speaks::OpenAiChat, "hello", false)).await;
    let wanted = json!({
        "id": "chatcmpl-sim00000001", "object": "chat.completion", "created": 0, "model": "gpt-4.1",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": TEXT, "refusal": null, "annotations": []},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 2, "completion_tokens": 7, "total_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default", "system_fingerprint": "fp_sim",
    });
    assert_eq!(timeless(answer.json()), wanted);
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-request-id", "req_sim00000001"),
        ("openai-organization", "org-sim"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "30ms"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("openai-processing-ms").parse::<u32>().is_ok());
}

#[tokio::test]
async fn openai_chat_streamed() {
    let provider = provider(Speaks::OpenAiChat, Act::default());
    let (seen, _) = raw(&provider, &ask(Speaks::OpenAiChat, "hello", true)).await;
    let body = seen.text();
    assert!(
        body.ends_with("}\n\ndata: [DONE]\n\n") && !body.contains('\r') && !body.contains("event:"),
        "{body}"
    );
    let mut chunks: Vec<Value> = events(&body)
        .iter()
        .filter(|event| event.data != "[DONE]")
        .map(|event| serde_json::from_str(&event.data).unwrap())
        .collect();
    for chunk in &mut chunks {
        assert_eq!(chunk["id"], "chatcmpl-sim00000001");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "gpt-4.1");
        assert!(chunk["obfuscation"].is_string());
    }
    let choices = |at: usize| chunks[at]["choices"].clone();
    let opening = json!({"role": "assistant", "content": "", "refusal": null});
    assert_eq!(choices(0), json!([{"index": 0, "delta": opening, "logprobs": null, "finish_reason": null}]));
    assert_eq!(choices(1)[0]["delta"], json!({"content": "Simo"}));
    let last = chunks.len() - 1;
    assert_eq!(
        choices(last - 1),
        json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}])
    );
    assert_eq!(choices(last), json!([]));
    assert_eq!(chunks[last]["usage"]["total_tokens"], 9);
    assert!(chunks.iter().take(last).all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(streamed_text(Speaks::OpenAiChat, &body), TEXT);

    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": true,
        "stream_options": {"include_obfuscation": false}});
    let (seen, _) = raw(&provider, &openai(body)).await;
    assert!(!seen.text().contains("usage") && !seen.text().contains("obfuscation"), "neither was asked for");
}

#[tokio::test]
async fn anthropic_whole() {
    let provider = provider(Speaks::Anthropic, Act::default());
    let answer = post(&provider, &ask(Speaks::Anthropic, "hello", false)).await;
    let wanted = json!({
        "id": "msg_sim00000001", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn", "stop_sequence": null, "stop_details": null,
        "usage": {
            "input_tokens": 2, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 0},
            "server_tool_use": null, "service_tier": "standard", "inference_geo": "us",
        },
    });
    assert_eq!(answer.json(), wanted);
    for (name, value) in [
        ("request-id", "req_sim00000001"),
        ("anthropic-organization-id", "org-sim"),
        ("anthropic-ratelimit-requests-limit", "10000"),
        ("anthropic-ratelimit-requests-remaining", "9999"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let reset = answer.header("anthropic-ratelimit-requests-reset");
    assert!(reset.len() == 20 && reset.ends_with('Z') && reset.contains('T'), "{reset}");
}

#[tokio::test]
async fn anthropic_streamed() {
    let provider = provider(Speaks::Anthropic, Act::default());
    let body = json!({"model": "claude-sonnet-4-6", "max_tokens": 999, "stream": true,
        "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": "hello"}]});
    let (seen, _) = raw(&provider, &anthropic(body)).await;
    let events = events(&seen.text());
    let parsed: Vec<Value> = events.iter().map(|event| serde_json::from_str(&event.data).unwrap()).collect();
    for (Event { name, .. }, data) in events.iter().zip(&parsed) {
        assert_eq!(data["type"], *name, "an event is named as its data is");
    }
    let mut order: Vec<(&str, Value)> = Vec::new();
    for (event, data) in events.iter().zip(&parsed) {
        let step = (event.name.as_str(), data["index"].clone());
        if order.last() != Some(&step) {
            order.push(step);
        }
    }
    let at = |index: u32| json!(index);
    assert_eq!(
        order,
        [
            ("message_start", Value::Null),
            ("content_block_start", at(0)),
            ("ping", Value::Null),
            ("content_block_delta", at(0)),
            ("content_block_stop", at(0)),
            ("content_block_start", at(1)),
            ("content_block_delta", at(1)),
            ("content_block_stop", at(1)),
            ("message_delta", Value::Null),
            ("message_stop", Value::Null),
        ]
    );
    let message = &parsed[0]["message"];
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([]), &Value::Null));
    assert_eq!(
        (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(parsed[1]["content_block"], json!({"type": "thinking", "thinking": "", "signature": ""}));
    let deltas: Vec<&Value> =
        parsed.iter().map(|data| &data["delta"]).filter(|delta| delta["type"].is_string()).collect();
    let signed = deltas.iter().position(|delta| delta["type"] == "signature_delta").unwrap();
    assert!(
        deltas[..signed].iter().all(|delta| delta["type"] == "thinking_delta"),
        "the signature comes last"
    );
    assert!(deltas[signed + 1..].iter().all(|delta| delta["type"] == "text_delta"));
    let ending = &parsed[parsed.len() - 2];
    assert_eq!(
        ending["delta"],
        json!({"stop_reason": "end_turn", "stop_sequence": null, "stop_details": null})
    );
    assert!(ending["usage"]["output_tokens"].as_u64().unwrap() > 7, "thinking is part of the output");
    assert_eq!(streamed_text(Speaks::Anthropic, &seen.text()), TEXT);
}

#[tokio::test]
async fn gemini_whole() {
    let provider = provider(Speaks::Gemini, Act::default());
    let answer = post(&provider, &ask(Speaks::Gemini, "hello", false)).await;
    let wanted = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [{"text": TEXT}]},
            "index": 0,
            "finishReason": "STOP",
        }],
        "usageMetadata": {
            "promptTokenCount": 2, "candidatesTokenCount": 7, "totalTokenCount": 9,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2}],
        },
        "modelVersion": "gemini-3.8-flash", "responseId": "sim00000001",
    });
    assert_eq!(answer.json(), wanted);
    assert!(
        answer.headers.keys().all(|name| !name.as_str().contains("ratelimit")),
        "this wire has no such headers"
    );
}

#[tokio::test]
async fn gemini_streamed() {
    let provider = provider(Speaks::Gemini, Act::default());
    let contents = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
    let body =
        json!({"contents": contents, "generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let path = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse";
    let (seen, _) = raw(&provider, &Ask { path, ..gemini(body.clone()) }).await;
    let text = seen.text();
    assert!(text.ends_with("}\r\n\r\n") && !text.contains("[DONE]") && !text.contains("event:"));
    assert_eq!(text.matches("data: {").count(), text.matches("\r\n\r\n").count(), "CRLF ends every event");
    let chunks: Vec<Value> =
        events(&text).iter().map(|event| serde_json::from_str(&event.data).unwrap()).collect();
    let (last, before) = chunks.split_last().unwrap();
    assert!(before.iter().all(|chunk| chunk["candidates"][0].get("finishReason").is_none()));
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    let signed = &last["candidates"][0]["content"]["parts"][0];
    assert_eq!(signed["text"], "", "the signature of a text comes on an empty part");
    assert!(signed["thoughtSignature"].is_string());
    assert_eq!(before[0]["candidates"][0]["content"]["parts"][0]["thought"], true);
    let usage = &last["usageMetadata"];
    let sum = ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"]
        .map(|name| usage[name].as_u64().unwrap());
    assert_eq!(usage["totalTokenCount"], sum.iter().sum::<u64>(), "thoughts are counted beside the answer");

    let path = "/v1beta/models/gemini-3.8-flash:streamGenerateContent";
    let (seen, _) = raw(&provider, &Ask { path, ..gemini(body) }).await;
    let array: Vec<Value> = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(array.len(), chunks.len(), "without `alt=sse` the same chunks come as one array");
    assert_eq!(seen.header("content-type"), "application/json; charset=UTF-8");
}

#[tokio::test]
async fn reasoning_that_is_not_shown_is_counted() {
    let user = json!([{"role": "user", "content": "hello"}]);
    let claude = |display: Value| {
        let thinking = json!({"type": "adaptive", "display": display});
        anthropic(
            json!({"model": "claude-sonnet-5-5", "max_tokens": 4096, "messages": user, "thinking": thinking}),
        )
    };
    let google = |thinking: Value| {
        let contents = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
        gemini(json!({"contents": contents, "generationConfig": {"thinkingConfig": thinking}}))
    };
    let openai = openai(json!({"model": "gpt-5.4", "messages": user, "reasoning_effort": "low"}));
    let thought = "The caller said: hello. I answer that.";
    let (shown, counted) = ("/content/0/thinking", "/usage/output_tokens_details/thinking_tokens");
    let (part, thoughts) = ("/candidates/0/content/parts/0/thought", "/usageMetadata/thoughtsTokenCount");
    // wire, request, where reasoning is shown, what is there, where it is counted
    let table = [
        (Speaks::Anthropic, claude(json!("summarized")), shown, json!(thought), counted),
        (Speaks::Anthropic, claude(json!("omitted")), shown, json!(""), counted),
        (Speaks::Anthropic, claude(Value::Null), shown, json!(""), counted),
        (Speaks::Gemini, google(json!({"includeThoughts": true})), part, json!(true), thoughts),
        (Speaks::Gemini, google(json!({"thinkingLevel": "LOW"})), part, Value::Null, thoughts),
        (
            Speaks::OpenAiChat,
            openai,
            "/choices/0/message/reasoning",
            Value::Null,
            "/usage/completion_tokens_details/reasoning_tokens",
        ),
    ];
    for (wire, ask, shown, what, counted) in table {
        let answer = post(&provider(wire, Act::default()), &ask).await.json();
        assert_eq!(answer.pointer(shown).cloned().unwrap_or_default(), what, "{wire}: {answer}");
        assert_eq!(answer.pointer(counted), Some(&json!(10)), "{wire}: {answer}");
    }
}

#[tokio::test]
async fn whole_and_streamed_say_the_same() {
    for wire in Speaks::ALL {
        let provider = provider(wire, Act::default());
        for text in ["hello", "日本語 🦀", "a \"quoted\" line\nand another\\"] {
            let whole = text_of(wire, &post(&provider, &ask(wire, text, false)).await.json());
            let (seen, _) = raw(&provider, &ask(wire, text, true)).await;
            assert_eq!(whole, format!("Simone heard: {text} (turn 1)"));
            assert_eq!(streamed_text(wire, &seen.text()), whole, "{wire}");
        }
    }
}

/// Requests that end an answer early or shape it, and where each wire says so.
#[tokio::test]
async fn limits_stops_and_systems_are_heard() {
    let user = json!([{"role": "user", "content": "hello"}]);
    let contents = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
    for (ask, wire, text, at, reason) in [
        (
            openai(json!({"model": "m", "messages": user, "max_completion_tokens": 2})),
            Speaks::OpenAiChat,
            "Simone h",
            "/choices/0/finish_reason",
            "length",
        ),
        (
            openai(json!({"model": "m", "messages": user, "stop": "heard"})),
            Speaks::OpenAiChat,
            "Simone ",
            "/choices/0/finish_reason",
            "stop",
        ),
        (
            anthropic(json!({"model": "m", "messages": user, "max_tokens": 2})),
            Speaks::Anthropic,
            "Simone h",
            "/stop_reason",
            "max_tokens",
        ),
        (
            anthropic(json!({"model": "m", "messages": user, "max_tokens": 99, "stop_sequences": ["heard"]})),
            Speaks::Anthropic,
            "Simone ",
            "/stop_sequence",
            "heard",
        ),
        (
            anthropic(json!({"model": "m", "messages": user, "max_tokens": 99, "system": "be brief"})),
            Speaks::Anthropic,
            "Simone heard: hello (turn 1; system: be brief)",
            "/stop_reason",
            "end_turn",
        ),
        (
            gemini(json!({"contents": contents, "generationConfig": {"maxOutputTokens": 2}})),
            Speaks::Gemini,
            "Simone h",
            "/candidates/0/finishReason",
            "MAX_TOKENS",
        ),
        (
            gemini(json!({"contents": contents, "generation_config": {"stop_sequences": ["heard"]}})),
            Speaks::Gemini,
            "Simone ",
            "/candidates/0/finishReason",
            "STOP",
        ),
        (
            gemini(json!({"contents": contents, "systemInstruction": {"parts": [{"text": "be brief"}]}})),
            Speaks::Gemini,
            "Simone heard: hello (turn 1; system: be brief)",
            "/candidates/0/finishReason",
            "STOP",
        ),
    ] {
        let answer = post(&provider(wire, Act::default()), &ask).await.json();
        assert_eq!(text_of(wire, &answer), text, "{wire}: {}", ask.body);
        assert_eq!(answer.pointer(at).unwrap(), reason, "{wire}: {}", ask.body);
    }
}

#[tokio::test]
async fn flavours_differ_as_told() {
    let start = |flavour| {
        Provider::start_as(Setup::new(Speaks::OpenAiChat, Script::default()).flavoured(flavour)).unwrap()
    };
    let reasoned = || {
        openai(
            json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "reasoning_effort": "low"}),
        )
    };
    for (flavour, header, value, field) in [
        (Flavour::OPENAI_CHAT, "x-ratelimit-reset-requests", "6ms", None),
        (Flavour::GO_DURATIONS, "x-ratelimit-reset-requests", "6ms", Some("reasoning")),
        (Flavour::DECIMAL_FLAT, "x-ratelimit-reset-requests-minute", "0.006", Some("reasoning")),
        (Flavour::EPOCH_MILLIS, "x-ratelimit-reset", "", Some("reasoning")),
    ] {
        let answer = post(&start(flavour), &reasoned()).await;
        assert_eq!(answer.header(header), value, "{flavour:?}");
        let message = &answer.json()["choices"][0]["message"];
        assert_eq!(field.is_some_and(|field| message[field].is_string()), field.is_some(), "{message}");
        assert!(field.is_some() || message.get("reasoning").is_none(), "{message}");
        let streamed =
            json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": true});
        let (seen, _) = raw(&start(flavour), &openai(streamed)).await;
        assert_eq!(seen.text().contains("prompt_tokens"), flavour.usage_always);
        let unknown = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "made_up": 1});
        let status = post(&start(flavour), &openai(unknown)).await.status.as_u16();
        assert_eq!(status, if flavour.strict { 400 } else { 200 });
        let bad = post(&start(flavour), &openai(json!({"model": "m"}))).await.json();
        let flat = flavour == Flavour::DECIMAL_FLAT;
        assert_eq!((bad["message"].is_string(), bad["error"].is_object()), (flat, !flat), "{bad}");
    }
}

#[tokio::test]
async fn models_and_counts() {
    for (wire, list, first, one) in [
        (Speaks::OpenAiChat, "/v1/models", "/data/0/id", "/v1/models/gpt-x"),
        (Speaks::Anthropic, "/v1/models", "/data/0/id", "/v1/models/claude-x"),
        (Speaks::Gemini, "/v1beta/models", "/models/0/name", "/v1beta/models/gemini-x"),
    ] {
        let provider = provider(wire, "overloaded".parse::<Act>().unwrap());
        let headers = ask(wire, "", false).headers;
        let client = unfail_testkit::Client::new();
        let get = async |path| client.get(&format!("{}{path}", provider.base_url()), &headers).await.unwrap();
        let models = get(list).await;
        assert_eq!(models.status, 200);
        assert!(models.json().pointer(first).unwrap().is_string(), "{}", models.text());
        let model = get(one).await.json();
        assert!(model["id"].as_str().or(model["name"].as_str()).unwrap().ends_with("-x"), "{model}");
    }
    let counted = anthropic(json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]}));
    let counted = Ask { path: "/v1/messages/count_tokens", ..counted };
    let answer = post(&provider(Speaks::Anthropic, Act::default()), &counted).await;
    assert_eq!(answer.json(), json!({"input_tokens": 2}));
    let contents = json!({"contents": [{"parts": [{"text": "hello"}]}]});
    for body in [contents.clone(), json!({"generateContentRequest": contents})] {
        let path = "/v1beta/models/gemini-3.8-flash:countTokens";
        let answer = post(&provider(Speaks::Gemini, Act::default()), &Ask { path, ..gemini(body) }).await;
        assert_eq!(answer.json()["totalTokens"], 2);
    }
}
