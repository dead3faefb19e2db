//! What a request goes through, written down: one line per story.
//!
//! A chain is a list of names; `/k1` gives a target the credential 1 (else its own), `/w8` a window of 8 tokens,
//! `/no` forbids it. A script says what each target does, call by call (the last one repeats); a number after a
//! word is the wait it states in seconds. `A=10` closes A for the first ten seconds. Every call takes 0.1 s but
//! those that time out. Expected: the calls and waits in order, then the verdict, its `retry-after` in brackets.

use crate::attempt::{Made, fault, made_plan};
use crate::{Middle, at, secs};
use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;
use unfail_policy::attempt::{
    Answer, Attempt, EntryResult, Gates, Limits, OnRefusal, Outcome, Rules, Step, Verdict, Why,
};
use unfail_policy::classify::{Blame, Class, Close, Fault, SameTarget};
use unfail_policy::time::Time;

struct Story {
    chain: &'static str,
    script: &'static str,
    rules: Rules,
    expect: &'static str,
}

fn rules(change: fn(&mut Rules)) -> Rules {
    let mut rules = Rules { deadline: secs(30.0), ..Rules::default() };
    change(&mut rules);
    rules
}

fn stories(table: &[(&'static str, &'static str, &'static str)], change: fn(&mut Rules)) {
    for &(chain, script, expect) in table {
        let story = Story { chain, script, rules: rules(change), expect };
        assert_eq!(told(&story), story.expect, "{chain} | {script}");
    }
}

#[test]
fn the_next_target_is_called_at_once() {
    stories(
        &[
            ("A B C", "A:ok", "A =A"),
            ("A B C", "A:rate2 B:ok", "A B =B"),
            ("A B C", "A:rate B:ok", "A B =B"),
            ("A B C", "A:over B:ok", "A B =B"),
            ("A B C", "A:500 B:ok", "A B =B"),
            ("A B C", "A:down B:ok", "A B =B"),
            ("A B C", "A:malformed B:ok", "A B =B"),
            ("A B C", "A:config B:timeout C:ok", "A B C =C"),
            ("A B C", "A:auth B:quota C:ok", "A B C =C"),
            ("A B C", "A:day B:huge C:ok", "A B C =C"),
            ("A B C", "A=10 B:ok", "B =B"),
            ("A B C", "A=10 B=10 C:ok", "C =C"),
            ("A/no B", "B:ok", "B =B"),
            ("A B", "A:speechless B:ok", "A B =B"),
        ],
        |_| {},
    );
}

#[test]
fn what_another_target_cannot_mend_stops_at_once() {
    stories(
        &[
            ("A B C", "A:bug", "A =client_fault"),
            ("A B C", "A:500 B:bug", "A B =client_fault"),
            ("A B C", "A:refused", "A =refused"),
            ("A B C", "A:cancelled", "A =cancelled"),
            ("A B C", "A:broken", "A =broken"),
        ],
        |_| {},
    );
    stories(
        &[
            ("A B C", "A:refused B:ok", "A B =B"),
            ("A B", "A:refused B:refused", "A B =refused"),
            ("A B", "A:refused B:rate5 B:ok", "A B wait 5 B =B"),
        ],
        |rules| rules.on_refusal = OnRefusal::Next,
    );
}

#[test]
fn a_long_prompt_goes_to_larger_windows_only() {
    stories(
        &[
            ("A/w8 B/w8 C/w9", "A:long C:ok", "A C =C"),
            ("A/w8 B C/w9", "A:long C:ok", "A C =C"),
            ("A/w9 B/w8 C/w7", "A:long", "A =too_long"),
            ("A B/w8 C", "A:long B:long", "A B =too_long"),
            ("A/w8 B/w16 C/w32 D/w16", "A:long B:long C:long", "A B C =too_long"),
            ("A/w0 B/w0", "", "=too_long"),
            ("A/w0 B/w0/no", "", "=too_long"),
            ("A/w0 B/w8", "B:ok", "B =B"),
        ],
        |_| {},
    );
}

#[test]
fn a_refused_credential_is_not_tried_through_another_target() {
    stories(
        &[
            ("A/k1 B/k1 C/k2", "A:auth C:ok", "A C =C"),
            ("A/k1 B/k1 C/k2", "A:quota C:ok", "A C =C"),
            ("A/k1 B/k1", "A:auth", "A =misconfigured"),
            ("A/k1 B/k1", "A:quota60", "A =quota(60)"),
            ("A/k1 B/k1", "A:day B:ok", "A B =B"),
            ("A/k1 B/k1", "A:config B:ok", "A B =B"),
        ],
        |_| {},
    );
}

#[test]
fn at_the_end_of_the_chain_what_may_pass_is_tried_again() {
    stories(
        &[
            ("A", "A:500,ok", "A wait 0.125 A =A"),
            ("A", "A:500", "A wait 0.125 A =broken"),
            ("A", "A:malformed,ok", "A wait 0.125 A =A"),
            ("A", "A:down,ok", "A wait 0.125 A =A"),
            ("A B", "A:500,ok B:500", "A B wait 0.025 A =A"),
            ("A B C", "A:500 B:500 C:500", "A B C A =broken"),
            ("A B", "A:500 B:500", "A B wait 0.025 A B =broken"),
            ("A", "A:timeout5", "A =timeout"),
            ("A", "A:over", "A =overloaded"),
            ("A", "A:over3,ok", "A wait 3 A =A"),
            ("A", "A:unwell2,ok", "A wait 2 A =A"),
            ("A", "A:noretry", "A =broken"),
            ("A", "A:huge", "A =limited"),
            ("A B", "A:500,ok B:bare4", "A B wait 0.025 A =A"),
        ],
        |_| {},
    );
}

#[test]
fn a_call_the_target_never_saw_is_repeated_at_once() {
    stories(
        &[
            ("A B", "A:stale,ok", "A A =A"),
            ("A B", "A:stale B:ok", "A A B =B"),
            ("A B", "A:stale,rate2 B:ok", "A A B =B"),
        ],
        |_| {},
    );
    stories(&[("A B", "A:stale B:ok", "A A A B =B")], |rules| rules.max_per_target = 9);
}

/// What died with a pooled connection costs no call: its repeat is the call. A provider that swallows them without end
/// is left after two.
#[test]
fn a_call_lost_with_its_connection_counts_against_no_limit() {
    let tight = |rules: &mut Rules| (rules.max_calls, rules.max_per_target) = (1, 1);
    stories(
        &[
            ("A", "A:lost,ok", "A A =A"),
            ("A", "A:lost,lost,ok", "A A A =A"),
            ("A B", "A:lost B:ok", "A A A =broken"),
            ("A B", "A:lost,500 B:ok", "A A =broken"),
        ],
        tight,
    );
    stories(
        &[
            ("A B", "A:500,lost,ok B:500", "A B wait 0.025 A A =A"),
            ("A B", "A:lost B:ok", "A A A B =B"),
            ("A B", "A:lost,lost,500,ok B:500", "A A A B wait 0.025 A =A"),
        ],
        |_| {},
    );
}

/// Our own want of descriptors is told as such, unless something says more.
#[test]
fn a_gateway_without_descriptors_says_so() {
    stories(
        &[
            ("A B", "A:nofd B:ok", "A B =B"),
            ("A B", "A:nofd B:nofd", "A B wait 0.025 A B =exhausted"),
            ("A B", "A:nofd,500 B:500", "A B wait 0.025 A B =broken"),
        ],
        |_| {},
    );
}

#[test]
fn granted_retries_come_before_the_next_target() {
    stories(
        &[
            ("A B", "A:500,ok", "A wait 0.125 A =A"),
            ("A B", "A:500 B:ok", "A wait 0.125 A B =B"),
            ("A B", "A:down,ok", "A wait 0.125 A =A"),
            ("A B", "A:rate2 B:ok", "A B =B"),
            ("A B", "A:timeout1 B:ok", "A B =B"),
            ("A B", "A:unwell2 B:ok", "A B =B"),
            ("A B", "A:noretry B:ok", "A B =B"),
        ],
        |rules| rules.retries = 1,
    );
    stories(&[("A B", "A:500,500,ok", "A wait 0.125 A wait 0.25 A =A")], |rules| {
        rules.retries = 3;
        rules.max_per_target = 3;
    });
}

#[test]
fn when_none_is_ready_the_first_opening_is_waited_for() {
    stories(
        &[
            ("A", "A:rate2,ok", "A wait 2 A =A"),
            ("A", "A:rate,ok", "A wait 5 A =A"),
            ("A B", "A:rate9 B:rate2,ok", "A B wait 2 B =B"),
            ("A B", "A=10 B=3 B:ok", "wait 3 B =B"),
            ("A B", "A=3 B:rate20,ok A:ok", "B wait 2.9 A =A"),
            ("A B", "A=40 B:rate50", "B =limited(39.9)"),
            ("A B", "A=40 B=35", "=limited(35)"),
            ("A", "A=brk35", "=overloaded(35)"),
            ("A", "A=29.9", "=limited(29.9)"),
            ("A", "A=29.7 A:ok", "wait 29.7 A =A"),
            ("A", "A:rate2", "A wait 2 A =limited(2)"),
            ("A B", "A:rate60 B:500", "A B wait 0.125 B =limited(59.675)"),
        ],
        |_| {},
    );
}

#[test]
fn a_chain_that_grows_keeps_its_limit_of_calls() {
    for (max_calls, before, after, expected) in
        [(4, 0, 3, 4), (4, 0, 9, 9), (2, 2, 9, 9), (1, 2, 9, 1), (1, 1, 9, 9), (0, 1, 9, 0), (6, 2, 3, 6)]
    {
        let rules = Rules { max_calls, ..Rules::default() };
        assert_eq!(rules.grown(before, after).max_calls, expected, "{max_calls}: {before} to {after}");
    }
    assert_eq!([1, 4, 5].map(|targets| Rules::default().for_chain(targets).max_calls), [4, 4, 5]);
    assert_eq!([0, 1, 3].map(|retries| Rules::default().retrying(retries).max_per_target), [2, 2, 4]);
}

#[test]
fn limits_of_calls_hold_whatever_is_left() {
    stories(&[("A B C D E", "A:500 B:500 C:500 D:500 E:ok", "A B C D =broken")], |_| {});
    stories(&[("A B", "A:500 B:ok", "A =broken")], |rules| rules.max_calls = 1);
    stories(&[("A B", "A:rate2 B:rate3", "A B =limited(1.9)")], |rules| rules.max_per_target = 1);
    stories(&[("A", "A:ok", "=no_target")], |rules| rules.max_calls = 0);
}

#[test]
fn time_runs_out_cleanly() {
    stories(
        &[
            // Each hop gets what is left but for the slack, and half of the little that remains at the end.
            ("A B", "A:timeout B:ok", "A B =B"),
            ("A B C D", "A:timeout B:timeout C:timeout D:ok", "A B C D =D"),
            ("A", "A:rate2", "A =limited(2)"),
            ("A", "A:long", "A =too_long"),
        ],
        |rules| rules.deadline = secs(1.0),
    );
    stories(&[("A", "A:ok", "=deadline"), ("A B", "A=1 B=2", "=deadline")], |rules| {
        rules.deadline = secs(0.04)
    });
    stories(&[("A B", "A:500 B:ok", "A =deadline")], |rules| rules.deadline = secs(0.12));
}

#[test]
fn the_caller_is_told_what_it_can_do_most_about() {
    stories(
        &[
            ("", "", "=no_target"),
            ("A/no", "", "=no_target"),
            ("A/w0 B/no", "", "=too_long"),
            ("A B C", "A:auth B:config C:timeout1", "A B C =timeout"),
            ("A B C", "A:auth B:over C:timeout1", "A B C =overloaded"),
            ("A B C", "A:auth B:rate60 C:over", "A B C =limited(59.9)"),
            ("A/w8 B/w9 C/w9", "A:long B:rate60 C:over", "A B C =too_long"),
            ("A B", "A:quota90 B:auth", "A B =quota(89.9)"),
            ("A B", "A:quota90 B:noretry", "A B =broken(89.9)"),
            ("A B", "A:speechless B:speechless", "A B =no_target"),
        ],
        |_| {},
    );
}

#[test]
fn the_trail_tells_it_all() {
    let story = Story { chain: "A/no B C D", script: "B=9 C:rate4 D:ok", rules: rules(|_| {}), expect: "" };
    let (_, attempt) = tell(&story);
    let trail: Vec<String> = attempt
        .trail()
        .iter()
        .map(|entry| {
            let what = match &entry.result {
                EntryResult::Skipped(skip) => format!("skipped {}", skip.name()),
                EntryResult::Closed(why, until) => {
                    format!("{} until {}", why.name(), seconds(until.since(Time::ZERO)))
                }
                EntryResult::Failed(fault) => {
                    format!("{} {:?} {}", fault.class.name(), fault.status, fault.message)
                }
                EntryResult::Answered => "answered".to_owned(),
            };
            format!(
                "{} at {} for {}: {what}",
                entry.target,
                seconds(entry.at.since(Time::ZERO)),
                seconds(entry.took)
            )
        })
        .collect();
    assert_eq!(
        trail,
        [
            "0 at 0 for 0: skipped not_allowed",
            "1 at 0 for 0: limited until 9",
            "2 at 0 for 0.1: rate_limited None rate_limited",
            "3 at 0.1 for 0.1: answered",
        ]
    );
    assert_eq!((attempt.calls(), attempt.hops(), attempt.retries()), (2, 1, 0));
}

// === the teller ===

/// Gates as the engine keeps them: a rejected target is closed for its stated wait or the cooldown.
struct Remembered {
    closed: Vec<Option<(Time, Why)>>,
}

impl Gates for Remembered {
    fn ask(&mut self, target: usize, now: Time, _: &Limits) -> Answer {
        match self.closed[target] {
            Some((until, why)) if now < until => Answer::Closed { until, why },
            _ => Answer::Go,
        }
    }

    fn opens(&self, target: usize, now: Time) -> Time {
        self.closed[target].map_or(now, |(until, _)| until)
    }
}

fn told(story: &Story) -> String {
    tell(story).0
}

fn tell(story: &Story) -> (String, Attempt) {
    let names: Vec<&str> = story.chain.split_whitespace().map(|target| &target[..1]).collect();
    let chain: Vec<Made> = story.chain.split_whitespace().zip(100..).map(read_target).collect();
    let (mut script, mut gates) = read_script(story.script, &names);
    let mut attempt = Attempt::new(story.rules, &made_plan(&chain, 1), Time::ZERO, Time::MAX);
    let mut now = Time::ZERO;
    let mut told = String::new();
    loop {
        match attempt.next(now, &mut Middle, &mut gates) {
            Step::Send { target, limits } => {
                write!(told, "{} ", names[target]).unwrap();
                let words =
                    script.get_mut(names[target]).unwrap_or_else(|| panic!("{} is called", names[target]));
                let word = if words.len() > 1 { words.remove(0) } else { words[0].clone() };
                let (outcome, took) = read_word(&word, limits.first_token);
                now = now + took;
                if let Outcome::Failed(fault) = &outcome
                    && let Close::Domain(wait) = fault.close
                {
                    gates.closed[target] = Some((now + wait.unwrap_or(story.rules.cooldown), Why::Limited));
                }
                attempt.saw(now, outcome);
            }
            Step::Wait { until } => {
                write!(told, "wait {} ", seconds(until.since(now))).unwrap();
                now = until;
            }
            Step::Finish(Verdict::Committed { target }) => {
                write!(told, "={}", names[target]).unwrap();
                return (told, attempt);
            }
            Step::Finish(Verdict::Failed(failure)) => {
                write!(told, "={}", failure.kind.name()).unwrap();
                failure.retry_after.iter().for_each(|wait| write!(told, "({})", seconds(*wait)).unwrap());
                return (told, attempt);
            }
        }
    }
}

fn seconds(length: Duration) -> String {
    format!("{}", (length.as_secs_f64() * 1e6).round() / 1e6)
}

fn read_target((target, own_credential): (&str, u32)) -> Made {
    let mut made = Made { credential: own_credential, window: None, allowed: true };
    for mark in target.split('/').skip(1) {
        match mark.split_at(1) {
            ("k", credential) => made.credential = credential.parse().unwrap(),
            ("w", window) => made.window = Some(window.parse().unwrap()),
            _ => made.allowed = false,
        }
    }
    made
}

type Script<'a> = HashMap<&'a str, Vec<String>>;

fn read_script<'a>(script: &'a str, names: &[&str]) -> (Script<'a>, Remembered) {
    let mut words: Script<'a> = HashMap::new();
    let mut closed = vec![None; names.len()];
    for item in script.split_whitespace() {
        if let Some((name, until)) = item.split_once('=') {
            let target = names.iter().position(|known| *known == name).unwrap();
            let (why, until) = match until.strip_prefix("brk") {
                Some(until) => (Why::Breaker, until),
                None => (Why::Limited, until),
            };
            closed[target] = Some((at(until.parse().unwrap()), why));
        } else if let Some((name, said)) = item.split_once(':') {
            words.entry(name).or_default().extend(said.split(',').map(str::to_owned));
        }
    }
    (words, Remembered { closed })
}

fn read_word(word: &str, first_token: Duration) -> (Outcome, Duration) {
    let took = secs(0.1);
    let digits = word.find(|c: char| c.is_ascii_digit()).filter(|_| word != "500").unwrap_or(word.len());
    let (word, number) = word.split_at(digits);
    let wait = number.parse().ok().map(secs);
    let failed = |class, close| (Outcome::Failed(fault(class, close)), took);
    let same = |class, same_target| {
        let mut fault = fault(class, Close::Nothing);
        fault.same_target = same_target;
        (Outcome::Failed(fault), took)
    };
    match word {
        "ok" => (Outcome::Committed { first_token: took }, took),
        "speechless" => (Outcome::Unspeakable("custom tools"), Duration::ZERO),
        "rate" => failed(Class::RateLimited, Close::Domain(wait)),
        "huge" => failed(Class::RateLimited, Close::Nothing),
        "over" => failed(Class::Overloaded, wait.map_or(Close::Nothing, |wait| Close::Domain(Some(wait)))),
        "unwell" | "bare" => failed(Class::Transient, Close::Domain(wait)),
        "500" => failed(Class::Transient, Close::Nothing),
        "noretry" => same(Class::Transient, SameTarget::Never),
        "down" => failed(Class::PreSend, Close::Nothing),
        "stale" => same(Class::PreSend, SameTarget::Free),
        "lost" => {
            let lost = Fault { same_target: SameTarget::Free, ..fault(Class::PreSend, Close::Nothing) };
            (Outcome::Lost(lost), took)
        }
        "nofd" => {
            let own = Fault { blame: Blame::Gateway, ..fault(Class::PreSend, Close::Nothing) };
            (Outcome::Failed(own), took)
        }
        "malformed" => failed(Class::Malformed, Close::Nothing),
        "timeout" => (Outcome::Failed(fault(Class::Timeout, Close::Nothing)), wait.unwrap_or(first_token)),
        "config" => failed(Class::Config, Close::Target(None)),
        "auth" => failed(Class::Auth, Close::Credential(None)),
        "quota" => failed(Class::Quota, Close::Credential(wait)),
        "day" => failed(Class::Quota, Close::Domain(wait)),
        "long" => failed(Class::TooLong, Close::Nothing),
        "refused" => failed(Class::Refused, Close::Nothing),
        "bug" => failed(Class::ClientBug, Close::Nothing),
        "cancelled" => failed(Class::Cancelled, Close::Nothing),
        "broken" => failed(Class::MidStream, Close::Nothing),
        other => panic!("unknown word {other}"),
    }
}
