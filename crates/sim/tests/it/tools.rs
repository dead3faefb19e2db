//! Calls, results, JSON and pictures: the simulated model seen through each wire, whole and streamed.

use serde_json::{Value, json};
use unfail_sim::{Act, Speaks};
use unfail_testkit::sse::events;

use crate::ask::{Ask, anthropic, gemini, openai, post, provider, raw, text_of};

const SCHEMA: &str = r#"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},
    "required":["city"],"additionalProperties":false}"#;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// A conversation that offers `weather` and `time`; `choice` in the wire's own words when not null.
fn offer(wire: Speaks, text: &str, choice: Value) -> Ask {
    let names = ["weather", "time"];
    let mut body = match wire {
        Speaks::OpenAiChat => json!({
            "model": "gpt-4.1",
            "messages": [{"role": "user", "content": text}],
            "tools": names.map(|name| json!({"type": "function", "function": {"name": name, "parameters": schema()}})),
        }),
        Speaks::Anthropic => json!({
            "model": "claude-sonnet-4-5", "max_tokens": 999,
            "messages": [{"role": "user", "content": text}],
            "tools": names.map(|name| json!({"name": name, "input_schema": schema()})),
        }),
        Speaks::Gemini => json!({
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "tools": [{"functionDeclarations": names.map(|name| json!({"name": name, "parametersJsonSchema": schema()}))}],
        }),
    };
    if !choice.is_null() {
        let field = if wire == Speaks::Gemini { "toolConfig" } else { "tool_choice" };
        body[field] = choice;
    }
    crate::ask::with_body(wire, body)
}

/// Names and arguments of the calls in a whole answer, and why it ended.
fn calls_of(wire: Speaks, answer: &Value) -> (Vec<(String, Value)>, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |path: &str| answer.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    match wire {
        Speaks::OpenAiChat => {
            let call = |call: &Value| {
                assert!(text(&call["id"]).starts_with("call_") && call["type"] == "function");
                let arguments = serde_json::from_str(&text(&call["function"]["arguments"])).unwrap();
                (text(&call["function"]["name"]), arguments)
            };
            let calls = list("/choices/0/message/tool_calls").iter().map(call).collect();
            (calls, text(&answer["choices"][0]["finish_reason"]))
        }
        Speaks::Anthropic => {
            let blocks = list("/content");
            let calls = blocks.iter().filter(|block| block["type"] == "tool_use").map(|block| {
                assert!(text(&block["id"]).starts_with("toolu_"));
                (text(&block["name"]), block["input"].clone())
            });
            (calls.collect(), text(&answer["stop_reason"]))
        }
        Speaks::Gemini => {
            let parts = list("/candidates/0/content/parts");
            let calls = parts.iter().enumerate().filter(|(_, part)| part.get("functionCall").is_some()).map(
                |(at, part)| {
                    assert_eq!(
                        part.get("thoughtSignature").is_some(),
                        at == 0,
                        "only the first call is signed"
                    );
                    (text(&part["functionCall"]["name"]), part["functionCall"]["args"].clone())
                },
            );
            (calls.collect(), text(&answer["candidates"][0]["finishReason"]))
        }
    }
}

