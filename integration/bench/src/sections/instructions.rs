//! Instructions of berth's own code.

use std::process::Command;

use crate::bench::Bench;
use crate::book::Section;
use crate::clock::Failure;
use crate::subject::Subject;

/// Counted by callgrind, which is repeatable to some instructions. It knows neither `clone3` nor pidfds, so only commands
/// that need none are counted.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "instructions of our own code",
        "thousands",
        "Of berth in user mode, by callgrind. `plan` reads, checks and plans a configuration, as `create` and `run` do \
         first. callgrind knows neither `clone3` nor pidfds, and can follow no command that needs them.",
    );
    for subject in bench.runtimes().into_iter().filter(Subject::is_berth) {
        if let Err(failure) = count(bench, &subject, &mut section) {
            section.failures.push((subject.name.clone(), failure));
        }
    }
    section
}

fn count(bench: &Bench, subject: &Subject, section: &mut Section) -> Result<(), Failure> {
    let mut add = |row: &str, arguments: &[&str]| -> Result<(), Failure> {
        let instructions = callgrind(bench, &subject.command(arguments))?;
        section.add(row, &subject.name, instructions / 1e3);
        Ok(())
    };
    add("--version", &["--version"])?;
    add("plan, default configuration", &["plan", "--bundle", &bench.bundle("default")])?;
    add("plan, Docker's configuration", &["plan", "--bundle", &bench.bundle("docker")])?;
    let id = bench.id();
    bench.create(subject, &bench.bundle("hold"), &id)?;
    let outcome = add("state", &["state", &id]).and_then(|()| add("list, of one", &["list"]));
    bench.discard(subject, &id);
    outcome
}

fn callgrind(bench: &Bench, command: &Command) -> Result<f64, Failure> {
    let log = bench.work.join("callgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--trace-children=yes", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(format!("--log-file={}", log.display()));
    valgrind.arg(command.get_program()).args(command.get_args());
    bench.clock.time(&mut valgrind)?;
    let text = std::fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let counts = text.lines().filter_map(|line| line.split_once("Collected : ")?.1.trim().parse::<f64>().ok());
    let sum: f64 = counts.sum();
    if sum > 0.0 { Ok(sum) } else { Err("callgrind counted nothing".to_owned()) }
}
