//! The words of this format and their meaning in the hub: roles, efforts, reasons to end, and ids.

use crate::chat::{Effort, Finish};

/// The data of the frame that ends a stream.
pub(super) const DONE: &str = "[DONE]";

/// Whether a frame is the one that ends a stream.
pub(super) fn is_done(frame: &[u8]) -> bool {
    let mut lines = frame.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.any(|line| line.strip_prefix(b"data:").is_some_and(|data| data.trim_ascii() == DONE.as_bytes()))
}

/// Efforts as `reasoning_effort` spells them.
const EFFORTS: &[(&str, Effort)] = &[
    ("none", Effort::None),
    ("minimal", Effort::Minimal),
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
    ("xhigh", Effort::XHigh),
    ("max", Effort::Max),
];

/// The effort called `word`.
pub(super) fn effort(word: &str) -> Option<Effort> {
    EFFORTS.iter().find(|(name, _)| *name == word).map(|(_, effort)| *effort)
}

/// What `effort` is called.
pub(super) fn effort_name(effort: Effort) -> &'static str {
    EFFORTS.iter().find(|(_, known)| *known == effort).map_or("medium", |(name, _)| name)
}

/// What a `finish_reason` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The answer is complete.
    Finished(Finish),
    /// The provider gave up: the answer cannot be used.
    Broken,
}

/// The meaning of a `finish_reason`, over all hosts that speak this format. A word nobody knows is a normal end:
/// the host did end the answer.
pub(super) fn ending(word: &str) -> Ending {
    Ending::Finished(match word {
        "length" | "model_length" | "max_tokens" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" | "refusal" | "safety" => Finish::ContentFilter,
        "error" | "insufficient_system_resource" | "aborted" => return Ending::Broken,
        _ => Finish::Stop,
    })
}

/// The reason once it is known whether functions were called: hosts say `stop` or nothing after calls.
pub(super) fn settle(finish: Finish, called: bool) -> Finish {
    match (finish, called) {
        (Finish::Stop | Finish::StopSequence(_), true) => Finish::ToolCalls,
        (Finish::ToolCalls, false) => Finish::Stop,
        (finish, _) => finish,
    }
}

/// What a finish is called.
pub(super) fn finish_name(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

/// Letters and digits that ids are made of.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` letters and digits that depend on nothing but `seeds`.
pub(super) fn hashed(seeds: &[&str], length: usize) -> String {
    // FNV-1a over the seeds, then SplitMix64 for as many letters as wanted.
    let bytes = seeds.iter().flat_map(|seed| seed.bytes().chain([0xFF]));
    let mut state = bytes
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let letter = |state: &mut u64| {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let choice = usize::try_from((mixed ^ (mixed >> 31)) % ALPHABET.len() as u64).unwrap_or_default();
        char::from(ALPHABET.get(choice).copied().unwrap_or(b'0'))
    };
    (0..length).map(|_| letter(&mut state)).collect()
}

/// Length of the part after `call_` in an id made here; what the format's inventor uses.
const CALL_ID_LENGTH: usize = 24;

/// An id for a call that came without one.
pub(super) fn call_id(seeds: &[&str]) -> String {
    format!("call_{}", hashed(seeds, CALL_ID_LENGTH))
}
