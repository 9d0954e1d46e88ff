//! Capabilities of the calling thread as bit masks, capabilities(7): bit n is capability number n.

use super::{Result, check};
use nix::errno::Errno;
use nix::libc;
use std::ffi::{c_int, c_long, c_ulong};

/// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities as two halves of 32.
const VERSION_3: u32 = 0x2008_0522;

/// The sets that capset(2) changes at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// What the thread may use now.
    pub effective: u64,
    /// What it may make effective.
    pub permitted: u64,
    /// What a program with the same inheritable file capability gets.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets of the calling thread, capget(2).
pub fn get() -> Result<Held> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: header and data have the layout of version 3, which writes two halves; both live across the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, halves.as_mut_ptr()) })?;
    let [low, high] = halves;
    let join = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    Ok(Held {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Replaces the sets of the calling thread, capset(2).
pub fn set(held: &Held) -> Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Half {
        effective: (held.effective >> shift) as u32,
        permitted: (held.permitted >> shift) as u32,
        inheritable: (held.inheritable >> shift) as u32,
    };
    let halves = [half(0), half(32)];
    // SAFETY: header and data have the layout of version 3, which reads two halves; both live across the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) }).map(drop)
}

/// Whether a capability is in the bounding set; `EINVAL` when the kernel does not know it. PR_CAPBSET_READ(2const).
pub fn bounding_has(capability: u32) -> Result<bool> {
    prctl(libc::PR_CAPBSET_READ, capability.into(), 0).map(|value| value == 1)
}

/// Removes a capability from the bounding set for good. PR_CAPBSET_DROP(2const).
pub fn bounding_drop(capability: u32) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, capability.into(), 0).map(drop)
}

/// Adds a capability, which must be permitted and inheritable, to the ambient set. PR_CAP_AMBIENT(2const).
pub fn ambient_raise(capability: u32) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as c_ulong, capability.into()).map(drop)
}

/// Empties the ambient set. PR_CAP_AMBIENT(2const).
pub fn ambient_clear() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong, 0).map(drop)
}

/// Whether the permitted set survives the change from user id 0 to another. PR_SET_KEEPCAPS(2const).
pub fn keep(keep: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, keep.into(), 0).map(drop)
}

/// The highest capability number of this kernel; no /proc is needed.
pub fn last() -> Result<u32> {
    /// CAP_CHECKPOINT_RESTORE, the last one since Linux 5.9: asked about first.
    const EXPECTED: u32 = 40;
    let (mut known, mut unknown) = match (bounding_has(EXPECTED), bounding_has(EXPECTED + 1)) {
        (Ok(_), Err(Errno::EINVAL)) => (EXPECTED, EXPECTED + 1),
        _ => (0, 64),
    };
    while unknown - known > 1 {
        let middle = (known + unknown) / 2;
        match bounding_has(middle) {
            Ok(_) => known = middle,
            Err(Errno::EINVAL) => unknown = middle,
            Err(errno) => return Err(errno),
        }
    }
    Ok(known)
}

fn prctl(option: c_int, second: c_ulong, third: c_ulong) -> Result<c_long> {
    let zero: c_ulong = 0;
    // SAFETY: the options above take numbers only; all five arguments are given as the kernel wants them.
    check(unsafe { libc::prctl(option, second, third, zero, zero) }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_capability_is_what_proc_says() {
        let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
        assert_eq!(last().unwrap(), text.trim().parse::<u32>().unwrap());
    }

    #[test]
    fn permitted_capabilities_are_kept_when_the_user_changes() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("skipped: needs root to change the user");
        }
        for wanted in [true, false] {
            let after = std::thread::spawn(move || {
                keep(wanted).unwrap();
                // SAFETY: numbers only. The raw call changes this thread alone, which ends here.
                check(unsafe { libc::syscall(libc::SYS_setresuid, 1000, 1000, 1000) }).unwrap();
                get().unwrap()
            });
            let after = after.join().unwrap();
            assert_eq!((after.permitted != 0, after.effective), (wanted, 0));
        }
    }
}
