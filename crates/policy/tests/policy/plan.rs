//! What a target cannot do is skipped with its reason; what is unknown is tried.

use unfail_policy::plan::{Skip, TargetFacts, plan};
use unfail_wire::outline::Needs;
use unfail_wire::target::Traits;

const NOTHING: Needs = Needs {
    input_tokens: 1_000,
    max_output_tokens: None,
    tools: false,
    forced_tool: false,
    json_schema: false,
    images: false,
    audio: false,
    files: false,
    many_choices: false,
    messages: 1,
};

fn check(needs: Needs, traits: Traits, expected: Option<Skip>) {
    let facts =
        TargetFacts { credential: 1, domain: 2, traits: &traits, schema_by_prompt: false, allowed: true };
    let judged = plan(&needs, &[facts]);
    assert_eq!(judged.places()[0].skip, expected, "{needs:?} {traits:?}");
    let forbidden = plan(&needs, &[TargetFacts { allowed: false, ..facts }]);
    assert_eq!(forbidden.places()[0].skip, Some(Skip::NotAllowed));
}

#[test]
fn a_lack_is_named_and_the_unknown_is_tried() {
    type Case = (fn(&mut Needs), fn(&mut Traits, Option<bool>), Skip);
    let cases: [Case; 5] = [
        (|needs| needs.tools = true, |traits, able| traits.tools = able, Skip::NoTools),
        (|needs| needs.json_schema = true, |traits, able| traits.json_schema = able, Skip::NoSchema),
        (|needs| needs.images = true, |traits, able| traits.images = able, Skip::NoImages),
        (|needs| needs.audio = true, |traits, able| traits.audio = able, Skip::NoAudio),
        (|needs| needs.files = true, |traits, able| traits.files = able, Skip::NoFiles),
    ];
    for (need, can, skip) in cases {
        let mut needs = NOTHING;
        need(&mut needs);
        for (able, expected) in [(None, None), (Some(true), None), (Some(false), Some(skip))] {
            let mut traits = Traits::default();
            can(&mut traits, able);
            check(needs, traits.clone(), expected);
            check(NOTHING, traits, None);
        }
    }
}

#[test]
fn windows_are_compared_by_the_prompt() {
    let traits = |context, max_input| Traits { context, max_input, ..Traits::default() };
    for (context, max_input, window) in [
        (None, None, None),
        (Some(1_000), None, None),
        (Some(999), None, Some(999)),
        (Some(2_000), Some(500), Some(500)),
        (Some(500), Some(2_000), None),
    ] {
        check(NOTHING, traits(context, max_input), window.map(|window| Skip::PromptTooLong { window }));
    }
}

#[test]
fn a_forced_tool_and_many_choices_are_no_reason() {
    let needs = Needs { forced_tool: true, tools: true, many_choices: true, ..NOTHING };
    check(needs, Traits { forced_tool: Some(false), ..Traits::default() }, None);
}

#[test]
fn a_schema_can_be_asked_for_in_words() {
    let traits = Traits { json_schema: Some(false), ..Traits::default() };
    let facts =
        TargetFacts { credential: 0, domain: 0, traits: &traits, schema_by_prompt: true, allowed: true };
    let judged = plan(&Needs { json_schema: true, ..NOTHING }, &[facts]);
    assert_eq!(judged.places()[0].skip, None);
}

#[test]
fn too_long_is_only_said_when_size_is_all_that_is_wrong() {
    let small = Traits { context: Some(10), ..Traits::default() };
    let blind = Traits { images: Some(false), ..Traits::default() };
    let facts =
        |traits, allowed| TargetFacts { credential: 0, domain: 0, traits, schema_by_prompt: false, allowed };
    let needs = Needs { images: true, ..NOTHING };
    for (chain, too_long) in [
        (vec![facts(&small, true), facts(&small, true)], true),
        (vec![facts(&small, true), facts(&blind, false)], true),
        (vec![facts(&small, true), facts(&blind, true)], false),
        (vec![facts(&small, false)], false),
        (vec![], false),
    ] {
        assert_eq!(plan(&needs, &chain).is_too_long(), too_long, "{chain:?}");
    }
}
