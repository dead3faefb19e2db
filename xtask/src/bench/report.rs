//! Numbers of all rounds, their medians and ranges, as a table and as JSON.
//!
//! Compares within a round only, because the machine is never the same twice.

use super::contenders::{DIRECT, OURS, REFERENCE};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is measured, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// Requests per second with every connection busy.
    Rate,
    /// CPU time of the proxy per request, µs.
    Cpu,
    /// Median latency at the fixed rate, µs.
    P50,
    /// 99th percentile of it, µs.
    P99,
    /// Events per second over all streams.
    Events,
    /// CPU time of the proxy per event, µs.
    EventCpu,
    /// Median time to a stream's first event, µs.
    First,
    /// Resident memory before any load, MB.
    RssIdle,
    /// Resident memory after the load, MB.
    RssAfter,
    /// From start to first answer, ms.
    Start,
}

/// How a row of the table is made from the samples.
enum Row {
    /// The metric itself.
    Plain(Metric),
    /// Divided by another contender's, of the same round.
    Ratio(Metric, &'static str),
    /// Less another contender's, of the same round.
    Added(Metric, &'static str),
}

const ROWS: &[(&str, &str, usize, Row)] = &[
    ("requests_per_s", "requests/s", 0, Row::Plain(Metric::Rate)),
    ("cpu_us_per_request", "CPU µs/request", 1, Row::Plain(Metric::Cpu)),
    ("cpu_ratio", "  × nginx", 2, Row::Ratio(Metric::Cpu, REFERENCE)),
    ("p50_us", "p50 µs at the fixed rate", 0, Row::Plain(Metric::P50)),
    ("added_p50_us", "  added to direct", 0, Row::Added(Metric::P50, DIRECT)),
    ("p99_us", "p99 µs at the fixed rate", 0, Row::Plain(Metric::P99)),
    ("added_p99_us", "  added to direct", 0, Row::Added(Metric::P99, DIRECT)),
    ("added_p99_us_nginx", "  added to nginx", 0, Row::Added(Metric::P99, REFERENCE)),
    ("events_per_s", "streamed chunks/s", 0, Row::Plain(Metric::Events)),
    ("cpu_us_per_event", "CPU µs/chunk", 1, Row::Plain(Metric::EventCpu)),
    ("first_us", "first token µs", 0, Row::Plain(Metric::First)),
    ("added_first_us", "  added to direct", 0, Row::Added(Metric::First, DIRECT)),
    ("rss_idle_mb", "RSS MB idle", 1, Row::Plain(Metric::RssIdle)),
    ("rss_after_mb", "RSS MB after load", 1, Row::Plain(Metric::RssAfter)),
    ("start_ms", "start to first answer ms", 1, Row::Plain(Metric::Start)),
];

/// What unfail must reach: key of a row, bound, and how it is said.
const BARS: &[(&str, f64, &str)] = &[
    ("cpu_ratio", 1.6, "CPU per request at most 1.6 × nginx"),
    ("added_p99_us_nginx", 1_000.0, "p99 less than 1 ms over nginx"),
    ("rss_after_mb", 30.0, "less than 30 MB after load"),
];

/// Samples of a run.
#[derive(Default)]
pub(crate) struct Report {
    samples: BTreeMap<(&'static str, Metric), Vec<f64>>,
    /// Contenders that did not take part, and why.
    pub absent: Vec<(&'static str, String)>,
}

/// Median and range.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Summary {
    median: f64,
    least: f64,
    most: f64,
}

impl Report {
    /// Adds one sample.
    pub(crate) fn add(&mut self, contender: &'static str, metric: Metric, value: f64) {
        self.samples.entry((contender, metric)).or_default().push(value);
    }

    fn contenders(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.samples.keys().map(|(name, _)| *name).collect();
        names.dedup();
        // In the order they were declared, not by alphabet.
        let place = |name: &str| super::contenders::CONTENDERS.iter().position(|known| known.name == name);
        names.sort_by_key(|name| place(name));
        names
    }

    fn samples(&self, contender: &'static str, metric: Metric) -> &[f64] {
        self.samples.get(&(contender, metric)).map_or(&[], Vec::as_slice)
    }

    fn values(&self, contender: &'static str, row: &Row) -> Vec<f64> {
        let paired = |metric: Metric, other: &'static str, compare: fn(f64, f64) -> f64| {
            let pairs = self.samples(contender, metric).iter().zip(self.samples(other, metric));
            pairs.map(|(own, other)| compare(*own, *other)).collect()
        };
        match *row {
            Row::Plain(metric) => self.samples(contender, metric).to_vec(),
            Row::Ratio(metric, other) => paired(metric, other, |own, other| own / other),
            Row::Added(_, other) if contender == other || contender == DIRECT => Vec::new(),
            Row::Added(metric, other) => paired(metric, other, |own, other| own - other),
        }
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let names = self.contenders();
        let mut text = format!("{:<26}", "median [least … most]");
        for name in &names {
            text.push_str(&format!(" {name:>26}"));
        }
        for (_, label, digits, row) in ROWS {
            text.push_str(&format!("\n{label:<26}"));
            for name in &names {
                let cell = summary(&self.values(name, row)).map_or_else(
                    || "-".to_owned(),
                    |Summary { median, least, most }| {
                        format!("{median:.digits$} [{least:.digits$} … {most:.digits$}]")
                    },
                );
                text.push_str(&format!(" {cell:>26}"));
            }
        }
        for (name, why) in &self.absent {
            text.push_str(&format!("\nwithout {name}: {why}"));
        }
        for (key, bound, words) in BARS {
            let row = ROWS.iter().find(|row| row.0 == *key);
            if let Some(found) = row.and_then(|row| summary(&self.values(OURS, &row.3))) {
                let verdict = if found.median <= *bound { "reached" } else { "MISSED" };
                text.push_str(&format!("\n{words}: {verdict} ({:.2})", found.median));
            }
        }
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let mut contenders = Map::new();
        for name in self.contenders() {
            let mut metrics = Map::new();
            for (key, _, _, row) in ROWS {
                let values = self.values(name, row);
                if let Some(Summary { median, least, most }) = summary(&values) {
                    let metric = json!({ "median": median, "min": least, "max": most, "samples": values });
                    metrics.insert((*key).to_owned(), metric);
                }
            }
            contenders.insert(name.to_owned(), metrics.into());
        }
        let absent: Map<String, Value> =
            self.absent.iter().map(|(name, why)| ((*name).to_owned(), why.as_str().into())).collect();
        json!({ "contenders": contenders, "absent": absent })
    }
}

fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(Summary { median: f64::midpoint(lower, upper), least: *sorted.first()?, most: *sorted.last()? })
}

#[cfg(test)]
mod tests {
    use super::{Metric, Report, Summary, summary};

    #[test]
    fn medians_and_ranges() {
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[3.0, 1.0, 2.0]), Some(Summary { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(summary(&[4.0, 1.0]), Some(Summary { median: 2.5, least: 1.0, most: 4.0 }));
    }

    #[test]
    fn comparisons_stay_within_a_round() {
        let mut report = Report::default();
        for (nginx, ours) in [(10.0, 15.0), (20.0, 30.0), (40.0, 40.0)] {
            report.add("nginx", Metric::Cpu, nginx);
            report.add("unfail", Metric::Cpu, ours);
        }
        report.absent.push(("haproxy", "not installed".to_owned()));
        let json = report.json();
        let ratio = &json["contenders"]["unfail"]["cpu_ratio"];
        assert_eq!((ratio["median"].as_f64(), ratio["min"].as_f64()), (Some(1.5), Some(1.0)));
        assert!(json["contenders"]["unfail"].get("p50_us").is_none(), "nothing measured, nothing said");
        let table = report.table();
        assert!(table.contains("1.50 [1.00 … 1.50]"), "{table}");
        assert!(table.contains("without haproxy: not installed"), "{table}");
        assert!(table.contains("at most 1.6 × nginx: reached (1.50)"), "{table}");
    }
}
