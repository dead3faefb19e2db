//! Turns an act into the exact steps to take on the socket. Pure: it waits for nothing and writes nothing.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::act::{Act, Break, Fault, Odd, Pace, Refusal};
use crate::brain::{self, Shape, Wish};
use crate::clock::http_date;
use crate::flavour::{Header, Told, gauge_headers, header};
use crate::limit::Gauge;
use crate::speak::voice::{Ask, Delivery, Frame, Piece, Plain, Scene, Voice};

/// Put behind a text that is written byte by byte, so that splits fall inside letters of two to four bytes and
/// inside joined ones.
const MANY_LANGUAGES: &str = " · naïve façade, 日本語のテキスト, Привет, 🦀 and 👩‍👩‍👧‍👦";

/// What a provider says of its limit when it keeps none.
const ROOMY: Gauge = Gauge { limit: 10_000, remaining: 9_999, reset: Duration::from_millis(6) };

/// One thing to do on a connection. When the steps are over the connection is kept for the next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Write(Vec<u8>),
    Pause(Duration),
    /// Nothing more until the client leaves.
    Hang,
    /// End the connection here.
    Cut,
    /// End it with a reset.
    Reset,
    /// End it when it has been idle this long; the answer is complete.
    CloseWhenIdle(Duration),
    /// End it with a reset when the next request arrives; the answer is complete.
    CloseOnNextRequest,
}

/// The steps for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Performance {
    /// Status that is answered; none when the connection ends without one.
    pub(crate) status: Option<u16>,
    pub(crate) steps: Vec<Step>,
}

/// Everything an act is performed with.
pub(crate) struct Cast<'a> {
    pub(crate) voice: &'static dyn Voice,
    pub(crate) ask: &'a Ask,
    pub(crate) scene: &'a Scene<'a>,
    /// Name the model speaks under.
    pub(crate) name: &'a str,
    /// What the limiter says, where one is kept.
    pub(crate) gauge: Option<Gauge>,
    /// The client takes gzip.
    pub(crate) gzip: bool,
}

/// A part of a body, and the time to wait before it.
struct Part {
    piece: Piece,
    wait: Duration,
    bytes: Vec<u8>,
}

/// A response on its way from what it should be to what the act makes of it.
struct Message {
    status: u16,
    headers: Vec<Header>,
    parts: Vec<Part>,
    /// The length its head declares; chunked when none.
    length: Option<usize>,
    /// Before the head.
    wait: Duration,
    /// Instead of keeping the connection.
    ending: Option<Step>,
}

impl Message {
    fn whole(plain: Plain) -> Self {
        let Plain { status, headers, body } = plain;
        let length = Some(body.len());
        let parts = vec![Part { piece: Piece::Token, wait: Duration::ZERO, bytes: body }];
        Message { status, headers, parts, length, wait: Duration::ZERO, ending: None }
    }

    fn streamed(headers: Vec<Header>, frames: Vec<Frame>) -> Self {
        let parts =
            frames.into_iter().map(|Frame { piece, bytes }| Part { piece, wait: Duration::ZERO, bytes });
        Message {
            status: 200,
            headers,
            parts: parts.collect(),
            length: None,
            wait: Duration::ZERO,
            ending: None,
        }
    }

    /// Where the stream stands after so many tokens, when it is about to go on with more than structure.
    fn after(&self, tokens: usize) -> usize {
        let mut seen = 0;
        for (at, part) in self.parts.iter().enumerate() {
            if seen == tokens && part.piece != Piece::Open {
                return at;
            }
            seen += usize::from(part.piece == Piece::Token);
        }
        self.parts.len()
    }

    /// Leaves the first half of a body that is one part.
    fn halve(&mut self) {
        for part in &mut self.parts {
            part.bytes.truncate(part.bytes.len() / 2);
        }
    }

    /// Declares the length it really has.
    fn measure(&mut self) {
        if self.length.is_some() {
            self.length = Some(self.parts.iter().map(|part| part.bytes.len()).sum());
        }
    }

