//! The commands of an engine, one after the other, on one container.

use crate::bench::{Bench, wait_gone};
use crate::book::Section;
use crate::clock::Failure;
use crate::subject::Subject;

/// `create`, `state`, `start`, `kill`, `delete`; then `delete --force` of a running container.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "single commands",
        "ms",
        "Each is one execution of the runtime; the container has the default configuration and sleeps. `cycle` is the \
         sum of `create`, `start` and `delete` of a container that has ended.",
    );
    bench.rounds(bench.rounds, &bench.runtimes(), &mut section, |subject, taken| {
        let id = bench.id();
        cycle(bench, subject, &id, taken).inspect_err(|_| bench.discard(subject, &id))?;
        let id = bench.id();
        forced(bench, subject, &id, taken).inspect_err(|_| bench.discard(subject, &id))
    });
    section
}

fn cycle(bench: &Bench, subject: &Subject, id: &str, taken: &mut Vec<(String, f64)>) -> Result<(), Failure> {
    let (create, init) = bench.create(subject, &bench.bundle("hold"), id)?;
    taken.push(("create".to_owned(), create));
    let start = bench.time(subject, &["start", id])?;
    taken.push(("start".to_owned(), start));
    taken.push(("state".to_owned(), bench.time(subject, &["state", id])?));
    taken.push(("kill".to_owned(), bench.time(subject, &["kill", id, "KILL"])?));
    wait_gone(init)?;
    let delete = bench.time(subject, &["delete", id])?;
    taken.push(("delete".to_owned(), delete));
    taken.push(("cycle".to_owned(), create + start + delete));
    Ok(())
}

fn forced(bench: &Bench, subject: &Subject, id: &str, taken: &mut Vec<(String, f64)>) -> Result<(), Failure> {
    bench.create(subject, &bench.bundle("hold"), id)?;
    bench.time(subject, &["start", id])?;
    taken.push(("delete --force".to_owned(), bench.time(subject, &["delete", "--force", id])?));
    Ok(())
}
