// tidy: table
//! One row per provider, the wires they speak, and the order they are tried in when nothing is configured.
//!
//! Adding an OpenAI-compatible vendor is adding a row here and nothing else. This is the only code that names
//! vendors. No secrets: a row says where a key goes and what its variable is called, never what it is.

use unfail_wire::target::{ErrorQuirk, JsonMode, MaxTokens, Quirks, ReasoningHistory, StreamUsage, ToolIds};

/// The wire of most vendors.
const CHAT: &str = "openai-chat";
/// The Messages wire.
const MESSAGES: &str = "anthropic";
/// The generateContent wire.
const GENERATE: &str = "gemini";

/// Every wire a provider may speak, by the names the wires give themselves.
pub const WIRES: [&str; 3] = [CHAT, MESSAGES, GENERATE];

/// The providers of route `auto` when no route of that name is configured, in the order they are tried.
pub const AUTO_ORDER: [&str; 5] = ["anthropic", "groq", "cerebras", "gemini", "openrouter"];

/// A provider as its vendor runs it.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// Name in targets (`id/model`), configuration, metrics and logs.
    pub id: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Wire it speaks, one of [`WIRES`].
    pub wire: &'static str,
    /// What the wire's paths are appended to; never ends in a slash.
    pub base_url: &'static str,
    /// Where the key goes.
    pub auth: Auth,
    /// Environment variables that may hold its key; the first one set is used.
    pub key_env: &'static [&'static str],
    /// Model to use where only the provider is named: cheap and good.
    pub default_model: Option<&'static str>,
    /// How its version of the wire differs.
    pub quirks: Quirks,
}

/// Where a provider wants its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer …`.
    Bearer,
    /// A header of its own that holds nothing but the key.
    Header(&'static str),
    /// Nowhere: it asks for none.
    None,
}

impl Auth {
    /// Where a key goes on a host that speaks `wire` and about which nothing else is known.
    #[must_use]
    pub fn of_wire(wire: &str) -> Self {
        match wire {
            MESSAGES => Self::Header("x-api-key"),
            GENERATE => Self::Header("x-goog-api-key"),
            _ => Self::Bearer,
        }
    }
}

/// What to expect of a host that speaks `wire` and about which nothing else is known.
#[must_use]
pub fn quirks_of_wire(wire: &str) -> Quirks {
    if wire == CHAT { COMPATIBLE } else { Quirks::NONE }
}

/// The row with this id.
#[must_use]
pub fn provider(id: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.id == id)
}

/// What nearly every imitation of the OpenAI wire understands.
const COMPATIBLE: Quirks = Quirks { max_tokens: MaxTokens::MaxTokens, developer_role: false, ..Quirks::NONE };

