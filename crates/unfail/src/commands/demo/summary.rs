//! What the storm came to, in numbers: as a table for people and as JSON for programs.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use unfail_sim::{Call, End};

use super::cast::Cast;
use super::client::{Outcome, Reply};
use super::storm::Told;

/// How added latency is measured.
const ADDED: &str =
    "a request's latency minus the answering provider's own time for it, waits and hops included";

/// The numbers.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Requests sent; each is one of the next four.
    requests: usize,
    /// Complete answers.
    answers: usize,
    /// Streams that ended in an error event after content.
    cut: usize,
    /// Well-formed errors instead of an answer.
    failed: usize,
    /// Neither answer nor well-formed error.
    pub(super) lost: usize,
    upstream: Upstream,
    added_latency: Added,
    /// In the order of the chain.
    providers: Vec<ProviderSum>,
    phases: Vec<PhaseSum>,
    took_s: f64,
}

/// Calls that reached providers.
#[derive(Debug, Serialize)]
struct Upstream {
    /// As the providers counted them.
    calls: u64,
    /// As the endpoint told its callers.
    calls_told: u64,
    /// `calls` for each complete answer.
    calls_per_answer: f64,
    /// Moves to another provider within a request.
    hops: usize,
    /// Further calls to a provider the same request had called.
    retries: usize,
    /// Calls that brought no complete answer.
    wasted_calls: u64,
}

/// What the endpoint adds to an answer, in milliseconds.
#[derive(Debug, Serialize)]
struct Added {
    p50_ms: f64,
    p95_ms: f64,
    definition: &'static str,
}

#[derive(Debug, Serialize)]
struct ProviderSum {
    id: &'static str,
    wire: &'static str,
    /// Calls received.
    calls: usize,
    /// Calls it answered completely.
    answers: usize,
    /// The other ones.
    faults: usize,
}

#[derive(Debug, Serialize)]
struct PhaseSum {
    name: &'static str,
    requests: usize,
    answers: usize,
    cut: usize,
    failed: usize,
    /// Calls each provider counted.
    calls: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// Adds up what the callers saw and what the providers counted.
    pub(super) fn of(told: &Told, cast: &Cast) -> Self {
        let replies = &told.replies;
        let journals: Vec<Vec<Call>> = cast.actors.iter().map(|actor| actor.provider.calls()).collect();
        let answers = count(replies, Outcome::Answered);
        let (cut, failed) = (count(replies, Outcome::Cut), count(replies, Outcome::Failed));
        let calls: u64 = cast.counts().iter().sum();
        let (hops, retries) = moves(replies);
        let providers = cast.actors.iter().zip(&journals).map(|(actor, calls)| {
            let answers = calls.iter().filter(|call| is_answer(call)).count();
            let (id, wire) = (actor.id, actor.wire);
            ProviderSum { id, wire, calls: calls.len(), answers, faults: calls.len() - answers }
        });
        let phases = told.phases.iter().map(|phase| {
            let of: Vec<&Reply> = replies.iter().filter(|reply| reply.ask.phase == phase.phase).collect();
            let ids = cast.actors.iter().map(|actor| actor.id);
            PhaseSum {
                name: phase.phase,
                requests: of.len(),
                answers: count(of.iter().copied(), Outcome::Answered),
                cut: count(of.iter().copied(), Outcome::Cut),
                failed: count(of.iter().copied(), Outcome::Failed),
                calls: ids.zip(phase.counts.iter().copied()).collect(),
            }
        });
        Self {
            requests: told.asked,
            answers,
            cut,
            failed,
            lost: told.asked.saturating_sub(answers + cut + failed),
            upstream: Upstream {
                calls,
                calls_told: replies.iter().map(|reply| reply.found.calls).sum(),
                calls_per_answer: round(calls as f64 / answers.max(1) as f64),
                hops,
                retries,
                wasted_calls: calls.saturating_sub(answers as u64),
            },
            added_latency: Added::of(added(replies, &journals)),
            providers: providers.collect(),
            phases: phases.collect(),
            took_s: round(told.took.as_secs_f64()),
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let Self { upstream, added_latency: added, .. } = self;
        let mut text = format!("\nsummary of {:.1} s\n", self.took_s);
        let mut row = |name: &str, value: String, about: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", format!("  {name:<20} {value:>9}   {about}").trim_end());
        };
        row("requests", self.requests.to_string(), "");
        row("answers", self.answers.to_string(), "");
        row(
            "cut",
            self.cut.to_string(),
            "streams that broke after their first words, each ended in an error event",
        );
        row("failed", self.failed.to_string(), "clear errors instead of an answer");
        if self.lost > 0 {
            row(
                "LOST",
                self.lost.to_string(),
                "neither an answer nor a well-formed error: this must never be",
            );
        }
        row("upstream calls", upstream.calls.to_string(), "as the providers counted them");
        row("calls per answer", format!("{:.2}", upstream.calls_per_answer), "");
        row("hops", upstream.hops.to_string(), "moves to another provider within a request");
        row("retries", upstream.retries.to_string(), "further calls to a provider the request had called");
        row("wasted calls", upstream.wasted_calls.to_string(), "brought no complete answer");
        let (measure, scope) = ADDED.split_once(", ").unwrap_or((ADDED, ""));
        row("added latency p50", format!("{:.1} ms", added.p50_ms), measure);
        row("added latency p95", format!("{:.1} ms", added.p95_ms), scope);
        let _ = writeln!(
            text,
            "\n  {:<12} {:<12} {:>8} {:>8} {:>8}",
            "provider", "wire", "calls", "answers", "faults"
        );
        for ProviderSum { id, wire, calls, answers, faults } in &self.providers {
            let _ = writeln!(text, "  {id:<12} {wire:<12} {calls:>8} {answers:>8} {faults:>8}");
        }
        text
    }

