// tidy: table
//! The one list of keys. The parser, the hints for unknown keys, the commented default file and the reference are
//! all folded from it; what a key means is decided in `check`.

use unfail_catalog::WIRES;

/// One key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// Dotted path; `*` stands for a name the operator chooses.
    pub(crate) path: &'static str,
    /// What its value must look like.
    pub(crate) kind: Kind,
    /// What holds where it is left out, as TOML; empty where nothing does.
    pub(crate) default: &'static str,
    /// Another valid value, as TOML.
    pub(crate) example: &'static str,
    /// What it means.
    pub(crate) doc: &'static str,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text that is not empty.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A whole number within these bounds.
    Count(u64, u64),
    /// A number above 0 and at most 1.
    Share,
    /// An amount of US dollars, not negative.
    Usd,
    /// `true` or `false`.
    Flag,
    /// A duration above zero.
    Duration,
    /// A duration that may be zero.
    Pause,
    /// A number of bytes.
    Size,
    /// An IP address and a port.
    Address,
    /// An `http` or `https` URL without query.
    Url,
    /// A file that is read, as a reference.
    File,
    /// One reference to a secret.
    Secret,
    /// A list of references to secrets.
    Secrets,
}

/// A table of keys whose names the operator or this program chooses.
#[derive(Debug)]
pub(crate) struct Table {
    /// Pattern its keys' paths start with.
    pub(crate) pattern: &'static str,
    /// Heading of the example.
    pub(crate) heading: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
}

/// Most tokens a window or an answer is believed to have.
const TOKENS: Kind = Kind::Count(1, 1_000_000_000);
/// Most of anything that is counted per minute or day.
const RATE: Kind = Kind::Count(1, 1_000_000_000_000);

/// The tables, in the order they are explained.
pub(crate) static TABLES: &[Table] = &[
    Table { pattern: "server", heading: "server", doc: "The HTTP server." },
    Table {
        pattern: "providers.*",
        heading: "providers.in-house",
        doc: "A provider account. A provider of the catalog needs only what differs; with its key in the environment \
              it needs no table at all. Any other name is a row of your own and needs `wire` and `base_url`.",
    },
    Table {
        pattern: "models.*",
        heading: "models.\"in-house/my-model\"",
        doc: "Facts about a model the catalog does not know, or knows otherwise.",
    },
    Table {
        pattern: "routes.*",
        heading: "routes.support_reply",
        doc: "A route: the chain a request falls through, and how. Route `auto` exists without a table, over the \
              providers that have a key.",
    },
    Table {
        pattern: "keys.*",
        heading: "keys.web-app",
        doc: "A key a caller must present. Without any, every caller is let in, and only loopback is listened to.",
    },
];

