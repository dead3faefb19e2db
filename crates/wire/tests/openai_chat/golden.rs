//! Every fixture beside what becomes of it. To add a case, add a file to `fixtures/openai_chat` and review the
//! snapshot.

use crate::support::{
    CROOKED, able, fixtures, hear, inbound, picky, pretty, setup, summed_up, target, written,
};
use std::fmt::Write as _;
use unfail_wire::target::{Quirks, Target};
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::{Dialect, Wire};

fn section(page: &mut String, title: &str, text: &str) {
    write!(page, "--- {title}\n{}\n", text.trim_end()).unwrap();
}

fn check(folder: &str, least: usize, page: impl Fn(&str) -> String) {
    let cases = fixtures(folder);
    assert!(cases.len() >= least, "fixtures of {folder} are missing");
    for (name, input) in cases {
        let mut whole = String::new();
        section(&mut whole, "input", &input);
        whole.push_str(&page(&input));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("{folder}__{name}"), whole);
        });
    }
}

/// What the target gets, through the hub and by editing the caller's bytes.
fn sent(page: &mut String, title: &str, body: &[u8], target: &Target<'_>) {
    match Dialect::parse(&OpenAiChat, inbound(body)) {
        Err(refusal) => section(page, &format!("{title}, from the hub"), &format!("{refusal:?}")),
        Ok(request) => match Wire::render(&OpenAiChat, &request, target) {
            Ok(sent) => section(page, &format!("{title}, from the hub"), &pretty(&sent)),
            Err(error) => section(page, &format!("{title}, from the hub"), &error.to_string()),
        },
    }
    let outline = OpenAiChat.outline(inbound(body)).unwrap();
    let adapted = OpenAiChat.adapt(inbound(body), &outline, target);
    let text =
        adapted.map_or_else(|error| error.to_string(), |sent| String::from_utf8(sent.to_vec()).unwrap());
    section(page, &format!("{title}, adapted"), &text);
}

#[test]
fn requests() {
    check("requests", 25, |input| {
        let mut page = String::new();
        let outline = OpenAiChat.outline(inbound(input.as_bytes()));
        section(&mut page, "outline", &format!("{outline:#?}"));
        if let Ok(request) = Dialect::parse(&OpenAiChat, inbound(input.as_bytes())) {
            section(&mut page, "hub", &format!("{request:#?}"));
        }
        sent(&mut page, "plain host", input.as_bytes(), &target(&Quirks::NONE, &able()));
        sent(&mut page, "crooked host", input.as_bytes(), &target(&CROOKED, &picky()));
        page
    });
}

#[test]
fn answers() {
    check("answers", 35, |input| {
        let mut page = String::new();
        let parsed = summed_up(input.as_bytes());
        section(&mut page, "hub", &format!("{parsed:#?}"));
        if let Ok(response) = parsed {
            section(&mut page, "for a caller", &pretty(&Dialect::render(&OpenAiChat, &response)));
        }
        page
    });
}

#[test]
fn streams() {
    check("streams", 40, |input| {
        let mut page = String::new();
        let heard = hear(input);
        let events: Vec<String> = heard.events.iter().map(|event| format!("{event:?}")).collect();
        section(&mut page, "events", &events.join("\n"));
        heard.remarks.iter().for_each(|remark| section(&mut page, "remark", remark));
        section(&mut page, "complete", &heard.complete.to_string());
        section(&mut page, "for a caller", &written(&heard.events, setup(true, false)));
        page
    });
}
