//! The breaker against a simple model, its named dangers, and its laws.

use crate::{Middle, at, cases, secs};
use proptest::prelude::*;
use std::time::Duration;
use unfail_policy::breaker::{Ask, Breaker, Forced, Permit, Position, Settings};
use unfail_policy::classify::{Blame, Class, Close, Fault, SameTarget};
use unfail_policy::time::{SplitMix64, Time};

const QUICK: Duration = Duration::from_secs(1);
/// The longest a call may take.
const LASTS: Duration = Duration::from_secs(30);

fn go(breaker: &mut Breaker, seconds: f64) -> Permit {
    match breaker.ask(at(seconds), LASTS, &mut Middle) {
        Ask::Go(permit) => permit,
        Ask::No { until } => panic!("refused at {seconds} s until {until:?}"),
    }
}

fn refused(breaker: &mut Breaker, seconds: f64) -> f64 {
    match breaker.ask(at(seconds), LASTS, &mut Middle) {
        Ask::Go(_) => panic!("passed at {seconds} s"),
        Ask::No { until } => until.since(Time::ZERO).as_secs_f64(),
    }
}

fn fail(breaker: &mut Breaker, seconds: f64) {
    let permit = go(breaker, seconds);
    breaker.failed(permit, at(seconds));
}

fn succeed(breaker: &mut Breaker, seconds: f64) {
    let mut permit = go(breaker, seconds);
    breaker.succeeded(&mut permit, at(seconds), QUICK);
}