#[tokio::test]
async fn calls_are_made_as_offered() {
    let forced = [
        json!({"type": "function", "function": {"name": "time"}}),
        json!({"type": "tool", "name": "time"}),
        json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["time"]}}),
    ];
    let never = [json!("none"), json!({"type": "none"}), json!({"functionCallingConfig": {"mode": "NONE"}})];
    let arguments = json!({"city": "some city", "days": 1});
    let reasons = ["tool_calls", "tool_use", "STOP"];
    for (at, wire) in Speaks::ALL.into_iter().enumerate() {
        let provider = provider(wire, Act::default());
        for (text, choice, names) in [
            ("how is it outside?", Value::Null, vec!["weather"]),
            ("what time is it?", Value::Null, vec!["time"]),
            ("tell me both", Value::Null, vec!["weather", "time"]),
            ("how is it outside?", forced[at].clone(), vec!["time"]),
            ("how is it outside?", never[at].clone(), vec![]),
            ("answer without tools", Value::Null, vec![]),
        ] {
            let answer = post(&provider, &offer(wire, text, choice)).await.json();
            let (calls, reason) = calls_of(wire, &answer);
            let wanted: Vec<_> = names.iter().map(|name| ((*name).to_owned(), arguments.clone())).collect();
            assert_eq!(calls, wanted, "{wire}: {text}: {answer}");
            assert_eq!(
                reason == reasons[at],
                !names.is_empty() || wire == Speaks::Gemini,
                "{wire}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn parallel_calls_can_be_forbidden() {
    for (wire, field, value) in [
        (Speaks::OpenAiChat, "parallel_tool_calls", json!(false)),
        (Speaks::Anthropic, "tool_choice", json!({"type": "auto", "disable_parallel_tool_use": true})),
    ] {
        let mut ask = offer(wire, "tell me both", Value::Null);
        ask.body[field] = value;
        let answer = post(&provider(wire, Act::default()), &ask).await.json();
        assert_eq!(calls_of(wire, &answer).0.len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn streamed_calls_add_up() {
    let wire = Speaks::OpenAiChat;
    let mut ask = offer(wire, "tell me both", Value::Null);
    ask.body["stream"] = json!(true);
    let (seen, _) = raw(&provider(wire, Act::default()), &ask).await;
    let mut calls: Vec<(Value, String)> = Vec::new();
    for event in events(&seen.text()) {
        let chunk: Value = serde_json::from_str(&event.data).unwrap_or_default();
        for part in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
            let fragment = part["function"]["arguments"].as_str().unwrap();
            if at == calls.len() {
                assert!(part["id"].is_string() && part["type"] == "function" && fragment.is_empty());
                calls.push((part["function"]["name"].clone(), String::new()));
            } else {
                assert!(part.get("id").is_none() && part["function"].get("name").is_none());
            }
            calls[at].1.push_str(fragment);
        }
    }
    let arguments = json!({"city": "some city", "days": 1}).to_string();
    assert_eq!(calls, [(json!("weather"), arguments.clone()), (json!("time"), arguments.clone())]);
    assert!(seen.text().contains("\"finish_reason\":\"tool_calls\""));

    let wire = Speaks::Anthropic;
    let mut ask = offer(wire, "tell me both", Value::Null);
    ask.body["stream"] = json!(true);
    let (seen, _) = raw(&provider(wire, Act::default()), &ask).await;
    let mut calls: Vec<(Value, String)> = Vec::new();
    for event in events(&seen.text()) {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        if data["content_block"]["type"] == "tool_use" {
            assert_eq!(data["content_block"]["input"], json!({}));
            assert_eq!(data["index"], calls.len(), "blocks are numbered in order");
            calls.push((data["content_block"]["name"].clone(), String::new()));
        }
        if data["delta"]["type"] == "input_json_delta" {
            let last = calls.last_mut().unwrap();
            let part = data["delta"]["partial_json"].as_str().unwrap();
            assert!(!last.1.is_empty() || part.is_empty() || part.starts_with('{'));
            last.1.push_str(part);
        }
    }
    assert_eq!(calls, [(json!("weather"), arguments.clone()), (json!("time"), arguments)]);
}

/// What a client sends back after the calls of an answer, each call answered with `sunny`.
fn follow_up(wire: Speaks, first: &Ask, answer: &Value) -> Ask {
    let mut body = first.body.clone();
    match wire {
        Speaks::OpenAiChat => {
            let message = answer["choices"][0]["message"].clone();
            let ids = message["tool_calls"].as_array().unwrap().clone();
            let messages = body["messages"].as_array_mut().unwrap();
            messages.push(message);
            messages.extend(
                ids.iter()
                    .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"})),
            );
        }
        Speaks::Anthropic => {
            let content = answer["content"].clone();
            let result =
                |call: &Value| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"});
            let results: Vec<Value> = content.as_array().unwrap().iter().map(result).collect();
            let messages = body["messages"].as_array_mut().unwrap();
            messages.push(json!({"role": "assistant", "content": content}));
            messages.push(json!({"role": "user", "content": results}));
        }
        Speaks::Gemini => {
            let content = answer["candidates"][0]["content"].clone();
            let result = |part: &Value| json!({"functionResponse": {"name": part["functionCall"]["name"], "response": {"output": "sunny"}}});
            let results: Vec<Value> = content["parts"].as_array().unwrap().iter().map(result).collect();
            let contents = body["contents"].as_array_mut().unwrap();
            contents.push(content);
            contents.push(json!({"role": "user", "parts": results}));
        }
    }
    crate::ask::with_body(wire, body)
}

#[tokio::test]
async fn results_are_quoted() {
    for wire in Speaks::ALL {
        let provider = provider(wire, Act::default());
        let first = offer(wire, "tell me both", Value::Null);
        let called = post(&provider, &first).await.json();
        let answer = post(&provider, &follow_up(wire, &first, &called)).await;
        let text = text_of(wire, &answer.json());
        assert!(text.starts_with("Simone learned: "), "{wire}: {}", answer.text());
        assert_eq!(text.matches("sunny").count(), 2, "{wire}: {text}");
    }
}

#[tokio::test]
async fn words_beside_results_are_heard() {
    let wire = Speaks::Anthropic;
    let provider = provider(wire, Act::default());
    let first = offer(wire, "tell me both", Value::Null);
    let called = post(&provider, &first).await.json();
    let mut next = follow_up(wire, &first, &called);
    let results = next.body["messages"][2]["content"].as_array_mut().unwrap();
    results.push(json!({"type": "text", "text": "thanks, without tools"}));
    let answer = post(&provider, &next).await;
    let text = text_of(wire, &answer.json());
    assert_eq!(text, "Simone heard: thanks, without tools (turn 2)", "{}", answer.text());
}

#[tokio::test]
async fn json_is_valid_for_its_schema() {
    let user = json!([{"role": "user", "content": "weather as JSON"}]);
    let contents = json!([{"role": "user", "parts": [{"text": "weather as JSON"}]}]);
    let formats = [
        openai(json!({"model": "m", "messages": user, "response_format":
            {"type": "json_schema", "json_schema": {"name": "w", "schema": schema()}}})),
        anthropic(json!({"model": "m", "max_tokens": 99, "messages": user, "output_config":
            {"format": {"type": "json_schema", "schema": schema()}}})),
        gemini(json!({"contents": contents, "generationConfig":
            {"responseMimeType": "application/json", "responseJsonSchema": schema()}})),
    ];
    for (wire, ask) in Speaks::ALL.into_iter().zip(formats) {
        let answer = post(&provider(wire, Act::default()), &ask).await.json();
        let made: Value = serde_json::from_str(&text_of(wire, &answer)).unwrap();
        assert_eq!(made, json!({"city": "some city", "days": 1}), "{wire}");
    }
    let free = openai(json!({"model": "m", "messages": user, "response_format": {"type": "json_object"}}));
    let answer = post(&provider(Speaks::OpenAiChat, Act::default()), &free).await.json();
    assert_eq!(text_of(Speaks::OpenAiChat, &answer), r#"{"heard":"weather as JSON"}"#);
}

#[tokio::test]
async fn pictures_are_seen() {
    // Five bytes that the two alphabets of base64 write differently.
    let (data, url_safe) = ("//79++8=", "__79--8");
    let text = json!({"type": "text", "text": "look"});
    let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}});
    let block =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let part = json!({"inlineData": {"mimeType": "image/png", "data": url_safe}});
    let asks = [
        openai(json!({"model": "m", "messages": [{"role": "user", "content": [text, image]}]})),
        anthropic(
            json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": [block, text]}]}),
        ),
        gemini(json!({"contents": [{"role": "user", "parts": [{"text": "look"}, part]}]})),
    ];
    for (wire, ask) in Speaks::ALL.into_iter().zip(asks) {
        let answer = post(&provider(wire, Act::default()), &ask).await.json();
        assert_eq!(
            text_of(wire, &answer),
            "Simone heard: look (turn 1) I see a image/png of 5 bytes.",
            "{wire}"
        );
    }
}

#[tokio::test]
async fn several_choices_are_several_answers() {
    let body = json!({"model": "m", "n": 3, "messages": [{"role": "user", "content": "hello"}]});
    let answer = post(&provider(Speaks::OpenAiChat, Act::default()), &openai(body)).await.json();
    let indexes: Vec<_> =
        answer["choices"].as_array().unwrap().iter().map(|choice| choice["index"].clone()).collect();
    assert_eq!(indexes, [0, 1, 2]);
    assert_eq!(answer["usage"]["completion_tokens"], 21);
}
