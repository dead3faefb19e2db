//! The upstream: every POST is a chat completion, complete or streamed.
//!
//! Spends as little as a real HTTP server can; never looks at more of a request than whether it asks for a stream.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};

/// Content events in one stream.
const CHUNKS: u32 = 64;
/// Time between two of them: 200 tokens per second, a fast model.
const PACE: Duration = Duration::from_millis(5);
/// Words of the complete answer, which make its body about 1.2 kB.
const WORDS: usize = 150;

/// Serves until the process is ended.
pub(crate) fn run(port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        println!("listening on http://{}", listener.local_addr()?);
        serve(listener).await
    })
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let answer = Bytes::from(answer());
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        connections.spawn(converse(socket, answer.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, as long as the peer keeps it.
async fn converse(socket: TcpStream, answer: Bytes) {
    let service = service_fn(move |request| reply(request, answer.clone()));
    let mut server = hyper::server::conn::http1::Builder::new();
    let connection = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service);
    // A peer that goes away in the middle is how every run ends.
    drop(connection.await);
}

type Reply = Response<Either<Full<Bytes>, Paced>>;

async fn reply(request: Request<Incoming>, answer: Bytes) -> Result<Reply, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let stream = std::str::from_utf8(&body)
        .is_ok_and(|text| text.contains("\"stream\":true") || text.contains("\"stream\": true"));
    if !stream {
        let mut reply = Response::new(Either::Left(Full::new(answer)));
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(reply);
    }
    let mut reply = Response::new(Either::Right(Paced::new()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Tells nginx to pass this one answer on unbuffered, as streaming services do.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(reply)
}

/// A complete answer.
fn answer() -> String {
    let text = ["answer"; WORDS].join(" ");
    serde_json::json!({
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "bench-model",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text },
            "finish_reason": "stop",
        }],
        "usage": { "prompt_tokens": 400, "completion_tokens": WORDS, "total_tokens": 400 + WORDS },
    })
    .to_string()
}

/// One event of a streamed answer.
fn event(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"bench-model\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// A streamed answer: the first event at once, the others [`PACE`] apart, the end with the last.
struct Paced {
    sent: u32,
    due: Pin<Box<Sleep>>,
}

impl Paced {
    fn new() -> Self {
        Self { sent: 0, due: Box::pin(sleep_until(Instant::now())) }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == CHUNKS {
            return Poll::Ready(None);
        }
        if self.sent > 0 && self.due.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.sent += 1;
        let next = self.due.deadline() + PACE;
        self.due.as_mut().reset(next);
        let mut text = event("{\"content\":\"word \"}", "null");
        if self.sent == CHUNKS {
            text.push_str(&event("{}", "\"stop\""));
            text.push_str("data: [DONE]\n\n");
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNKS, Paced, answer};
    use http_body_util::BodyExt as _;

    #[test]
    fn the_answer_has_the_size_of_a_real_one() {
        assert!((1_200..1_400).contains(&answer().len()), "{}", answer().len());
    }

    #[tokio::test]
    async fn a_stream_is_complete_and_paced() {
        let start = std::time::Instant::now();
        let body = Paced::new().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text.matches("data: ").count(), CHUNKS as usize + 2);
        assert!(text.ends_with("data: [DONE]\n\n"));
        assert!(start.elapsed() >= super::PACE * (CHUNKS - 1));
    }
}
