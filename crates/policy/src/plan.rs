//! Which targets of a chain can serve a request at all. A target that cannot do what the request needs is skipped
//! with the reason, never called; what is unknown is tried.

use unfail_wire::outline::Needs;
use unfail_wire::target::Traits;

/// What planning and attempting must know of one target of a chain. Ids are the shell's: equal numbers mean the
/// same domain, nothing else.
#[derive(Debug, Clone, Copy)]
pub struct TargetFacts<'a> {
    /// Credential domain: targets that share a key.
    pub credential: u32,
    /// Limit domain: targets a provider counts as one.
    pub domain: u32,
    /// What the model can do.
    pub traits: &'a Traits,
    /// A schema the model does not know can be put into its instructions instead.
    pub schema_by_prompt: bool,
    /// The caller, its budget and the data's category allow this target.
    pub allowed: bool,
}

/// Why a target was not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The prompt is longer than this window (tokens of prompt).
    PromptTooLong {
        /// The window.
        window: u64,
    },
    /// A prompt was too long elsewhere and this window is unknown.
    WindowUnknown,
    /// It calls no functions.
    NoTools,
    /// It answers in no schema, not even by instruction.
    NoSchema,
    /// It reads no pictures.
    NoImages,
    /// It reads no sound.
    NoAudio,
    /// It reads no documents.
    NoFiles,
    /// Its wire has no words for a part of the request.
    Unspeakable(&'static str),
    /// The caller may not use it.
    NotAllowed,
    /// Its credential was refused through another target of this request.
    SameCredential,
}

impl Skip {
    /// Name in logs, metrics and trails, e.g. `no_tools`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PromptTooLong { .. } => "prompt_too_long",
            Self::WindowUnknown => "window_unknown",
            Self::NoTools => "no_tools",
            Self::NoSchema => "no_schema",
            Self::NoImages => "no_images",
            Self::NoAudio => "no_audio",
            Self::NoFiles => "no_files",
            Self::Unspeakable(_) => "unspeakable",
            Self::NotAllowed => "not_allowed",
            Self::SameCredential => "same_credential",
        }
    }
}

/// A chain, judged for one request. Places keep the chain's order and indices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    places: Vec<Place>,
}

/// One target of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Why it is not called; `None` when it may be.
    pub skip: Option<Skip>,
    /// Credential domain.
    pub credential: u32,
    /// Limit domain.
    pub domain: u32,
    /// Tokens of prompt it takes; `None` when unknown.
    pub window: Option<u64>,
}

impl Plan {
    /// The targets, in the chain's order.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// No target can take a prompt of this size, and size is all that is wrong with the allowed ones.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        let mut skips =
            self.places.iter().map(|place| place.skip).filter(|skip| *skip != Some(Skip::NotAllowed));
        let too_long = |skip| matches!(skip, Some(Skip::PromptTooLong { .. }));
        skips.next().is_some_and(too_long) && skips.all(too_long)
    }
}

/// Judges each target of `chain` against what the request needs.
#[must_use]
pub fn plan(needs: &Needs, chain: &[TargetFacts<'_>]) -> Plan {
    let place = |facts: &TargetFacts<'_>| Place {
        skip: skip(needs, facts),
        credential: facts.credential,
        domain: facts.domain,
        window: window(facts.traits),
    };
    Plan { places: chain.iter().map(place).collect() }
}

/// Tokens of prompt a model takes.
fn window(traits: &Traits) -> Option<u64> {
    traits.max_input.or(traits.context)
}

fn skip(needs: &Needs, facts: &TargetFacts<'_>) -> Option<Skip> {
    let traits = facts.traits;
    if !facts.allowed {
        return Some(Skip::NotAllowed);
    }
    if let Some(window) = window(traits).filter(|&window| needs.input_tokens > window) {
        return Some(Skip::PromptTooLong { window });
    }
    let lacks = |needed: bool, able: Option<bool>| needed && able == Some(false);
    [
        (lacks(needs.tools, traits.tools), Skip::NoTools),
        (lacks(needs.json_schema, traits.json_schema) && !facts.schema_by_prompt, Skip::NoSchema),
        (lacks(needs.images, traits.images), Skip::NoImages),
        (lacks(needs.audio, traits.audio), Skip::NoAudio),
        (lacks(needs.files, traits.files), Skip::NoFiles),
    ]
    .into_iter()
    .find_map(|(lacking, skip)| lacking.then_some(skip))
}
