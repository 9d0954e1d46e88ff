//! The rules as a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`; cgroup-v2.rst, "Device controller".
//!
//! The kernel runs it on each open and mknod of a device, and verifies it while a container waits to be created, so it
//! is short: a comparison for each device that is not treated as the rest, a jump to one of a few shared ends.

use super::table::{Entry, Table};
use super::{ALL, Kind};
use crate::error::{Error, Result};
use crate::sys::bpf::Insn;
use std::collections::{BTreeMap, BTreeSet};

const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const JUMP: u8 = 0x05; // BPF_JMP | BPF_JA
const JUMP_EQUAL: u8 = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
const JUMP_NOT_EQUAL: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const JUMP_ANY_BIT: u8 = 0x46; // BPF_JMP32 | BPF_JSET | BPF_K
const MOVE: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
/// `access_type`: the kind in the lower, the ways of access in the upper half.
const ACCESS: u8 = 2;
const MAJOR: u8 = 3;
const MINOR: u8 = 4;

const BLOCK: i32 = 1; // BPF_DEVCG_DEV_BLOCK

/// Where a jump leads that is filled in later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// The end that allows these ways of access.
    Granted(u8),
    /// The comparisons for character devices.
    Chars,
    /// What follows the comparisons for one major number.
    After(Kind, u32),
}

#[derive(Default)]
struct Assembler {
    code: Vec<Insn>,
    jumps: Vec<(usize, Target)>,
    places: BTreeMap<Target, usize>,
}

impl Assembler {
    fn push(&mut self, code: u8, registers: (u8, u8), offset: i16, immediate: i32) {
        let (to, from) = registers;
        let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        self.code.push(Insn { code, registers, offset, immediate });
    }

    fn load(&mut self, to: u8, offset: i16) {
        self.push(LOAD_WORD, (to, CONTEXT), offset, 0);
    }

    fn jump(&mut self, code: u8, register: u8, immediate: i32, target: Target) {
        self.jumps.push((self.code.len(), target));
        self.push(code, (register, 0), 0, immediate);
    }

    fn place(&mut self, target: Target) {
        self.places.insert(target, self.code.len());
    }

    /// Comparisons for the devices of one kind; those that are treated as the rest pass through.
    fn kind(&mut self, kind: Kind, entries: &[Entry]) {
        let mut majors: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            if let Some(major) = entry.pattern.major {
                majors.entry(major).or_default().push(entry);
            }
        }
        for (major, entries) in majors {
            self.major(kind, major, &entries);
        }
        entries.iter().filter(|entry| entry.pattern.major.is_none()).for_each(|entry| self.minor(entry));
    }

    fn major(&mut self, kind: Kind, major: u32, entries: &[&Entry]) {
        let whole = entries.iter().find(|entry| entry.pattern.minor.is_none()).map(|entry| entry.granted);
        if let (Some(granted), [_]) = (whole, entries) {
            return self.jump(JUMP_EQUAL, MAJOR, major.cast_signed(), Target::Granted(granted));
        }
        self.jump(JUMP_NOT_EQUAL, MAJOR, major.cast_signed(), Target::After(kind, major));
        entries.iter().filter(|entry| entry.pattern.minor.is_some()).for_each(|entry| self.minor(entry));
        if let Some(granted) = whole {
            self.jump(JUMP, 0, 0, Target::Granted(granted));
        }
        // Without such a rule the comparisons with other majors follow, all in vain, and are fewer than with a jump.
        self.place(Target::After(kind, major));
    }

    fn minor(&mut self, entry: &Entry) {
        let minor = entry.pattern.minor.unwrap_or_default();
        self.jump(JUMP_EQUAL, MINOR, minor.cast_signed(), Target::Granted(entry.granted));
    }

    /// The shared ends, the one for `rest` reached by what passed all comparisons. The verifier refuses code that is
    /// never reached, so only those that are needed.
    fn ends(&mut self, rest: u8) {
        let used = |(_, target): &(usize, Target)| match target {
            Target::Granted(granted) => Some(*granted),
            _ => None,
        };
        let used = self.jumps.iter().filter_map(used).chain([rest]).collect::<BTreeSet<_>>();
        let mut partial = used.iter().copied().filter(|granted| ![0, ALL].contains(granted)).collect::<Vec<_>>();
        partial.sort_by_key(|granted| *granted != rest);
        let deny_first = partial.is_empty() && rest == 0;
        if ![0, ALL].contains(&rest) || partial.is_empty() {
            self.place(Target::Granted(rest));
        } else {
            self.jump(JUMP, 0, 0, Target::Granted(rest));
        }
        for (index, granted) in partial.iter().enumerate() {
            self.place(Target::Granted(*granted));
            self.jump(JUMP_ANY_BIT, ACCESS, i32::from(ALL & !granted) << 16, Target::Granted(0));
            // The last one runs into the end that allows.
            if index + 1 < partial.len() {
                self.jump(JUMP, 0, 0, Target::Granted(ALL));
            }
        }
        for granted in if deny_first { [0, ALL] } else { [ALL, 0] } {
            if used.contains(&granted) || !partial.is_empty() {
                self.place(Target::Granted(granted));
                self.push(MOVE, (RESULT, 0), 0, i32::from(granted == ALL));
                self.push(EXIT, (0, 0), 0, 0);
            }
        }
    }

    /// Fills in the distances of the jumps.
    fn finish(mut self) -> Option<Vec<Insn>> {
        for (at, target) in self.jumps {
            let distance = self.places.get(&target)?.checked_sub(at + 1)?;
            self.code.get_mut(at)?.offset = i16::try_from(distance).ok()?;
        }
        Some(self.code)
    }
}

/// The program for the rules; `None` when they allow everything.
///
/// # Errors
/// When there are more rules than a program's jumps can cross.
pub(super) fn generate(table: &Table) -> Result<Option<Vec<Insn>>> {
    let [chars, blocks] = [Kind::Char, Kind::Block].map(|kind| (table.reduced(kind), table.base(kind)));
    if chars.0.is_empty() && blocks.0.is_empty() && chars.1 == ALL && blocks.1 == ALL {
        return Ok(None);
    }
    let mut program = Assembler::default();
    program.load(ACCESS, 0);
    if !(chars.0.is_empty() && blocks.0.is_empty()) {
        program.load(MAJOR, 4);
        program.load(MINOR, 8);
    }
    if blocks.0.is_empty() {
        program.jump(JUMP_ANY_BIT, ACCESS, BLOCK, Target::Granted(blocks.1));
    } else {
        program.jump(JUMP_ANY_BIT, ACCESS, BLOCK << 1, Target::Chars);
        program.kind(Kind::Block, &blocks.0);
        program.jump(JUMP, 0, 0, Target::Granted(blocks.1));
        program.place(Target::Chars);
    }
    program.kind(Kind::Char, &chars.0);
    program.ends(chars.1);
    let program = program.finish();
    let too_long = || Error::new("too many rules for one program").context("linux.resources.devices");
    program.map(Some).ok_or_else(too_long)
}
