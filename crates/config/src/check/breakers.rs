//! One breaker for each target, whichever route a call comes by: whose settings it has, and what is said of routes
//! that wish for others.

use crate::config::{Route, TargetRef};
use crate::raw::Section;
use crate::report::{Findings, shown};
use std::collections::BTreeMap;
use unfail_policy::breaker::Settings;

/// What a route of the file wishes for its targets.
#[derive(Debug, Clone, Copy)]
struct Wish<'a> {
    section: &'a Section,
    route: &'a Route,
}

impl Wish<'_> {
    fn is_written(&self) -> bool {
        self.section.table("breaker").is_some_and(Section::is_written)
    }
}

/// The settings of every target that has others than the `usual` ones: those of the first route in the file that gives
/// it any. Warns about every other route that names the target and differs.
pub(super) fn settle(
    root: &Section,
    routes: &BTreeMap<String, Route>,
    usual: &Settings,
    findings: &mut Findings<'_>,
) -> BTreeMap<TargetRef, Settings> {
    let sections = root.table("routes").into_iter().flat_map(Section::tables);
    let wish = |section| Some(Wish { section, route: routes.get(&section.name)? });
    let mut wishes: Vec<Wish<'_>> = sections.filter_map(wish).collect();
    wishes.sort_by_key(|wish| wish.section.place.span.start);
    let mut holders: BTreeMap<&TargetRef, Wish<'_>> = BTreeMap::new();
    for wish in wishes.iter().filter(|wish| wish.is_written()) {
        for target in &wish.route.chain {
            holders.entry(target).or_insert(*wish);
        }
    }
    for wish in &wishes {
        warn(wish, &holders, findings);
    }
    let settings = holders.into_iter().map(|(target, wish)| (target.clone(), wish.route.breaker));
    settings.filter(|(_, settings)| settings != usual).collect()
}

/// Says which of the route's targets have other settings than it wishes, and whose.
fn warn(wish: &Wish<'_>, holders: &BTreeMap<&TargetRef, Wish<'_>>, findings: &mut Findings<'_>) {
    let mut lost: BTreeMap<&str, (Wish<'_>, Vec<String>)> = BTreeMap::new();
    for target in &wish.route.chain {
        let holder = holders.get(target).filter(|holder| holder.route.breaker != wish.route.breaker);
        if let Some(holder) = holder {
            let entry = lost.entry(&holder.route.name).or_insert_with(|| (*holder, Vec::new()));
            entry.1.push(shown(&target.to_string()));
        }
    }
    for (holder, targets) in lost.into_values() {
        let message = format!(
            "a target has one breaker: for {} the settings of `{}` hold ({})",
            targets.join(" and "),
            holder.section.place.key,
            differences(&holder.route.breaker, &wish.route.breaker)
        );
        let own = wish.section.table("breaker").filter(|_| wish.is_written());
        let place = own.map_or_else(|| wish.section.place_at("chain"), |table| table.place.clone());
        let hint = "write the same `breaker` into both".to_owned();
        findings.warning(&place, message, Some(hint));
    }
}

/// The keys in which they differ, with the values that hold.
fn differences(hold: &Settings, wished: &Settings) -> String {
    let keys = |settings: &Settings| {
        [
            ("consecutive", settings.consecutive.to_string()),
            ("error_rate", settings.error_rate.to_string()),
            ("slow_rate", settings.slow_rate.to_string()),
            ("window", format!("{:?}", settings.window)),
            ("open", format!("{:?}", settings.open)),
            ("open_max", format!("{:?}", settings.open_max)),
            ("probes", settings.probes.to_string()),
            ("ramp", format!("{:?}", settings.ramp)),
        ]
    };
    let differ = keys(hold).into_iter().zip(keys(wished)).filter(|(hold, wished)| hold != wished);
    differ.map(|((key, value), _)| format!("`{key}` is {value}")).collect::<Vec<_>>().join(", ")
}
