//! The live table: one row per request. On a terminal the requests under way stand below the finished ones and are
//! redrawn in place; anywhere else finished rows are appended and nothing is ever rewritten.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use unfail_sim::clock::Clock;

use super::client::{Ask, Outcome, Reply};
use crate::output::Sink;

// Control sequences of ECMA-48 and, for wrapping, of the VT100.
const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
/// A row that is redrawn is one line however narrow the terminal is: it is cut at the edge, so that the way back up
/// is known. A finished one stays and is shown in full.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const CLEAR_BELOW: &str = "\x1b[J";

/// The table.
pub(super) struct Board {
    sink: Sink,
    /// Redraws in place, with colours.
    live: bool,
    clock: Clock,
    /// Requests under way, and when they began.
    waiting: Vec<(Ask, Duration)>,
    /// The line below them.
    standing: String,
    /// Lines to be taken back before anything else is written.
    drawn: usize,
    /// Told when nobody reads any more.
    unread: Arc<Notify>,
}

impl Board {
    /// A table on `sink`; `plain`: nothing but text is wanted even on a terminal.
    pub(super) fn new(sink: Sink, plain: bool) -> Self {
        let live = sink.is_terminal() && !plain;
        let (clock, unread) = (Clock::start(), Arc::default());
        Self { sink, live, clock, waiting: Vec::new(), standing: String::new(), drawn: 0, unread }
    }

    /// Resolves when nobody reads any more: there is nobody left to show anything to.
    pub(super) fn unread(&self) -> impl Future<Output = ()> + use<> {
        let unread = self.unread.clone();
        async move { unread.notified().await }
    }

    /// Lines that stay.
    pub(super) fn say(&mut self, text: &str) {
        self.draw(&format!("{text}\n"));
    }

    /// A new phase begins.
    pub(super) fn phase(&mut self, title: &str, about: &str) {
        let title = self.paint(BOLD, title);
        let heading = self.paint(FAINT, &heading());
        self.say(&format!("\n{title}\n{about}\n{heading}"));
    }

    /// The line below the requests under way, while there are any.
    pub(super) fn stand(&mut self, text: String) {
        self.standing = text;
    }

    /// A request is under way.
    pub(super) fn started(&mut self, ask: Ask) {
        self.waiting.push((ask, self.clock.now()));
        self.tick();
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, reply: &Reply) {
        self.waiting.retain(|(ask, _)| ask.number != reply.ask.number);
        let colour = match reply.outcome {
            Outcome::Answered if reply.found.calls > 1 => YELLOW,
            Outcome::Answered => GREEN,
            Outcome::Cut | Outcome::Failed | Outcome::Lost => RED,
        };
        let row = cells(&reply.ask, &self.paint(colour, &format!("{:<10}", result(reply))), reply);
        self.say(row.trim_end());
    }

    /// Brings what is under way up to date.
    pub(super) fn tick(&mut self) {
        if self.live {
            self.draw("");
        }
    }

    fn draw(&mut self, lasting: &str) {
        let text = if self.live { self.frame(lasting) } else { lasting.to_owned() };
        if !self.sink.write(&text) {
            self.unread.notify_one();
        }
    }

