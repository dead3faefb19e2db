//! Thought signatures of the `gemini` wire: opaque to callers, and recognised when they come back.

/// Base64 of `sim:thought`.
pub(super) const SIGNATURE: &str = "c2ltOnRob3VnaHQ=";

/// Texts the vendor documents for calls another provider made; they switch the check off.
const SKIP: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

/// Whether a signature is one this simulator gave, or one that asks for no check.
pub(super) fn is_ours(text: &str) -> bool {
    text == SIGNATURE || SKIP.contains(&text)
}
