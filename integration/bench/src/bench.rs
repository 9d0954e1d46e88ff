//! What all sections share: the subjects, the clock, the rounds.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::Options;
use crate::book::Section;
use crate::clock::{Clock, Failure};
use crate::sections;
use crate::subject::Subject;

/// Rounds whose times are not taken down.
const WARM_UP: usize = 3;

/// Between two samples: the kernel takes down the network namespace of the last container in the background, and the
/// next one would wait for that.
const PAUSE: Duration = Duration::from_millis(4);

/// One run of the benchmark.
pub struct Bench {
    /// Takes the times.
    pub clock: Clock,
    /// All subjects; the floor is among them.
    pub subjects: Vec<Subject>,
    /// Bundles, roots and helper programs are here.
    pub work: PathBuf,
    /// How many rounds a section makes, unless it says otherwise.
    pub rounds: usize,
    /// The helper programs.
    pub programs: PathBuf,
    /// All ids begin with this: what is left after a failure can be found by it.
    pub prefix: String,
    count: Cell<usize>,
    random: RefCell<u64>,
}

impl Bench {
    /// `work` has been prepared by `run.sh`.
    pub fn new(options: &Options, subjects: Vec<Subject>) -> Self {
        Bench {
            clock: Clock::new(&options.work, options.takes, options.limit),
            subjects,
            work: options.work.clone(),
            programs: options.out.join("bin"),
            rounds: options.rounds,
            prefix: options.prefix.clone(),
            count: Cell::new(0),
            random: RefCell::new(0x2545_f491_4f6c_dd1d),
        }
    }

    /// A new container id.
    pub fn id(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("{}{}", self.prefix, self.count.get())
    }

    /// The path of a bundle, as an argument.
    pub fn bundle(&self, name: &str) -> String {
        self.work.join("bundles").join(name).to_string_lossy().into_owned()
    }

    /// The runtimes, without the floor.
    pub fn runtimes(&self) -> Vec<Subject> {
        self.subjects.iter().filter(|subject| !subject.is_floor).cloned().collect()
    }

    /// The subjects whose names are in `names`, every berth, and the floor.
    pub fn only(&self, names: &[&str]) -> Vec<Subject> {
        let wanted = |subject: &&Subject| {
            subject.is_berth() || subject.is_floor || names.iter().any(|name| subject.name == *name)
        };
        self.subjects.iter().filter(wanted).cloned().collect()
    }

    /// One container with each runtime; those that cannot make it leave. Their names, and why.
    pub fn drop_unable(&mut self) -> Vec<(String, Failure)> {
        let mut unable = Vec::new();
        for subject in self.subjects.clone() {
            if let Err(failure) = sections::run::once(self, &subject) {
                self.subjects.retain(|kept| kept.name != subject.name);
                unable.push((subject.name, failure));
            }
        }
        unable
    }

    /// Interleaved rounds: in each, every subject gives one sample of each row, in an order that changes. A subject
    /// that fails takes no further part.
    pub fn rounds<Sample>(&self, count: usize, subjects: &[Subject], section: &mut Section, mut sample: Sample)
    where
        Sample: FnMut(&Subject, &mut Vec<(String, f64)>) -> Result<(), Failure>,
    {
        let mut left = subjects.to_vec();
        for round in 0..WARM_UP + count {
            self.shuffle(&mut left);
            left.retain(|subject| {
                std::thread::sleep(PAUSE);
                let mut taken = Vec::new();
                let outcome = sample(subject, &mut taken);
                if round >= WARM_UP {
                    for (row, value) in taken {
                        section.add(&row, &subject.name, value);
                    }
                }
                if let Err(failure) = &outcome {
                    section.failures.push((subject.name.clone(), failure.clone()));
                }
                outcome.is_ok()
            });
        }
    }

    fn shuffle(&self, subjects: &mut [Subject]) {
        let mut random = self.random.borrow_mut();
        for last in (1..subjects.len()).rev() {
            // xorshift64: any order will do, as long as it changes and is the same in each run.
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            subjects.swap(last, (*random % (last as u64 + 1)) as usize);
        }
    }

    /// `create`, timed; the pid of the waiting init.
    pub fn create(&self, subject: &Subject, bundle: &str, id: &str) -> Result<(f64, Pid), Failure> {
        let file = self.work.join("pid");
        let file_name = file.to_string_lossy();
        let mut command = subject.command(&["create", "--bundle", bundle, "--pid-file", &file_name, id]);
        let time = self.clock.time(&mut command)?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let pid = text.trim().parse().map_err(|_| format!("{}: no pid: {text}", file.display()))?;
        Ok((time, Pid::from_raw(pid)))
    }

    /// A container that runs, and its first process.
    pub fn running(&self, subject: &Subject, bundle: &str) -> Result<(String, Pid), Failure> {
        let id = self.id();
        let (_, init) = self.create(subject, &self.bundle(bundle), &id)?;
        self.time(subject, &["start", &id]).inspect_err(|_| self.discard(subject, &id))?;
        Ok((id, init))
    }

    /// One command of a runtime, timed.
    pub fn time(&self, subject: &Subject, arguments: &[&str]) -> Result<f64, Failure> {
        self.clock.time(&mut subject.command(arguments))
    }

    /// Remove a container that a failure may have left.
    pub fn discard(&self, subject: &Subject, id: &str) {
        let _ = self.time(subject, &["delete", "--force", id]);
    }
}

/// Wait until a process is gone and has been reaped.
pub fn wait_gone(pid: Pid) -> Result<(), Failure> {
    let start = Instant::now();
    while kill(pid, None).is_ok() {
        if start.elapsed() > Duration::from_secs(5) {
            return Err(format!("process {pid} does not end"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// The directory of a process's cgroup on v2.
pub fn cgroup_of(pid: Pid) -> Result<PathBuf, Failure> {
    let file = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).ok_or_else(|| format!("{file}: not on v2"))?;
    Ok(Path::new("/sys/fs/cgroup").join(path))
}
