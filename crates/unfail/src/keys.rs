//! Where keys are looked for: what to set when there is none. Names variables, never what they hold.

use unfail_catalog::{AUTO_ORDER, PROVIDERS, Provider};
use unfail_config::Config;

/// What to say where nothing can be served for want of a key.
pub(crate) fn none_found() -> String {
    let automatic = AUTO_ORDER.iter().filter_map(|id| unfail_catalog::provider(id));
    let keys: Vec<&str> = automatic.filter_map(|row| row.key_env.first().copied()).collect();
    format!(
        "no provider can be used: no key was found\n\
         set a key in the environment ({}; `unfail check` lists all) and start again,\n\
         write a configuration file (`unfail check --template > unfail.toml`),\n\
         or see it work without any key: `unfail demo`",
        keys.join(", ")
    )
}

/// Providers of the catalog that are not used because none of their variables holds a key.
pub(crate) fn without(config: &Config) -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().filter(|row| !row.key_env.is_empty() && config.provider(row.id).is_none())
}
