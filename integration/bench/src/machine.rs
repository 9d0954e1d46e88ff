//! The machine: what it is, and whether it is quiet.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::subject::Subject;

/// The part of all processors that others may use.
const QUIET: f64 = 0.08;

/// How long to wait for quiet, in all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until nothing else uses the processors, or says that something does.
pub fn wait_quiet() -> Result<(), String> {
    let start = Instant::now();
    loop {
        let used = use_over(Duration::from_millis(500));
        if used <= QUIET {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!(
                "this machine is not quiet: {:.0} % of its processors are in use. Times taken now would mean nothing. \
                 BENCH_FORCE=1 measures nevertheless",
                used * 100.0
            ));
        }
    }
}

/// The part of all processors that is in use over a time in which this program sleeps.
pub fn use_over(time: Duration) -> f64 {
    let before = ticks();
    std::thread::sleep(time);
    match (before, ticks()) {
        (Some((busy, all)), Some((busy_now, all_now))) if all_now > all => (busy_now - busy) / (all_now - all),
        _ => 0.0,
    }
}

/// Busy and all ticks since the start of the machine.
fn ticks() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    // user nice system idle iowait irq softirq steal; the guests' times are in user and nice already.
    let fields: Vec<f64> = text.lines().next()?.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
    let all: f64 = fields.iter().sum();
    Some((all - fields.get(3)? - fields.get(4)?, all))
}

/// Kernel, processors, cgroups, and the versions of the subjects, in Markdown.
pub fn describe(subjects: &[Subject], cgroups: &str, use_of_others: f64) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!(
        "- {count} processors ({}), Linux {}, {cgroups}\n- used by others before the start: {:.0} % of the processors\n",
        model.unwrap_or("unknown"),
        read("/proc/sys/kernel/osrelease").trim(),
        use_of_others * 100.0,
    );
    for subject in subjects.iter().filter(|subject| !subject.is_floor) {
        let output = Command::new(&subject.program).arg("--version").output();
        let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let size = subject.program.metadata().map_or(0, |metadata| metadata.len());
        let version = output.lines().next().unwrap_or("no version");
        text += &format!("- {}: {version}, {:.1} MB\n", subject.name, size as f64 / 1e6);
    }
    text
}