    /// For programs: one object on one line.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl Added {
    fn of(mut lengths: Vec<Duration>) -> Self {
        lengths.sort_unstable();
        let at = |percent| round(percentile(&lengths, percent).as_secs_f64() * 1e3);
        Self { p50_ms: at(50), p95_ms: at(95), definition: ADDED }
    }
}

fn count<'r>(replies: impl IntoIterator<Item = &'r Reply>, outcome: Outcome) -> usize {
    replies.into_iter().filter(|reply| reply.outcome == outcome).count()
}

/// Hops and retries: calls to a provider that is new to the request, after its first, and the rest.
fn moves(replies: &[Reply]) -> (usize, usize) {
    let mut sums = (0, 0);
    for reply in replies {
        let mut called: Vec<&str> = Vec::new();
        for provider in reply.found.called() {
            match (called.contains(&provider), called.is_empty()) {
                (true, _) => sums.1 += 1,
                (false, true) => {}
                (false, false) => sums.0 += 1,
            }
            called.push(provider);
        }
    }
    sums
}

/// What each answered request took beyond the answering provider's own time.
fn added(replies: &[Reply], journals: &[Vec<Call>]) -> Vec<Duration> {
    let own = |reply: &Reply| {
        let mark = reply.ask.mark();
        let mut calls = journals.iter().flatten().filter(|call| is_answer(call));
        let call = calls.find(|call| call.body.to_string().contains(&mark))?;
        Some(call.ended?.saturating_sub(call.at))
    };
    let answered = replies.iter().filter(|reply| reply.outcome == Outcome::Answered);
    answered.filter_map(|reply| Some(reply.latency.saturating_sub(own(reply)?))).collect()
}

/// The provider answered, and sent all of it.
fn is_answer(call: &Call) -> bool {
    call.end == End::Sent && call.act.starts_with("answer")
}

/// The smallest of the sorted values that so many percent do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// To three digits behind the point.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::demo::client::{Ask, Found};

    fn reply(number: usize, trail: &str) -> Reply {
        Reply {
            ask: Ask { number, phase: "calm", stream: false, deadline: None },
            outcome: Outcome::Answered,
            status: Some(200),
            found: Found { trail: trail.to_owned(), ..Found::default() },
            first_token: None,
            latency: Duration::from_millis(150),
            words: String::new(),
        }
    }

    fn call(content: &str, act: &str, end: End) -> Call {
        Call {
            number: 1,
            connection: 1,
            method: "POST".to_owned(),
            path: String::new(),
            query: String::new(),
            headers: Vec::new(),
            body: serde_json::json!({ "content": content }),
            at: Duration::from_millis(1_000),
            act: act.to_owned(),
            status: Some(200),
            end,
            ended: Some(Duration::from_millis(1_140)),
        }
    }

    #[tokio::test]
    async fn a_request_without_a_well_formed_end_is_lost() {
        let cast = Cast::start().unwrap();
        let ended = |number, outcome| Reply { outcome, ..reply(number, "") };
        let outcomes = [Outcome::Answered, Outcome::Cut, Outcome::Failed, Outcome::Lost];
        let replies: Vec<Reply> = outcomes.into_iter().zip(1..).map(|(o, number)| ended(number, o)).collect();
        // The fifth request has no reply at all.
        for (asked, replies, lost) in [(5, replies.clone(), 2), (3, replies[..3].to_vec(), 0)] {
            let told = Told { asked, replies, phases: Vec::new(), took: Duration::from_secs(1) };
            let summary = Summary::of(&told, &cast);
            let Summary { requests, answers, cut, failed, .. } = summary;
            assert_eq!((requests, answers, cut, failed, summary.lost), (asked, 1, 1, 1, lost));
            assert_eq!(summary.table().contains("LOST"), lost > 0, "{}", summary.table());
        }
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let table: [(u64, usize, u64); 6] =
            [(0, 50, 0), (1, 50, 1), (1, 95, 1), (10, 50, 5), (20, 95, 19), (100, 95, 95)];
        for (count, percent, expected) in table {
            let sorted: Vec<Duration> = (1..=count).map(Duration::from_secs).collect();
            assert_eq!(percentile(&sorted, percent), Duration::from_secs(expected), "{count} {percent}");
        }
    }

    #[test]
    fn hops_and_retries_are_told_apart() {
        for (trail, expected) in [
            ("", (0, 0)),
            ("a:ok", (0, 0)),
            ("a:timeout,b:ok", (1, 0)),
            ("a:resting(limited),b:ok", (0, 0)),
            ("a:rate_limited,b:rate_limited,a:resting(limited),a:ok", (1, 1)),
            ("a:pre_send,a:ok", (0, 1)),
        ] {
            assert_eq!(moves(&[reply(1, trail)]), expected, "{trail}");
        }
    }

    #[test]
    fn added_latency_is_beyond_the_call_that_answered() {
        let replies = [reply(1, "a:ok"), reply(11, "a:ok")];
        let other = call("This is request 11 of the demo: hi", "answer:40:5", End::Sent);
        let broken = call("This is request 1 of the demo: hi", "answer:40:5", End::Broken);
        let refused = call("This is request 1 of the demo: hi", "overloaded", End::Sent);
        assert_eq!(added(&replies[..1], &[vec![other.clone(), broken, refused]]), []);
        let own = call("This is request 1 of the demo: hi", "answer:40:5", End::Sent);
        let both = [vec![other], vec![own]];
        assert_eq!(added(&replies, &both), [Duration::from_millis(10); 2]);
    }
}
