//! System calls, mounts and processes of each command.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, wait_gone};
use crate::book::Section;
use crate::clock::Failure;
use crate::subject::Subject;

/// Calls that make, change or remove mounts.
const MOUNT_CALLS: [&str; 10] = [
    "mount",
    "umount2",
    "pivot_root",
    "open_tree",
    "open_tree_attr",
    "move_mount",
    "fsopen",
    "fsmount",
    "fspick",
    "mount_setattr",
];

/// Calls that make a process or a thread.
const PROCESS_CALLS: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

/// Counted by `strace -f -c`, once: the numbers are the same each time, but for those of Go programs.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "system calls, mounts, processes",
        "",
        "Of the command and all processes that it makes, up to the program's end (`strace -f -c`). Mounts are the calls \
         that make, change or remove one; processes include threads.",
    );
    for subject in &bench.subjects {
        if let Err(failure) = count(bench, subject, &mut section) {
            section.failures.push((subject.name.clone(), failure));
        }
    }
    section
}

fn count(bench: &Bench, subject: &Subject, section: &mut Section) -> Result<(), Failure> {
    let mut add = |row: &str, counts: [usize; 3]| {
        for (what, count) in ["system calls", "mounts", "processes"].iter().zip(counts) {
            if row == "run" || row == "exec" || *what == "system calls" {
                section.add(&format!("{row}: {what}"), &subject.name, count as f64);
            }
        }
    };
    let id = bench.id();
    if subject.is_floor {
        let mut command = subject.bare();
        command.args(["run", &format!("{}/rootfs", bench.bundle("default")), &id]);
        add("run", trace(bench, &command, None)?);
        return Ok(());
    }
    add("run", trace(bench, &subject.command(&["run", "--bundle", &bench.bundle("default"), &id]), None)?);

    let file = bench.work.join("pid");
    let _ = std::fs::remove_file(&file);
    let file_name = file.to_string_lossy();
    let bundle = bench.bundle("hold");
    let create = subject.command(&["create", "--bundle", &bundle, "--pid-file", &file_name, &id]);
    add("create", trace(bench, &create, Some(&file))?);
    bench.discard(subject, &id);

    let (id, init) = bench.running(subject, "hold")?;
    let rest = (|| {
        add("exec", trace(bench, &subject.command(&["exec", &id, "/bin/true"]), None)?);
        add("state", trace(bench, &subject.command(&["state", &id]), None)?);
        add("kill", trace(bench, &subject.command(&["kill", &id, "KILL"]), None)?);
        wait_gone(init)?;
        add("delete", trace(bench, &subject.command(&["delete", &id]), None)?);
        Ok(())
    })();
    if rest.is_err() {
        bench.discard(subject, &id);
    }
    rest
}

/// The counts of one command. strace follows the waiting init of `create` too: it is killed when it waits.
fn trace(bench: &Bench, command: &Command, pid_file: Option<&std::path::Path>) -> Result<[usize; 3], Failure> {
    let file = bench.work.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&file);
    strace.arg(command.get_program()).args(command.get_args());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = strace.spawn().map_err(|error| format!("strace: {error}"))?;
    let start = Instant::now();
    loop {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            break;
        }
        if start.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
            let _ = child.wait();
            return Err("hung under strace".to_owned());
        }
        if let Some(pid_file) = pid_file
            && let Ok(text) = std::fs::read_to_string(pid_file)
            && let Ok(pid) = text.trim().parse()
        {
            std::thread::sleep(Duration::from_millis(500));
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }

    let table = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut counts = [0; 3];
    for line in table.lines() {
        let mut words = line.split_whitespace();
        let (Some(Ok(calls)), Some(name)) = (words.next().map(str::parse::<usize>), words.next()) else { continue };
        match name {
            "total" => counts[0] = calls,
            _ if MOUNT_CALLS.contains(&name) => counts[1] += calls,
            _ if PROCESS_CALLS.contains(&name) => counts[2] += calls,
            _ => {}
        }
    }
    // The command itself is a process too.
    counts[2] += 1;
    Ok(counts)
}
