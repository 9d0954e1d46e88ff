//! The host that the tests run on: its cgroups, processes and mounts, and waiting for it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a test waits for anything before it gives up.
pub fn limit() -> Duration {
    Duration::from_secs(std::env::var("BERTH_TEST_TIMEOUT").ok().and_then(|text| text.parse().ok()).unwrap_or(60))
}

/// The binary under test.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("BERTH_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_berth").into());
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("the binary under test, {}: {error}", path.display()))
}

/// Says that a test did not run; see the macro `skip`.
pub fn skipped(place: &str, reason: &str) {
    let test = place.trim_end_matches("::here").replace("::{{closure}}", "");
    let line = format!("SKIPPED {test}: {reason}\n");
    // The handle itself, not `print!`, which the test harness hides when a test passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("BERTH_SKIPS") {
        let file = fs::File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// Waits until `probe` gives something; panics with `what` when it does not in time.
#[track_caller]
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {:?} in vain: {what}", limit());
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Whether `probe` stays true for a little while: for things that must not happen.
pub fn stays(mut probe: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        if !probe() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Whether the tests run as root of the initial user namespace.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether all controllers are on a pure cgroup v2 hierarchy.
pub fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Mount points of cgroup hierarchies: `(mount point, controllers of v1 or "" for v2)`.
pub fn cgroup_mounts() -> Vec<(PathBuf, String)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
        match right.first() {
            Some(&"cgroup2") => found.push((left[4].into(), String::new())),
            Some(&"cgroup") => found.push((left[4].into(), right[2].to_string())),
            _ => {}
        }
    }
    found
}

/// Where a controller's hierarchy is mounted, if the host offers it.
pub fn controller(name: &str) -> Option<PathBuf> {
    if is_v2() {
        let all = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        return all.split_whitespace().any(|word| word == name).then(|| "/sys/fs/cgroup".into());
    }
    let mounts = cgroup_mounts();
    mounts.into_iter().find(|(_, options)| options.split(',').any(|word| word == name)).map(|(path, _)| path)
}

/// Directories of the cgroup `path` in every hierarchy where it exists.
pub fn cgroup_dirs(path: &str) -> Vec<PathBuf> {
    let path = path.trim_start_matches('/');
    let mut found: Vec<_> = cgroup_mounts().into_iter().map(|(mount, _)| mount.join(path)).collect();
    found.retain(|path| path.is_dir());
    found
}

/// Every process number of the host.
pub fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A file of `/proc/<pid>`, empty when the process is gone.
pub fn proc(pid: i32, file: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).into_owned()
}

/// The target of a link of `/proc/<pid>`, such as `ns/pid`; empty when the process is gone.
pub fn proc_link(pid: i32, link: &str) -> String {
    fs::read_link(format!("/proc/{pid}/{link}")).map(|path| path.display().to_string()).unwrap_or_default()
}

/// The value of a line `name:  value` of `/proc/<pid>/status`.
pub fn proc_status(pid: i32, name: &str) -> String {
    let status = proc(pid, "status");
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    let state = proc_status(pid, "State");
    !state.is_empty() && !state.starts_with('Z') && !state.starts_with('X')
}

/// Processes, other than this one, whose command line or mounts name `marker`.
pub fn processes_of(marker: &str) -> Vec<i32> {
    let own = std::process::id() as i32;
    let belongs = |pid: &i32| {
        *pid != own
            && alive(*pid)
            && (proc(*pid, "cmdline").contains(marker)
                || proc(*pid, "mountinfo")
                    .lines()
                    .any(|line| line.split(' ').nth(3).is_some_and(|r| r.contains(marker))))
    };
    pids().into_iter().filter(belongs).collect()
}

/// Mounts of this mount namespace that name `marker`.
pub fn mounts_of(marker: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter(|line| line.contains(marker)).map(str::to_string).collect()
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|dir| Path::new(dir).join(program).is_file())
}

/// Capabilities that this process could give away, as a mask.
pub fn bounding() -> u64 {
    u64::from_str_radix(&proc_status(std::process::id() as i32, "CapBnd"), 16).unwrap_or_default()
}

/// Device, inode, mode, owner of a file, without following a link.
pub fn stat(path: impl AsRef<Path>) -> fs::Metadata {
    let path = path.as_ref();
    fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The permission bits of a file.
pub fn mode(path: impl AsRef<Path>) -> u32 {
    stat(path).mode() & 0o7777
}

/// The kernel's version, major and minor.
pub fn kernel() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
