//! The smallest limits with which a container still starts.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::book::Section;
use crate::clock::Failure;
use crate::subject::Subject;

const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";

/// `memory.max` and `pids.max`, found by halving. Needs a host whose v2 hierarchy has both controllers.
pub fn measure(bench: &Bench) -> Section {
    let mut section = Section::new(
        "the smallest limits that work",
        "",
        "`run` of a static program of a few pages, three times in a row. The memory limit is found to 16 KiB.",
    );
    let controllers = std::fs::read_to_string(CONTROLLERS).unwrap_or_default();
    for wanted in ["memory", "pids"] {
        if !controllers.split_whitespace().any(|controller| controller == wanted) {
            let reason = format!("skipped: cgroup v2 of this host lacks the controller {wanted}");
            section.failures.push(("all".to_owned(), reason));
            return section;
        }
    }
    for subject in bench.runtimes() {
        for (row, unit, limit) in [
            ("memory.max in KiB", 16, (|units| json!({ "memory": { "limit": units * 16384 } })) as fn(u64) -> Value),
            ("pids.max", 1, |count| json!({ "pids": { "limit": count } })),
        ] {
            match smallest(bench, &subject, limit) {
                Ok(units) => section.add(row, &subject.name, (units * unit) as f64),
                Err(failure) => section.failures.push((subject.name.clone(), failure)),
            }
        }
    }
    section
}

fn smallest(bench: &Bench, subject: &Subject, limit: fn(u64) -> Value) -> Result<u64, Failure> {
    let works = |units: u64| -> Result<(), Failure> {
        let bundle = limited(bench, limit(units))?;
        for _ in 0..3 {
            let id = bench.id();
            bench.time(subject, &["run", "--bundle", &bundle, &id]).inspect_err(|_| bench.discard(subject, &id))?;
        }
        Ok(())
    };
    let (mut fails, mut enough) = (0, 4096);
    works(enough)?;
    while enough - fails > 1 {
        let middle = (fails + enough) / 2;
        match works(middle) {
            Ok(()) => enough = middle,
            Err(_) => fails = middle,
        }
    }
    Ok(enough)
}

/// The bundle `small` with limits.
fn limited(bench: &Bench, resources: Value) -> Result<String, Failure> {
    let path = format!("{}/config.json", bench.bundle("limited"));
    let config = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut config: Value = serde_json::from_slice(&config).map_err(|error| error.to_string())?;
    config["linux"]["resources"] = resources;
    std::fs::write(&path, config.to_string()).map_err(|error| format!("{path}: {error}"))?;
    Ok(bench.bundle("limited"))
}
