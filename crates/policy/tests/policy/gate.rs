//! The gate: never shortened, one probe, nothing lost.

use crate::{at, cases, secs};
use proptest::prelude::*;
use std::time::Duration;
use unfail_policy::gate::{Ask, Gate, Permit, Settings};
use unfail_policy::time::Time;

/// How long it closes where nothing is stated.
const PAUSES: Settings = Settings::limit(Duration::from_secs(5));
/// The longest a call may take.
const LASTS: Duration = Duration::from_secs(30);

fn gate() -> Gate {
    Gate::default()
}

fn go(gate: &mut Gate, seconds: f64) -> Permit {
    match gate.ask(at(seconds), LASTS) {
        Ask::Go(permit) => permit,
        Ask::No { until } => panic!("refused at {seconds} s until {until:?}"),
    }
}

fn refused(gate: &mut Gate, seconds: f64) -> f64 {
    match gate.ask(at(seconds), LASTS) {
        Ask::Go(_) => panic!("passed at {seconds} s"),
        Ask::No { until } => until.since(Time::ZERO).as_secs_f64(),
    }
}

/// Closed at 0 s for 10 s, as the provider stated; ten calls sent before are still out.
fn closed() -> (Gate, Vec<Permit>) {
    let mut gate = gate();
    let first = go(&mut gate, 0.0);
    let others = (0..10).map(|_| go(&mut gate, 0.0)).collect();
    gate.limited(first, at(0.0), Some(secs(10.0)), PAUSES);
    (gate, others)
}

#[test]
fn nothing_passes_until_the_stated_wait_and_then_one_probe() {
    let (mut gate, _others) = closed();
    for tick in 0..300 {
        assert_eq!(refused(&mut gate, f64::from(tick) * 0.033), 10.0);
    }
    let mut probe = go(&mut gate, 10.0);
    for _ in 0..50 {
        assert_eq!(refused(&mut gate, 10.1), 10.3);
    }
    gate.succeeded(&mut probe);
    (0..50).for_each(|_| drop(go(&mut gate, 10.2)));
}

#[test]
fn calls_from_before_the_close_do_not_reopen_it() {
    let (mut gate, others) = closed();
    others.into_iter().for_each(|mut other| gate.succeeded(&mut other));
    assert_eq!(refused(&mut gate, 5.0), 10.0);

    let (mut gate, others) = closed();
    let _probe = go(&mut gate, 10.0);
    others.into_iter().for_each(|mut other| gate.succeeded(&mut other));
    refused(&mut gate, 10.1);
}

#[test]
fn a_stragglers_stated_wait_only_lengthens_the_close() {
    let (mut gate, mut others) = closed();
    gate.limited(others.pop().unwrap(), at(1.0), Some(secs(3.0)), PAUSES);
    assert_eq!(gate.closed_until(), Some(at(10.0)), "never shortened");
    gate.limited(others.pop().unwrap(), at(1.0), None, PAUSES);
    assert_eq!(gate.closed_until(), Some(at(10.0)), "one flight meets one limit once");
    gate.limited(others.pop().unwrap(), at(1.0), Some(secs(20.0)), PAUSES);
    assert_eq!(gate.closed_until(), Some(at(21.0)));
    let mut probe = go(&mut gate, 21.0);
    gate.limited(others.pop().unwrap(), at(21.5), Some(secs(5.0)), PAUSES);
    assert_eq!(gate.closed_until(), Some(at(26.5)), "measured just now");
    gate.succeeded(&mut probe);
    assert_eq!(gate.closed_until(), Some(at(26.5)), "the probe is of an earlier epoch");
}

#[test]
fn a_dropped_probe_is_given_back_and_a_lost_one_is_replaced() {
    let (mut gate, _others) = closed();
    for _ in 0..3 {
        let probe = go(&mut gate, 11.0);
        refused(&mut gate, 11.0);
        gate.dropped(probe, at(11.0));
    }
    let mut lost = go(&mut gate, 12.0);
    refused(&mut gate, 41.9);
    let mut second = go(&mut gate, 42.0);
    gate.succeeded(&mut lost);
    refused(&mut gate, 42.1);
    gate.succeeded(&mut second);
    drop(go(&mut gate, 42.2));
}

#[test]
fn closes_without_a_stated_wait_double_until_a_success() {
    let mut gate = gate();
    let mut now = 0.0;
    for length in [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 900.0, 900.0] {
        let permit = go(&mut gate, now);
        gate.limited(permit, at(now), None, PAUSES);
        assert_eq!(refused(&mut gate, now), now + length);
        now += length;
    }
    let mut probe = go(&mut gate, now);
    gate.succeeded(&mut probe);
    let permit = go(&mut gate, now);
    gate.limited(permit, at(now), None, PAUSES);
    assert_eq!(refused(&mut gate, now), now + 5.0);
}

#[test]
fn a_probe_that_is_limited_closes_it_again() {
    let (mut gate, _others) = closed();
    let probe = go(&mut gate, 10.0);
    gate.limited(probe, at(10.5), Some(secs(60.0)), PAUSES);
    assert_eq!(refused(&mut gate, 11.0), 70.5);
}