/// Every key, in the order they are explained.
pub(crate) static KEYS: &[Key] = &[
    Key {
        path: "server.listen",
        kind: Kind::Address,
        default: r#""127.0.0.1:8080""#,
        example: r#""127.0.0.1:9000""#,
        doc: "Where to listen. Anything but loopback needs a caller key.",
    },
    Key {
        path: "server.mode",
        kind: Kind::Choice(&["developer", "product"]),
        default: r#""developer""#,
        example: r#""product""#,
        doc: "`developer` shows callers which backend answered; `product` shows nothing but the request id.",
    },
    Key {
        path: "server.max_body",
        kind: Kind::Size,
        default: r#""20MB""#,
        example: r#""512KiB""#,
        doc: "Largest request body.",
    },
    Key {
        path: "server.header_timeout",
        kind: Kind::Duration,
        default: r#""10s""#,
        example: r#""5s""#,
        doc: "Longest a caller may take to send its headers.",
    },
    Key {
        path: "server.body_timeout",
        kind: Kind::Duration,
        default: r#""30s""#,
        example: r#""1m""#,
        doc: "Longest a caller may take to send its body.",
    },
    Key {
        path: "server.drain",
        kind: Kind::Pause,
        default: r#""30s""#,
        example: r#""2m""#,
        doc: "Longest that requests in flight may take once the server is told to stop.",
    },
    Key {
        path: "providers.*.wire",
        kind: Kind::Choice(&WIRES),
        default: "",
        example: r#""openai-chat""#,
        doc: "The format it speaks.",
    },
    Key {
        path: "providers.*.base_url",
        kind: Kind::Url,
        default: "",
        example: r#""https://10.0.0.5:8000/v1""#,
        doc: "What the wire's paths are appended to.",
    },
    Key {
        path: "providers.*.http2",
        kind: Kind::Flag,
        default: "",
        example: "true",
        doc: "Speak HTTP/2 where the host agrees to it; off unless set. HTTP/1.1 costs less and one stuck connection harms one request.",
    },
    Key {
        path: "providers.*.ca",
        kind: Kind::File,
        default: "",
        example: r#""file:/etc/unfail/in-house-ca.pem""#,
        doc: "Certificates (PEM) of the authority that signed the host's own; it is then the only one trusted there. Left out: the system's authorities.",
    },
    Key {
        path: "providers.*.keys",
        kind: Kind::Secrets,
        default: "",
        example: r#"["env:IN_HOUSE_KEY", "file:/run/secrets/in-house"]"#,
        doc: "Its credentials, in the order they are used. A provider of the catalog finds its usual variable itself. \
              One that is refused rests for 15 minutes, then longer each time, up to 6 hours.",
    },
    Key {
        path: "providers.*.default_model",
        kind: Kind::Text,
        default: "",
        example: r#""my-model""#,
        doc: "The model where only the provider is named (`provider/*`, route `auto`).",
    },
    Key {
        path: "providers.*.limits.rpm",
        kind: RATE,
        default: "",
        example: "600",
        doc: "Requests per minute the account allows.",
    },
    Key {
        path: "providers.*.limits.rpd",
        kind: RATE,
        default: "",
        example: "10_000",
        doc: "Requests per day the account allows.",
    },
    Key {
        path: "providers.*.limits.tpm",
        kind: RATE,
        default: "",
        example: "500_000",
        doc: "Tokens per minute the account allows.",
    },
    Key {
        path: "providers.*.limits.concurrency",
        kind: RATE,
        default: "",
        example: "32",
        doc: "Requests at the same time the account allows.",
    },
    Key {
        path: "models.*.context",
        kind: TOKENS,
        default: "",
        example: "32_768",
        doc: "Tokens of prompt and answer together.",
    },
    Key {
        path: "models.*.max_output",
        kind: TOKENS,
        default: "",
        example: "8_192",
        doc: "Tokens of answer.",
    },
    Key {
        path: "models.*.tools",
        kind: Kind::Flag,
        default: "",
        example: "true",
        doc: "It calls functions.",
    },
    Key {
        path: "models.*.images",
        kind: Kind::Flag,
        default: "",
        example: "false",
        doc: "It reads pictures.",
    },
    Key {
        path: "models.*.json_schema",
        kind: Kind::Flag,
        default: "",
        example: "true",
        doc: "It answers in a given JSON schema.",
    },
    Key {
        path: "models.*.input_usd_per_mtok",
        kind: Kind::Usd,
        default: "",
        example: "0.10",
        doc: "US dollars per million prompt tokens; goes with `output_usd_per_mtok`.",
    },
    Key {
        path: "models.*.output_usd_per_mtok",
        kind: Kind::Usd,
        default: "",
        example: "0.30",
        doc: "US dollars per million answer tokens.",
    },
    Key {
        path: "models.*.cached_input_usd_per_mtok",
        kind: Kind::Usd,
        default: "",
        example: "0.01",
        doc: "US dollars per million prompt tokens read from a cache.",
    },
    Key {
        path: "routes.*.chain",
        kind: Kind::Texts,
        default: "",
        example: r#"["in-house/my-model"]"#,
        doc: "Targets in the order they are tried: `provider/model`, or `provider/*` for its default model.",
    },
    Key {
        path: "routes.*.retries",
        kind: Kind::Count(0, 5),
        default: "0",
        example: "1",
        doc: "Retries of the same target, for faults that may pass; 0 moves on at once.",
    },
    Key {
        path: "routes.*.connect",
        kind: Kind::Duration,
        default: r#""5s""#,
        example: r#""2s""#,
        doc: "Longest wait for a connection.",
    },
    Key {
        path: "routes.*.first_token",
        kind: Kind::Duration,
        default: r#""60s""#,
        example: r#""5s""#,
        doc: "Longest wait for headers and the first content event of a stream.",
    },
    Key {
        path: "routes.*.answer",
        kind: Kind::Duration,
        default: r#""120s""#,
        example: r#""20s""#,
        doc: "Longest wait for an answer that is not streamed, while other targets can be called. The last has all the time.",
    },
    Key {
        path: "routes.*.stall",
        kind: Kind::Duration,
        default: r#""30s""#,
        example: r#""15s""#,
        doc: "Longest wait between two events of a stream. Keep-alives alone make it four times as long.",
    },
    Key {
        path: "routes.*.deadline",
        kind: Kind::Duration,
        default: r#""10m""#,
        example: r#""90s""#,
        doc: "Longest time for everything, waits and hops included.",
    },
    Key {
        path: "routes.*.cooldown",
        kind: Kind::Duration,
        default: r#""5s""#,
        example: r#""10s""#,
        doc: "How long a target rests after a rate limit that states no wait.",
    },
    Key {
        path: "routes.*.patience",
        kind: Kind::Pause,
        default: r#""1s""#,
        example: r#""0s""#,
        doc: "Longest wait for a target's capacity before the next one is tried.",
    },
    Key {
        path: "routes.*.max_calls",
        kind: Kind::Count(1, 32),
        default: "",
        example: "6",
        doc: "Most upstream calls for one request, not counting those lost with a stale connection. Left out: 4, or one per target.",
    },
    Key {
        path: "routes.*.breaker.consecutive",
        kind: Kind::Count(1, 1_000),
        default: "5",
        example: "3",
        doc: "Failures in a row after which a target is left alone. A target has one breaker: where routes share it, \
              the first in the file with a `breaker` of its own decides.",
    },
    Key {
        path: "routes.*.breaker.error_rate",
        kind: Kind::Share,
        default: "0.5",
        example: "0.25",
        doc: "Share of failures within the window after which it is.",
    },
    Key {
        path: "routes.*.breaker.slow_rate",
        kind: Kind::Share,
        default: "0.8",
        example: "1",
        doc: "Share of slow calls within the window after which it is.",
    },
    Key {
        path: "routes.*.breaker.window",
        kind: Kind::Duration,
        default: r#""30s""#,
        example: r#""1m""#,
        doc: "Window of both shares.",
    },
    Key {
        path: "routes.*.breaker.open",
        kind: Kind::Duration,
        default: r#""5s""#,
        example: r#""10s""#,
        doc: "First rest; each further one is twice as long.",
    },
    Key {
        path: "routes.*.breaker.open_max",
        kind: Kind::Duration,
        default: r#""120s""#,
        example: r#""5m""#,
        doc: "Longest rest.",
    },
    Key {
        path: "routes.*.breaker.probes",
        kind: Kind::Count(1, 100),
        default: "2",
        example: "1",
        doc: "Successful probes that end a rest.",
    },
    Key {
        path: "routes.*.breaker.ramp",
        kind: Kind::Pause,
        default: r#""30s""#,
        example: r#""0s""#,
        doc: "Time over which traffic comes back.",
    },
    Key {
        path: "routes.*.priority",
        kind: Kind::Choice(&["interactive", "default", "batch"]),
        default: "",
        example: r#""interactive""#,
        doc: "Who goes first when capacity is short.",
    },
    Key {
        path: "routes.*.on_refusal",
        kind: Kind::Choice(&["stop", "next"]),
        default: r#""stop""#,
        example: r#""next""#,
        doc: "What follows when a model declines for content: its refusal is the answer, or the next target is asked.",
    },
    Key {
        path: "routes.*.on_exhausted",
        kind: Kind::Choice(&["error", "queue"]),
        default: r#""error""#,
        example: r#""queue""#,
        doc: "What follows when no target could answer.",
    },
    Key {
        path: "routes.*.schema",
        kind: Kind::Text,
        default: "",
        example: r#""schemas/reply.json""#,
        doc: "File with the JSON schema every answer must match.",
    },
    Key {
        path: "routes.*.max_output_tokens",
        kind: TOKENS,
        default: "",
        example: "1_024",
        doc: "Most tokens an answer may have.",
    },
    Key {
        path: "keys.*.secret",
        kind: Kind::Secret,
        default: "",
        example: r#""env:WEB_APP_KEY""#,
        doc: "The key itself.",
    },
    Key {
        path: "keys.*.routes",
        kind: Kind::Texts,
        default: "",
        example: r#"["support_reply"]"#,
        doc: "Routes it may use. Left out: all of them, and targets named directly.",
    },
    Key { path: "keys.*.limits.rpm", kind: RATE, default: "", example: "600", doc: "Requests per minute." },
    Key { path: "keys.*.limits.tpm", kind: RATE, default: "", example: "500_000", doc: "Tokens per minute." },
    Key {
        path: "keys.*.limits.concurrency",
        kind: RATE,
        default: "",
        example: "8",
        doc: "Requests at the same time.",
    },
    Key {
        path: "keys.*.limits.spend_day_usd",
        kind: Kind::Usd,
        default: "",
        example: "50",
        doc: "US dollars per day.",
    },
    Key {
        path: "keys.*.limits.spend_month_usd",
        kind: Kind::Usd,
        default: "",
        example: "1_000",
        doc: "US dollars per month.",
    },
];

