//! Containers per second, when one, eight and 64 are started at once, again and again.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::book::{Cell, Section};
use crate::subject::Subject;

const TIME: Duration = Duration::from_secs(3);

/// `run` of /bin/true by several threads, each one container after the other.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "churn",
        "",
        "`run` of /bin/true with the default configuration, by 1, 8 and 64 at once for 3 seconds. The times in ms are \
         those of single commands.",
    );
    for subject in bench.only(&["crun static", "crun", "runc"]) {
        for at_once in [1, 8, 64] {
            let (times, errors, elapsed) = churn(bench, &subject, at_once);
            let done = times.samples.len() as f64;
            section.add(&format!("{at_once} at once: containers per second"), &subject.name, done / elapsed);
            for (name, fraction) in [("p50", 0.5), ("p99", 0.99)] {
                if let Some(time) = times.at(fraction) {
                    section.add(&format!("{at_once} at once: {name} in ms"), &subject.name, time);
                }
            }
            section.add(&format!("{at_once} at once: errors"), &subject.name, errors as f64);
        }
    }
    section
}

fn churn(bench: &Bench, subject: &Subject, at_once: usize) -> (Cell, usize, f64) {
    let errors = AtomicUsize::new(0);
    let bundle = bench.bundle("default");
    let group = bench.id();
    let start = Instant::now();
    let samples = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once)
            .map(|worker| {
                let (errors, bundle, group) = (&errors, &bundle, &group);
                scope.spawn(move || {
                    let mut times = Vec::new();
                    for number in 0.. {
                        if start.elapsed() >= TIME {
                            break;
                        }
                        let id = format!("{group}-{worker}-{number}");
                        let mut command = if subject.is_floor {
                            let mut command = subject.bare();
                            command.args(["run", &format!("{bundle}/rootfs"), &id]);
                            command
                        } else {
                            subject.command(&["run", "--bundle", bundle, &id])
                        };
                        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                        let begin = Instant::now();
                        match command.status() {
                            Ok(status) if status.success() => times.push(begin.elapsed().as_secs_f64() * 1e3),
                            _ => drop(errors.fetch_add(1, Ordering::Relaxed)),
                        }
                    }
                    times
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    (Cell { samples }, errors.into_inner(), start.elapsed().as_secs_f64())
}
