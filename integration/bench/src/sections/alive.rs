//! What a container costs when there are many others, and `list` of them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, wait_gone};
use crate::book::Section;
use crate::clock::Failure;
use crate::sections::run;
use crate::subject::Subject;

const MANY: usize = 1000;

/// `run` beside 0, 99 and 999 containers of berth's.
pub fn crowd(bench: &Bench) -> Section {
    let mut section = Section::new(
        "run of /bin/true beside other containers",
        "ms",
        "The others are berth's and sleep. What the kernel itself takes longer for shows in the floor.",
    );
    let Some(host) = bench.subjects.iter().find(|subject| subject.is_berth()).cloned() else { return section };
    let mut others = Vec::new();
    for (row, count) in [("the 1st", 0), ("the 100th", 99), ("the 1,000th", MANY - 1)] {
        if let Err(failure) = populate(bench, &host, count, &mut others) {
            section.failures.push((host.name.clone(), failure));
            break;
        }
        bench.rounds(bench.rounds / 2, &bench.only(&["crun static"]), &mut section, |subject, taken| {
            taken.push((row.to_owned(), run::once(bench, subject)?));
            Ok(())
        });
    }
    clear(bench, &host, others);
    section
}

/// `list`, the runtime's own containers.
pub fn list(bench: &Bench) -> Section {
    let mut section = Section::new(
        "list",
        "ms",
        "Of 1,000 running containers in the runtime's `--root`, as JSON; and of none. (1,000 of \
             runc's would take too long to make.)",
    );
    for subject in bench.only(&["crun static", "crun"]) {
        if subject.is_floor {
            continue;
        }
        let mut containers = Vec::new();
        let mut measure = |row: &str| -> Result<(), Failure> {
            for _ in 0..bench.rounds.div_ceil(5) {
                section.add(row, &subject.name, bench.time(&subject, &["list", "--format", "json"])?);
            }
            Ok(())
        };
        let outcome = measure("no container")
            .and_then(|()| populate(bench, &subject, MANY, &mut containers))
            .and_then(|()| measure("1,000 containers"));
        if let Err(failure) = outcome {
            section.failures.push((subject.name.clone(), failure));
        }
        clear(bench, &subject, containers);
    }
    section
}

fn populate(
    bench: &Bench,
    subject: &Subject,
    count: usize,
    containers: &mut Vec<(String, Pid)>,
) -> Result<(), Failure> {
    while containers.len() < count {
        containers.push(bench.running(subject, "hold")?);
    }
    Ok(())
}

fn clear(bench: &Bench, subject: &Subject, containers: Vec<(String, Pid)>) {
    for (_, init) in &containers {
        let _ = kill(*init, Signal::SIGKILL);
    }
    for (id, init) in &containers {
        let _ = wait_gone(*init);
        bench.discard(subject, id);
    }
}
