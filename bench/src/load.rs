//! The callers: as fast as they can, at a fixed rate, or reading streams.
//!
//! One thread sends and reads, so that the proxy has the rest of the machine. At a fixed rate latency counts from
//! the moment a request was due, so that a slow answer cannot hide the requests that waited behind it.

use crate::response::Response;
use bytes::BytesMut;
use hdrhistogram::Histogram;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Characters of the user's message, which make the body about 1.7 kB.
const PROMPT: usize = 1_600;
/// Longest latency the histogram tells apart, in µs.
const LONGEST: u64 = 60_000_000;
/// Time between the first streams of two connections, so that they do not all begin at once.
const STAGGER: Duration = Duration::from_millis(5);
/// Rest after a failed request, so that a dead peer is not hammered.
const REST: Duration = Duration::from_millis(1);

/// What to send where.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Address of the server.
    #[arg(long)]
    address: SocketAddr,
    /// Seconds to send.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Connections in use at once (where no rate is given).
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests per second, sent when due whether or not earlier ones were answered.
    #[arg(long)]
    rate: Option<u32>,
    /// Ask for streamed answers.
    #[arg(long)]
    stream: bool,
    /// Model to ask for.
    #[arg(long, default_value = "bench")]
    model: String,
}

/// Sends as asked; returns the report as JSON.
///
/// # Errors
/// When no request was answered.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let start = Instant::now();
    let tally = runtime.block_on(async {
        match options.rate {
            None => closed(options).await,
            Some(rate) => open(options, rate).await,
        }
    })?;
    if tally.answers == 0 {
        return Err(format!("no answer from {}: {}", options.address, tally.why));
    }
    Ok(tally.report(start.elapsed()))
}

