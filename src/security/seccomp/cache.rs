//! Compiled filters on disk, found by content.
//!
//! A file holds the whole key, so that two profiles can never be mistaken for each other, and a checksum, so that a
//! damaged file is a miss. The directory must belong to the caller and to nobody else: who can write it chooses what
//! containers may do. Nothing here fails loudly; without the cache a start is slower, not wrong.

use super::compile::{Compiled, from_bytes, to_bytes};
use super::{Architecture, MAX_INSTRUCTIONS};
use crate::bundle::config::{Seccomp, SeccompArg, SeccompSyscall};
use crate::sys::fs::{open, read_regular};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Files kept; a host rarely has more than a handful of profiles.
const ENTRIES: usize = 64;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Starts each file; to be changed with the format or with what [`super::enosys`] and [`super::compact`] make.
const MAGIC: &[u8; 8] = b"berthsc3";

/// An open cache directory.
pub struct Cache(OwnedFd);

impl Cache {
    /// Opens the directory, made when it is missing. `None` when others could write to it.
    pub fn open(path: &Path) -> Option<Cache> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = open(path, flags)
            .or_else(|_| {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
                made.map_err(|_| Errno::EACCES).and_then(|()| open(path, flags))
            })
            .ok()?;
        let status = fstat(&dir).ok()?;
        (status.st_uid == geteuid().as_raw() && status.st_mode & 0o077 == 0).then_some(Cache(dir))
    }

    /// The compiled profile of this key, if there is an undamaged one.
    pub fn get(&self, key: &[u8]) -> Option<Compiled> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(&self.0, name(key).as_str(), flags, Mode::empty()).ok()?;
        let stat = fstat(&file).ok()?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return None;
        }
        decode(&read_regular(file.as_fd(), stat.st_size as u64, LARGEST).ok()?, key)
    }

    /// Keeps a compiled profile, and removes the oldest ones when there are too many.
    pub fn put(&self, key: &[u8], compiled: &Compiled) {
        let name = name(key);
        let temporary = format!(".{name}.{}", std::process::id());
        // What a process of this number left when it was killed.
        let _ = unlinkat(&self.0, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(file) = openat(&self.0, temporary.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR) else { return };
        let written = File::from(file).write_all(&encode(key, compiled)).is_ok();
        if !written || renameat(&self.0, temporary.as_str(), &self.0, name.as_str()).is_err() {
            let _ = unlinkat(&self.0, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        self.shrink(&name);
    }

    /// Removes the oldest files, never the one just written.
    fn shrink(&self, written: &str) -> Option<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = Dir::openat(&self.0, ".", flags, Mode::empty()).ok()?;
        let mut files = Vec::new();
        for entry in dir.iter().flatten() {
            let name = entry.file_name().to_owned();
            let Ok(status) =
                nix::sys::stat::fstatat(&self.0, name.as_c_str(), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG {
                files.push((status.st_mtime, status.st_mtime_nsec, name));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(ENTRIES);
        let old = files.iter().filter(|(_, _, name)| name.to_bytes() != written.as_bytes());
        for (_, _, name) in old.take(surplus) {
            let _ = unlinkat(&self.0, name.as_c_str(), UnlinkatFlags::NoRemoveDir);
        }
        Some(())
    }
}

/// Everything that decides what a compiled profile is. The kernel counts because libseccomp asks it what it can do.
pub fn key(profile: &Seccomp) -> Vec<u8> {
    // Every member is named, so that a new one cannot be forgotten here. The rest never reaches the program.
    let Seccomp {
        default_action,
        default_errno_ret,
        architectures,
        syscalls,
        flags: _,
        listener_path: _,
        listener_metadata: _,
    } = profile;
    let mut key = Writer::default();
    key.text(env!("CARGO_PKG_VERSION"));
    key.text(&super::libseccomp_version());
    let kernel = nix::sys::utsname::uname();
    let kernel = kernel.as_ref().map(|name| (name.release(), name.machine())).unwrap_or_default();
    key.text(&kernel.0.to_string_lossy());
    key.text(&kernel.1.to_string_lossy());
    key.text(default_action);
    key.option(*default_errno_ret);
    key.texts(architectures);
    key.number(syscalls.len());
    for SeccompSyscall { names, action, errno_ret, args } in syscalls {
        key.texts(names);
        key.text(action);
        key.option(*errno_ret);
        key.number(args.len());
        for SeccompArg { index, value, value_two, op } in args {
            key.number(*index as usize);
            key.0.extend(value.to_le_bytes());
            key.0.extend(value_two.to_le_bytes());
            key.text(op);
        }
    }
    key.0
}

/// As FNV-1a, but eight bytes at a time: names files and finds damage; it need not stand up to an attacker, who has no
/// access.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let rest = rest.iter().fold(bytes.len() as u64, |word, byte| word << 8 ^ u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain([rest]);
    // The upper half takes part too: a product only ever carries upwards.
    words.fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29))
}

fn name(key: &[u8]) -> String {
    format!("{:016x}.bpf", checksum(key))
}

/// `magic, checksum of the rest, key, compiled`
fn encode(key: &[u8], compiled: &Compiled) -> Vec<u8> {
    let mut body = Writer::default();
    body.bytes(key);
    body.bytes(&to_bytes(&compiled.program));
    body.texts(&compiled.unknown);
    body.number(compiled.rules as usize);
    body.number(compiled.redundant as usize);
    body.number(compiled.architectures.len());
    for architecture in &compiled.architectures {
        body.text(&architecture.name);
        body.option(architecture.newest);
    }
    let mut file = MAGIC.to_vec();
    file.extend(checksum(&body.0).to_le_bytes());
    file.extend(body.0);
    file
}

/// The inverse of [`encode`]; `None` for whatever is not exactly what it writes for this key.
fn decode(file: &[u8], key: &[u8]) -> Option<Compiled> {
    let (sum, body) = file.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != checksum(body) {
        return None;
    }
    let mut body = Reader(body);
    if body.bytes()? != key {
        return None;
    }
    let program = from_bytes(body.bytes()?);
    let unknown = (0..body.number()?).map(|_| body.text()).collect::<Option<_>>()?;
    let (rules, redundant) = (body.number()?, body.number()?);
    let architecture = |body: &mut Reader| Some(Architecture { name: body.text()?, newest: body.option()? });
    let architectures = (0..body.number()?).map(|_| architecture(&mut body)).collect::<Option<_>>()?;
    let sound = (1..=MAX_INSTRUCTIONS).contains(&program.len()) && body.0.is_empty();
    sound.then_some(Compiled { program, unknown, rules, redundant, architectures })
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: usize) {
        self.0.extend((number as u32).to_le_bytes());
    }

    fn option(&mut self, number: Option<u32>) {
        self.0.push(number.is_some().into());
        self.0.extend(number.unwrap_or_default().to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn option(&mut self) -> Option<Option<u32>> {
        let present = self.take(1)? == [1];
        let number = self.number()?;
        Some(present.then_some(number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}
