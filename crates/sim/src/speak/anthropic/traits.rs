//! Which fields a model of the `anthropic` wire takes, by the version in its name.

/// What a model takes, by the version in its name (`claude-sonnet-4-5` is 4.5).
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    /// Temperature and the like; to 4.6.
    pub(super) sampling: bool,
    /// A last message of the assistant to continue; to 4.5.
    pub(super) prefill: bool,
    /// Thinking switched on with a budget; to 4.6.
    pub(super) budget: bool,
    /// Thinking as the model likes; from 4.6.
    pub(super) adaptive: bool,
    /// Thinking cannot be switched off.
    pub(super) always_thinks: bool,
    /// A tool may be forced.
    pub(super) forced_tool: bool,
    /// A system message in the middle of the conversation; from 4.8.
    pub(super) late_system: bool,
}

/// Everything goes for a name that is none of the vendor's.
const UNKNOWN_MODEL: Traits = Traits {
    sampling: true,
    prefill: true,
    budget: true,
    adaptive: true,
    always_thinks: false,
    forced_tool: true,
    late_system: true,
};

impl Traits {
    /// Reads them off the name.
    pub(super) fn of(model: &str) -> Traits {
        let mut words = model.strip_prefix("claude-").unwrap_or_default().split('-');
        let Some(family) = words.next().filter(|family| !family.is_empty()) else { return UNKNOWN_MODEL };
        let mut number =
            || words.next().and_then(|word| word.parse::<u32>().ok()).filter(|number| *number < 100);
        let Some(major) = number() else { return UNKNOWN_MODEL };
        let version = major * 100 + number().unwrap_or(0);
        let top = matches!(family, "fable" | "mythos");
        let newest = matches!(family, "opus" | "sonnet") && version >= 505;
        Traits {
            sampling: version <= 406,
            prefill: version <= 405,
            budget: version <= 406,
            adaptive: version >= 406,
            always_thinks: newest || (top && version >= 500),
            forced_tool: !(newest || (top && version >= 501)),
            late_system: version >= 408,
        }
    }
}
