//! The devices controller of cgroup v1; Documentation/admin-guide/cgroup-v1/devices.rst.
//!
//! It knows a default and a list of exceptions, without order. A cgroup that is in use is changed by the difference, so
//! that its processes never lose a device that they keep.

use super::attach::may_do_without;
use super::table::{Entry, Table};
use super::{ALL, Kind, MKNOD, Pattern, READ, Rules, WRITE, letters, on};
use crate::error::{During, Error, Result};
use nix::errno::Errno;
use std::path::Path;

/// Exceptions from the default: patterns and ways of access.
pub(super) type Exceptions = Vec<(Pattern, u8)>;

/// Writes the rules to a directory of the v1 devices controller.
///
/// Exceptions from "everything is allowed" of an earlier call stay, because the kernel does not list them.
///
/// # Errors
/// When the kernel refuses a rule, or has no words for them: v1 cannot deny a device and allow those around it, unless
/// everything is allowed.
pub fn apply_v1(cgroup: &Path, rules: &Rules) -> Result<()> {
    let table = rules.table();
    let exceptions = exceptions(&table)?;
    match on(write_all(cgroup, table.allows_by_default(), &exceptions), cgroup) {
        Err(error) if may_do_without(&error, rules) => Ok(()),
        result => result,
    }
}

fn write_all(cgroup: &Path, open: bool, exceptions: &[(Pattern, u8)]) -> Result<()> {
    let list = std::fs::read_to_string(cgroup.join("devices.list")).during(|| "read devices.list")?;
    let was_open = list.lines().any(|line| line.starts_with('a'));
    if open != was_open {
        write(cgroup, open, "a").map_err(|error| match error.errno() {
            Some(Errno::EINVAL) => error.hint("The default cannot change while the cgroup has sub-cgroups."),
            _ => error,
        })?;
    }
    if open {
        return exceptions.iter().try_for_each(|(pattern, denied)| write(cgroup, false, &line(*pattern, *denied)));
    }
    let now = if was_open { Vec::new() } else { list.lines().filter_map(parse).collect() };
    for (pattern, access) in difference(exceptions, &now) {
        write(cgroup, true, &line(pattern, access))?;
    }
    for (pattern, access) in difference(&now, exceptions) {
        write(cgroup, false, &line(pattern, access))?;
    }
    Ok(())
}

fn write(cgroup: &Path, allow: bool, line: &str) -> Result<()> {
    let file = if allow { "devices.allow" } else { "devices.deny" };
    let result = std::fs::write(cgroup.join(file), line).during(|| format!("write {line:?} to {file}"));
    result.map_err(|error| match error.errno() {
        Some(Errno::EPERM) if allow => error.hint("The cgroup above this one does not allow it."),
        _ => error,
    })
}

/// The rules as exceptions from the table's default, in the order of the rules.
pub(super) fn exceptions(table: &Table) -> Result<Exceptions> {
    let open = table.allows_by_default();
    for narrow in table.entries() {
        if let Some(wide) = table.entries().iter().find(|wide| !fits(open, narrow, wide)) {
            let error = Error::new(format!(
                "cgroup v1 cannot give other rights to devices {} than to {}",
                name(narrow.pattern),
                name(wide.pattern)
            ));
            return Err(error.context("linux.resources.devices").hint("Name the devices one by one."));
        }
    }
    let exception = |entry: &Entry| (entry.pattern, if open { ALL & !entry.granted } else { entry.own });
    Ok(table.entries().iter().map(exception).filter(|(_, access)| *access != 0).collect())
}

/// Whether exceptions, which add up, give `narrow` its rights when `wide` has its own.
fn fits(open: bool, narrow: &Entry, wide: &Entry) -> bool {
    let (less, more) = if open { (narrow.granted, wide.granted) } else { (wide.granted, narrow.granted) };
    !wide.pattern.covers(narrow.pattern) || less & !more == 0
}

/// What `of` has and `without` lacks.
fn difference(of: &[(Pattern, u8)], without: &[(Pattern, u8)]) -> Exceptions {
    let missing = |(pattern, access): &(Pattern, u8)| {
        let there = without.iter().find(|(other, _)| other == pattern).map_or(0, |(_, access)| *access);
        (*pattern, access & !there)
    };
    of.iter().map(missing).filter(|(_, access)| *access != 0).collect()
}

fn number(number: Option<u32>) -> String {
    number.map_or_else(|| "*".to_owned(), |number| number.to_string())
}

fn name(pattern: Pattern) -> String {
    let kind = if pattern.kind == Kind::Char { 'c' } else { 'b' };
    format!("{kind} {}:{}", number(pattern.major), number(pattern.minor))
}

fn line(pattern: Pattern, access: u8) -> String {
    format!("{} {}", name(pattern), letters(access))
}

fn parse(line: &str) -> Option<(Pattern, u8)> {
    let mut words = line.split(' ');
    let kind = match words.next()? {
        "c" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
    let bit = |letter| match letter {
        'r' => READ,
        'w' => WRITE,
        'm' => MKNOD,
        _ => 0,
    };
    let access = words.next()?.chars().fold(0, |access, letter| access | bit(letter));
    Some((Pattern::new(kind, number(major)?, number(minor)?), access))
}