/// A breaker that opened at 10 s for 5 s, after five failures in a row.
fn opened() -> Breaker {
    let mut breaker = Breaker::new(Settings::default());
    (0..5).for_each(|_| fail(&mut breaker, 10.0));
    assert_eq!(breaker.position(), Position::Open { until: at(15.0) });
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_and_a_success_between_does_not() {
    let mut breaker = Breaker::new(Settings::default());
    for round in 0..4 {
        for _ in 0..4 {
            fail(&mut breaker, f64::from(round) * 40.0);
        }
        succeed(&mut breaker, f64::from(round) * 40.0);
        assert_eq!(breaker.position(), Position::Closed);
    }
    assert_eq!(refused(&mut opened(), 14.9), 15.0);
}

#[test]
fn half_of_ten_failing_opens_it() {
    let mut breaker = Breaker::new(Settings::default());
    for index in 0..9 {
        if index % 2 == 0 {
            fail(&mut breaker, 1.0)
        } else {
            succeed(&mut breaker, 1.0)
        }
        assert_eq!(breaker.position(), Position::Closed, "after {index}");
    }
    succeed(&mut breaker, 1.0);
    assert!(matches!(breaker.position(), Position::Open { .. }));
}

#[test]
fn slow_answers_open_it_unless_slow_is_usual() {
    let mut breaker = Breaker::new(Settings::default());
    for _ in 0..10 {
        let mut permit = go(&mut breaker, 1.0);
        breaker.succeeded(&mut permit, at(1.0), secs(11.0));
    }
    assert!(matches!(breaker.position(), Position::Open { .. }));

    let mut used_to_it = Breaker::new(Settings::default());
    for index in 0..100 {
        let mut permit = go(&mut used_to_it, f64::from(index));
        used_to_it.succeeded(&mut permit, at(f64::from(index)), secs(5.0));
    }
    for index in 0..50 {
        let mut permit = go(&mut used_to_it, 100.0 + f64::from(index));
        used_to_it.succeeded(&mut permit, at(100.0), secs(12.0));
    }
    assert_eq!(used_to_it.position(), Position::Closed);
}

#[test]
fn a_caller_that_left_a_slow_call_counts_as_slow_and_a_quick_one_as_nothing() {
    let mut breaker = Breaker::new(Settings::default());
    let permits: Vec<_> = (0..30).map(|_| go(&mut breaker, 0.0)).collect();
    let mut permits = permits.into_iter();
    permits.by_ref().take(20).for_each(|permit| breaker.dropped(permit, at(9.0)));
    assert_eq!(breaker.position(), Position::Closed);
    permits.for_each(|permit| breaker.dropped(permit, at(11.0)));
    assert!(matches!(breaker.position(), Position::Open { .. }));
}

#[test]
fn three_surprising_limits_close_it_to_traffic_until_the_stated_wait_and_are_not_held_against_it() {
    let mut breaker = Breaker::new(Settings::default());
    for seconds in [0.0, 30.0, 59.0] {
        let permit = go(&mut breaker, seconds);
        breaker.limited(permit, at(seconds), Some(secs(100.0)));
    }
    assert_eq!(breaker.position(), Position::Open { until: at(159.0) });
    // The opening is not counted: the next real one is still the first.
    fail(&mut breaker, 160.0);
    assert_eq!(breaker.position(), Position::Open { until: at(165.0) });

    let mut spread_out = Breaker::new(Settings::default());
    for index in 0..20 {
        let seconds = f64::from(index) * 31.0;
        let permit = go(&mut spread_out, seconds);
        spread_out.limited(permit, at(seconds), Some(secs(1.0)));
    }
    assert_eq!(spread_out.position(), Position::Closed);
}

#[test]
fn a_dropped_probe_is_given_back() {
    let mut breaker = opened();
    for _ in 0..3 {
        let probe = go(&mut breaker, 15.0);
        assert_eq!(refused(&mut breaker, 15.0), 15.2);
        breaker.dropped(probe, at(15.1));
    }
    succeed(&mut breaker, 15.2);
    succeed(&mut breaker, 15.3);
    assert_eq!(breaker.position(), Position::Ramp);
}

#[test]
fn a_result_of_an_earlier_epoch_changes_nothing() {
    let mut breaker = Breaker::new(Settings::default());
    let stragglers: Vec<_> = (0..20).map(|_| go(&mut breaker, 9.0)).collect();
    (0..5).for_each(|_| fail(&mut breaker, 10.0));
    let mut probe = go(&mut breaker, 15.0);
    for (index, mut straggler) in stragglers.into_iter().enumerate() {
        match index % 4 {
            0 => breaker.succeeded(&mut straggler, at(15.5), QUICK),
            1 => breaker.failed(straggler, at(15.5)),
            2 => breaker.limited(straggler, at(15.5), Some(secs(99.0))),
            _ => breaker.dropped(straggler, at(15.5)),
        }
        assert_eq!(breaker.position(), Position::HalfOpen);
        refused(&mut breaker, 15.6);
    }
    breaker.succeeded(&mut probe, at(16.0), QUICK);
    assert_eq!(breaker.position(), Position::HalfOpen, "two successes are needed");
}

#[test]
fn a_probe_that_is_limited_has_failed() {
    let mut breaker = opened();
    let probe = go(&mut breaker, 15.0);
    breaker.limited(probe, at(16.0), Some(secs(40.0)));
    assert_eq!(breaker.position(), Position::Open { until: at(56.0) });
}

#[test]
fn a_lost_probe_has_failed_after_thirty_seconds() {
    let mut breaker = opened();
    let mut lost = go(&mut breaker, 15.0);
    refused(&mut breaker, 44.9);
    assert_eq!(refused(&mut breaker, 45.0), 55.0, "the second opening is twice as long");
    breaker.succeeded(&mut lost, at(46.0), QUICK);
    assert_eq!(breaker.position(), Position::Open { until: at(55.0) });
}

#[test]
fn openings_double_up_to_their_limit_and_are_forgiven() {
    let mut breaker = opened();
    let mut now = 15.0;
    for length in [10.0, 20.0, 40.0, 80.0, 120.0, 120.0] {
        fail(&mut breaker, now);
        assert_eq!(breaker.position(), Position::Open { until: at(now + length) });
        now += length;
    }
    succeed(&mut breaker, now);
    succeed(&mut breaker, now);
    // 31 s later the ramp is over; after 1800 healthy seconds six of the seven openings are forgiven.
    succeed(&mut breaker, now + 31.0);
    now += 31.0 + 1800.0;
    (0..5).for_each(|_| fail(&mut breaker, now));
    assert_eq!(breaker.position(), Position::Open { until: at(now + 10.0) });
}

#[test]
fn openings_are_spread_but_never_shorter_than_a_stated_wait() {
    let mut random = SplitMix64::new(7);
    let mut lengths = Vec::new();
    for _ in 0..200 {
        let mut breaker = Breaker::new(Settings::default());
        for _ in 0..5 {
            let Ask::Go(permit) = breaker.ask(Time::ZERO, LASTS, &mut random) else {
                panic!("closed breakers pass")
            };
            breaker.failed(permit, Time::ZERO);
        }
        let Position::Open { until } = breaker.position() else { panic!("five failures open") };
        lengths.push(until.since(Time::ZERO).as_secs_f64());
    }
    assert!(lengths.iter().all(|length| (4.0..=6.0).contains(length)), "{lengths:?}");
    assert!(lengths.iter().any(|length| *length < 4.4) && lengths.iter().any(|length| *length > 5.6));

    let mut breaker = opened();
    let probe = go(&mut breaker, 15.0);
    breaker.settle(probe, at(15.0), &fault(Class::Transient, Some(secs(33.0))));
    assert_eq!(breaker.position(), Position::Open { until: at(48.0) });
}

#[test]
fn a_ramp_admits_a_growing_share() {
    // 300 calls in 30 s before it trips: 10 calls per second.
    let mut breaker = Breaker::new(Settings::default());
    for index in 0..295 {
        succeed(&mut breaker, f64::from(index) * 0.1);
    }
    (0..5).for_each(|_| fail(&mut breaker, 29.9));
    succeed(&mut breaker, 40.0);
    succeed(&mut breaker, 40.0);
    let mut admitted = [0_u32; 3];
    for tick in 0..29_990 {
        let now = at(40.0) + Duration::from_millis(tick);
        if let Ask::Go(mut permit) = breaker.ask(now, LASTS, &mut Middle) {
            breaker.succeeded(&mut permit, now, QUICK);
            admitted[tick as usize / 10_000] += 1;
        }
    }
    // The mean shares of its thirds are 18 % (a tenth at least), 50 % and 83 % of 100 calls in 10 s.
    for (admitted, share) in admitted.into_iter().zip([18_u32, 50, 83]) {
        assert!(admitted.abs_diff(share) <= 3, "{admitted} admitted, about {share} expected");
    }
    for _ in 0..100 {
        succeed(&mut breaker, 70.0);
    }
    assert_eq!(breaker.position(), Position::Closed);
}

#[test]
fn a_failing_ramp_opens_again_and_a_dropped_call_costs_no_token() {
    let mut breaker = opened();
    succeed(&mut breaker, 15.0);
    succeed(&mut breaker, 15.0);
    for _ in 0..10 {
        let unused = go(&mut breaker, 16.0);
        breaker.dropped(unused, at(16.0));
    }
    for second in 0..5 {
        assert_eq!(breaker.position(), Position::Ramp);
        fail(&mut breaker, 17.0 + 2.0 * f64::from(second));
    }
    assert_eq!(breaker.position(), Position::Open { until: at(35.0) });
}

#[test]
fn an_order_holds_until_it_is_taken_back() {
    let mut breaker = opened();
    breaker.force(Some(Forced::Closed));
    fail(&mut breaker, 11.0);
    breaker.force(Some(Forced::Open));
    assert_eq!(breaker.forced(), Some(Forced::Open));
    assert_eq!(breaker.ask(at(1e6), LASTS, &mut Middle), Ask::No { until: Time::MAX });
    breaker.force(None);
    succeed(&mut breaker, 15.0);
}

fn fault(class: Class, wait: Option<Duration>) -> Fault {
    Fault {
        class,
        close: if class == Class::RateLimited { Close::Domain(wait) } else { Close::Nothing },
        wait,
        same_target: SameTarget::Never,
        blame: Blame::Target,
        status: None,
        message: String::new(),
        gist: "".into(),
        late: None,
        code: None,
        param: None,
    }
}

/// Calls that have content and break off later.
fn break_off(breaker: &mut Breaker, seconds: f64) {
    let mut permit = go(breaker, seconds);
    breaker.succeeded(&mut permit, at(seconds), QUICK);
    breaker.settle(permit, at(seconds), &fault(Class::MidStream, None));
}

#[test]
fn five_streams_in_a_row_that_break_off_open_it_and_a_finished_one_between_does_not() {
    let mut breaker = Breaker::new(Settings::default());
    for round in 0..4 {
        (0..4).for_each(|_| break_off(&mut breaker, f64::from(round) * 40.0));
        succeed(&mut breaker, f64::from(round) * 40.0);
        assert_eq!(breaker.position(), Position::Closed);
    }
    let mut breaker = Breaker::new(Settings::default());
    (0..5).for_each(|_| break_off(&mut breaker, 10.0));
    assert_eq!(breaker.position(), Position::Open { until: at(15.0) });

    // All of them have content before the first breaks off.
    let mut breaker = Breaker::new(Settings::default());
    let mut streams: Vec<_> = (0..5).map(|_| go(&mut breaker, 0.0)).collect();
    streams.iter_mut().for_each(|stream| breaker.succeeded(stream, at(0.0), QUICK));
    for stream in streams {
        assert_eq!(breaker.position(), Position::Closed);
        breaker.failed(stream, at(1.0));
    }
    assert_eq!(breaker.position(), Position::Open { until: at(6.0) });
}

#[test]
fn a_stream_that_breaks_off_is_one_call() {
    // Of ten calls five broke off: exactly half. Counted twice they would be a third of fifteen.
    let mut breaker = Breaker::new(Settings { consecutive: 100, ..Settings::default() });
    for index in 0..9 {
        if index % 2 == 0 {
            break_off(&mut breaker, 1.0)
        } else {
            succeed(&mut breaker, 1.0)
        }
        assert_eq!(breaker.position(), Position::Closed, "after {index}");
    }
    succeed(&mut breaker, 1.0);
    assert!(matches!(breaker.position(), Position::Open { .. }));

    // Ten streams begin, and one breaks off when the window has long forgotten how they began: one call of one.
    let mut breaker = Breaker::new(Settings { consecutive: 100, min_calls: 2, ..Settings::default() });
    let mut streams: Vec<_> = (0..10).map(|_| go(&mut breaker, 0.0)).collect();
    streams.iter_mut().for_each(|stream| breaker.succeeded(stream, at(0.0), QUICK));
    breaker.failed(streams.pop().unwrap(), at(400.0));
    assert_eq!(breaker.position(), Position::Closed);
    breaker.failed(streams.pop().unwrap(), at(400.0));
    assert!(matches!(breaker.position(), Position::Open { .. }));
}

#[test]
fn a_caller_that_leaves_an_answer_in_the_middle_says_nothing_more() {
    let strict = Settings { consecutive: 1, min_calls: 1, ..Settings::default() };
    let mut breaker = Breaker::new(strict);
    let mut permit = go(&mut breaker, 0.0);
    breaker.succeeded(&mut permit, at(1.0), QUICK);
    breaker.dropped(permit, at(600.0));
    assert_eq!(breaker.position(), Position::Closed, "its first content was not slow");
}

#[test]
fn a_probe_has_succeeded_with_its_first_content_and_fails_when_it_breaks_off() {
    let mut breaker = opened();
    let mut first = go(&mut breaker, 15.0);
    breaker.succeeded(&mut first, at(15.5), QUICK);
    let mut second = go(&mut breaker, 15.5);
    refused(&mut breaker, 15.6);
    breaker.dropped(first, at(15.7));
    refused(&mut breaker, 15.8);
    breaker.succeeded(&mut second, at(16.0), QUICK);
    assert_eq!(breaker.position(), Position::Ramp, "while both streams still run");

    let mut breaker = opened();
    let mut first = go(&mut breaker, 15.0);
    breaker.succeeded(&mut first, at(15.5), QUICK);
    let mut second = go(&mut breaker, 15.5);
    breaker.failed(first, at(16.0));
    assert_eq!(breaker.position(), Position::Open { until: at(26.0) });
    breaker.succeeded(&mut second, at(16.5), QUICK);
    assert_eq!(breaker.position(), Position::Open { until: at(26.0) }, "from before the opening");
}

#[test]
fn a_probe_that_breaks_off_later_is_one_failed_call_where_the_breaker_stands() {
    let strict = Settings { consecutive: 1, ..Settings::default() };
    for (breaks_at, expected) in [(20.0, Position::Ramp), (60.0, Position::Open { until: at(70.0) })] {
        let mut breaker = Breaker::new(strict);
        fail(&mut breaker, 10.0);
        let mut probes: Vec<_> = (0..2)
            .map(|_| {
                let mut probe = go(&mut breaker, 15.0);
                breaker.succeeded(&mut probe, at(15.0), QUICK);
                probe
            })
            .collect();
        if breaks_at > 45.0 {
            succeed(&mut breaker, 46.0);
            assert_eq!(breaker.position(), Position::Closed);
        }
        breaker.failed(probes.pop().unwrap(), at(breaks_at));
        assert_eq!(breaker.position(), expected, "at {breaks_at} s");
        if expected == Position::Ramp {
            // With it four failures are five calls of a ramp.
            for second in 0..4 {
                assert_eq!(breaker.position(), Position::Ramp);
                fail(&mut breaker, 22.0 + 2.0 * f64::from(second));
            }
            assert!(matches!(breaker.position(), Position::Open { .. }));
            // The other one is from before this opening.
            let probe = go(&mut breaker, 100.0);
            breaker.failed(probes.pop().unwrap(), at(100.0));
            refused(&mut breaker, 100.0);
            breaker.dropped(probe, at(100.0));
            succeed(&mut breaker, 100.0);
        }
    }
}

#[test]
fn a_probe_is_lost_when_its_own_call_can_no_longer_come() {
    let mut breaker = opened();
    let Ask::Go(mut probe) = breaker.ask(at(15.0), secs(300.0), &mut Middle) else { panic!("a probe goes") };
    for seconds in [16.0, 45.0, 200.0] {
        refused(&mut breaker, seconds);
    }
    breaker.succeeded(&mut probe, at(200.0), Duration::ZERO);
    succeed(&mut breaker, 200.0);
    assert_eq!(breaker.position(), Position::Ramp);

    let mut breaker = opened();
    let Ask::Go(_hung) = breaker.ask(at(15.0), secs(300.0), &mut Middle) else { panic!("a probe goes") };
    assert_eq!(refused(&mut breaker, 314.9), 315.0);
    assert_eq!(refused(&mut breaker, 315.0), 325.0);
}

#[test]
fn other_settings_keep_what_is_known() {
    let mut breaker = Breaker::new(Settings::default());
    (0..3).for_each(|_| fail(&mut breaker, 1.0));
    breaker.retune(Settings { consecutive: 4, ..Settings::default() });
    assert_eq!(breaker.position(), Position::Closed);
    fail(&mut breaker, 1.0);
    assert_eq!(breaker.position(), Position::Open { until: at(6.0) }, "the fourth in a row");
    breaker.retune(Settings { open: secs(60.0), open_max: secs(600.0), probes: 1, ..Settings::default() });
    assert_eq!(breaker.position(), Position::Open { until: at(6.0) }, "an opening keeps its length");
    fail(&mut breaker, 6.0);
    assert_eq!(breaker.position(), Position::Open { until: at(126.0) }, "the second is twice as long");
    succeed(&mut breaker, 126.0);
    assert_eq!(breaker.position(), Position::Ramp, "one probe is enough now");

    // A longer window still knows the failures of a shorter one, and later ones are judged with them.
    let settings = |window| Settings { consecutive: 100, window: secs(window), ..Settings::default() };
    for (window, opens) in [(60.0, true), (30.0, false), (10.0, false)] {
        let mut breaker = Breaker::new(settings(30.0));
        (0..5).for_each(|_| fail(&mut breaker, 5.0));
        breaker.retune(settings(window));
        (0..5).for_each(|_| fail(&mut breaker, 40.0));
        let open = matches!(breaker.position(), Position::Open { .. });
        assert_eq!(open, opens, "a window of {window} s");
    }
}

#[test]
fn each_class_counts_as_it_should() {
    for class in Class::ALL {
        let mut breaker = Breaker::new(Settings::default());
        let mut calls = 0;
        while breaker.position() == Position::Closed && calls < 50 {
            let permit = go(&mut breaker, 0.0);
            breaker.settle(permit, at(0.0), &fault(class, None));
            calls += 1;
        }
        let expected = match class {
            Class::PreSend | Class::Transient | Class::Timeout | Class::Overloaded => 5,
            Class::Malformed | Class::MidStream => 5,
            Class::RateLimited => 3,
            _ => 50,
        };
        assert_eq!(calls, expected, "{class:?}");

        let mut half_open = opened();
        let probe = go(&mut half_open, 15.0);
        half_open.settle(probe, at(15.0), &fault(class, None));
        assert_eq!(matches!(half_open.position(), Position::Open { .. }), expected < 50, "{class:?}");
        if expected == 50 {
            succeed(&mut half_open, 15.0);
        }
    }
}

/// What one caller's words, or our own means, bring about closes a target for nobody.
#[test]
fn what_is_not_the_targets_doing_does_not_count() {
    for blame in [Blame::Request, Blame::Gateway] {
        for class in Class::ALL {
            let fault = Fault { blame, ..fault(class, None) };
            let mut breaker = Breaker::new(Settings::default());
            for _ in 0..50 {
                let permit = go(&mut breaker, 0.0);
                breaker.settle(permit, at(0.0), &fault);
            }
            assert_eq!(breaker.position(), Position::Closed, "{class:?} {blame:?}");
            let mut half_open = opened();
            let probe = go(&mut half_open, 15.0);
            half_open.settle(probe, at(15.0), &fault);
            // The probe was given back.
            succeed(&mut half_open, 15.0);
        }
    }
}

/// Long whole answers are not slow, and short ones do not make a slow first token look usual or unusual.
#[test]
fn whole_answers_say_nothing_about_first_tokens() {
    let settings = Settings { slow: Duration::ZERO, ..Settings::default() };
    let mut breaker = Breaker::new(settings);
    let mut alone = Breaker::new(settings);
    for round in 0..40 {
        // Usual first tokens of 4 s: three times as long would be slow.
        let seconds = f64::from(round) * 4.0;
        for breaker in [&mut breaker, &mut alone] {
            let mut permit = go(breaker, seconds);
            breaker.succeeded(&mut permit, at(seconds + 4.0), secs(4.0));
        }
        for _ in 0..20 {
            let mut permit = go(&mut breaker, seconds);
            breaker.answered_whole(&mut permit, at(seconds + 600.0));
        }
    }
    for breaker in [&mut breaker, &mut alone] {
        for _ in 0..40 {
            let mut permit = go(breaker, 1_000.0);
            breaker.succeeded(&mut permit, at(1_010.0), secs(10.0));
        }
        assert_eq!(breaker.position(), Position::Closed, "10 s is not slow where 4 s are usual");
    }
}

// === the model ===

#[derive(Debug, Clone, Copy)]
enum Op {
    Pass(u32),
    Ask,
    /// The call has content; one that `streams` goes on.
    Succeed {
        which: usize,
        slow: bool,
        streams: bool,
    },
    Fail {
        which: usize,
        slow: bool,
    },
    Limit {
        which: usize,
        wait: u32,
    },
    Drop {
        which: usize,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let which = 0_usize..6;
    let op = prop_oneof![
        3 => prop_oneof![1_u32..3_000, 3_000_u32..40_000].prop_map(Op::Pass),
        8 => Just(Op::Ask),
        4 => (which.clone(), prop::bool::weighted(0.3), any::<bool>())
            .prop_map(|(which, slow, streams)| Op::Succeed { which, slow, streams }),
        5 => (which.clone(), any::<bool>()).prop_map(|(which, slow)| Op::Fail { which, slow }),
        1 => (which.clone(), 1_u32..60).prop_map(|(which, wait)| Op::Limit { which, wait }),
        1 => which.prop_map(|which| Op::Drop { which }),
    ];
    prop::collection::vec(op, 1..160)
}

/// What the breaker should do, from a plain list of what happened. Milliseconds throughout.
struct Model {
    now: u64,
    phase: Phase,
    /// Counts openings and probings: what was sent before one of them says nothing after it.
    era: u64,
    /// Counts moves.
    stay: u64,
    /// Calls asked for so far.
    calls: u64,
    /// Call, failed; of the current stay.
    row: Vec<(u64, bool)>,
    opens: u32,
    closed_at: u64,
    rate: f64,
    /// Moment, failed, slow, call; of the current closed stay.
    judged: Vec<(u64, bool, bool, u64)>,
    limited: Vec<u64>,
    /// First tokens ever seen while closed: slow or not.
    tokens: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Closed,
    Open(u64),
    Half { probe: Option<u64>, passed: u32 },
    Ramp { since: u64, filled: u64, tokens: f64, calls: u32, fails: u32 },
}

/// A permit as the model sees it.
#[derive(Debug, Clone, Copy)]
struct Ticket {
    era: u64,
    /// When it was given.
    at: u64,
    /// The number of its call.
    call: u64,
    /// The stay in which its call had content.
    content: Option<u64>,
}

impl Model {
    fn new() -> Self {
        let (row, judged, limited, tokens) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (now, era, stay, calls, phase) = (0, 0, 0, 0, Phase::Closed);
        let (opens, closed_at, rate) = (0, 0, 0.0);
        Self { now, phase, era, stay, calls, row, opens, closed_at, rate, judged, limited, tokens }
    }

    fn enter(&mut self, phase: Phase) {
        self.era += u64::from(matches!(phase, Phase::Open(_) | Phase::Half { .. }));
        self.stay += 1;
        self.phase = phase;
        self.row.clear();
        self.judged.clear();
        self.limited.clear();
    }

    fn recent(&self, moment: u64, slot: u64) -> bool {
        moment / slot + 10 > self.now / slot
    }

    fn window(&self) -> (u32, u32, u32) {
        let recent: Vec<_> = self.judged.iter().filter(|entry| self.recent(entry.0, 3_000)).collect();
        let count =
            |wanted: fn(&(u64, bool, bool, u64)) -> bool| recent.iter().filter(|entry| wanted(entry)).count();
        (recent.len() as u32, count(|entry| entry.1) as u32, count(|entry| entry.2) as u32)
    }

    fn limits(&self) -> u32 {
        self.limited.iter().filter(|moment| self.recent(**moment, 6_000)).count() as u32
    }

    fn open(&mut self, until: u64) {
        if self.phase == Phase::Closed {
            self.rate = f64::from(self.window().0.max(self.limits())) / 30.0;
        }
        self.enter(Phase::Open(until));
    }

    fn trip(&mut self, wait: u64) {
        if self.phase == Phase::Closed {
            self.opens = self.opens.saturating_sub(((self.now - self.closed_at) / 300_000) as u32);
        }
        self.opens += 1;
        let length = (5_000_u64 << (self.opens - 1).min(20)).min(120_000).max(wait);
        self.open(self.now + length);
    }

    fn ramp_rate(&self, since: u64) -> f64 {
        (self.rate * ((self.now - since) as f64 / 30_000.0).max(0.1)).max(1.0)
    }

    fn ask(&mut self) -> Option<Ticket> {
        match self.phase {
            Phase::Open(until) if self.now >= until => self.enter(Phase::Half { probe: None, passed: 0 }),
            Phase::Half { probe: Some(since), .. } if self.now - since >= 30_000 => self.trip(0),
            Phase::Ramp { since, .. } if self.now - since >= 30_000 => {
                self.closed_at = self.now;
                self.enter(Phase::Closed);
            }
            _ => {}
        }
        let rate = if let Phase::Ramp { since, .. } = self.phase { self.ramp_rate(since) } else { 0.0 };
        let passes = match &mut self.phase {
            Phase::Closed => true,
            Phase::Open(_) => false,
            Phase::Half { probe, .. } => probe.replace(probe.unwrap_or(self.now)).is_none(),
            Phase::Ramp { filled, tokens, .. } => {
                *tokens = (*tokens + rate * (self.now - *filled) as f64 / 1000.0).min(1.0);
                *filled = self.now;
                let passes = *tokens >= 1.0;
                *tokens -= f64::from(u8::from(passes));
                passes
            }
        };
        self.calls += 1;
        passes.then_some(Ticket { era: self.era, at: self.now, call: self.calls, content: None })
    }

    fn trip_if_due(&mut self) {
        let (calls, fails, slows) = self.window();
        let streak = self.row.iter().rev().take_while(|(_, failed)| *failed).count();
        if streak >= 5 || (calls >= 10 && (fails * 10 >= calls * 5 || slows * 10 >= calls * 8)) {
            self.trip(0);
        }
    }

    fn judge(&mut self, call: u64, failed: bool, slow: bool) {
        match &mut self.phase {
            Phase::Closed => {
                self.row.push((call, failed));
                self.judged.push((self.now, failed, slow, call));
                self.trip_if_due();
            }
            Phase::Half { .. } if failed => self.trip(0),
            Phase::Half { passed: 1, .. } => {
                let (since, filled) = (self.now, self.now);
                self.enter(Phase::Ramp { since, filled, tokens: 1.0, calls: 0, fails: 0 });
            }
            Phase::Half { .. } => self.phase = Phase::Half { probe: None, passed: 1 },
            Phase::Ramp { calls, fails, .. } => {
                *calls += 1;
                *fails += u32::from(failed);
                if *calls >= 5 && *fails * 2 >= *calls {
                    self.trip(0);
                }
            }
            Phase::Open(_) => {}
        }
    }

    /// A call fails, or breaks off after its content: then its success never was.
    fn fail(&mut self, ticket: Ticket, mut slow: bool) {
        if ticket.era != self.era {
            return;
        }
        if ticket.content == Some(self.stay) {
            if let Phase::Ramp { calls, .. } = &mut self.phase {
                *calls -= 1;
            }
            slow |= self.judged.iter().any(|entry| entry.3 == ticket.call && entry.2);
            self.judged.retain(|entry| entry.3 != ticket.call);
            // Another call that succeeded since has broken the row for good.
            let last = self.row.iter().rposition(|(_, failed)| !failed);
            if let Some(last) = last.filter(|last| self.row[*last].0 == ticket.call) {
                self.row.remove(last);
            }
        }
        self.judge(ticket.call, true, slow);
    }

    /// First tokens of 20 s are slow until they are usual: then the limit is three times 20 s and a step.
    fn slow_is_usual(&self) -> bool {
        let quick = self.tokens.iter().filter(|slow| !**slow).count();
        self.tokens.len() >= 20 && quick * 100 < self.tokens.len() * 95
    }

    fn succeed(&mut self, ticket: &mut Ticket, slow: bool) {
        if ticket.era == self.era && ticket.content.is_none() {
            ticket.content = Some(self.stay);
            let counts_as_slow = slow && !self.slow_is_usual();
            if self.phase == Phase::Closed {
                self.tokens.push(slow);
            }
            self.judge(ticket.call, false, counts_as_slow);
        }
    }

    fn limit(&mut self, ticket: Ticket, wait: u64) {
        if ticket.era != self.era {
            return;
        }
        if matches!(self.phase, Phase::Half { .. }) {
            return self.trip(wait);
        }
        self.limited.push(self.now);
        if self.limits() >= 3 {
            self.open(self.now + wait);
        }
    }

    fn dropped(&mut self, ticket: Ticket) {
        let limit = if self.slow_is_usual() { 76_800 } else { 10_000 };
        let slow = self.now - ticket.at > limit;
        match &mut self.phase {
            _ if ticket.era != self.era || ticket.content.is_some() => {}
            Phase::Closed if slow => {
                self.judged.push((self.now, false, true, ticket.call));
                self.trip_if_due();
            }
            Phase::Half { probe, .. } => *probe = None,
            Phase::Ramp { tokens, .. } => *tokens = 1.0,
            Phase::Closed | Phase::Open(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(cases(2))]
    #[test]
    fn it_does_what_the_model_does(ops in ops()) {
        let mut breaker = Breaker::new(Settings::default());
        let mut model = Model::new();
        let mut held: Vec<(Permit, Ticket)> = Vec::new();
        for op in ops {
            let now = Time::ZERO + Duration::from_millis(model.now);
            let mut take = |which: usize| if held.is_empty() { None } else { Some(held.remove(which % held.len())) };
            match op {
                Op::Pass(millis) => model.now += u64::from(millis),
                Op::Ask => {
                    let ticket = model.ask();
                    match (breaker.ask(now, LASTS, &mut Middle), ticket) {
                        (Ask::Go(permit), Some(ticket)) => held.push((permit, ticket)),
                        (Ask::No { until }, None) => prop_assert!(until > now, "a refusal says when to come back"),
                        (asked, expected) => prop_assert!(false, "{asked:?}, model {expected:?} {:?}", model.phase),
                    }
                }
                Op::Succeed { which, slow, streams } => if let Some((mut permit, mut ticket)) = take(which) {
                    breaker.succeeded(&mut permit, now, if slow { secs(20.0) } else { QUICK });
                    model.succeed(&mut ticket, slow);
                    if streams { held.push((permit, ticket)) }
                },
                Op::Fail { which, slow } => if let Some((permit, ticket)) = take(which) {
                    if slow { breaker.slow(permit, now) } else { breaker.failed(permit, now) }
                    model.fail(ticket, slow);
                },
                Op::Limit { which, wait } => if let Some((permit, ticket)) = take(which) {
                    breaker.limited(permit, now, Some(secs(f64::from(wait))));
                    model.limit(ticket, u64::from(wait) * 1000);
                },
                Op::Drop { which } => if let Some((permit, ticket)) = take(which) {
                    breaker.dropped(permit, now);
                    model.dropped(ticket);
                },
            }
            let expected = match model.phase {
                Phase::Closed => Position::Closed,
                Phase::Open(until) => Position::Open { until: Time::ZERO + Duration::from_millis(until) },
                Phase::Half { .. } => Position::HalfOpen,
                Phase::Ramp { .. } => Position::Ramp,
            };
            prop_assert_eq!(breaker.position(), expected, "after {:?}", op);
        }
    }

    #[test]
    fn more_failures_never_delay_a_trip(outcomes in prop::collection::vec((any::<bool>(), 0_u32..2_000), 1..80), worse in any::<prop::sample::Index>()) {
        let trips_after = |outcomes: &[(bool, u32)]| {
            let mut breaker = Breaker::new(Settings::default());
            let mut now = Time::ZERO;
            outcomes.iter().position(|(failed, gap)| {
                now = now + Duration::from_millis(u64::from(*gap));
                let Ask::Go(mut permit) = breaker.ask(now, LASTS, &mut Middle) else { panic!("still closed") };
                if *failed { breaker.failed(permit, now) } else { breaker.succeeded(&mut permit, now, QUICK) }
                breaker.position() != Position::Closed
            })
        };
        let before = trips_after(&outcomes);
        let mut outcomes = outcomes;
        let index = worse.index(outcomes.len());
        outcomes[index].0 = true;
        let after = trips_after(&outcomes);
        prop_assert!(before.is_none_or(|before| after.is_some_and(|after| after <= before)), "{before:?} {after:?}");
    }

    #[test]
    fn whatever_happened_demand_gets_through_in_the_end(ops in ops()) {
        let mut breaker = Breaker::new(Settings::default());
        let mut now = Time::ZERO;
        for op in ops {
            now = now + Duration::from_millis(if let Op::Pass(millis) = op { u64::from(millis) } else { 10 });
            // Permits are lost, as by a shell with a bug.
            if let Ask::Go(mut permit) = breaker.ask(now, LASTS, &mut Middle) {
                match op {
                    Op::Fail { .. } => breaker.failed(permit, now),
                    Op::Limit { wait, .. } => breaker.limited(permit, now, Some(secs(f64::from(wait)))),
                    Op::Succeed { .. } => breaker.succeeded(&mut permit, now, QUICK),
                    _ => drop(permit),
                }
            }
        }
        let asked_until = (0..400).find_map(|_| match breaker.ask(now, LASTS, &mut Middle) {
            Ask::Go(permit) => Some(permit),
            Ask::No { until } => { now = until; None }
        });
        prop_assert!(asked_until.is_some());
    }
}
