//! The laws of the attempt machine, for any chain, any rules and any behaviour of the targets.

use crate::{cases, secs};
use proptest::prelude::*;
use std::time::Duration;
use unfail_policy::attempt::{
    Answer, Attempt, EntryResult, FailureKind, Gates, Limits, OnRefusal, Outcome, Rules, Step, Verdict, Why,
};
use unfail_policy::classify::{Blame, Class, Close, Fault, Limit, SameTarget};
use unfail_policy::plan::{Plan, TargetFacts, plan};
use unfail_policy::time::{SplitMix64, Time};
use unfail_wire::outline::Needs;
use unfail_wire::target::Traits;

/// A target of a made-up chain.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) credential: u32,
    pub(crate) window: Option<u64>,
    pub(crate) allowed: bool,
}

pub(crate) fn made_plan(chain: &[Made], input_tokens: u64) -> Plan {
    let traits: Vec<Traits> =
        chain.iter().map(|made| Traits { context: made.window, ..Traits::default() }).collect();
    let facts = chain.iter().zip(&traits).zip(0..).map(|((made, traits), domain)| TargetFacts {
        credential: made.credential,
        domain,
        traits,
        schema_by_prompt: true,
        allowed: made.allowed,
    });
    plan(&Needs { input_tokens, ..Needs::default() }, &facts.collect::<Vec<_>>())
}

/// The fault a provider's answer of this class becomes.
pub(crate) fn fault(class: Class, close: Close) -> Fault {
    let wait = match close {
        Close::Domain(wait) | Close::Credential(wait) | Close::Target(wait) => wait,
        Close::Nothing => None,
    };
    let same_target = match class {
        Class::Transient | Class::PreSend | Class::Malformed => SameTarget::Once,
        _ => SameTarget::Never,
    };
    let (status, code, param) = (None, None, None);
    let (message, gist, late) = (class.name().to_owned(), class.name().into(), None);
    let blame = Blame::Target;
    Fault { class, close, wait, same_target, blame, status, message, gist, late, code, param }
}

/// Gates that follow a list of openings and remember nothing else.
struct Listed {
    opens: Vec<Time>,
    asked: Vec<usize>,
}

impl Gates for Listed {
    fn ask(&mut self, target: usize, now: Time, _: &Limits) -> Answer {
        self.asked.push(target);
        let until = self.opens[target];
        if now < until { Answer::Closed { until, why: Why::Limited } } else { Answer::Go }
    }

    fn opens(&self, target: usize, _: Time) -> Time {
        self.opens[target]
    }
}

#[derive(Debug, Clone)]
struct Case {
    chain: Vec<Made>,
    rules: Rules,
    opens: Vec<Duration>,
    outcomes: Vec<(Happening, Duration)>,
    seed: u64,
}

#[derive(Debug, Clone)]
enum Happening {
    Answers,
    Fails(Fault),
    Unspeakable,
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let wait = prop::option::of((1_u64..20_000).prop_map(Duration::from_millis));
    let close = (0..4, wait).prop_map(|(kind, wait)| match kind {
        0 => Close::Nothing,
        1 => Close::Domain(wait),
        2 => Close::Credential(wait),
        _ => Close::Target(wait),
    });
    let class = prop::sample::select(Class::ALL.to_vec());
    (class, close, 0..6).prop_map(|(class, close, odd)| {
        let mut fault = fault(class, close);
        match odd {
            0 => fault.same_target = SameTarget::Never,
            1 => fault.same_target = SameTarget::Free,
            _ => {}
        }
        fault
    })
}