    /// Takes back what was drawn of requests under way, writes the lasting lines, and draws them anew below.
    fn frame(&mut self, lasting: &str) -> String {
        let mut text = String::new();
        if self.drawn > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[{}A\r{CLEAR_BELOW}", self.drawn);
        }
        text.push_str(lasting);
        text.push_str(WRAP_OFF);
        let now = self.clock.now();
        for (ask, began) in &self.waiting {
            let _ = writeln!(text, "{}", self.paint(FAINT, &under_way(ask, now.saturating_sub(*began))));
        }
        self.drawn = self.waiting.len();
        if self.drawn > 0 {
            let _ = writeln!(text, "{}", self.paint(FAINT, &self.standing));
            self.drawn += 1;
        }
        text.push_str(WRAP_ON);
        text
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.live { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

fn heading() -> String {
    format!(
        "{:>4}  {:<10} {:<6} {:<10} {:<12} {:>5} {:>10} {:>10}  trail",
        "#", "phase", "wants", "result", "answered by", "calls", "first word", "end"
    )
}

/// A finished row; `result` is padded by the caller, who may have coloured it.
fn cells(ask: &Ask, result: &str, reply: &Reply) -> String {
    let provider = reply.found.provider().unwrap_or("-");
    let first = reply.first_token.map_or_else(|| "-".to_owned(), millis);
    let trail = trail(reply);
    format!(
        "{:>4}  {:<10} {:<6} {result} {provider:<12} {:>5} {first:>10} {:>10}  {trail}",
        ask.number,
        ask.phase,
        wants(ask),
        reply.found.calls,
        millis(reply.latency)
    )
}

/// What is asked for: an answer as it arrives, or a whole one.
fn wants(ask: &Ask) -> &'static str {
    if ask.stream { "stream" } else { "whole" }
}

/// How it was found, and what the headers could not tell.
fn trail(reply: &Reply) -> String {
    let trail = &reply.found.trail;
    match (reply.outcome, reply.found.retry_after_ms) {
        (Outcome::Lost, _) => reply.words.clone(),
        (Outcome::Cut, _) => format!("{trail}, then: {}", reply.words),
        (Outcome::Failed, Some(wait)) => format!("{trail}, come back in {wait} ms"),
        (Outcome::Answered | Outcome::Failed, _) => trail.clone(),
    }
}

fn under_way(ask: &Ask, since: Duration) -> String {
    format!("{:>4}  {:<10} {:<6} {:<40} {:>10}", ask.number, ask.phase, wants(ask), "…", millis(since))
}

/// In words, so that a colour is never the only thing that tells.
fn result(reply: &Reply) -> String {
    match (reply.outcome, reply.status) {
        (Outcome::Answered, _) => "ok".to_owned(),
        (Outcome::Cut, _) => "cut".to_owned(),
        (Outcome::Failed, Some(status)) => format!("error {status}"),
        (Outcome::Failed, None) => "error".to_owned(),
        (Outcome::Lost, _) => "LOST".to_owned(),
    }
}

fn millis(length: Duration) -> String {
    format!("{:.0} ms", length.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::demo::client::Found;

    fn reply(outcome: Outcome, status: Option<u16>, target: &str) -> Reply {
        Reply {
            ask: Ask { number: 7, phase: "calm", stream: true, deadline: None },
            outcome,
            status,
            found: Found {
                target: target.to_owned(),
                trail: "a:timeout,b:ok".to_owned(),
                calls: 2,
                retry_after_ms: (outcome == Outcome::Failed).then_some(900),
            },
            first_token: (outcome == Outcome::Answered).then(|| Duration::from_millis(1040)),
            latency: Duration::from_millis(1150),
            words: "nothing came".to_owned(),
        }
    }

    #[test]
    fn rows_say_in_words_how_it_ended() {
        let answered =
            "   7  calm       stream ok         b                2    1040 ms    1150 ms  a:timeout,b:ok";
        let cut = "   7  calm       stream cut        b                2          -    1150 ms  a:timeout,b:ok, \
                   then: nothing came";
        let failed = "   7  calm       stream error 429  -                2          -    1150 ms  a:timeout,b:ok, \
                      come back in 900 ms";
        let lost =
            "   7  calm       stream LOST       -                2          -    1150 ms  nothing came";
        for (reply, expected) in [
            (reply(Outcome::Answered, Some(200), "b/model"), answered),
            (reply(Outcome::Cut, Some(200), "b/model"), cut),
            (reply(Outcome::Failed, Some(429), ""), failed),
            (reply(Outcome::Lost, None, ""), lost),
        ] {
            let padded = format!("{:<10}", result(&reply));
            assert_eq!(cells(&reply.ask, &padded, &reply), expected);
        }
    }

    #[test]
    fn columns_stand_under_their_names() {
        let answered = reply(Outcome::Answered, None, "b/m");
        let row = cells(&answered.ask, "ok        ", &answered);
        let heading = heading();
        for (name, value) in
            [("phase", "calm"), ("wants", "stream"), ("result", "ok"), ("answered by", "b "), ("trail", "a:")]
        {
            assert_eq!(heading.find(name), row.find(value), "{name}");
        }
        assert_eq!(heading.find("end").unwrap() + 3, row.find("1150 ms").unwrap() + 7);
        let waiting = under_way(&answered.ask, Duration::from_millis(30));
        assert_eq!(waiting.chars().count(), heading.find("  trail").unwrap());
    }

    /// What a terminal shows after a frame: enough of one to know lines, the cursor going up, and clearing below.
    fn show(screen: &mut Vec<String>, frame: &str) {
        let mut rest = frame;
        while let Some((text, after)) = rest.split_once('\x1b') {
            put(screen, text);
            let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap();
            let (code, after) = after.split_at(end);
            if after.starts_with('A') {
                let up: usize = code.trim_start_matches('[').parse().unwrap();
                let left = screen.len() - 1 - up;
                screen.truncate(left);
                screen.push(String::new());
            }
            rest = after.split_at(1).1;
        }
        put(screen, rest);
    }

    fn put(screen: &mut Vec<String>, text: &str) {
        let mut lines = text.split('\n');
        let open = screen.last_mut().unwrap();
        open.push_str(lines.next().unwrap().trim_start_matches('\r'));
        screen.extend(lines.map(str::to_owned));
    }

    #[test]
    fn a_finished_row_is_never_cut_on_a_terminal() {
        let mut board = Board::new(Sink::Err, false);
        board.live = true;
        board.waiting.push((reply(Outcome::Lost, None, "").ask, Duration::ZERO));
        let frame = board.frame("a long row\n");
        let (before, after) = frame.split_once("a long row\n").unwrap();
        assert!(
            !before.contains(WRAP_OFF) && after.starts_with(WRAP_OFF) && after.ends_with(WRAP_ON),
            "{frame:?}"
        );
    }

    #[test]
    fn on_a_terminal_finished_rows_stay_and_the_others_are_redrawn() {
        let mut board = Board::new(Sink::Err, false);
        board.live = true;
        let ask = |number| Ask { number, ..reply(Outcome::Lost, None, "").ask };
        let mut screen = vec![String::new()];
        let numbers = |screen: &[String]| -> Vec<String> {
            let first = |line: &String| line.split_whitespace().next().map(str::to_owned);
            screen.iter().filter_map(first).collect()
        };
        board.standing = "sum".to_owned();
        for number in [1, 2, 3] {
            board.waiting.push((ask(number), Duration::ZERO));
            let frame = board.frame("");
            show(&mut screen, &frame);
        }
        assert_eq!(numbers(&screen), ["1", "2", "3", "sum"]);
        for (number, expected) in
            [(2, vec!["2", "1", "3", "sum"]), (1, vec!["2", "1", "3", "sum"]), (3, vec!["2", "1", "3"])]
        {
            board.waiting.retain(|(ask, _)| ask.number != number);
            let frame = board.frame(&format!("{number} done\n"));
            show(&mut screen, &frame);
            assert_eq!(numbers(&screen), expected);
            assert!(screen.iter().any(|line| *line == format!("{number} done")));
        }
    }
}
