//! The rules for a systemd unit, which filters beside us and writes the v1 files again on each `daemon-reload`.

use super::table::{Entry, Table};
use super::{Kind, letters};
use std::collections::BTreeMap;

/// `DevicePolicy=` and `DeviceAllow=`; never narrower than the rules, because systemd's filter and ours must both agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// `strict`, or `auto` for no filter.
    pub policy: &'static str,
    /// Specifier (`/dev/char/1:3`, `char-136`, `block-*`) and ways of access.
    pub allow: Vec<(String, String)>,
}

pub(super) fn policy(table: &Table) -> Policy {
    if table.allows_by_default() {
        return Policy { policy: "auto", allow: Vec::new() };
    }
    // systemd keeps only the last value for a specifier.
    let mut merged: BTreeMap<String, u8> = BTreeMap::new();
    for entry in table.entries().iter().filter(|entry| entry.own != 0) {
        *merged.entry(specifier(entry)).or_default() |= entry.own;
    }
    let allow = merged.into_iter().map(|(specifier, access)| (specifier, letters(access))).collect();
    Policy { policy: "strict", allow }
}

fn specifier(entry: &Entry) -> String {
    let kind = match entry.pattern.kind {
        Kind::Char => "char",
        Kind::Block => "block",
    };
    match (entry.pattern.major, entry.pattern.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        // systemd has no words for one minor number of every major.
        (None, _) => format!("{kind}-*"),
    }
}