fn any_case() -> impl Strategy<Value = Case> {
    let window = prop_oneof![Just(None), prop::sample::select(vec![4_000_u64, 8_000, 32_000]).prop_map(Some)];
    let made = (0_u32..4, window, prop::bool::weighted(0.9)).prop_map(|(credential, window, allowed)| Made {
        credential,
        window,
        allowed,
    });
    let opens = prop_oneof![3 => Just(Duration::ZERO), 1 => (0_u64..15_000).prop_map(Duration::from_millis)];
    let target = (made, opens);
    let happening = prop_oneof![
        1 => Just(Happening::Answers),
        8 => any_fault().prop_map(Happening::Fails),
        1 => Just(Happening::Unspeakable),
    ];
    let outcome = (happening, (0_u64..3_000).prop_map(Duration::from_millis));
    let rules = (0_u32..4, 0_u32..7, 0_u32..4, 0_u64..30_000, any::<bool>()).prop_map(
        |(retries, max_calls, max_per_target, deadline, next)| Rules {
            retries,
            max_calls,
            max_per_target,
            deadline: Duration::from_millis(deadline),
            on_refusal: if next { OnRefusal::Next } else { OnRefusal::Stop },
            ..Rules::default()
        },
    );
    (prop::collection::vec(target, 0..6), rules, prop::collection::vec(outcome, 1..12), any::<u64>())
        .prop_map(|(targets, rules, outcomes, seed)| {
            let (chain, opens) = targets.into_iter().unzip();
            Case { chain, rules, opens, outcomes, seed }
        })
}

/// What an observer who knows only the rules can say about who may still be called.
struct Observer {
    sends: Vec<u32>,
    barred: Vec<bool>,
    /// Strictly larger windows than this only, once a prompt was too long.
    floor: Option<u64>,
    over: bool,
}

impl Observer {
    fn may_be_called(&self, chain: &[Made], target: usize) -> bool {
        let grown = self.floor.is_none_or(|floor| chain[target].window.is_some_and(|window| window > floor));
        !self.over && !self.barred[target] && grown && chain[target].allowed
    }

    fn sees(&mut self, case: &Case, target: usize, happening: &Happening) {
        let Happening::Fails(fault) = happening else {
            self.barred[target] = true;
            self.over |= matches!(happening, Happening::Answers);
            return;
        };
        match fault.class {
            Class::ClientBug | Class::Cancelled | Class::MidStream => self.over = true,
            Class::Refused => self.over |= case.rules.on_refusal == OnRefusal::Stop,
            Class::TooLong => {
                let window = case.chain[target].window.unwrap_or(0);
                self.floor = Some(self.floor.unwrap_or(0).max(window));
            }
            _ => {}
        }
        let final_for_target = !matches!(
            fault.class,
            Class::Transient | Class::PreSend | Class::Malformed | Class::RateLimited | Class::Overloaded
        );
        self.barred[target] |= final_for_target;
        let credential = matches!(fault.close, Close::Credential(_));
        if credential && matches!(fault.class, Class::Auth | Class::Quota) {
            for (other, made) in case.chain.iter().enumerate() {
                self.barred[other] |= made.credential == case.chain[target].credential;
            }
        }
    }
}

fn run(case: &Case) -> Result<(), TestCaseError> {
    let start = Time::ZERO + secs(100.0);
    let deadline = start + case.rules.deadline;
    let mut attempt = Attempt::new(case.rules, &made_plan(&case.chain, 1), start, start + secs(1e6));
    let mut gates =
        Listed { opens: case.opens.iter().map(|opens| start + *opens).collect(), asked: Vec::new() };
    let mut random = SplitMix64::new(case.seed);
    let mut observer = Observer {
        sends: vec![0; case.chain.len()],
        barred: vec![false; case.chain.len()],
        floor: None,
        over: false,
    };
    let mut outcomes = case.outcomes.iter().cycle();
    let (mut now, mut real_calls, mut last_failed) = (start, 0, None);

    for _ in 0..1_000 {
        match attempt.next(now, &mut random, &mut gates) {
            Step::Finish(verdict) => {
                let again = attempt.next(now + secs(1.0), &mut random, &mut gates);
                prop_assert_eq!(again, Step::Finish(verdict.clone()), "a verdict is final");
                prop_assert_eq!(attempt.calls(), real_calls);
                let first = u32::from(real_calls > 0);
                prop_assert_eq!(attempt.hops() + attempt.retries() + first, real_calls);
                return finished(&attempt, &verdict, now);
            }
            Step::Wait { until } => {
                prop_assert!(until > now && until < deadline, "a wait ends in time");
                let retrying = case.rules.retries > 0 && last_failed.is_some();
                for target in 0..case.chain.len() {
                    let untried = observer.sends[target] == 0 && observer.may_be_called(&case.chain, target);
                    let ready = untried && gates.opens[target] <= now;
                    prop_assert!(!ready || retrying, "waits while {target} is ready");
                }
                now = until;
            }
            Step::Send { target, limits } => {
                prop_assert!(observer.may_be_called(&case.chain, target), "{target} may not be called");
                prop_assert!(now < deadline, "no call after the deadline");
                prop_assert_eq!(gates.asked.last(), Some(&target), "a call needs its gate's leave");
                check_limits(limits, now, deadline, &case.rules)?;
                let (happening, took) = outcomes.next().unwrap();
                observer.sends[target] += u32::from(!matches!(happening, Happening::Unspeakable));
                observer.sees(case, target, happening);
                real_calls += u32::from(!matches!(happening, Happening::Unspeakable));
                prop_assert!(real_calls <= case.rules.max_calls);
                prop_assert!(observer.sends[target] <= case.rules.max_per_target);
                now = now + *took;
                attempt.saw(now, outcome(happening, *took));
                last_failed = Some(target);
            }
        }
    }
    Err(TestCaseError::fail("does not end"))
}

