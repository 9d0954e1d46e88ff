//! The container's own speed under its system call filter.

use std::fs::File;

use crate::bench::Bench;
use crate::book::Section;
use crate::clock::Failure;
use crate::subject::Subject;

/// Nanoseconds per allowed call, with Docker's profile and without one.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "system calls inside a container",
        "ns",
        "Each call in a loop, the least of ten loops of 20,000. The kernel remembers which calls a filter always \
         allows and does not run it for them (`getppid`, `epoll_wait`). `personality` is allowed by its argument: the \
         filter runs each time.",
    );
    bench.rounds(bench.rounds.div_ceil(10), &bench.runtimes(), &mut section, |subject, taken| {
        for (bundle, filter) in [("calls", "Docker's profile"), ("calls-unfiltered", "no filter")] {
            for line in output(bench, subject, bundle)?.lines() {
                if let Some((call, time)) = line.split_once(' ')
                    && let Ok(time) = time.parse()
                {
                    taken.push((format!("{call}, {filter}"), time));
                }
            }
        }
        Ok(())
    });
    section
}

fn output(bench: &Bench, subject: &Subject, bundle: &str) -> Result<String, Failure> {
    let path = bench.work.join("output");
    let file = File::create(&path).map_err(|error| error.to_string())?;
    let id = bench.id();
    bench
        .clock
        .time_to(&mut subject.command(&["run", "--bundle", &bench.bundle(bundle), &id]), file.into())
        .inspect_err(|_| bench.discard(subject, &id))?;
    std::fs::read_to_string(&path).map_err(|error| error.to_string())
}