/// `name` below `pattern`.
pub(crate) fn join(pattern: &str, name: &str) -> String {
    if pattern.is_empty() { name.to_owned() } else { format!("{pattern}.{name}") }
}

/// The key at this very pattern.
pub(crate) fn key(pattern: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == pattern)
}

impl Key {
    /// Whether this version acts upon it. What it does not act upon is read, checked and said to be so.
    pub(crate) fn is_enforced(&self) -> bool {
        let name = self.path.rsplit('.').next().unwrap_or_default();
        !self.path.contains(".limits.") && !matches!(name, "priority" | "patience")
    }
}

/// The names that may stand below `pattern`, each once; `*` where the operator chooses.
pub(crate) fn below(pattern: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let rest = match pattern {
            "" => Some(key.path),
            _ => key.path.strip_prefix(pattern).and_then(|rest| rest.strip_prefix('.')),
        };
        let Some(name) = rest.and_then(|rest| rest.split('.').next()) else { continue };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl Kind {
    /// What a value must be, after "must be".
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                words.join(" or ")
            }
            Self::Texts => "a list of texts".to_owned(),
            Self::Count(least, most) => format!("a whole number from {least} to {most}"),
            Self::Share => "a number above 0 and at most 1".to_owned(),
            Self::Usd => "an amount in US dollars, at most a million, at most six decimals".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Duration => "a duration above zero such as `\"2s\"`".to_owned(),
            Self::Pause => "a duration such as `\"2s\"`".to_owned(),
            Self::Size => "a size such as `\"20MB\"`".to_owned(),
            Self::Address => "an IP address and a port such as `\"127.0.0.1:8080\"`".to_owned(),
            Self::Url => "an `http` or `https` URL without user, query and fragment".to_owned(),
            Self::File => "a file: `\"file:PATH\"`".to_owned(),
            Self::Secret => "a reference: `\"env:NAME\"` or `\"file:PATH\"`".to_owned(),
            Self::Secrets => "a list of references: `\"env:NAME\"` or `\"file:PATH\"`".to_owned(),
        }
    }

    /// What the items must be, where it is a list.
    pub(crate) fn element(self) -> Option<Self> {
        match self {
            Self::Texts => Some(Self::Text),
            Self::Secrets => Some(Self::Secret),
            _ => None,
        }
    }

    /// Whether a wrong value could be a secret and must not be shown.
    pub(crate) fn is_private(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets | Self::Url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn paths_are_unique_and_explained() {
        let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        assert_eq!(paths.len(), KEYS.len());
        for key in KEYS {
            assert!(key.doc.ends_with('.'), "{}", key.path);
            assert_ne!(key.default, key.example, "{}: the example must differ", key.path);
            let tables = TABLES.iter().filter(|table| key.path.starts_with(&format!("{}.", table.pattern)));
            assert_eq!(tables.count(), 1, "{} stands in no table", key.path);
        }
    }

    #[test]
    fn names_below_a_pattern() {
        let table: [(&str, &[&str]); 5] = [
            ("", &["server", "providers", "models", "routes", "keys"]),
            ("routes", &["*"]),
            ("keys.*", &["secret", "routes", "limits"]),
            ("providers.*.limits", &["rpm", "rpd", "tpm", "concurrency"]),
            ("server.listen", &[]),
        ];
        for (pattern, expected) in table {
            assert_eq!(below(pattern), expected, "{pattern}");
        }
    }
}