/// The request's bytes, head and body.
fn request(options: &Options) -> Arc<[u8]> {
    let mut body = serde_json::json!({
        "model": options.model,
        "messages": [
            { "role": "system", "content": "Answer briefly." },
            { "role": "user", "content": "word ".repeat(PROMPT / 5) },
        ],
    });
    if let (true, Some(members)) = (options.stream, body.as_object_mut()) {
        members.insert("stream".to_owned(), true.into());
    }
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         accept: */*\r\ncontent-length: {}\r\n\r\n",
        options.address,
        body.len()
    );
    Arc::from(format!("{head}{body}").into_bytes())
}

/// What came back.
#[derive(Debug)]
struct Tally {
    answers: u64,
    errors: u64,
    events: u64,
    latency: Histogram<u64>,
    first: Histogram<u64>,
    why: String,
}

impl Tally {
    fn new() -> Result<Self, String> {
        let histogram = || Histogram::new_with_max(LONGEST, 3).map_err(|error| error.to_string());
        Ok(Self {
            answers: 0,
            errors: 0,
            events: 0,
            latency: histogram()?,
            first: histogram()?,
            why: "nothing was sent".to_owned(),
        })
    }

    fn record(&mut self, exchange: Result<Exchange, String>) {
        match exchange {
            Ok(exchange) if exchange.status == 200 => {
                self.answers += 1;
                self.events += exchange.events;
                self.latency.saturating_record(micros(exchange.whole));
                self.first.saturating_record(micros(exchange.first));
            }
            Ok(exchange) => self.error(format!("status {}", exchange.status)),
            Err(why) => self.error(why),
        }
    }

    fn error(&mut self, why: String) {
        self.errors += 1;
        self.why = why;
    }

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        self.answers += other.answers;
        self.errors += other.errors;
        self.events += other.events;
        self.why.clone_from(&other.why);
        self.latency.add(&other.latency).map_err(|error| error.to_string())?;
        self.first.add(&other.first).map_err(|error| error.to_string())
    }

    fn report(&self, elapsed: Duration) -> String {
        let quantiles = |histogram: &Histogram<u64>| {
            let at = |quantile| histogram.value_at_quantile(quantile);
            serde_json::json!({ "p50": at(0.5), "p99": at(0.99), "max": histogram.max() })
        };
        serde_json::json!({
            "seconds": elapsed.as_secs_f64(),
            "answers": self.answers,
            "errors": self.errors,
            "events": self.events,
            "latency_us": quantiles(&self.latency),
            "first_us": quantiles(&self.first),
        })
        .to_string()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One request and its answer.
#[derive(Debug)]
struct Exchange {
    status: u16,
    events: u64,
    /// From the moment it was due to the first event (or byte, where there are no events).
    first: Duration,
    /// From the moment it was due to the last byte.
    whole: Duration,
}

/// A connection that is kept between requests and made anew after a failure.
struct Caller {
    address: SocketAddr,
    request: Arc<[u8]>,
    socket: Option<TcpStream>,
}

impl Caller {
    fn new(options: &Options, request: &Arc<[u8]>) -> Self {
        Self { address: options.address, request: request.clone(), socket: None }
    }

    async fn call(&mut self, due: Instant) -> Result<Exchange, String> {
        let result = self.exchange(due).await;
        if result.is_err() {
            self.socket = None;
            tokio::time::sleep(REST).await;
        }
        result
    }

    async fn exchange(&mut self, due: Instant) -> Result<Exchange, String> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            empty => {
                let socket = said(TcpStream::connect(self.address).await)?;
                said(socket.set_nodelay(true))?;
                empty.insert(socket)
            }
        };
        said(socket.write_all(&self.request).await)?;
        let mut response = Response::new();
        let mut bytes = BytesMut::with_capacity(8 * 1024);
        let mut first = None;
        loop {
            if said(socket.read_buf(&mut bytes).await)? == 0 {
                return Err("the connection was closed in the middle of an answer".to_owned());
            }
            let done = response.feed(&mut bytes)?;
            if first.is_none() && (response.events > 0 || done) {
                first = Some(due.elapsed());
            }
            if done {
                let whole = due.elapsed();
                let first = first.unwrap_or(whole);
                return Ok(Exchange { status: response.status, events: response.events, first, whole });
            }
        }
    }
}

fn said<T>(result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// Every connection sends its next request when the last one is answered.
async fn closed(options: &Options) -> Result<Tally, String> {
    let request = request(options);
    let end = Instant::now() + Duration::from_secs_f64(options.seconds);
    let mut callers = JoinSet::new();
    let mut wait = Duration::ZERO;
    for _ in 0..options.connections {
        let mut caller = Caller::new(options, &request);
        let mut tally = Tally::new()?;
        callers.spawn(async move {
            tokio::time::sleep(wait).await;
            while Instant::now() < end {
                tally.record(caller.call(Instant::now()).await);
            }
            tally
        });
        wait += if options.stream { STAGGER } else { Duration::ZERO };
    }
    let mut total = Tally::new()?;
    while let Some(tally) = joined(callers.join_next()).await? {
        total.merge(&tally)?;
    }
    Ok(total)
}

/// Requests are sent when they are due, on a connection of their own if all others are busy.
async fn open(options: &Options, rate: u32) -> Result<Tally, String> {
    let request = request(options);
    let mut due = pace(Duration::from_secs_f64(options.seconds), rate);
    let mut total = Tally::new()?;
    let mut idle: Vec<Caller> = Vec::new();
    let mut busy = JoinSet::new();
    let mut sending = true;
    while sending || !busy.is_empty() {
        tokio::select! {
            next = due.recv(), if sending => match next {
                None => sending = false,
                Some(due) => {
                    let mut caller = idle.pop().unwrap_or_else(|| Caller::new(options, &request));
                    busy.spawn(async move { (caller.call(due).await, caller) });
                }
            },
            done = joined(busy.join_next()), if !busy.is_empty() => {
                if let Some((exchange, caller)) = done? {
                    total.record(exchange);
                    idle.push(caller);
                }
            }
        }
    }
    Ok(total)
}

async fn joined<T>(
    next: impl Future<Output = Option<Result<T, tokio::task::JoinError>>>,
) -> Result<Option<T>, String> {
    next.await.transpose().map_err(|error| error.to_string())
}

/// Tells when each request is due. A thread of its own, because the runtime's timer only knows milliseconds.
fn pace(time: Duration, rate: u32) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let step = Duration::from_secs(1) / rate.max(1);
    std::thread::spawn(move || {
        let start = Instant::now();
        let mut due = start;
        while due - start < time {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                return;
            }
            due += step;
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Options, Tally, open, request};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn options(address: std::net::SocketAddr, stream: bool) -> Options {
        Options { address, seconds: 0.2, connections: 2, rate: None, stream, model: "m".to_owned() }
    }

    #[test]
    fn the_request_is_one_of_a_chat() {
        let options = options("127.0.0.1:80".parse().unwrap(), true);
        let bytes = request(&options);
        let text = std::str::from_utf8(&bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!((1_600..1_800).contains(&body.len()), "{}", body.len());
        assert!(body.contains("\"stream\":true"));
    }

    #[test]
    fn only_good_answers_have_a_latency() {
        let exchange = |status| Exchange {
            status,
            events: 3,
            first: Duration::from_millis(1),
            whole: Duration::from_millis(2),
        };
        let mut tally = Tally::new().unwrap();
        tally.record(Ok(exchange(200)));
        tally.record(Ok(exchange(502)));
        tally.record(Err("reset".to_owned()));
        assert_eq!((tally.answers, tally.errors, tally.events, tally.latency.len()), (1, 2, 3, 1));
        let report: serde_json::Value = serde_json::from_str(&tally.report(Duration::from_secs(1))).unwrap();
        assert!((1_990..=2_010).contains(&report["latency_us"]["p50"].as_u64().unwrap()));
    }

    /// A server that answers the first request late must not slow the sending of the others.
    #[tokio::test]
    async fn an_open_loop_does_not_wait() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = options(listener.local_addr().unwrap(), false);
        let mut connections = tokio::task::JoinSet::new();
        let server = async {
            for index in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut buffer = [0; 4096];
                    while socket.read(&mut buffer).await.unwrap_or(0) > 0 {
                        if index == 0 {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                        drop(socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx").await);
                    }
                });
            }
        };
        let tally = tokio::select! {
            tally = open(&options, 100) => tally.unwrap(),
            () = server => return,
        };
        assert_eq!((tally.answers, tally.errors), (20, 0));
        assert!(tally.latency.value_at_quantile(0.5) < 50_000, "one slow answer is not the median");
    }
}