#[test]
fn a_probe_reopens_it_with_its_first_content_and_can_still_close_it() {
    let (mut gate, _others) = closed();
    let mut probe = go(&mut gate, 10.0);
    gate.succeeded(&mut probe);
    drop(go(&mut gate, 10.1));
    gate.limited(probe, at(300.0), None, PAUSES);
    assert_eq!(refused(&mut gate, 300.0), 305.0, "the stream met the limit after all");

    let (mut gate, _others) = closed();
    let mut probe = go(&mut gate, 10.0);
    gate.succeeded(&mut probe);
    gate.dropped(probe, at(11.0));
    drop(go(&mut gate, 11.0));
}

#[test]
fn a_slow_probe_is_not_lost_while_its_call_may_take_that_long() {
    let (mut gate, _others) = closed();
    let Ask::Go(mut probe) = gate.ask(at(10.0), secs(300.0)) else { panic!("a probe goes") };
    for seconds in [11.0, 45.0, 200.0] {
        refused(&mut gate, seconds);
    }
    gate.succeeded(&mut probe);
    drop(go(&mut gate, 200.0));

    let (mut gate, _others) = closed();
    let Ask::Go(_hung) = gate.ask(at(10.0), secs(300.0)) else { panic!("a probe goes") };
    assert_eq!(refused(&mut gate, 309.9), 310.0);
    drop(go(&mut gate, 310.0));
}

#[test]
fn each_call_brings_its_own_pauses() {
    let mut gate = gate();
    for (now, first, until) in [(0.0, 5.0, 5.0), (5.0, 1.0, 7.0), (7.0, 60.0, 247.0)] {
        let permit = go(&mut gate, now);
        gate.limited(permit, at(now), None, Settings::limit(secs(first)));
        assert_eq!(refused(&mut gate, now), until, "doubled with every close");
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Pass(u32),
    Ask,
    Succeed(usize),
    Limit(usize, Option<u32>),
    Drop(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (1_u32..20_000).prop_map(Op::Pass),
        4 => Just(Op::Ask),
        2 => (0_usize..5).prop_map(Op::Succeed),
        2 => (0_usize..5, prop::option::of(1_u32..40)).prop_map(|(which, wait)| Op::Limit(which, wait)),
        1 => (0_usize..5).prop_map(Op::Drop),
    ]
}

proptest! {
    #![proptest_config(cases(4))]
    #[test]
    fn its_laws_hold_whatever_happens(ops in prop::collection::vec(op(), 1..120)) {
        let mut gate = gate();
        let mut now = Time::ZERO;
        // Each permit, and whether it was a probe and when it was given.
        let mut held: Vec<(Permit, Option<Time>)> = Vec::new();
        for op in ops {
            let before = gate.closed_until();
            let mut take = |which: usize| if held.is_empty() { None } else { Some(held.remove(which % held.len())) };
            match op {
                Op::Pass(millis) => now = now + Duration::from_millis(u64::from(millis)),
                Op::Ask => match gate.ask(now, LASTS) {
                    Ask::No { until } => prop_assert!(until > now),
                    Ask::Go(permit) => {
                        prop_assert!(before.is_none_or(|until| now >= until), "passed while closed");
                        held.push((permit, before.map(|_| now)));
                    }
                },
                Op::Succeed(which) => if let Some((mut permit, probe)) = take(which) {
                    gate.succeeded(&mut permit);
                    prop_assert!(probe.is_some() || gate.closed_until() == before, "only a probe reopens");
                },
                Op::Limit(which, wait) => if let Some((permit, _)) = take(which) {
                    gate.limited(permit, now, wait.map(|wait| secs(f64::from(wait))), PAUSES);
                    let stated = wait.map_or(now, |wait| now + secs(f64::from(wait)));
                    prop_assert!(wait.is_none() || gate.closed_until() >= Some(stated), "a stated wait is honoured");
                },
                Op::Drop(which) => if let Some((permit, _)) = take(which) { gate.dropped(permit, now) },
            }
            let after = gate.closed_until();
            if let (Some(before), Some(after)) = (before, after) {
                prop_assert!(after >= before, "shortened from {before:?} to {after:?}");
            }
        }
        // Whoever keeps asking gets through.
        let through = (0..400).find_map(|_| match gate.ask(now, LASTS) {
            Ask::Go(permit) => Some(permit),
            Ask::No { until } => { now = until; None }
        });
        prop_assert!(through.is_some());
    }

    #[test]
    fn one_probe_at_a_time(asks in prop::collection::vec(0_u32..500, 1..60)) {
        let (mut gate, _others) = closed();
        let mut now = at(10.0);
        let mut last_probe: Option<Time> = None;
        for gap in asks {
            now = now + Duration::from_millis(u64::from(gap) * 10);
            if let Ask::Go(permit) = gate.ask(now, LASTS) {
                prop_assert!(last_probe.is_none_or(|last| now.since(last) >= secs(30.0)));
                last_probe = Some(now);
                drop(permit);
            }
        }
    }
}