    fn steps(self) -> Performance {
        let Message { status, headers, parts, length, wait, ending } = self;
        let mut steps = vec![Step::Pause(wait), Step::Write(head(status, &headers, length))];
        let complete = !matches!(ending, Some(Step::Cut | Step::Hang | Step::Reset));
        for part in parts.into_iter().filter(|part| !part.bytes.is_empty()) {
            steps.push(Step::Pause(part.wait));
            steps.push(Step::Write(if length.is_some() { part.bytes } else { chunk(&part.bytes) }));
        }
        if complete && length.is_none() {
            steps.push(Step::Write(b"0\r\n\r\n".to_vec()));
        }
        steps.extend(ending);
        steps.retain(|step| *step != Step::Pause(Duration::ZERO));
        Performance { status: Some(status), steps }
    }
}

fn head(status: u16, headers: &[Header], length: Option<usize>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    match length {
        Some(length) => text.push_str(&format!("content-length: {length}\r\n\r\n")),
        None => text.push_str("transfer-encoding: chunked\r\n\r\n"),
    }
    text.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut made = format!("{:x}\r\n", bytes.len()).into_bytes();
    made.extend_from_slice(bytes);
    made.extend_from_slice(b"\r\n");
    made
}

/// The steps of a response that is sent as it is.
pub(crate) fn plainly(plain: Plain, cast_headers: Vec<Header>, wall: Duration) -> Performance {
    Message::whole(plain.with(cast_headers).with([header("date", http_date(wall))])).steps()
}

/// The steps of an act.
pub(crate) fn perform(act: &Act, cast: &Cast<'_>) -> Performance {
    let (mut act, mut delay, mut say) = (act, Duration::ZERO, None);
    loop {
        match act {
            Act::Delay(span, inner) => (act, delay) = (inner, delay + *span),
            Act::Say(words, inner) => (act, say) = (inner, Some(words.clone())),
            _ => break,
        }
    }
    let mut performance = match act {
        Act::Break(Break::ResetBeforeHeaders) => Performance { status: None, steps: vec![Step::Reset] },
        Act::Break(Break::HangBeforeHeaders) => Performance { status: None, steps: vec![Step::Hang] },
        _ => cast.message(act, say).steps(),
    };
    if !delay.is_zero() {
        performance.steps.insert(0, Step::Pause(delay));
    }
    performance
}

/// The steps of a 429 for a limit that was exceeded.
pub(crate) fn limited(told: &Told, cast: &Cast<'_>) -> Performance {
    cast.sent(cast.voice.limited(told, cast.ask, cast.scene)).steps()
}