/// Every provider known without configuration.
pub static PROVIDERS: &[Provider] = &[
    Provider {
        id: "openai",
        title: "OpenAI",
        wire: CHAT,
        base_url: "https://api.openai.com/v1",
        auth: Auth::Bearer,
        key_env: &["OPENAI_API_KEY"],
        default_model: Some("gpt-6-luna"),
        quirks: Quirks::NONE,
    },
    Provider {
        id: "anthropic",
        title: "Anthropic",
        wire: MESSAGES,
        base_url: "https://api.anthropic.com",
        auth: Auth::Header("x-api-key"),
        key_env: &["ANTHROPIC_API_KEY"],
        default_model: Some("claude-haiku-5-5"),
        quirks: Quirks { seed: None, ..Quirks::NONE },
    },
    Provider {
        id: "gemini",
        title: "Google Gemini",
        wire: GENERATE,
        base_url: "https://generativelanguage.googleapis.com",
        auth: Auth::Header("x-goog-api-key"),
        key_env: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        default_model: Some("gemini-3.8-flash"),
        quirks: Quirks::NONE,
    },
    Provider {
        id: "groq",
        title: "Groq",
        wire: CHAT,
        base_url: "https://api.groq.com/openai/v1",
        auth: Auth::Bearer,
        key_env: &["GROQ_API_KEY"],
        default_model: Some("openai/gpt-oss-120b"),
        quirks: Quirks {
            developer_role: false,
            no_names: true,
            refused: &["logprobs", "top_logprobs", "logit_bias", "n"],
            ..Quirks::NONE
        },
    },
    Provider {
        id: "cerebras",
        title: "Cerebras",
        wire: CHAT,
        base_url: "https://api.cerebras.ai/v1",
        auth: Auth::Bearer,
        key_env: &["CEREBRAS_API_KEY"],
        default_model: Some("gpt-oss-120b"),
        quirks: Quirks {
            max_tokens_always: true,
            stream_usage: StreamUsage::Always,
            reasoning_history: ReasoningHistory::Reasoning,
            refused: &["frequency_penalty", "presence_penalty", "logit_bias"],
            ..Quirks::NONE
        },
    },
    Provider {
        id: "openrouter",
        title: "OpenRouter",
        wire: CHAT,
        base_url: "https://openrouter.ai/api/v1",
        auth: Auth::Bearer,
        key_env: &["OPENROUTER_API_KEY"],
        default_model: Some("openai/gpt-oss-120b"),
        quirks: Quirks { stream_usage: StreamUsage::Always, ..COMPATIBLE },
    },
    Provider {
        id: "together",
        title: "Together AI",
        wire: CHAT,
        base_url: "https://api.together.ai/v1",
        auth: Auth::Bearer,
        key_env: &["TOGETHER_API_KEY"],
        default_model: Some("zai-org/GLM-5.3-Flash"),
        quirks: Quirks {
            stream_usage: StreamUsage::Always,
            stop_list: true,
            // `logprobs` is a number there; a caller's `true` would be refused.
            refused: &[
                "service_tier",
                "store",
                "metadata",
                "user",
                "parallel_tool_calls",
                "logprobs",
                "top_logprobs",
            ],
            errors: ErrorQuirk::ForbiddenMeansTooLong,
            ..COMPATIBLE
        },
    },
    Provider {
        id: "fireworks",
        title: "Fireworks AI",
        wire: CHAT,
        base_url: "https://api.fireworks.ai/inference/v1",
        auth: Auth::Bearer,
        key_env: &["FIREWORKS_API_KEY"],
        default_model: Some("accounts/fireworks/models/deepseek-v4p1-flash"),
        quirks: Quirks { stream_usage: StreamUsage::Always, refused: &["store", "metadata"], ..COMPATIBLE },
    },
    Provider {
        id: "deepseek",
        title: "DeepSeek",
        wire: CHAT,
        base_url: "https://api.deepseek.com",
        auth: Auth::Bearer,
        key_env: &["DEEPSEEK_API_KEY"],
        default_model: Some("deepseek-flash"),
        quirks: Quirks {
            reasoning_history: ReasoningHistory::ReasoningContentRequired,
            json_schema: JsonMode::Object,
            flat_text: true,
            seed: None,
            refused: &["n", "logit_bias", "parallel_tool_calls", "user"],
            ..COMPATIBLE
        },
    },
    Provider {
        id: "mistral",
        title: "Mistral AI",
        wire: CHAT,
        base_url: "https://api.mistral.ai/v1",
        auth: Auth::Bearer,
        key_env: &["MISTRAL_API_KEY"],
        default_model: Some("mistral-small-latest"),
        quirks: Quirks {
            tool_ids: ToolIds::Nine,
            seed: Some("random_seed"),
            no_names: true,
            // Anything it does not know is an error, so every field of the wire that it lacks is listed.
            refused: &[
                "audio",
                "function_call",
                "functions",
                "logit_bias",
                "modalities",
                "moderation",
                "prompt_cache_options",
                "prompt_cache_retention",
                "safety_identifier",
                "service_tier",
                "store",
                "user",
                "verbosity",
                "web_search_options",
            ],
            ..COMPATIBLE
        },
    },
    Provider {
        id: "xai",
        title: "xAI",
        wire: CHAT,
        base_url: "https://api.x.ai/v1",
        auth: Auth::Bearer,
        key_env: &["XAI_API_KEY"],
        default_model: Some("grok-4.3"),
        quirks: Quirks {
            developer_role: false,
            no_strict_tools: true,
            no_names: true,
            refused: &["logit_bias", "stop", "frequency_penalty", "presence_penalty"],
            ..Quirks::NONE
        },
    },
    Provider {
        id: "ollama",
        title: "Ollama",
        wire: CHAT,
        base_url: "http://127.0.0.1:11434/v1",
        auth: Auth::None,
        key_env: &[],
        default_model: None,
        quirks: COMPATIBLE,
    },
    Provider {
        id: "vllm",
        title: "vLLM",
        wire: CHAT,
        base_url: "http://127.0.0.1:8000/v1",
        auth: Auth::None,
        key_env: &[],
        default_model: None,
        quirks: COMPATIBLE,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_whole() {
        for row in PROVIDERS {
            let id = row.id;
            assert!(WIRES.contains(&row.wire), "{id} speaks an unknown wire");
            assert!(
                id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{id} is not a plain name"
            );
            assert!(row.base_url.starts_with("http"), "{id}");
            assert!(!row.base_url.ends_with('/'), "{id}");
            assert!(row.base_url.starts_with("https") || row.auth == Auth::None, "{id} would leak its key");
            assert_eq!(row.auth == Auth::None, row.key_env.is_empty(), "{id}: a key needs a variable");
            assert!(!row.title.is_empty(), "{id}");
            let own = Auth::of_wire(row.wire);
            assert!(row.auth == own || row.auth == Auth::None, "{id} differs from its wire in auth");
        }
    }

    #[test]
    fn names_are_unique() {
        let ids: BTreeSet<_> = PROVIDERS.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), PROVIDERS.len());
        let variables: Vec<_> = PROVIDERS.iter().flat_map(|row| row.key_env).collect();
        let unique: BTreeSet<_> = variables.iter().collect();
        assert_eq!(unique.len(), variables.len());
    }

    #[test]
    fn the_automatic_order_can_be_used_without_configuration() {
        for id in AUTO_ORDER {
            let row = provider(id).unwrap();
            assert!(row.default_model.is_some(), "{id}");
            assert!(!row.key_env.is_empty(), "{id}");
        }
    }

    #[test]
    fn default_models_are_in_service() {
        let catalog = Catalog::embedded().unwrap();
        for row in PROVIDERS.iter().filter(|row| catalog.models_of(row.id).next().is_some()) {
            let id = row.default_model.unwrap();
            let model =
                catalog.get(row.id, id).unwrap_or_else(|| panic!("{}/{id} is not in models.toml", row.id));
            assert_eq!(model.retires, None, "{}/{id}", row.id);
        }
    }
}
