//! The measuring half of `make bench`; `run.sh` prepares what it measures with.

mod bench;
mod book;
mod clock;
mod machine;
mod plot;
mod report;
mod sections;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::Bench;
use book::Section;
use clock::Takes;
use subject::Subject;

const USAGE: &str = "usage: berth-bench --work DIR --out DIR --prefix ID [--cgroups pure|hybrid] [--rounds N] \
    [--only SECTION,…] [--force] [--processor-time] [--limit SECONDS] NAME=PATH…";

type Measure = fn(&Bench) -> Section;

/// The tables in the order of the report; several can be of one section, whose name `ONLY` takes.
const SECTIONS: [(&str, Measure); 12] = [
    ("run", sections::run::measure),
    ("cycle", sections::cycle::measure),
    ("exec", sections::exec::measure),
    ("list", sections::alive::list),
    ("churn", sections::churn::measure),
    ("alive", sections::alive::crowd),
    ("memory", sections::memory::commands),
    ("memory", sections::memory::waiting),
    ("limits", sections::limits::measure),
    ("counts", sections::counts::measure),
    ("instructions", sections::instructions::measure),
    ("filter", sections::filter::measure),
];

/// The arguments.
struct Options {
    work: PathBuf,
    out: PathBuf,
    prefix: String,
    cgroups: String,
    rounds: usize,
    only: Vec<String>,
    force: bool,
    takes: Takes,
    limit: Duration,
    subjects: Vec<String>,
}

fn main() -> ExitCode {
    match options().and_then(|options| measure(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        work: PathBuf::new(),
        out: PathBuf::new(),
        prefix: "bench-".to_owned(),
        cgroups: "pure".to_owned(),
        rounds: 50,
        only: Vec::new(),
        force: false,
        takes: Takes::Wall,
        limit: Duration::from_secs(5),
        subjects: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--work" => options.work = value()?.into(),
            "--out" => options.out = value()?.into(),
            "--prefix" => options.prefix = value()?,
            "--cgroups" => options.cgroups = value()?,
            "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds needs a number".to_owned())?,
            "--limit" => {
                let seconds = value()?.parse().map_err(|_| "--limit needs a number of seconds".to_owned())?;
                options.limit = Duration::from_secs(seconds);
            }
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--force" => options.force = true,
            "--processor-time" => options.takes = Takes::Processor,
            _ if argument.contains('=') => options.subjects.push(argument),
            _ => return Err(format!("unknown argument {argument}\n{USAGE}")),
        }
    }
    // `run.sh` takes `hybrid` as a section too.
    options.only.retain(|only| only != "hybrid");
    if let Some(unknown) = options.only.iter().find(|only| !SECTIONS.iter().any(|(name, _)| name == *only)) {
        let mut names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        names.dedup();
        return Err(format!("there is no section {unknown}; there are {}", names.join(", ")));
    }
    Ok(options)
}

fn measure(options: &Options) -> Result<(), String> {
    let start = Instant::now();
    let parse = |argument: &String| Subject::parse(argument, &options.work);
    let subjects = options.subjects.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if !options.force {
        machine::wait_quiet()?;
    }
    let used = machine::use_over(Duration::from_secs(1));
    let hybrid = options.cgroups == "hybrid";
    let mut text = if hybrid { "# On hybrid cgroups\n\n" } else { "# berth and its peers\n\n" }.to_owned();
    let cgroups = if hybrid { "the host's hybrid cgroups" } else { "cgroup v2" };
    text += &machine::describe(&subjects, cgroups, used);

    let mut bench = Bench::new(options, subjects);
    for (subject, failure) in bench.drop_unable() {
        text += &format!("- {subject} is not measured: {failure}\n");
    }
    if options.takes == Takes::Processor {
        text += "- all ms are of processor time, of the command and of what it waited for\n";
    }
    text.push('\n');
    print!("{text}");
    let names: Vec<String> = bench.subjects.iter().map(|subject| subject.name.clone()).collect();

    let (mut table, mut groups) = (String::new(), Vec::new());
    for (name, measure) in SECTIONS {
        let wanted = options.only.is_empty() || options.only.iter().any(|only| only == name);
        if !wanted {
            continue;
        }
        if !options.force {
            machine::wait_quiet()?;
        }
        eprintln!("[{:.0} s] {name}", start.elapsed().as_secs_f64());
        let section = measure(&bench);
        let part = report::section(&section, &names, hybrid);
        print!("{part}");
        text += &part;
        table += &report::lines(&section);
        groups.extend(match name {
            "run" => plot::groups(&section, &["default configuration", "Docker's configuration"], "run, ", &names),
            "cycle" => plot::groups(&section, &["create", "start", "state", "kill", "delete --force"], "", &names),
            "exec" => plot::groups(&section, &["foreground"], "exec, ", &names),
            _ => Vec::new(),
        });
    }
    let suffix = if hybrid { "-hybrid" } else { "" };
    let write = |name: String, text: &str| {
        let path = options.out.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    write(format!("report{suffix}.md"), &text)?;
    write(format!("results{suffix}.tsv"), &table)?;
    if !groups.is_empty() {
        let title = format!("Time of one command on {cgroups}: median, line from the 25th to the 75th percentile");
        write(format!("plot{suffix}.svg"), &plot::svg(&title, &groups, &names))?;
    }
    Ok(())
}
