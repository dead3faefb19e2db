//! The limiter over sockets: it lets through what it allows, and tells the truth in every family of headers.

use std::time::Duration;

use unfail_sim::{Flavour, Limit, LimitHeaders, Provider, Refill, Script, Setup, Speaks, Stated};
use unfail_testkit::{Answer, Client};

use crate::ask::{ask, post};

fn start(wire: Speaks, flavour: Flavour, limit: Limit) -> Provider {
    Provider::start_as(Setup::new(wire, Script::limited(limit)).flavoured(flavour)).unwrap()
}

fn limit(allow: u32, window: Duration, stated: Stated) -> Limit {
    Limit { allow, window, refill: Refill::Window, stated }
}

#[tokio::test]
async fn every_answer_tells_what_is_left() {
    for (wire, flavour, remaining, reset) in [
        (
            Speaks::OpenAiChat,
            Flavour::OPENAI_CHAT,
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ),
        (
            Speaks::OpenAiChat,
            Flavour::DECIMAL_FLAT,
            "x-ratelimit-remaining-requests-minute",
            "x-ratelimit-reset-requests-minute",
        ),
        (
            Speaks::Anthropic,
            Flavour::ANTHROPIC,
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ),
        (Speaks::OpenAiChat, Flavour::EPOCH_MILLIS, "x-ratelimit-remaining", "x-ratelimit-reset"),
        (Speaks::Gemini, Flavour::GEMINI, "", ""),
    ] {
        let provider = start(wire, flavour, limit(2, Duration::from_secs(90), Stated::Seconds));
        for (status, left) in [(200, "1"), (200, "0"), (429, "0"), (429, "0")] {
            let answer = post(&provider, &ask(wire, "hello", false)).await;
            assert_eq!(answer.status.as_u16(), status, "{flavour:?}: {}", answer.text());
            let told = flavour.limits != LimitHeaders::None
                && (status == 429 || flavour.limits != LimitHeaders::EpochMillis);
            assert_eq!(answer.header(remaining), if told { left } else { "" }, "{flavour:?}");
            if told {
                is_about_ninety_seconds(&answer, flavour.limits, reset);
            }
            if status == 429 {
                let wait: u64 = answer.header("retry-after").parse().unwrap();
                assert!((85..=90).contains(&wait), "{wait}");
                assert_eq!(
                    answer.text().contains("\"retryDelay\":\"8")
                        || answer.text().contains("\"retryDelay\":\"90"),
                    wire == Speaks::Gemini
                );
            }
        }
    }
}

fn is_about_ninety_seconds(answer: &Answer, family: LimitHeaders, name: &str) {
    let text = answer.header(name);
    let good = match family {
        LimitHeaders::GoDuration => text.starts_with("1m2") && text.ends_with('s') || text == "1m30s",
        LimitHeaders::DecimalSeconds => {
            text.parse::<f64>().is_ok_and(|seconds| (85.0..=90.0).contains(&seconds))
        }
        LimitHeaders::Rfc3339 => text.len() == 20 && text.ends_with('Z'),
        LimitHeaders::EpochMillis => text.len() == 13 && text.parse::<u64>().is_ok(),
        LimitHeaders::None => false,
    };
    assert!(good, "{name}: {text}");
}

#[tokio::test]
async fn a_wait_is_stated_in_the_form_told() {
    for (stated, header, resets) in [
        (Stated::Seconds, "retry-after", true),
        (Stated::Date, "retry-after", true),
        (Stated::Millis, "retry-after-ms", true),
        (Stated::ResetHeaders, "", true),
        (Stated::Nothing, "", false),
    ] {
        let provider =
            start(Speaks::OpenAiChat, Flavour::OPENAI_CHAT, limit(0, Duration::from_secs(30), stated));
        let answer = post(&provider, &ask(Speaks::OpenAiChat, "hello", false)).await;
        assert_eq!(answer.status, 429);
        let named = ["retry-after", "retry-after-ms"].map(|name| !answer.header(name).is_empty());
        assert_eq!(named, ["retry-after", "retry-after-ms"].map(|name| name == header), "{stated:?}");
        assert_eq!(answer.header("retry-after").ends_with("GMT"), stated == Stated::Date);
        assert_eq!(!answer.header("x-ratelimit-reset-requests").is_empty(), resets, "{stated:?}");
        assert_eq!(provider.calls()[0].act, "limited");
    }
}

/// The law over sockets: whatever the callers do, no window holds more answers than allowed.
#[tokio::test]
async fn a_storm_gets_no_more_than_allowed() {
    let window = Duration::from_millis(150);
    let provider = start(Speaks::Gemini, Flavour::GEMINI, limit(5, window, Stated::Millis));
    let url = format!("{}{}", provider.base_url(), ask(Speaks::Gemini, "hello", false).path);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        callers.spawn(async move {
            let client = Client::new();
            let asked = ask(Speaks::Gemini, "hello", false);
            for _ in 0..25 {
                client.post(&url, &asked.headers, &asked.body).await.unwrap();
                tokio::time::sleep(Duration::from_millis(12)).await;
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let calls = provider.calls();
    assert_eq!(calls.len(), 200);
    // A call is timed when it is entered, a moment before the limiter sees it: the margin is for that moment.
    let margin = Duration::from_millis(30);
    let mut answered: Vec<Duration> =
        calls.iter().filter(|call| call.status == Some(200)).map(|call| call.at).collect();
    answered.sort();
    assert!(answered.len() >= 10, "the limit refills");
    let first = answered[0];
    let windows = (calls.last().unwrap().at - first).as_millis() / window.as_millis() + 1;
    assert!(answered.len() as u128 <= windows * 5, "{} in {windows} windows", answered.len());
    for six in answered.windows(11) {
        assert!(six[10] - six[0] + margin >= window, "eleven answers never fit into one window");
    }
}
