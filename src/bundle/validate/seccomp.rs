//! config-linux.md "Seccomp". Names of system calls are not checked: an unknown one is a warning of the compiler.

use super::{no_nul, one_of, require};
use crate::bundle::config::{Seccomp, SeccompSyscall};
use crate::error::{Error, Result};

/// The specification's actions.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// The specification's operators.
pub const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"];

/// The specification's architectures.
pub const ARCHITECTURES: [&str; 23] = [
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
];

/// The specification's flags.
pub const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

const NOTIFY: &str = "SCMP_ACT_NOTIFY";

pub(super) fn seccomp(seccomp: &Seccomp) -> Result<()> {
    let default = || "linux.seccomp.defaultAction".to_owned();
    one_of(default, &seccomp.default_action, &ACTIONS)?;
    // Init could not even send the listener away: no system call of its own would return.
    require!(
        seccomp.default_action != NOTIFY,
        default(),
        "SCMP_ACT_NOTIFY cannot be the default action",
        "Use it in the rules of single system calls."
    );
    errno_ret("linux.seccomp.defaultErrnoRet", &seccomp.default_action, seccomp.default_errno_ret)?;
    for (index, architecture) in seccomp.architectures.iter().enumerate() {
        one_of(|| format!("linux.seccomp.architectures[{index}]"), architecture, &ARCHITECTURES)?;
    }
    for (index, flag) in seccomp.flags.iter().flatten().enumerate() {
        one_of(|| format!("linux.seccomp.flags[{index}]"), flag, &FLAGS)?;
    }
    for (index, rule) in seccomp.syscalls.iter().enumerate() {
        self::rule(index, rule)?;
    }
    listener(seccomp)
}

fn rule(index: usize, rule: &SeccompSyscall) -> Result<()> {
    let field = |name: &str| format!("linux.seccomp.syscalls[{index}].{name}");
    require!(!rule.names.is_empty(), field("names"), "is empty", "Name at least one system call.");
    super::strings(|| field("names"), &rule.names)?;
    one_of(|| field("action"), &rule.action, &ACTIONS)?;
    errno_ret(&field("errnoRet"), &rule.action, rule.errno_ret)?;
    // The listener is sent away with write(2) and friends of the filtered process: it would wait for itself.
    require!(
        rule.action != NOTIFY || !rule.names.iter().any(|name| name == "write"),
        field("action"),
        "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        "Choose another action for it."
    );
    for (number, argument) in rule.args.iter().enumerate() {
        let field = |name: &str| format!("linux.seccomp.syscalls[{index}].args[{number}].{name}");
        require!(
            argument.index <= 5,
            field("index"),
            format!("{} is out of range", argument.index),
            "A system call has arguments 0 to 5."
        );
        one_of(|| field("op"), &argument.op, &OPERATORS)?;
    }
    Ok(())
}

/// The kernel has 12 bits for an error number and 16 for a tracer's value.
fn errno_ret(field: &str, action: &str, value: Option<u32>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let highest = match action {
        "SCMP_ACT_ERRNO" => 4095,
        "SCMP_ACT_TRACE" => u32::from(u16::MAX),
        _ => {
            return Err(Error::new(format!("{value} does not go with {action}"))
                .context(field.to_owned())
                .hint("Only SCMP_ACT_ERRNO and SCMP_ACT_TRACE return a value; remove it."));
        }
    };
    require!(
        value <= highest,
        field.to_owned(),
        format!("{value} is out of range"),
        format!("The highest value for {action} is {highest}.")
    );
    Ok(())
}

fn listener(seccomp: &Seccomp) -> Result<()> {
    let path = seccomp.listener_path.as_deref().filter(|path| !path.as_os_str().is_empty());
    no_nul("linux.seccomp.listenerPath", path.unwrap_or(std::path::Path::new("")))?;
    let notifies = seccomp.syscalls.iter().any(|rule| rule.action == NOTIFY);
    require!(
        path.is_some() || !notifies,
        "linux.seccomp.listenerPath",
        "is missing, but rules use SCMP_ACT_NOTIFY",
        "Give the path of the socket that an agent listens on."
    );
    let metadata = seccomp.listener_metadata.as_deref().unwrap_or_default();
    require!(
        path.is_some() || metadata.is_empty(),
        "linux.seccomp.listenerMetadata",
        "is set without listenerPath",
        "Set linux.seccomp.listenerPath or remove the metadata."
    );
    Ok(())
}