impl Cast<'_> {
    fn message(&self, act: &Act, say: Option<String>) -> Message {
        let wish = Wish { say, name: self.name.to_owned(), ..Wish::default() };
        match act {
            Act::Answer(pace) => self.paced(*pace, wish),
            Act::Status { status, headers, body } => {
                let (headers, body) = (headers.clone(), body.clone().into_bytes());
                self.sent(Plain { status: *status, headers, body })
            }
            Act::RateLimited(hint) => {
                self.sent(self.voice.limited(&Told::scripted(*hint), self.ask, self.scene))
            }
            Act::Refuse(refusal) => self.refused(*refusal, wish),
            Act::Break(fault) => self.broken(*fault, wish),
            Act::Odd(odd) => self.odd(*odd, wish),
            Act::Fault(fault) => self.faulty(*fault, wish),
            // Both were unwrapped before; what is in them is performed.
            Act::Delay(_, inner) | Act::Say(_, inner) => self.message(inner, wish.say),
        }
    }

    fn sent(&self, plain: Plain) -> Message {
        let common = self.voice.headers(self.scene);
        Message::whole(plain.with(common).with([header("date", http_date(self.scene.wall))]))
    }

    /// A normal answer.
    fn answer(&self, wish: &Wish) -> Message {
        let reply = brain::reply(&self.ask.prompt, wish);
        let gauge = self.gauge.unwrap_or(ROOMY);
        let limits = gauge_headers(self.scene.flavour.limits, gauge, self.scene.wall, false);
        if self.ask.delivery == Delivery::Whole {
            let body = self.voice.answer(self.ask, &reply, self.scene);
            return self.sent(Plain::json(200, &body).with(limits));
        }
        let content = match self.ask.delivery {
            Delivery::Events => "text/event-stream; charset=utf-8",
            Delivery::Array | Delivery::Whole => "application/json; charset=UTF-8",
        };
        let mut headers = vec![header("content-type", content), header("cache-control", "no-cache")];
        headers.push(header("date", http_date(self.scene.wall)));
        headers.extend(self.voice.headers(self.scene));
        headers.extend(limits);
        Message::streamed(headers, self.voice.frames(self.ask, &reply, self.scene))
    }

    fn paced(&self, pace: Pace, wish: Wish) -> Message {
        let mut message = self.answer(&wish);
        message.wait = pace.first;
        if self.ask.delivery == Delivery::Whole {
            message.wait += pace.each * brain::reply(&self.ask.prompt, &wish).usage.output;
            return message;
        }
        for part in message.parts.iter_mut().filter(|part| part.piece == Piece::Token) {
            part.wait = pace.each;
        }
        message
    }

    fn refused(&self, refusal: Refusal, wish: Wish) -> Message {
        match self.voice.refuse(refusal, self.ask, self.scene) {
            Some(plain) => self.sent(plain),
            None => self.answer(&Wish { shape: Shape::Blocked, ..wish }),
        }
    }

    fn broken(&self, fault: Break, wish: Wish) -> Message {
        let mut message = self.answer(&wish);
        message.ending = Some(match fault {
            Break::ResetBeforeHeaders => Step::Reset,
            Break::HangBeforeHeaders => Step::Hang,
            Break::CloseWhenIdle(span) => Step::CloseWhenIdle(span),
            Break::CloseOnNextRequest => Step::CloseOnNextRequest,
            Break::HangAfterHeaders => {
                message.parts.clear();
                Step::Hang
            }
        });
        message
    }

    fn odd(&self, odd: Odd, wish: Wish) -> Message {
        match odd {
            Odd::ErrorUnder200 => self.error_under_200(&wish),
            Odd::EmptyChoices => self.answer(&Wish { shape: Shape::Empty, ..wish }),
            Odd::Declined => self.answer(&Wish { shape: Shape::Declined, ..wish }),
            Odd::BigBody(bytes) => self.answer(&Wish { bytes_min: bytes, ..wish }),
            Odd::InvalidJson => {
                let mut message = self.answer(&wish);
                if self.ask.delivery == Delivery::Whole {
                    message.halve();
                    message.measure();
                } else {
                    message.parts = vec![self.garbled(true)];
                }
                message
            }
            Odd::WrongContentType => {
                let mut message = self.answer(&wish);
                for (name, value) in &mut message.headers {
                    if name == "content-type" {
                        "text/html".clone_into(value);
                    }
                }
                message
            }
            Odd::Gzip { forced } if forced || self.gzip => zipped(self.answer(&wish)),
            Odd::Gzip { .. } => self.answer(&wish),
        }
    }

    fn error_under_200(&self, wish: &Wish) -> Message {
        if self.ask.delivery != Delivery::Whole {
            let mut message = self.answer(wish);
            let bytes = self.voice.error_frame(self.ask, self.scene, true);
            message.parts = vec![Part { piece: Piece::Close, wait: Duration::ZERO, bytes }];
            return message;
        }
        let plain = self.voice.refuse(Refusal::Unavailable, self.ask, self.scene);
        // Every wire has an error for this refusal; an empty body would be an error as well.
        let Plain { headers, body, .. } =
            plain.unwrap_or(Plain { status: 200, headers: Vec::new(), body: Vec::new() });
        self.sent(Plain { status: 200, headers, body })
    }

    fn garbled(&self, first: bool) -> Part {
        let bytes = self.voice.malformed_frame(self.ask, first);
        Part { piece: Piece::Open, wait: Duration::ZERO, bytes }
    }

    fn faulty(&self, fault: Fault, wish: Wish) -> Message {
        // One token more than is delivered, so that the answer is never complete when the fault comes.
        let tokens_min = match fault {
            Fault::CutAfter(n)
            | Fault::EndAfter(n)
            | Fault::StallAfter(n)
            | Fault::MalformedAfter(n)
            | Fault::ErrorAfter(n) => n + 1,
            _ => 0,
        };
        let flourish = if fault == Fault::EveryByte { MANY_LANGUAGES } else { "" };
        let wish = Wish { tokens_min, flourish, ..wish };
        let mut message = self.answer(&wish);
        match fault {
            Fault::EveryByte => return split(message, 1, Duration::ZERO),
            Fault::SlowDrip { bytes, every } => return split(message, bytes.max(1), every),
            Fault::NoDone => message.parts.retain(|part| part.piece != Piece::End),
            _ if self.ask.delivery == Delivery::Whole => self.fault_whole(fault, &wish, &mut message),
            _ => self.fault_stream(fault, &mut message),
        }
        message
    }

    /// A body that is no stream has no tokens to count: half of it is delivered.
    fn fault_whole(&self, fault: Fault, wish: &Wish, message: &mut Message) {
        match fault {
            Fault::ErrorAfter(_) => *message = self.error_under_200(wish),
            Fault::CutBeforeFirst => {
                message.parts.clear();
                message.ending = Some(Step::Cut);
            }
            _ => message.halve(),
        }
        match fault {
            Fault::CutAfter(_) => message.ending = Some(Step::Cut),
            Fault::StallAfter(_) => message.ending = Some(Step::Hang),
            Fault::EndAfter(_) | Fault::MalformedAfter(_) => message.measure(),
            _ => {}
        }
    }

    fn fault_stream(&self, fault: Fault, message: &mut Message) {
        let tokens = match fault {
            Fault::CutAfter(n)
            | Fault::EndAfter(n)
            | Fault::StallAfter(n)
            | Fault::MalformedAfter(n)
            | Fault::ErrorAfter(n) => n,
            _ => 0,
        };
        let at = message.after(tokens);
        if let Fault::MalformedAfter(_) = fault {
            message.parts.insert(at, self.garbled(at == 0));
            return;
        }
        message.parts.truncate(at);
        match fault {
            Fault::StallAfter(_) => message.ending = Some(Step::Hang),
            Fault::CutAfter(_) | Fault::CutBeforeFirst => message.ending = Some(Step::Cut),
            Fault::ErrorAfter(_) => {
                let bytes = self.voice.error_frame(self.ask, self.scene, at == 0);
                message.parts.push(Part { piece: Piece::Close, wait: Duration::ZERO, bytes });
            }
            _ => {}
        }
    }
}

/// Cuts all parts into writes of so many bytes.
fn split(mut message: Message, size: usize, every: Duration) -> Message {
    let bytes: Vec<u8> = message.parts.iter().flat_map(|part| part.bytes.iter().copied()).collect();
    let part = |bytes: &[u8]| Part { piece: Piece::Token, wait: every, bytes: bytes.to_vec() };
    message.parts = bytes.chunks(size).map(part).collect();
    message
}

/// Compresses all parts as one gzip stream, each flushed so that it can be read when it arrives.
fn zipped(mut message: Message) -> Message {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for part in &mut message.parts {
        // Writing to memory does not fail.
        encoder.write_all(&part.bytes).and_then(|()| encoder.flush()).ok();
        part.bytes = std::mem::take(encoder.get_mut());
    }
    let bytes = encoder.finish().unwrap_or_default();
    message.parts.push(Part { piece: Piece::End, wait: Duration::ZERO, bytes });
    message.headers.push(header("content-encoding", "gzip"));
    message.measure();
    message
}
