//! Puts the program on a cgroup, in place of the one of before.

use super::{Rules, program};
use crate::caller;
use crate::error::{During, Error, Result};
use crate::log;
use crate::sys::bpf::{self, Insn};
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// By this name our program is told from systemd's on the same cgroup.
const NAME: &CStr = c"berth_devices";
/// Enough for the verifier's account of any program that we make.
const LOG_SIZE: usize = 256 * 1024;

/// Attaches the rules to a cgroup v2 directory, in place of those of before, in one step.
///
/// Where programs cannot be loaded at all (a user namespace) the rules are skipped, as long as they do not take away
/// anything but the default: file permissions protect the host's devices there, and nobody can make new ones.
///
/// # Errors
/// When the kernel refuses the program; with the verifier's words.
pub fn apply_v2(cgroup: BorrowedFd<'_>, rules: &Rules) -> Result<()> {
    match replace(cgroup, program::generate(&rules.table())?.as_deref()) {
        Err(error) if may_do_without(&error, rules) => Ok(()),
        result => result,
    }
}

/// Whether `error` only says that the caller's user namespace is not trusted with device rules and these can be left.
pub(super) fn may_do_without(error: &Error, rules: &Rules) -> bool {
    let refused = matches!(error.errno(), Some(Errno::EPERM | Errno::EACCES));
    let skip = refused && !rules.denies_something() && !caller::is_root_of_the_host();
    if skip {
        log::debug(|| format!("device rules skipped in a user namespace: {error}"));
    }
    skip
}

fn replace(cgroup: BorrowedFd<'_>, program: Option<&[Insn]>) -> Result<()> {
    let old = match ours(cgroup) {
        // Without privilege there is no program of ours, and none is needed.
        Err(error) if program.is_none() && error.errno() == Some(Errno::EPERM) => return Ok(()),
        old => old?,
    };
    let mut old = old.iter();
    if let Some(program) = program {
        let program = load(program)?;
        bpf::attach_device_program(cgroup, program.as_fd(), old.next().map(AsFd::as_fd))
            .during(|| "attach the device program")
            .map_err(|error| match error.errno() {
                Some(Errno::EPERM) => error.hint("A device program on a cgroup above may forbid others below it."),
                _ => error,
            })?;
    }
    old.try_for_each(|program| bpf::detach_device_program(cgroup, program.as_fd())).during(|| "detach a device program")
}

/// Our programs on the cgroup: none or one, unless something else put copies there.
fn ours(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    let mut programs = Vec::new();
    for id in bpf::device_programs(cgroup).during(|| "query device programs")? {
        let program = match bpf::program_by_id(id) {
            Err(Errno::ENOENT) => continue,
            program => program.during(|| "open a device program")?,
        };
        if bpf::program_has_name(program.as_fd(), NAME).during(|| "read a device program's name")? {
            programs.push(program);
        }
    }
    Ok(programs)
}

pub(super) fn load(program: &[Insn]) -> Result<OwnedFd> {
    bpf::load_device_program(program, NAME, None).or_else(|errno| {
        let error = Error::sys("load the device program", errno);
        if errno == Errno::EPERM {
            return Err(error.hint("Device rules need CAP_BPF and CAP_NET_ADMIN in the initial user namespace."));
        }
        let mut log = vec![0; LOG_SIZE];
        // The verifier speaks only when asked, which costs time: a second try, which may even succeed.
        bpf::load_device_program(program, NAME, Some(&mut log)).map_err(|_| {
            let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
            error.hint(format!("The verifier says: {}", String::from_utf8_lossy(text).trim()))
        })
    })
}
