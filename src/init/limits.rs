//! What the program may use and how it is treated: names, kernel parameters, resource limits, priorities.

use super::procfs::ProcFs;
use crate::error::{Context, During, Error, Result};
use crate::plan::process::{Process, Rlimit};
use crate::plan::{Plan, Sysctl};
use crate::sys::process as sys;
use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;
use std::ffi::CString;

/// Gives the container a session keyring of its own, so that its keys and the caller's stay apart, keyrings(7).
///
/// # Errors
/// When the quota of keys is used up.
pub fn join_keyring(name: &str) -> Result<()> {
    /// What a new one allows its possessor and its owner, and that the owner may search it; keyctl_setperm(3).
    const PERMISSIONS: u32 = 0x3f1b_0000;
    let text = CString::new(name).map_err(|_| Error::new("the name of the keyring contains a NUL byte"))?;
    match sys::join_session_keyring(&text) {
        Ok(serial) => {
            // As runc: the container's user finds the keyring after the change of ids. A help, not a condition.
            let _ = sys::set_key_permissions(serial, PERMISSIONS);
            Ok(())
        }
        // The kernel has no keyrings: there is nothing to keep apart.
        Err(Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(Error::sys(format!("join the session keyring {name}"), errno)
            .hint("The quota of keys (/proc/sys/kernel/keys) may be used up; --no-new-keyring does without.")),
    }
}

/// Writes `linux.sysctl`.
///
/// # Errors
/// When the kernel does not know a parameter or refuses a value.
pub fn write_sysctls(procfs: &ProcFs, sysctls: &[Sysctl]) -> Result<()> {
    for Sysctl { name, path, value } in sysctls {
        procfs.write(&format!("sys/{path}"), value).context(|| format!("linux.sysctl {name}"))?;
    }
    Ok(())
}

/// Sets host name and NIS domain name.
///
/// # Errors
/// When the kernel refuses them.
pub fn set_names(plan: &Plan) -> Result<()> {
    if let Some(name) = &plan.hostname {
        nix::unistd::sethostname(name).during(|| "sethostname").context(|| "hostname")?;
    }
    if let Some(name) = &plan.domainname {
        sys::set_domain_name(name.as_bytes()).during(|| "setdomainname").context(|| "domainname")?;
    }
    Ok(())
}

/// Sets resource limits of this process, or of `pid`.
///
/// # Errors
/// Names the limit.
pub fn apply_rlimits(limits: &[Rlimit], pid: Option<Pid>) -> Result<()> {
    for (index, limit) in limits.iter().enumerate() {
        let rlimit = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
        sys::set_rlimit(pid.unwrap_or(Pid::from_raw(0)), limit.resource, rlimit)
            .during(|| format!("prlimit soft {} hard {}", limit.soft, limit.hard))
            .context(|| format!("process.rlimits[{index}]"))
            .map_err(|error| error.hint("Raising a hard limit needs CAP_SYS_RESOURCE on the host."))?;
    }
    Ok(())
}

/// Sets how readily the kernel kills the program when memory runs out.
///
/// # Errors
/// When the value is lower than this process may go.
pub fn set_oom_score(procfs: &ProcFs, process: &Process) -> Result<()> {
    let Some(score) = process.oom_score_adj else { return Ok(()) };
    procfs
        .write_self("oom_score_adj", &score.to_string())
        .context(|| "process.oomScoreAdj")
        .map_err(|error| error.hint("Lowering it needs CAP_SYS_RESOURCE on the host."))
}

/// Sets scheduling, priorities, memory policy, personality and umask.
///
/// # Errors
/// Names the field.
pub fn apply(process: &Process) -> Result<()> {
    if let Some(scheduler) = &process.scheduler {
        sys::set_scheduler(scheduler).during(|| "sched_setattr").context(|| "process.scheduler")?;
    }
    if let Some(priority) = process.io_priority {
        sys::set_io_priority(priority).during(|| "ioprio_set").context(|| "process.ioPriority")?;
    }
    if let Some((mode, nodes)) = &process.memory_policy {
        sys::set_memory_policy(*mode, nodes).during(|| "set_mempolicy").context(|| "linux.memoryPolicy")?;
    }
    if let Some(personality) = process.personality {
        sys::set_personality(personality).during(|| "personality").context(|| "linux.personality")?;
    }
    let mask = nix::sys::stat::Mode::from_bits_truncate(process.umask.unwrap_or(0o022));
    nix::sys::stat::umask(mask);
    Ok(())
}
