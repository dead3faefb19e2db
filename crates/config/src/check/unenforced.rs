//! What this version reads and does not act upon yet: said out loud, so that nobody relies on it.

use crate::raw::Section;
use crate::report::Findings;

/// What is said of it.
const MESSAGE: &str = "is read, but not enforced in this version";

/// Warns about the table `name`, when anything was written into it.
pub(super) fn warn_table(section: &Section, name: &str, findings: &mut Findings<'_>) {
    if let Some(table) = section.table(name).filter(|table| table.is_written()) {
        findings.warning(&table.place, MESSAGE, None);
    }
}

/// Warns about the key `name`, when it was written.
pub(super) fn warn_key(section: &Section, name: &str, findings: &mut Findings<'_>) {
    if section.has(name) {
        findings.warning(&section.place_at(name), MESSAGE, None);
    }
}
