//! `exec` of /bin/true in a running container: what a health probe costs.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::bench::{Bench, cgroup_of};
use crate::book::Section;
use crate::clock::Failure;
use crate::subject::Subject;

/// In the foreground and detached, with an empty environment and with a large one.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "exec of /bin/true",
        "ms",
        "In one running container of each runtime, with `--process FILE`. Detached, the time ends when the runtime \
         returns, not when the program does. The floor enters a container of berth's.",
    );
    if let Err(failure) = environments(bench) {
        section.failures.push(("all".to_owned(), failure));
        return section;
    }

    // Made here, and not by the subjects in turn: the floor needs someone's container.
    let mut containers = HashMap::new();
    for subject in bench.runtimes() {
        match bench.running(&subject, "hold") {
            Ok(made) => drop(containers.insert(subject.name.clone(), made)),
            Err(failure) => section.failures.push((subject.name.clone(), failure)),
        }
    }
    let host = bench.runtimes().into_iter().find_map(|subject| containers.get(&subject.name).cloned());
    let subjects: Vec<Subject> = (bench.subjects.iter())
        .filter(|subject| subject.is_floor || containers.contains_key(&subject.name))
        .cloned()
        .collect();
    bench.rounds(bench.rounds, &subjects, &mut section, |subject, taken| {
        if subject.is_floor {
            let Some((_, init)) = &host else { return Err("no container to enter".to_owned()) };
            let mut command = subject.bare();
            command.args(["exec", &init.to_string()]).arg(cgroup_of(*init)?);
            taken.push(("foreground".to_owned(), bench.clock.time(&mut command)?));
            return Ok(());
        }
        let (id, _) = &containers[&subject.name];
        for (row, file, detach) in [
            ("foreground", "process-0.json", false),
            ("foreground, 4,000 variables", "process-4000.json", false),
            ("detached", "process-0.json", true),
            ("detached, 4,000 variables", "process-4000.json", true),
        ] {
            let file = bench.work.join(file);
            let mut arguments = vec!["exec"];
            if detach {
                arguments.push("--detach");
            }
            let file = file.to_string_lossy();
            arguments.extend(["--process", &file, id]);
            taken.push((row.to_owned(), bench.time(subject, &arguments)?));
            if detach {
                // The program itself still runs.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        Ok(())
    });
    for subject in &subjects {
        if let Some((id, _)) = containers.get(&subject.name) {
            bench.discard(subject, id);
        }
    }
    section
}

/// The process files: that of the default configuration with more variables.
fn environments(bench: &Bench) -> Result<(), Failure> {
    let config =
        std::fs::read(format!("{}/config.json", bench.bundle("default"))).map_err(|error| error.to_string())?;
    let config: Value = serde_json::from_slice(&config).map_err(|error| error.to_string())?;
    for count in [0, 4000] {
        let mut process = config["process"].clone();
        let variables = (0..count).map(|number| format!("VARIABLE_{number}=the value of variable {number}"));
        process["env"] = json!(std::iter::once("PATH=/bin".to_owned()).chain(variables).collect::<Vec<_>>());
        let file = bench.work.join(format!("process-{count}.json"));
        std::fs::write(&file, process.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}
