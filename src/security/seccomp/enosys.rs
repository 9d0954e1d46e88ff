//! ENOSYS for system calls newer than the profile.
//!
//! A profile that lists what is allowed answers EPERM to a system call that its author could not know. C libraries try
//! new system calls first and fall back on ENOSYS only, so programs in old containers would break on new kernels. As
//! runc does: what is newer than all that the profile names gets ENOSYS, before libseccomp's program sees it.

use super::Architecture;
use super::compact::{ARCH, NR};
use crate::bundle::config::Seccomp;
use libseccomp::{ScmpArch, ScmpSyscall};
use nix::libc::{
    self, BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ERRNO,
    sock_filter,
};
use std::str::FromStr;

/// Names of architectures and their `AUDIT_ARCH_…` numbers, linux/audit.h. x32 has that of x86_64.
const AUDIT: [(&str, u32); 23] = [
    ("SCMP_ARCH_X86_64", X86_64),
    ("SCMP_ARCH_X86", 0x4000_0003),
    ("SCMP_ARCH_X32", X86_64),
    ("SCMP_ARCH_AARCH64", 0xc000_00b7),
    ("SCMP_ARCH_ARM", 0x4000_0028),
    ("SCMP_ARCH_LOONGARCH64", 0xc000_0102),
    ("SCMP_ARCH_M68K", 0x0000_0004),
    ("SCMP_ARCH_MIPS", 0x0000_0008),
    ("SCMP_ARCH_MIPS64", 0x8000_0008),
    ("SCMP_ARCH_MIPS64N32", 0xa000_0008),
    ("SCMP_ARCH_MIPSEL", 0x4000_0008),
    ("SCMP_ARCH_MIPSEL64", 0xc000_0008),
    ("SCMP_ARCH_MIPSEL64N32", 0xe000_0008),
    ("SCMP_ARCH_PARISC", 0x0000_000f),
    ("SCMP_ARCH_PARISC64", 0x8000_000f),
    ("SCMP_ARCH_PPC", 0x0000_0014),
    ("SCMP_ARCH_PPC64", 0x8000_0015),
    ("SCMP_ARCH_PPC64LE", 0xc000_0015),
    ("SCMP_ARCH_RISCV64", 0xc000_00f3),
    ("SCMP_ARCH_S390", 0x0000_0016),
    ("SCMP_ARCH_S390X", 0x8000_0016),
    ("SCMP_ARCH_SH", 0x4000_002a),
    ("SCMP_ARCH_SHEB", 0x0000_002a),
];

const X86_64: u32 = 0xc000_003e;
const X32: &str = "SCMP_ARCH_X32";

/// `__X32_SYSCALL_BIT`
const X32_BIT: u32 = 0x4000_0000;

/// The native architecture and those of the profile, with the newest system call that the profile names if newer ones
/// shall get ENOSYS.
pub fn architectures(profile: &Seccomp) -> Vec<Architecture> {
    let native = ScmpArch::native();
    let native =
        AUDIT.iter().map(|(name, _)| *name).find(|name| ScmpArch::from_str(name).is_ok_and(|arch| arch == native));
    let mut names: Vec<&str> = native.into_iter().collect();
    for name in &profile.architectures {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let stubbed = needs_stub(profile);
    let architecture =
        |name: &str| Architecture { name: name.to_owned(), newest: stubbed.then(|| newest(profile, name)).flatten() };
    names.into_iter().map(architecture).collect()
}

/// A default that lets calls through, or a tracer that emulates them, has its own answer; ENOSYS is the same answer.
fn needs_stub(profile: &Seccomp) -> bool {
    let permissive = matches!(profile.default_action.as_str(), "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_TRACE");
    let same = profile.default_action == "SCMP_ACT_ERRNO" && profile.default_errno_ret == Some(libc::ENOSYS as u32);
    !permissive && !same
}

fn newest(profile: &Seccomp, architecture: &str) -> Option<u32> {
    let arch = ScmpArch::from_str(architecture).ok()?;
    let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
    let number = |name: &String| {
        let number = ScmpSyscall::from_name_by_arch(name, arch).ok()?.as_raw_syscall();
        // Negative numbers stand for calls that this architecture does not have.
        let number = u32::try_from(number).ok()?;
        Some(if architecture == X32 { number | X32_BIT } else { number })
    };
    names.filter_map(number).max()
}

/// Instructions to put before libseccomp's program; whatever they do not answer falls through to it.
pub fn stub(architectures: &[Architecture]) -> Vec<sock_filter> {
    let mut sections: Vec<(u32, Vec<sock_filter>)> = Vec::new();
    for (name, audit) in AUDIT {
        let Some(newest) = architectures.iter().find(|one| one.name == name).and_then(|one| one.newest) else {
            continue;
        };
        let x32 = architectures.iter().find(|one| one.name == X32).and_then(|one| one.newest);
        let section = match (name, x32) {
            // Both share a number: the bit tells them apart.
            ("SCMP_ARCH_X86_64", Some(x32)) => {
                vec![jump(BPF_JGE, X32_BIT, 1, 0), jump(BPF_JGT, newest, 1, 2), jump(BPF_JGT, x32, 0, 1), enosys()]
            }
            _ => vec![jump(BPF_JGT, newest, 0, 1), enosys()],
        };
        if sections.iter().all(|(other, _)| *other != audit) {
            sections.push((audit, section));
        }
    }
    assemble(&sections)
}

/// `ld arch; for each section: jeq audit; ld nr; section; ja end`
fn assemble(sections: &[(u32, Vec<sock_filter>)]) -> Vec<sock_filter> {
    if sections.is_empty() {
        return Vec::new();
    }
    let mut program = vec![load(ARCH)];
    let mut after: usize = sections.iter().map(|(_, section)| section.len() + 3).sum();
    for (audit, section) in sections {
        after -= section.len() + 3;
        program.push(jump(BPF_JEQ, *audit, 0, section.len() as u8 + 2));
        program.push(load(NR));
        program.extend(section);
        program.push(sock_filter { code: (BPF_JMP | BPF_JA) as u16, jt: 0, jf: 0, k: after as u32 });
    }
    program
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

fn jump(comparison: u32, value: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | comparison | BPF_K) as u16, jt, jf, k: value }
}

fn enosys() -> sock_filter {
    sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: SECCOMP_RET_ERRNO | libc::ENOSYS as u32 }
}