fn outcome(happening: &Happening, took: Duration) -> Outcome {
    match happening {
        Happening::Answers => Outcome::Committed { first_token: took },
        Happening::Fails(fault) => Outcome::Failed(fault.clone()),
        Happening::Unspeakable => Outcome::Unspeakable("custom tools"),
    }
}

fn check_limits(limits: Limits, now: Time, deadline: Time, rules: &Rules) -> Result<(), TestCaseError> {
    let remaining = deadline.since(now);
    prop_assert_eq!(limits.deadline, deadline);
    for (limit, rule) in [
        (limits.connect, rules.connect),
        (limits.first_token, rules.first_token),
        (limits.stall, rules.stall),
    ] {
        prop_assert!(limit <= rule && limit < remaining && limit > Duration::ZERO);
    }
    Ok(())
}

fn finished(attempt: &Attempt, verdict: &Verdict, now: Time) -> Result<(), TestCaseError> {
    let trail = attempt.trail();
    let answered = trail.iter().filter(|entry| entry.result == EntryResult::Answered).count();
    prop_assert_eq!(answered, usize::from(matches!(verdict, Verdict::Committed { .. })));
    let failed = trail.iter().filter(|entry| matches!(entry.result, EntryResult::Failed(..))).count();
    prop_assert_eq!(answered + failed, attempt.calls() as usize, "every call stands in the trail");
    prop_assert!(trail.iter().all(|entry| entry.at <= now));
    if let Verdict::Failed(failure) = verdict {
        prop_assert_eq!(failure.last.is_some(), failed > 0, "the last fault comes back");
        let mendable = [FailureKind::TooLong, FailureKind::Refused, FailureKind::Cancelled];
        prop_assert!(failure.retry_after.is_none() || !mendable.contains(&failure.kind));
        prop_assert!(failure.retry_after != Some(Duration::ZERO));
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(8))]
    #[test]
    fn its_laws_hold_for_any_chain(case in any_case()) {
        run(&case)?;
    }
}

#[test]
fn after_commit_nothing_is_sent_whatever_is_reported() {
    let chain = vec![Made { credential: 0, window: None, allowed: true }; 3];
    let mut attempt = Attempt::new(Rules::default(), &made_plan(&chain, 1), Time::ZERO, Time::MAX);
    let mut gates = Listed { opens: vec![Time::ZERO; 3], asked: Vec::new() };
    let mut random = SplitMix64::new(1);
    let committed = Step::Finish(Verdict::Committed { target: 0 });
    assert!(matches!(attempt.next(Time::ZERO, &mut random, &mut gates), Step::Send { target: 0, .. }));
    attempt.saw(Time::ZERO + secs(1.0), Outcome::Committed { first_token: secs(1.0) });
    assert_eq!(attempt.next(Time::ZERO + secs(1.0), &mut random, &mut gates), committed);
    attempt.saw(Time::ZERO + secs(2.0), Outcome::Failed(fault(Class::MidStream, Close::Nothing)));
    assert_eq!(attempt.next(Time::ZERO + secs(2.0), &mut random, &mut gates), committed);
    assert_eq!(attempt.calls(), 1);
    let results: Vec<_> = attempt.trail().iter().map(|entry| entry.result.clone()).collect();
    assert_eq!(results, [EntryResult::Answered]);
}

