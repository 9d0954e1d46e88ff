//! Compiles a profile with libseccomp, with the same decisions as runc where the specification leaves them open.

use super::compact::compact;
use super::{Architecture, MAX_INSTRUCTIONS, enosys};
use crate::bundle::config::{Seccomp, SeccompArg, SeccompSyscall};
use crate::error::{Context, During, Error, Result};
use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::libc::{EPERM, sock_filter};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek};
use std::str::FromStr;

/// Everything about a profile that depends on libseccomp; this is what the cache keeps.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// What the kernel gets.
    pub program: Vec<sock_filter>,
    /// Names that libseccomp does not know, in the order of the profile.
    pub unknown: Vec<String>,
    /// See [`super::Filter`].
    pub rules: u32,
    /// See [`super::Filter`].
    pub redundant: u32,
    /// See [`super::Filter`].
    pub architectures: Vec<Architecture>,
}

pub fn compile(profile: &Seccomp) -> Result<Compiled> {
    let mut compiled = translate(profile)?;
    if let Some(short) = compact(&compiled.program) {
        compiled.program = short;
    }
    let length = compiled.program.len();
    if length > MAX_INSTRUCTIONS {
        return Err(Error::new(format!("the filter has {length} instructions, the kernel accepts {MAX_INSTRUCTIONS}"))
            .context("linux.seccomp")
            .hint("Remove architectures or conditions on arguments."));
    }
    Ok(compiled)
}

/// The stub and libseccomp's program as it is.
pub fn translate(profile: &Seccomp) -> Result<Compiled> {
    let default =
        action(&profile.default_action, profile.default_errno_ret).context(|| "linux.seccomp.defaultAction")?;
    let mut filter = ScmpFilterContext::new(default).map_err(|error| failed("seccomp_init", &error))?;
    for (index, name) in profile.architectures.iter().enumerate() {
        let add = |filter: &mut ScmpFilterContext| {
            filter.add_arch(ScmpArch::from_str(name)?)?;
            Ok::<_, SeccompError>(())
        };
        add(&mut filter).map_err(|_| {
            Error::new(format!("{name} is not supported by libseccomp {}", super::libseccomp_version()))
                .context(format!("linux.seccomp.architectures[{index}]"))
                .hint("Remove the architecture, or use a berth with a newer libseccomp.")
        })?;
    }
    // A binary tree by system call number instead of a chain: a tenth of the instructions per call.
    filter.set_ctl_optimize(2).map_err(|error| failed("seccomp_attr_set SCMP_FLTATR_CTL_OPTIMIZE", &error))?;

    let mut compiled =
        Compiled { program: Vec::new(), unknown: Vec::new(), rules: 0, redundant: 0, architectures: Vec::new() };
    for (index, rule) in profile.syscalls.iter().enumerate() {
        add_rule(&mut filter, rule, default, &mut compiled).context(|| format!("linux.seccomp.syscalls[{index}]"))?;
    }
    compiled.architectures = enosys::architectures(profile);
    compiled.program = enosys::stub(&compiled.architectures);
    compiled.program.extend(export(&filter)?);
    Ok(compiled)
}

fn add_rule(
    filter: &mut ScmpFilterContext,
    rule: &SeccompSyscall,
    default: ScmpAction,
    compiled: &mut Compiled,
) -> Result<()> {
    let action = action(&rule.action, rule.errno_ret)?;
    let conditions = conditions(&rule.args)?;
    for name in &rule.names {
        let Ok(syscall) = ScmpSyscall::from_name(name) else {
            if !compiled.unknown.contains(name) {
                compiled.unknown.push(name.clone());
            }
            continue;
        };
        if action == default {
            // libseccomp refuses such rules; they change nothing.
            compiled.redundant += 1;
            continue;
        }
        for conditions in &conditions {
            filter
                .add_rule_conditional(action, syscall, conditions)
                .map_err(|error| failed("seccomp_rule_add", &error).context(name.clone()))?;
            compiled.rules += 1;
        }
    }
    Ok(())
}

/// The lists of conditions of a rule: each list is one rule for libseccomp, whose conditions must all hold. Several
/// conditions on the same argument are alternatives, as runc has it: then each condition is a rule of its own.
fn conditions(args: &[SeccompArg]) -> Result<Vec<Vec<ScmpArgCompare>>> {
    let compared = args.iter().map(condition).collect::<Result<Vec<_>>>()?;
    let repeated = args.iter().enumerate().any(|(n, arg)| args.iter().take(n).any(|other| other.index == arg.index));
    Ok(if repeated { compared.into_iter().map(|condition| vec![condition]).collect() } else { vec![compared] })
}

fn condition(arg: &SeccompArg) -> Result<ScmpArgCompare> {
    let (operator, datum) = match arg.op.as_str() {
        "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, arg.value),
        "SCMP_CMP_LT" => (ScmpCompareOp::Less, arg.value),
        "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, arg.value),
        "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, arg.value),
        "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, arg.value),
        "SCMP_CMP_GT" => (ScmpCompareOp::Greater, arg.value),
        "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(arg.value), arg.value_two),
        other => return Err(Error::new(format!("unknown operator {other:?}"))),
    };
    Ok(ScmpArgCompare::new(arg.index, operator, datum))
}

fn action(name: &str, value: Option<u32>) -> Result<ScmpAction> {
    let value =
        u16::try_from(value.unwrap_or(EPERM as u32)).map_err(|_| Error::new("the return value is too large"))?;
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => ScmpAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => ScmpAction::KillProcess,
        "SCMP_ACT_TRAP" => ScmpAction::Trap,
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(value.into()),
        "SCMP_ACT_TRACE" => ScmpAction::Trace(value),
        "SCMP_ACT_ALLOW" => ScmpAction::Allow,
        "SCMP_ACT_LOG" => ScmpAction::Log,
        "SCMP_ACT_NOTIFY" => ScmpAction::Notify,
        other => return Err(Error::new(format!("unknown action {other:?}"))),
    })
}

/// By way of a file in memory: exporting to a buffer came with libseccomp 2.6 only.
fn export(filter: &ScmpFilterContext) -> Result<Vec<sock_filter>> {
    let mut file = File::from(memfd_create("seccomp", MFdFlags::MFD_CLOEXEC).during(|| "memfd_create")?);
    filter.export_bpf(&file).map_err(|error| failed("seccomp_export_bpf", &error))?;
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).during(|| "read the exported filter")?;
    Ok(from_bytes(&bytes))
}

/// Instructions from their bytes in the order of this machine, as libseccomp writes them.
pub fn from_bytes(bytes: &[u8]) -> Vec<sock_filter> {
    let (instructions, _) = bytes.as_chunks::<8>();
    let decode = |&[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; 8]| sock_filter {
        code: u16::from_ne_bytes([c0, c1]),
        jt,
        jf,
        k: u32::from_ne_bytes([k0, k1, k2, k3]),
    };
    instructions.iter().map(decode).collect()
}

/// The inverse of [`from_bytes`].
pub fn to_bytes(program: &[sock_filter]) -> Vec<u8> {
    let encode = |one: &sock_filter| {
        let [c0, c1] = one.code.to_ne_bytes();
        let [k0, k1, k2, k3] = one.k.to_ne_bytes();
        [c0, c1, one.jt, one.jf, k0, k1, k2, k3]
    };
    program.iter().flat_map(encode).collect()
}

fn failed(what: &'static str, error: &SeccompError) -> Error {
    Error::new(format!("{what}: {error}")).context("libseccomp")
}
