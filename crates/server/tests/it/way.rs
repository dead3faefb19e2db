//! The caller's side: how a question is put in each dialect, and what an answer says, read by an independent reader.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use unfail_testkit::sse;
use unfail_testkit::{Answer, Event};

/// A dialect, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `POST /v1/chat/completions`.
    OpenAi,
    /// `POST /chat`.
    Chat,
    /// `POST /run`.
    Run,
}

impl Way {
    pub(crate) const ALL: [Way; 3] = [Way::OpenAi, Way::Chat, Way::Run];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Way::OpenAi => "/v1/chat/completions",
            Way::Chat => "/chat",
            Way::Run => "/run",
        }
    }

    /// A question to `model`.
    pub(crate) fn body(self, model: &str, prompt: &str, stream: bool) -> Value {
        match self {
            Way::OpenAi => {
                json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]})
            }
            Way::Chat => json!({"model": model, "stream": stream, "prompt": prompt}),
            Way::Run => {
                json!({"service": "llm", "input": {"model": model, "stream": stream, "prompt": prompt}})
            }
        }
    }

    /// Reads a whole response.
    pub(crate) fn read(self, answer: Answer) -> Told {
        let mut told = Told { took: answer.took, ..Told::default() };
        told.status = answer.status.as_u16();
        told.raw = answer.text();
        let content = answer.header("content-type").to_owned();
        told.headers = answer.headers;
        if content.starts_with("text/event-stream") {
            sse::events(&told.raw).iter().for_each(|event| self.hear(event, &mut told));
        } else {
            self.read_whole(&serde_json::from_str(&told.raw).unwrap_or(Value::Null), &mut told);
        }
        told
    }

    fn read_whole(self, body: &Value, told: &mut Told) {
        if !body["error"].is_null() {
            told.error = Some(body["error"].clone());
            return;
        }
        let (text, finish) = match self {
            Way::OpenAi => {
                let choice = &body["choices"][0];
                (&choice["message"]["content"], &choice["finish_reason"])
            }
            Way::Chat => (&body["text"], &body["finish"]),
            Way::Run => (&body["output"]["text"], &body["finish"]),
        };
        told.text = text.as_str().unwrap_or_default().to_owned();
        told.finish = finish.as_str().map(str::to_owned);
        told.done = told.finish.is_some();
    }

    /// Takes one event of a stream in.
    pub(crate) fn hear(self, event: &Event, told: &mut Told) {
        told.events += 1;
        if event.data == "[DONE]" {
            told.done = true;
            return;
        }
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
            if !event.data.is_empty() {
                told.nonsense.push(event.data.clone());
            }
            return;
        };
        if !data["error"].is_null() {
            told.error = Some(data["error"].clone());
            return;
        }
        if told.error.is_some() {
            told.nonsense.push(format!("after the error: {data}"));
        }
        let (text, finish) = match self {
            Way::OpenAi => {
                let choice = &data["choices"][0];
                told.usage |= data["usage"].is_object();
                (&choice["delta"]["content"], &choice["finish_reason"])
            }
            Way::Chat | Way::Run => {
                told.done |= data["done"] == true;
                (&data["text"], &data["finish"])
            }
        };
        told.text.push_str(text.as_str().unwrap_or_default());
        if let Some(finish) = finish.as_str() {
            told.finish = Some(finish.to_owned());
        }
    }
}

/// What a caller was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    /// The body as it came.
    pub(crate) raw: String,
    pub(crate) took: Duration,
    /// All text of the answer.
    pub(crate) text: String,
    pub(crate) finish: Option<String>,
    /// The dialect's own end was said.
    pub(crate) done: bool,
    /// A usage object came.
    pub(crate) usage: bool,
    /// The error, whole or as an event.
    pub(crate) error: Option<Value>,
    /// Events of a stream.
    pub(crate) events: usize,
    /// What no caller can read, or came where nothing may.
    pub(crate) nonsense: Vec<String>,
    /// See [`Told::trail`].
    pub(crate) steps: OnceLock<String>,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The trail without what resting targets rest from.
    pub(crate) fn trail(&self) -> &str {
        self.steps.get_or_init(|| {
            let told = self.header("x-unfail-trail");
            told.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect()
        })
    }

    /// A finished answer, and nothing else.
    pub(crate) fn is_complete(&self) -> bool {
        self.status == 200
            && self.done
            && self.error.is_none()
            && self.nonsense.is_empty()
            && self.finish.as_deref() == Some("stop")
            && !self.text.is_empty()
    }

    /// An answer that broke off and says so, and that nobody can take for a finished one.
    pub(crate) fn is_cut(&self) -> bool {
        let ends = ["[DONE]", "\"finish_reason\":\"", "\"finish\":\"", "\"done\":true"];
        self.status == 200
            && self.error.is_some()
            && !self.done
            && self.finish.is_none()
            && self.nonsense.is_empty()
            && !ends.iter().any(|end| self.raw.contains(end))
    }

    /// An error instead of an answer, in words and with this status.
    pub(crate) fn is_error(&self, status: u16) -> bool {
        let words = self.error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default();
        self.status == status && !words.is_empty() && self.text.is_empty() && !self.done
    }

    /// The error's machine-readable kind: `kind` of the plain dialects, `code` or `type` of the other.
    pub(crate) fn kind(&self) -> &str {
        let error = self.error.as_ref().unwrap_or(&Value::Null);
        ["kind", "code", "type"].into_iter().find_map(|name| error[name].as_str()).unwrap_or_default()
    }
}