/// Only a limit that the caller's own deadline shortened is the caller's affair.
#[test]
fn a_hurried_caller_explains_only_what_it_shortened() {
    let chain = [Made { credential: 0, window: None, allowed: true }];
    let rules = Rules { first_token: secs(5.0), deadline: secs(30.0), ..Rules::default() };
    let hurry = |deadline: f64| {
        let mut attempt = Attempt::new(rules, &made_plan(&chain, 1), Time::ZERO, Time::ZERO + secs(deadline));
        let mut gates = Listed { opens: vec![Time::ZERO], asked: Vec::new() };
        match attempt.next(Time::ZERO, &mut SplitMix64::new(1), &mut gates) {
            Step::Send { limits, .. } => limits.hurry,
            other => panic!("{other:?}"),
        }
    };
    for (deadline, [connect, first_token, whole, total]) in
        [(1.0, [true; 4]), (10.0, [false, false, true, true]), (30.0, [false; 4]), (60.0, [false; 4])]
    {
        let hurry = hurry(deadline);
        let seen = [
            hurry.explains(Limit::Connect, true),
            hurry.explains(Limit::FirstToken, true),
            hurry.explains(Limit::FirstToken, false),
            hurry.explains(Limit::Total, true),
        ];
        assert_eq!(seen, [connect, first_token, whole, total], "{deadline} s");
        assert!(!hurry.explains(Limit::Stall, true), "{deadline} s");
    }
}

/// Half of the time is left to the others, or more if the route says so; the last one that can be called has all of
/// it.
#[test]
fn a_whole_answer_has_the_routes_time_while_others_are_left() {
    let made = Made { credential: 0, window: None, allowed: true };
    for (chain, rests, answer, deadline, whole) in [
        (2, 0.0, 20.0, 600.0, 20.0),
        (2, 0.0, 20.0, 30.0, 14.875),
        (1, 0.0, 20.0, 600.0, 599.75),
        (2, 200.0, 20.0, 600.0, 20.0),
        (2, 400.0, 20.0, 600.0, 599.75),
        (3, 900.0, 20.0, 30.0, 29.75),
    ] {
        let rules = Rules { answer: secs(answer), ..Rules::default() };
        let plan = made_plan(&vec![made.clone(); chain], 1);
        let mut attempt = Attempt::new(rules, &plan, Time::ZERO, Time::ZERO + secs(deadline));
        let mut opens = vec![Time::ZERO + secs(rests); chain];
        opens[0] = Time::ZERO;
        let mut gates = Listed { opens, asked: Vec::new() };
        match attempt.next(Time::ZERO, &mut SplitMix64::new(1), &mut gates) {
            Step::Send { limits, .. } => {
                assert_eq!(limits.whole, secs(whole), "{chain} targets, {rests} s, {deadline} s");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_unreported_call_is_taken_for_abandoned() {
    let chain = [Made { credential: 0, window: None, allowed: true }];
    let mut attempt = Attempt::new(Rules::default(), &made_plan(&chain, 1), Time::ZERO, Time::MAX);
    let mut gates = Listed { opens: vec![Time::ZERO], asked: Vec::new() };
    let mut random = SplitMix64::new(1);
    attempt.next(Time::ZERO, &mut random, &mut gates);
    let step = attempt.next(Time::ZERO, &mut random, &mut gates);
    assert!(matches!(step, Step::Finish(Verdict::Failed(failure)) if failure.kind == FailureKind::Cancelled));
}
