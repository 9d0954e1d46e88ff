//! eBPF programs for the devices of a cgroup: bpf(2), linux/bpf.h.

use super::{Result, check};
use nix::errno::Errno;
use std::ffi::{CStr, c_long};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// One instruction; Documentation/bpf/standardization/instruction-set.rst.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Operation.
    pub code: u8,
    /// Destination and source register, four bits each.
    pub registers: u8,
    /// Distance of a jump, offset of a load.
    pub offset: i16,
    /// Constant operand.
    pub immediate: i32,
}

const PROG_LOAD: c_long = 5;
const PROG_ATTACH: c_long = 8;
const PROG_DETACH: c_long = 9;
const PROG_GET_FD_BY_ID: c_long = 13;
const OBJ_GET_INFO_BY_FD: c_long = 15;
const PROG_QUERY: c_long = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const F_ALLOW_MULTI: u32 = 1 << 1;
const F_REPLACE: u32 = 1 << 2;

/// Programs that the kernel lets be attached to one cgroup (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;
/// Length of a program's name with its terminating zero (`BPF_OBJ_NAME_LEN`).
const NAME_LENGTH: usize = 16;

#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LENGTH],
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// Complete up to `revision`, because newer kernels write that field whatever size they were told.
#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

#[repr(C)]
#[derive(Default)]
struct FdById {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The beginning of `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct Info {
    prog_type: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME_LENGTH],
}

/// Calls bpf(2) with one of the structures above, which the kernel may change.
fn bpf<A>(command: c_long, attributes: &mut A) -> Result<c_long> {
    // SAFETY: the structures of this file are valid for every bit pattern, laid out as their part of `union bpf_attr`
    // and live for the call; the addresses in them are those of slices that the callers hold until it returns.
    check(unsafe { nix::libc::syscall(nix::libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<A>()) })
}

/// Calls bpf(2) for a command that returns a new file descriptor.
fn bpf_fd<A>(command: c_long, attributes: &mut A) -> Result<OwnedFd> {
    let fd = RawFd::try_from(bpf(command, attributes)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec) for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().unsigned_abs()
}

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`; `log` receives the verifier's words, ended by a zero.
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_NET_ADMIN in the initial user namespace; `EINVAL` or `EACCES` when the verifier
/// refuses the program.
pub fn load_device_program(program: &[Insn], name: &CStr, log: Option<&mut [u8]>) -> Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attributes = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    // The last byte stays zero, as the kernel demands.
    let room = attributes.prog_name.iter_mut().take(NAME_LENGTH - 1);
    room.zip(name.to_bytes()).for_each(|(to, from)| *to = *from);
    if let Some(log) = log {
        attributes.log_level = 1;
        attributes.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        attributes.log_buf = log.as_mut_ptr() as u64;
    }
    // The verifier gives up with EAGAIN when a signal is pending, as often as that happens.
    for _ in 0..5 {
        match bpf_fd(PROG_LOAD, &mut attributes) {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
    }
    bpf_fd(PROG_LOAD, &mut attributes)
}

/// Attaches a device program to a cgroup v2 directory beside those of others (`BPF_F_ALLOW_MULTI`), in one step with
/// the removal of `replace`.
///
/// # Errors
/// `EPERM` when a program above forbids it or without privilege; `ENOENT` when `replace` is not attached.
pub fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replace: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut attributes = Attach {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: CGROUP_DEVICE,
        attach_flags: F_ALLOW_MULTI | if replace.is_some() { F_REPLACE } else { 0 },
        replace_bpf_fd: replace.map_or(0, raw),
    };
    bpf(PROG_ATTACH, &mut attributes).map(drop)
}

/// Detaches a device program from a cgroup v2 directory.
///
/// # Errors
/// `ENOENT` when it is not attached.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let mut attributes =
        Attach { target_fd: raw(cgroup), attach_bpf_fd: raw(program), attach_type: CGROUP_DEVICE, ..Attach::default() };
    bpf(PROG_DETACH, &mut attributes).map(drop)
}

/// Ids of the device programs attached to a cgroup v2 directory itself.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>> {
    let mut ids = [0; MAX_PROGRAMS];
    let mut attributes = Query {
        target_fd: raw(cgroup),
        attach_type: CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MAX_PROGRAMS as u32,
        ..Query::default()
    };
    bpf(PROG_QUERY, &mut attributes)?;
    Ok(ids.into_iter().take(attributes.prog_cnt as usize).collect())
}

/// Opens the program with this id.
///
/// # Errors
/// `ENOENT` when it is gone, `EPERM` without CAP_SYS_ADMIN.
pub fn program_by_id(id: u32) -> Result<OwnedFd> {
    bpf_fd(PROG_GET_FD_BY_ID, &mut FdById { prog_id: id, ..FdById::default() })
}

/// Whether a program was loaded with this name (its first 15 bytes).
///
/// # Errors
/// As bpf(2), `BPF_OBJ_GET_INFO_BY_FD`.
pub fn program_has_name(program: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    let mut info = Info::default();
    let mut attributes = InfoByFd {
        bpf_fd: raw(program),
        info_len: size_of::<Info>() as u32,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut attributes)?;
    Ok(info.name.split(|byte| *byte == 0).next() == Some(name.to_bytes()))
}
