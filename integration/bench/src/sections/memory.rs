//! Memory of the commands and of the process that waits for `start`.

use nix::unistd::Pid;

use crate::bench::{Bench, wait_gone};
use crate::book::Section;
use crate::clock::Failure;

/// The largest resident set of any process of a command.
pub fn commands(bench: &Bench) -> Section {
    let mut section = Section::new(
        "peak memory of a command",
        "KiB",
        "The largest resident set of any process that the command waited for (`ru_maxrss`); the program in the \
         container needs less. The kernel counts pages in batches: a difference of 128 KiB says nothing.",
    );
    bench.rounds(5, &bench.subjects, &mut section, |subject, taken| {
        if subject.is_floor {
            let rootfs = format!("{}/rootfs", bench.bundle("small"));
            let program = subject.program.to_string_lossy().into_owned();
            taken.push(("run".to_owned(), peak(bench, &[&program, "run", &rootfs, &bench.id()])?));
            return Ok(());
        }
        let id = bench.id();
        let of = |arguments: &[&str]| -> Result<f64, Failure> {
            let command = subject.command(arguments);
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            peak(bench, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        taken.push(("run".to_owned(), of(&["run", "--bundle", &bench.bundle("small"), &id])?));
        let file = bench.work.join("pid");
        let (bundle, file_name) = (bench.bundle("hold"), file.to_string_lossy());
        taken.push(("create".to_owned(), of(&["create", "--bundle", &bundle, "--pid-file", &file_name, &id])?));
        let init = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        taken.push(("start".to_owned(), of(&["start", &id])?));
        taken.push(("state".to_owned(), of(&["state", &id])?));
        taken.push(("exec".to_owned(), of(&["exec", &id, "/bin/payload", "true"])?));
        taken.push(("list".to_owned(), of(&["list"])?));
        taken.push(("kill".to_owned(), of(&["kill", &id, "KILL"])?));
        if let Ok(init) = init.trim().parse() {
            wait_gone(Pid::from_raw(init))?;
        }
        taken.push(("delete".to_owned(), of(&["delete", &id])?));
        Ok(())
    });
    section
}

/// What a container that waits for `start` holds.
pub fn waiting(bench: &Bench) -> Section {
    let mut section = Section::new(
        "memory of the process that waits for start",
        "KiB",
        "From `/proc/PID/smaps_rollup`. Private pages are those that nobody else has: the price of one more container.",
    );
    bench.rounds(5, &bench.runtimes(), &mut section, |subject, taken| {
        let id = bench.id();
        let (_, init) = bench.create(subject, &bench.bundle("hold"), &id)?;
        let rollup = std::fs::read_to_string(format!("/proc/{init}/smaps_rollup"));
        bench.discard(subject, &id);
        let rollup = rollup.map_err(|error| error.to_string())?;
        let of = |name: &str| -> f64 {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
        };
        taken.push(("private".to_owned(), of("Private_Clean") + of("Private_Dirty")));
        taken.push(("proportional share (PSS)".to_owned(), of("Pss")));
        taken.push(("resident".to_owned(), of("Rss")));
        Ok(())
    });
    section
}

fn peak(bench: &Bench, words: &[&str]) -> Result<f64, Failure> {
    let file = bench.work.join("peak");
    let mut command = std::process::Command::new(bench.programs.join("peak"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg(&file).args(words);
    bench.clock.time(&mut command)?;
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|_| format!("peak said {text}"))
}
