//! config.md "Process".

use super::{absolute, no_nul, no_nul_in, number_list, one_of, require};
use crate::bundle::config::{Process, Scheduler, User};
use crate::error::{Error, Result};

const RLIMITS: [&str; 16] = [
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
];

/// Names of scheduling policies and their numbers, sched(7); Linux never implemented SCHED_ISO.
pub const POLICIES: [(&str, u32); 6] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

/// Names of scheduler flags and their bits, sched_setattr(2) and linux/sched.h.
pub const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Checks a process: the container's own, or one for `exec`.
///
/// # Errors
/// The first violation, with the name of the field as in `config.json`.
pub fn process(process: &Process) -> Result<()> {
    arguments(&process.args)?;
    absolute(|| "process.cwd".to_owned(), &process.cwd)?;
    environment(&process.env)?;
    user(&process.user)?;
    rlimits(process)?;
    for (field, text) in
        [("process.apparmorProfile", &process.apparmor_profile), ("process.selinuxLabel", &process.selinux_label)]
    {
        no_nul(field, text.as_deref().unwrap_or_default())?;
    }
    let score = process.oom_score_adj.unwrap_or_default();
    require!(
        (-1000..=1000).contains(&score),
        "process.oomScoreAdj",
        format!("{score} is out of range"),
        "The range is -1000 to 1000."
    );
    if let Some(scheduler) = &process.scheduler {
        self::scheduler(scheduler)?;
    }
    if let Some(priority) = &process.io_priority {
        let classes = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];
        one_of(|| "process.ioPriority.class".to_owned(), &priority.class, &classes)?;
        require!(
            (0..=7).contains(&priority.priority),
            "process.ioPriority.priority",
            format!("{} is out of range", priority.priority),
            "The range is 0, the highest, to 7."
        );
    }
    if let Some(affinity) = &process.exec_cpu_affinity {
        for (name, list) in [("initial", &affinity.initial), ("final", &affinity.last)] {
            if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
                number_list(|| format!("process.execCPUAffinity.{name}"), list)?;
            }
        }
    }
    Ok(())
}

fn arguments(args: &[String]) -> Result<()> {
    let program = args.first().map(String::as_str);
    require!(program.is_some(), "process.args", "must not be empty", "Name the program to run.");
    require!(program != Some(""), "process.args[0]", "is empty", "Name the program to run.");
    super::strings(|| "process.args".to_owned(), args)
}

fn environment(env: &[String]) -> Result<()> {
    for (index, entry) in env.iter().enumerate() {
        let field = || format!("process.env[{index}]");
        let name = entry.split_once('=').map(|(name, _)| name);
        require!(
            name.is_some_and(|name| !name.is_empty()),
            field(),
            format!("{entry:?} is not of the form name=value"),
            "Write \"NAME=\" for an empty value."
        );
        no_nul_in(field, entry)?;
    }
    Ok(())
}

fn user(user: &User) -> Result<()> {
    let groups = user.additional_gids.iter().enumerate();
    let groups = groups.map(|(index, gid)| (format!("process.user.additionalGids[{index}]"), *gid));
    let ids = [("process.user.uid".to_owned(), user.uid), ("process.user.gid".to_owned(), user.gid)];
    for (field, id) in ids.into_iter().chain(groups) {
        // -1 means "leave it" to setresuid(2) and friends: the program would keep the runtime's identity.
        require!(id != u32::MAX, field, "4294967295 (-1) is no valid id", "The highest id is 4294967294.");
    }
    require!(
        user.umask.is_none_or(|mask| mask <= 0o7777),
        "process.user.umask",
        format!("{} is out of range", user.umask.unwrap_or_default()),
        "The highest mask is 4095, which is 7777 in octal; JSON numbers are decimal."
    );
    Ok(())
}

fn rlimits(process: &Process) -> Result<()> {
    for (index, limit) in process.rlimits.iter().enumerate() {
        let field = |name: &str| format!("process.rlimits[{index}].{name}");
        one_of(|| field("type"), &limit.kind, &RLIMITS)?;
        require!(
            limit.soft <= limit.hard,
            field("soft"),
            format!("{} is greater than the hard limit {} of {}", limit.soft, limit.hard, limit.kind),
            "Lower the soft limit or raise the hard one."
        );
        let earlier = process.rlimits.iter().take(index).position(|other| other.kind == limit.kind);
        require!(
            earlier.is_none(),
            field("type"),
            format!("{} is already set by process.rlimits[{}]", limit.kind, earlier.unwrap_or_default()),
            "Set each limit once."
        );
    }
    Ok(())
}

fn scheduler(scheduler: &Scheduler) -> Result<()> {
    let names = POLICIES.map(|(name, _)| name);
    one_of(|| "process.scheduler.policy".to_owned(), &scheduler.policy, &names)?;
    for (index, flag) in scheduler.flags.iter().enumerate() {
        one_of(|| format!("process.scheduler.flags[{index}]"), flag, &SCHEDULER_FLAGS.map(|(name, _)| name))?;
    }
    let policy = scheduler.policy.as_str();
    require!(
        (-20..=19).contains(&scheduler.nice),
        "process.scheduler.nice",
        format!("{} is out of range", scheduler.nice),
        "The range is -20 to 19."
    );
    let real_time = matches!(policy, "SCHED_FIFO" | "SCHED_RR");
    let allowed = if real_time { 1..=99 } else { 0..=0 };
    require!(
        allowed.contains(&scheduler.priority),
        "process.scheduler.priority",
        format!("{} does not go with {policy}", scheduler.priority),
        "SCHED_FIFO and SCHED_RR have priorities 1 to 99, the other policies have 0."
    );
    let Scheduler { runtime, deadline, period, .. } = *scheduler;
    if policy != "SCHED_DEADLINE" {
        require!(
            (runtime, deadline, period) == (0, 0, 0),
            "process.scheduler",
            format!("runtime, deadline and period do not go with {policy}"),
            "Remove them or use SCHED_DEADLINE."
        );
        return Ok(());
    }
    // sched(7): the kernel's own granularity is 1024 ns.
    require!(
        runtime >= 1024 && runtime <= deadline && (period == 0 || deadline <= period) && period < 1 << 63,
        "process.scheduler",
        format!("runtime {runtime}, deadline {deadline} and period {period} contradict each other"),
        "SCHED_DEADLINE needs 1024 <= runtime <= deadline <= period, in nanoseconds."
    );
    Ok(())
}
