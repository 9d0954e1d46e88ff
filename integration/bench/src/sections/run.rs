//! `run` of /bin/true: the whole life of a container in one command.

use crate::bench::Bench;
use crate::book::Section;
use crate::clock::Failure;
use crate::subject::Subject;

/// With the default configuration, and with Docker's, with and without its system call filter.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "run of /bin/true",
        "ms",
        "The program is busybox. `floor` makes the kernel objects of the default configuration alone; with `+ devices` \
         it attaches a device program of two instructions too. Docker's configuration is the one that Docker hands to \
         a runtime for `docker run`, its profile has 357 system calls; the warm-up has filled caches.",
    );
    bench.rounds(bench.rounds, &bench.subjects, &mut section, |subject, taken| {
        if subject.is_floor {
            for (row, devices) in [("default configuration", false), ("+ devices", true)] {
                taken.push((row.to_owned(), floor(bench, subject, devices)?));
            }
            return Ok(());
        }
        for (row, bundle) in [
            ("default configuration", "default"),
            ("Docker's configuration, no filter", "docker-unfiltered"),
            ("Docker's configuration", "docker"),
        ] {
            taken.push((row.to_owned(), run(bench, subject, bundle)?));
        }
        Ok(())
    });
    section
}

/// One `run` with the default configuration.
pub fn once(bench: &Bench, subject: &Subject) -> Result<f64, Failure> {
    if subject.is_floor { floor(bench, subject, false) } else { run(bench, subject, "default") }
}

fn floor(bench: &Bench, floor: &Subject, devices: bool) -> Result<f64, Failure> {
    let mut command = floor.bare();
    command.args(["run", &format!("{}/rootfs", bench.bundle("default")), &bench.id()]);
    if devices {
        command.arg("devices");
    }
    bench.clock.time(&mut command)
}

fn run(bench: &Bench, subject: &Subject, bundle: &str) -> Result<f64, Failure> {
    let id = bench.id();
    bench.time(subject, &["run", "--bundle", &bench.bundle(bundle), &id]).inspect_err(|_| bench.discard(subject, &id))
}
