//! The meaning of a list of rules as a table: for each pattern of devices what is allowed.

use super::{ALL, Kind, Pattern, READ, Rule, WRITE};
use std::collections::{BTreeMap, BTreeSet};

/// What the rules allow for a pattern of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub pattern: Pattern,
    /// Ways of access that are allowed.
    pub granted: u8,
    /// Those of them that rules for exactly this pattern allow, rather than one rule for a wider pattern.
    pub own: u8,
}

/// For every device the most specific pattern that covers it says what is allowed.
///
/// The table is closed under intersection: with `1:*` and `*:5` it has `1:5`, so the most specific one is unique.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// In the order in which the rules name the patterns; `c *:*` and `b *:*` are always among them.
    entries: Vec<Entry>,
}

impl Table {
    pub fn new(rules: &[Rule]) -> Self {
        // What comes before a rule about everything has no effect.
        let start = rules.iter().rposition(|rule| rule.is_reset()).unwrap_or(0);
        let rules = rules.get(start..).unwrap_or_default();
        let naming = rules.iter().filter(|rule| !rule.is_reset());
        let named = naming.flat_map(|rule| rule.patterns()).collect::<Vec<_>>();
        let everything = [Kind::Char, Kind::Block].map(|kind| Pattern::new(kind, None, None));
        let crossings = intersections(&named).collect::<BTreeSet<_>>();
        let mut seen = BTreeSet::new();
        let patterns = named.iter().copied().chain(everything).chain(crossings.iter().copied());
        let patterns = patterns.filter(|pattern| seen.insert(*pattern));
        Self { entries: patterns.map(|pattern| entry(pattern, rules, crossings.contains(&pattern))).collect() }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is allowed for devices of a kind that no narrower pattern covers.
    pub fn base(&self, kind: Kind) -> u8 {
        self.granted(Pattern::new(kind, None, None)).unwrap_or(0)
    }

    /// Whether everything is allowed unless a pattern takes it away.
    pub fn allows_by_default(&self) -> bool {
        self.base(Kind::Char) == ALL && self.base(Kind::Block) == ALL
    }

    /// What is allowed for a pattern of the table.
    pub fn granted(&self, pattern: Pattern) -> Option<u8> {
        self.entries.iter().find(|entry| entry.pattern == pattern).map(|entry| entry.granted)
    }

    /// Entries that change something: without those whose devices have the same rights anyway. For a device that
    /// several of them cover, one with both numbers decides, then one with a major, then one with a minor number.
    pub fn reduced(&self, kind: Kind) -> Vec<Entry> {
        let kept = |entry: &&Entry| entry.pattern.kind == kind && !entry.pattern.is_everything();
        let all = self.entries.iter().filter(kept).copied().collect::<Vec<_>>();
        let base = self.base(kind);
        let majors: BTreeMap<_, _> = wildcards(&all, |pattern| (pattern.minor.is_none()).then_some(pattern.major)?);
        let minors: BTreeMap<_, _> = wildcards(&all, |pattern| (pattern.major.is_none()).then_some(pattern.minor)?);
        let changes = |entry: &Entry| match (entry.pattern.major, entry.pattern.minor) {
            (Some(major), Some(minor)) => {
                let wider = majors.get(&major).or_else(|| minors.get(&minor)).copied().unwrap_or(base);
                wider != entry.granted
            }
            // `1:*` also shields its devices from `*:5`.
            (Some(_), None) => !minors.is_empty() || entry.granted != base,
            _ => entry.granted != base,
        };
        all.iter().filter(|entry| changes(entry)).copied().collect()
    }
}

/// Rights of the entries for which `key` gives a number.
fn wildcards(entries: &[Entry], key: impl Fn(&Pattern) -> Option<u32>) -> BTreeMap<u32, u8> {
    entries.iter().filter_map(|entry| key(&entry.pattern).map(|number| (number, entry.granted))).collect()
}

fn intersections(patterns: &[Pattern]) -> impl Iterator<Item = Pattern> {
    let majors = patterns.iter().filter(|pattern| pattern.minor.is_none() && pattern.major.is_some());
    let crossed = |major: &Pattern| {
        let major = *major;
        let minors = patterns.iter().filter(move |other| other.kind == major.kind && other.major.is_none());
        minors.filter(|other| other.minor.is_some()).map(move |other| Pattern { minor: other.minor, ..major })
    };
    majors.flat_map(crossed)
}

fn entry(pattern: Pattern, rules: &[Rule], crossing: bool) -> Entry {
    let (mut granted, mut own) = (0, 0);
    for rule in rules {
        for from in rule.patterns().filter(|from| from.covers(pattern)) {
            if rule.allow {
                granted |= rule.access;
                own |= if from == pattern { rule.access } else { 0 };
            } else {
                granted &= !rule.access;
                own &= !rule.access;
            }
        }
    }
    // An open for reading and writing must be allowed as a whole, wherever the two come from; mknod comes alone.
    if crossing || own & (READ | WRITE) != 0 {
        own |= granted & (READ | WRITE);
    }
    Entry { pattern, granted, own }
}
