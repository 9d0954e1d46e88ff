//! Device rules: an eBPF program on cgroup v2, the devices controller on v1, `DeviceAllow=` for systemd.
//!
//! The rules apply in their order (config-linux.md, "Allowed Device list"): for each way of access (read, write, mknod)
//! the last rule that matches a device decides, and what no rule mentions is denied. The rules of the configuration
//! come first, then those for the default devices, which a container can therefore always use.

mod attach;
mod program;
mod systemd;
mod table;
#[cfg(test)]
mod tests;
mod v1;

pub use attach::apply_v2;
pub use systemd::Policy;
pub use v1::apply_v1;

use crate::bundle::config::DeviceRule;
use crate::error::{Context, Error, Result};
use table::Table;

/// mknod, as in `struct bpf_cgroup_dev_ctx` (linux/bpf.h).
const MKNOD: u8 = 1;
/// Opening for reading.
const READ: u8 = 2;
/// Opening for writing.
const WRITE: u8 = 4;
/// Every way of access.
const ALL: u8 = MKNOD | READ | WRITE;

/// Kind of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Block,
    Char,
}

/// The devices that a rule is about; an absent number stands for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
}

impl Pattern {
    const fn new(kind: Kind, major: Option<u32>, minor: Option<u32>) -> Self {
        Self { kind, major, minor }
    }

    /// Whether every device of `other` is one of these.
    fn covers(self, other: Self) -> bool {
        self.kind == other.kind
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }

    /// Whether these are all devices of the kind.
    fn is_everything(self) -> bool {
        self.major.is_none() && self.minor.is_none()
    }
}

/// One rule; `kind` is absent for type `a`, both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    allow: bool,
    kind: Option<Kind>,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
}

impl Rule {
    const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u8) -> Self {
        Self { allow: true, kind: Some(kind), major, minor, access }
    }

    /// Whether the rules before this one no longer matter.
    fn is_reset(self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }

    fn patterns(self) -> impl Iterator<Item = Pattern> {
        let kinds = [Kind::Char, Kind::Block].into_iter();
        kinds.filter(move |kind| self.kind.is_none_or(|own| own == *kind)).map(move |kind| Pattern {
            kind,
            major: self.major,
            minor: self.minor,
        })
    }
}

/// The specification's default devices (config-linux.md, "Default Devices"), the terminals, and device nodes of every
/// kind as long as nobody opens them.
const DEFAULTS: [Rule; 11] = [
    Rule::allow(Kind::Char, None, None, MKNOD),
    Rule::allow(Kind::Block, None, None, MKNOD),
    Rule::allow(Kind::Char, Some(1), Some(3), ALL), // null
    Rule::allow(Kind::Char, Some(1), Some(8), ALL), // random
    Rule::allow(Kind::Char, Some(1), Some(7), ALL), // full
    Rule::allow(Kind::Char, Some(5), Some(0), ALL), // tty
    Rule::allow(Kind::Char, Some(1), Some(5), ALL), // zero
    Rule::allow(Kind::Char, Some(1), Some(9), ALL), // urandom
    Rule::allow(Kind::Char, Some(5), Some(1), ALL), // console
    Rule::allow(Kind::Char, Some(136), None, ALL),  // pts/*
    Rule::allow(Kind::Char, Some(5), Some(2), ALL), // ptmx
];

/// Device rules in the order in which they apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Default for Rules {
    /// The default devices alone.
    fn default() -> Self {
        Self { rules: DEFAULTS.to_vec() }
    }
}

impl Rules {
    /// The rules of the configuration, then those of the default devices.
    ///
    /// # Errors
    /// When a rule is malformed, with its field.
    pub fn new(rules: &[DeviceRule]) -> Result<Self> {
        let parsed = rules.iter().enumerate().map(|(index, rule)| {
            parse(rule).map_err(|(member, error)| error.context(format!("linux.resources.devices[{index}].{member}")))
        });
        let mut rules = parsed.collect::<Result<Vec<_>>>()?;
        rules.extend(DEFAULTS);
        Ok(Self { rules })
    }

    /// What `DevicePolicy=` and `DeviceAllow=` of a systemd unit say about these rules; systemd.resource-control(5).
    pub fn systemd(&self) -> Policy {
        systemd::policy(&self.table())
    }

    fn table(&self) -> Table {
        Table::new(&self.rules)
    }

    /// Whether a container without any device filter would get more than its author explicitly took away. Denying
    /// everything at first is not meant here: that is the default.
    fn denies_something(&self) -> bool {
        let start = self.rules.iter().rposition(|rule| rule.is_reset()).map_or(0, |reset| reset + 1);
        self.rules.iter().skip(start).any(|rule| !rule.allow)
    }
}

fn parse(rule: &DeviceRule) -> Result<Rule, (&'static str, Error)> {
    let kind = match rule.kind.as_deref() {
        None | Some("a" | "") => None,
        Some("c" | "u") => Some(Kind::Char),
        Some("b") => Some(Kind::Block),
        Some("p") => return Err(("type", Error::new("\"p\" is a FIFO, not a device").hint("Remove the rule."))),
        Some(other) => {
            return Err(("type", Error::new(format!("unknown {other:?}")).hint("Use \"a\", \"c\" or \"b\".")));
        }
    };
    let major = number(rule.major).map_err(|error| ("major", error))?;
    let minor = number(rule.minor).map_err(|error| ("minor", error))?;
    let access = match rule.access.as_deref() {
        None => ALL,
        Some(letters) => access(letters).map_err(|error| ("access", error))?,
    };
    Ok(Rule { allow: rule.allow, kind, major, minor, access })
}

fn number(value: Option<i64>) -> Result<Option<u32>> {
    match value {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number).map(Some).map_err(|_| {
            Error::new(format!("{number} is no device number")).hint("Use 0 to 4294967295, or -1 for all.")
        }),
    }
}

fn access(letters: &str) -> Result<u8> {
    let bit = |letter| match letter {
        'r' => Ok(READ),
        'w' => Ok(WRITE),
        'm' => Ok(MKNOD),
        _ => Err(Error::new(format!("unknown letter {letter:?} in {letters:?}"))),
    };
    let bits = letters.chars().try_fold(0, |bits, letter| bit(letter).map(|bit| bits | bit));
    match bits {
        Ok(0) => Err(Error::new("is empty")),
        bits => bits,
    }
    .map_err(|error| error.hint("Use one or more of \"r\" (read), \"w\" (write) and \"m\" (mknod)."))
}

/// Access as the letters of the kernel and of systemd.
fn letters(access: u8) -> String {
    let all = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
    all.into_iter().filter(|(bit, _)| access & bit != 0).map(|(_, letter)| letter).collect()
}

/// Says on what a failure happened when that is not plain from the operation.
fn on<T>(result: Result<T>, path: &std::path::Path) -> Result<T> {
    result.context(|| path.display().to_string())
}
