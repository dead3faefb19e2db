// tidy: table
//! The storm as data: what the providers do in each phase and what the callers ask meanwhile.

use super::cast::CALM;

/// A part of the storm about one kind of fault.
pub(super) struct Phase {
    /// Name in rows.
    pub(super) name: &'static str,
    /// What happens; `{1}` … `{4}` stand for the providers of the chain.
    pub(super) about: &'static str,
    pub(super) beats: &'static [Beat],
}

/// One step of a phase. Providers are numbered from 0 in the order of the chain; acts are the simulator's text form.
pub(super) enum Beat {
    /// From now on the provider does this with every call.
    Always(usize, &'static str),
    /// The provider does these with its next calls, one each, and answers the others.
    Next(usize, &'static [&'static str]),
    /// One request for a whole answer.
    Whole,
    /// One request for a streamed answer.
    Stream,
    /// So many requests, this many milliseconds apart; every other one is streamed.
    Many(u32, u64),
    /// One request whose caller waits only so many milliseconds.
    Hurried(u64),
    /// Until all requests have ended.
    Settle,
    /// One request after another until this provider answers one.
    Back(usize),
    /// Until so many milliseconds have passed since the end of the provider's last call.
    After(usize, u64),
}

use Beat::{After, Always, Back, Hurried, Many, Next, Settle, Stream, Whole};

/// Every phase, in order. Each leaves all providers answering, and ends when all of its requests have.
pub(super) const STORM: &[Phase] = &[
    Phase {
        name: "calm",
        about: "All providers answer. {1} stands first in the chain and gets everything.",
        beats: &[Many(16, 50)],
    },
    Phase {
        name: "limited",
        about: "{1} answers 429 with `retry-after: 2`.\n\
                One call learns it; for 2 s nobody else is sent there.",
        beats: &[
            Always(0, "retry-after-seconds:2"),
            Stream,
            Settle,
            Many(28, 60),
            Always(0, CALM),
            After(0, 2_100),
            Back(0),
        ],
    },
    Phase {
        name: "no hint",
        about: "{1} answers 429 and does not say for how long.\n\
                It rests for the route's `cooldown`, 1 s.",
        beats: &[
            Always(0, "limited-without-hint"),
            Whole,
            Settle,
            Many(12, 60),
            Always(0, CALM),
            After(0, 1_100),
            Back(0),
        ],
    },
    Phase {
        name: "overload",
        about: "{1} answers 529. Three in a row open its breaker for about 1 s;\n\
                then one call goes to look.",
        beats: &[
            Always(0, "overloaded"),
            Stream,
            Settle,
            Whole,
            Settle,
            Stream,
            Settle,
            Many(10, 50),
            Always(0, CALM),
            After(0, 1_250),
            Back(0),
        ],
    },
    Phase {
        name: "hang",
        about: "{1} takes two calls and says nothing. For the stream {2} is asked after 1 s without a first token,\n\
                for the whole answer after the 2 s that its route allows while other targets are left.",
        beats: &[
            Next(0, &["hang-before-headers", "hang-before-headers"]),
            Stream,
            Whole,
            Many(14, 60),
            Settle,
            Back(0),
        ],
    },
    Phase {
        name: "early cut",
        about: "{1} cuts two streams before their first word.\n\
                Nothing was shown yet, so {2} answers and the callers notice nothing.",
        beats: &[
            Next(0, &["cut-before-first", "cut-before-first"]),
            Stream,
            Stream,
            Settle,
            Many(8, 50),
            Settle,
            Back(0),
        ],
    },
    Phase {
        name: "late cut",
        about: "{1} breaks off in the middle. Words that were shown cannot be unsaid:\n\
                the stream ends in an error, never as if it were complete.\n\
                Of a whole answer nothing was shown, so {2} gives it.",
        beats: &[
            Next(0, &["cut-after:8", "cut-after:8"]),
            Stream,
            Settle,
            Whole,
            Settle,
            Many(8, 50),
            Settle,
            Back(0),
        ],
    },
    Phase {
        name: "all out",
        about: "All answer 429, each stating its wait in its own way: {1} 3 s, the others about 1 s.\n\
                A caller with less time than that is told at once when to come back;\n\
                the others wait for the first to open.",
        beats: &[
            Next(0, &["retry-after-seconds:3"]),
            Next(1, &["reset-headers:1"]),
            Next(2, &["retry-after-ms:1200"]),
            Next(3, &["retry-after-seconds:1"]),
            // It meets all four refusals itself: every wait begins after its own time did, and is longer.
            Hurried(900),
            Settle,
            Many(10, 20),
        ],
    },
    Phase {
        name: "probe",
        about: "{1} is still resting. When its 3 s are over twelve requests come at once:\n\
                exactly one goes there to look, the others go to {2}.",
        beats: &[Many(8, 60), Settle, Always(0, "answer:400:5"), After(0, 3_100), Many(12, 0)],
    },
    Phase {
        name: "recovery",
        about: "{1} has answered the probe and gets everything again.",
        beats: &[Always(0, CALM), Many(10, 50)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use unfail_sim::Act;

    #[test]
    fn the_storm_can_be_played() {
        for Phase { name, about, beats } in STORM {
            assert!(name.len() <= 10, "{name} fits its column");
            assert!(about.contains("{1}"), "{name} says who");
            assert!(about.lines().all(|line| line.len() <= 100), "{name} fits a terminal");
            for beat in *beats {
                let (provider, acts): (usize, &[&str]) = match beat {
                    Always(provider, act) => (*provider, &[*act]),
                    Next(provider, acts) => (*provider, acts),
                    After(provider, _) => (*provider, &[]),
                    _ => continue,
                };
                assert!(provider < 4, "{name}");
                for act in acts {
                    assert!(act.parse::<Act>().is_ok(), "{name}: {act}");
                }
            }
        }
    }

    #[test]
    fn every_phase_leaves_all_providers_answering() {
        for Phase { name, beats, .. } in STORM {
            let mut standing = [true; 4];
            for beat in *beats {
                match beat {
                    Always(provider, act) => standing[*provider] = act.starts_with("answer"),
                    Next(provider, _) => standing[*provider] = true,
                    _ => {}
                }
            }
            assert_eq!(standing, [true; 4], "{name}");
        }
    }
}
