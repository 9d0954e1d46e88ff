//! `update`: new limits for a container that exists, as the kernel's files have them.

mod common;

use common::{Bundle, Output, Value, eventually, host, json, skip};
use std::fs;

const MIB: u64 = 1 << 20;

/// What is in the file of v1, or of v2, for a limit.
fn value(bundle: &Bundle, controller: &str, v1: &str, v2: &str) -> String {
    bundle.cgroup_file(controller, if common::is_v2() { v2 } else { v1 })
}

/// Whether the container's cgroup has the file of v1 or of v2.
fn has(bundle: &Bundle, controller: &str, v1: &str, v2: &str) -> bool {
    let file = if common::is_v2() { v2 } else { v1 };
    host::controller(controller).is_some_and(|mount| mount.join(&bundle.id).join(file).exists())
}

fn update(bundle: &Bundle, flags: &[&str]) -> Output {
    let words: Vec<&str> = ["update"].iter().chain(flags).chain(&[bundle.id.as_str()]).copied().collect();
    bundle.berth(&words)
}

/// `update --resources -` with a document on standard input.
fn update_json(bundle: &Bundle, document: &str) -> Output {
    let path = bundle.path("resources.json");
    fs::write(&path, document).unwrap();
    let words = ["update", "--resources", "-", bundle.id.as_str()];
    bundle.cmd(&words).stdin(fs::File::open(path).unwrap()).output()
}

fn memory(bundle: &Bundle) -> String {
    value(bundle, "memory", "memory.limit_in_bytes", "memory.max")
}

/// Memory and swap together, whatever the kernel counts.
fn together(bundle: &Bundle) -> String {
    if !common::is_v2() {
        return bundle.cgroup_file("memory", "memory.memsw.limit_in_bytes");
    }
    match bundle.cgroup_file("memory", "memory.swap.max").parse::<u64>() {
        Ok(swap) => (memory(bundle).parse::<u64>().unwrap() + swap).to_string(),
        Err(_) => "max".into(),
    }
}

fn pids(bundle: &Bundle) -> String {
    bundle.cgroup_file("pids", "pids.max")
}

/// The limits in the state file.
fn remembered(bundle: &Bundle) -> Value {
    let text = fs::read_to_string(bundle.root().join(&bundle.id).join("state.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["resources"].take()
}

fn sleeping() -> Bundle {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    bundle
}

/// Ends the test when the host has not all of these controllers.
macro_rules! need {
    ($($name:literal),*) => {
        for name in [$($name),*] {
            if host::controller(name).is_none() {
                skip!("the host has no {name} controller");
            }
        }
    };
}

#[test]
fn every_flag_reaches_the_kernel() {
    // Flags, controller, file and value on v1, file and value on v2.
    type Case = (&'static [&'static str], &'static str, (&'static str, &'static str), (&'static str, &'static str));
    let cases: &[Case] = &[
        (&["--memory", "64m"], "memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864")),
        (&["--memory", "65536K"], "memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864")),
        (
            &["--memory-reservation=33554432"],
            "memory",
            ("memory.soft_limit_in_bytes", "33554432"),
            ("memory.low", "33554432"),
        ),
        (
            &["--memory-swap", "96MiB"],
            "memory",
            ("memory.memsw.limit_in_bytes", "100663296"),
            ("memory.swap.max", "33554432"),
        ),
        (&["--pids-limit", "50"], "pids", ("pids.max", "50"), ("pids.max", "50")),
        (&["--pids-limit", "-1"], "pids", ("pids.max", "max"), ("pids.max", "max")),
        (&["--cpu-share", "512"], "cpu", ("cpu.shares", "512"), ("cpu.weight", "59")),
        (&["--cpu-period", "50000"], "cpu", ("cpu.cfs_period_us", "50000"), ("cpu.max", "max 50000")),
        (&["--cpu-quota", "20000"], "cpu", ("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 50000")),
        (&["--cpu-burst", "5000"], "cpu", ("cpu.cfs_burst_us", "5000"), ("cpu.max.burst", "5000")),
        (&["--cpu-burst", "0"], "cpu", ("cpu.cfs_burst_us", "0"), ("cpu.max.burst", "0")),
        (&["--cpu-quota=-1"], "cpu", ("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 50000")),
        (&["--cpu-idle", "1"], "cpu", ("cpu.idle", "1"), ("cpu.idle", "1")),
        (&["--cpu-idle", "0"], "cpu", ("cpu.idle", "0"), ("cpu.idle", "0")),
        (&["--cpuset-cpus", "0"], "cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
        (&["--cpuset-mems", "0"], "cpuset", ("cpuset.mems", "0"), ("cpuset.mems", "0")),
    ];
    let bundle = sleeping();
    for (flags, controller, v1, v2) in cases {
        if !has(&bundle, controller, v1.0, v2.0) {
            host::skipped("every_flag_reaches_the_kernel", &format!("{flags:?}: the kernel has not the file"));
            continue;
        }
        update(&bundle, flags).ok();
        let expected = if common::is_v2() { v2.1 } else { v1.1 };
        assert_eq!(value(&bundle, controller, v1.0, v2.0), expected, "{flags:?}");
    }
}

#[test]
fn real_time_limits_are_set_on_v1_and_explained_elsewhere() {
    need!("cpu");
    let bundle = sleeping();
    let output = update(&bundle, &["--cpu-rt-period", "900000", "--cpu-rt-runtime", "1000"]);
    if common::is_v2() {
        output.fails("linux.resources.cpu.realtime");
    } else if has(&bundle, "cpu", "cpu.rt_runtime_us", "") {
        output.ok();
        assert_eq!(bundle.cgroup_file("cpu", "cpu.rt_period_us"), "900000");
        assert_eq!(bundle.cgroup_file("cpu", "cpu.rt_runtime_us"), "1000");
    } else {
        output.fails("CONFIG_RT_GROUP_SCHED");
    }
}

#[test]
fn a_block_weight_is_set_or_says_what_it_needs() {
    let bundle = sleeping();
    let output = update(&bundle, &["--blkio-weight", "300"]);
    let files = [("blkio.weight", "io.bfq.weight"), ("blkio.bfq.weight", "io.weight")];
    let controller = if common::is_v2() { "io" } else { "blkio" };
    match files.iter().find(|(v1, v2)| has(&bundle, controller, v1, v2)) {
        Some((v1, v2)) => {
            output.ok();
            let text = value(&bundle, controller, v1, v2);
            let expected = if *v2 == "io.weight" && common::is_v2() { "2930" } else { "300" };
            assert!(text.split_whitespace().any(|word| word == expected), "{text}");
        }
        None => drop(output.fails("linux.resources.blockIO.weight").complains(controller).complains("scheduler")),
    }
}

#[test]
fn flags_of_old_callers_are_accepted() {
    let bundle = sleeping();
    update(&bundle, &["--kernel-memory", "10m", "--kernel-memory-tcp", "10m", "--pids-limit", "33"]).ok();
    assert_eq!(pids(&bundle), "33");
}

#[test]
fn what_is_not_named_stays() {
    need!("memory", "pids", "cpu");
    let bundle = Bundle::busybox()
        .limit("memory", json!({"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB}))
        .limit("pids/limit", json!(40))
        .limit("cpu", json!({"shares": 512, "quota": 20_000, "period": 50_000}))
        .sleeping();
    bundle.detached();
    let all = |bundle: &Bundle| {
        [
            memory(bundle),
            together(bundle),
            value(bundle, "memory", "memory.soft_limit_in_bytes", "memory.low"),
            pids(bundle),
            value(bundle, "cpu", "cpu.shares", "cpu.weight"),
            value(bundle, "cpu", "cpu.cfs_quota_us", "cpu.max"),
        ]
    };
    let mut expected = all(&bundle);
    update(&bundle, &["--pids-limit", "41"]).ok();
    expected[3] = "41".into();
    assert_eq!(all(&bundle), expected);
    update(&bundle, &["--cpu-quota", "30000"]).ok();
    expected[5] = if common::is_v2() { "30000 50000" } else { "30000" }.into();
    assert_eq!(all(&bundle), expected);
    update_json(&bundle, r#"{"memory": {"reservation": 16777216, "limit": null}, "pids": {}}"#).ok();
    expected[2] = (16 * MIB).to_string();
    assert_eq!(all(&bundle), expected);
    update_json(&bundle, "{}").ok();
    assert_eq!(all(&bundle), expected);
}

#[test]
fn quota_and_period_can_come_one_by_one() {
    need!("cpu");
    let bundle = sleeping();
    update(&bundle, &["--cpu-quota", "40000"]).ok();
    update(&bundle, &["--cpu-period", "80000"]).ok();
    let both = |bundle: &Bundle| {
        if common::is_v2() {
            bundle.cgroup_file("cpu", "cpu.max")
        } else {
            let [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map(|file| bundle.cgroup_file("cpu", file));
            format!("{quota} {period}")
        }
    };
    assert_eq!(both(&bundle), "40000 80000");
    update(&bundle, &["--cpu-quota", "20000"]).ok();
    assert_eq!(both(&bundle), "20000 80000");
    update(&bundle, &["--cpu-quota", "30000", "--cpu-period", "60000"]).ok();
    assert_eq!(both(&bundle), "30000 60000");
}

#[test]
fn shares_come_back_after_idleness() {
    need!("cpu");
    let bundle = Bundle::busybox().limit("cpu/shares", json!(512)).sleeping();
    bundle.detached();
    if !has(&bundle, "cpu", "cpu.idle", "cpu.idle") {
        skip!("the kernel has no cpu.idle");
    }
    update(&bundle, &["--cpu-idle", "1"]).ok();
    assert_eq!(bundle.cgroup_file("cpu", "cpu.idle"), "1");
    update(&bundle, &["--cpu-share", "300"]).fails("linux.resources.cpu.shares").complains("idle");
    update(&bundle, &["--cpu-idle", "0"]).ok();
    let expected = if common::is_v2() { "59" } else { "512" };
    assert_eq!(value(&bundle, "cpu", "cpu.shares", "cpu.weight"), expected);
}

#[test]
fn memory_and_swap_change_in_every_order() {
    need!("memory");
    let bundle = Bundle::busybox().limit("memory", json!({"limit": 64 * MIB, "swap": 64 * MIB})).sleeping();
    if !common::is_v2() && !host::controller("memory").unwrap().join("memory.memsw.limit_in_bytes").exists() {
        skip!("the kernel does not account swap");
    }
    bundle.detached();
    for (limit, both) in [(128, 128), (256, 512), (32, 48), (40, 512), (300, 300), (24, 400)] {
        update(&bundle, &["--memory", &format!("{limit}m"), "--memory-swap", &format!("{both}m")]).ok();
        assert_eq!(memory(&bundle), (limit * MIB).to_string(), "{limit} {both}");
        assert_eq!(together(&bundle), (both * MIB).to_string(), "{limit} {both}");
    }
    // Swap alone: the memory limit of the update before counts.
    update(&bundle, &["--memory-swap", "48m"]).ok();
    assert_eq!((memory(&bundle), together(&bundle)), ((24 * MIB).to_string(), (48 * MIB).to_string()));
    let unlimited = |text: &str| text == "max" || text.parse::<u64>().is_ok_and(|bytes| bytes > 1 << 60);
    update(&bundle, &["--memory-swap", "-1"]).ok();
    assert!(unlimited(&together(&bundle)));
    assert_eq!(memory(&bundle), (24 * MIB).to_string());
    update(&bundle, &["--memory", "32m", "--memory-swap", "32m"]).ok();
    // As for runc: memory without a limit is swap without a limit.
    update(&bundle, &["--memory", "-1"]).ok();
    assert!(unlimited(&memory(&bundle)) && unlimited(&together(&bundle)));
}

#[test]
fn a_document_comes_from_a_file_or_from_standard_input() {
    need!("memory", "pids");
    let bundle = sleeping();
    let path = bundle.place("new.json");
    fs::write(&path, json!({"memory": {"limit": 80 * MIB}, "pids": {"limit": 60}}).to_string()).unwrap();
    for flags in [vec!["--resources", &path], vec!["-r", &path]] {
        update(&bundle, &["--memory", "70m", "--pids-limit", "20"]).ok();
        update(&bundle, &flags).ok();
        assert_eq!((memory(&bundle), pids(&bundle)), ((80 * MIB).to_string(), "60".into()));
    }
    update_json(&bundle, r#"{"memory": {"limit": 94371840}, "pids": {"limit": 61}}"#).ok();
    assert_eq!((memory(&bundle), pids(&bundle)), ((90 * MIB).to_string(), "61".into()));
    // What engines send: everything, most of it null or zero, is no change.
    let engines = r#"{"devices": null, "memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""},
        "pids": null, "blockIO": {"weight": 0}}"#;
    update_json(&bundle, engines).ok();
    assert_eq!((memory(&bundle), pids(&bundle)), ((90 * MIB).to_string(), "61".into()));
}

#[test]
fn bad_documents_are_explained() {
    let bundle = sleeping();
    let missing = bundle.place("missing.json");
    update(&bundle, &["--resources", &missing]).fails("missing.json").complains("no such file");
    update_json(&bundle, "").fails("standard input");
    update_json(&bundle, "[]").fails("object");
    update_json(&bundle, "{").fails("standard input");
    update_json(&bundle, r#"{"memory": {"limit": "64m"}}"#).fails("memory.limit");
    update_json(&bundle, r#"{"pids": {"limit": 1.5}}"#).fails("pids.limit");
    update_json(&bundle, r#"{"cpu": {"quota": 10}}"#).fails("linux.resources.cpu.quota");
}

#[test]
fn bad_values_are_explained() {
    let bundle = sleeping();
    for (flags, words) in [
        (vec!["--memory", "many"], "--memory"),
        (vec!["--memory=-5"], "--memory"),
        (vec!["--memory", "1.5g"], "--memory"),
        (vec!["--memory-swap", "10x"], "--memory-swap"),
        (vec!["--memory", "64m", "--memory-swap", "32m"], "linux.resources.memory.swap"),
        (vec!["--cpu-quota", "999"], "linux.resources.cpu.quota"),
        (vec!["--cpu-period", "999"], "linux.resources.cpu.period"),
        (vec!["--cpu-period", "1000001"], "linux.resources.cpu.period"),
        (vec!["--cpu-quota", "5000", "--cpu-burst", "6000"], "linux.resources.cpu.burst"),
        (vec!["--cpu-idle", "2"], "linux.resources.cpu.idle"),
        (vec!["--cpuset-cpus", "a-b"], "linux.resources.cpu.cpus"),
        (vec!["--cpuset-cpus", "3000"], "linux.resources.cpu.cpus"),
        (vec!["--cpuset-mems", "500"], "linux.resources.cpu.mems"),
        (vec!["--blkio-weight", "5"], "linux.resources.blockIO.weight"),
        (vec!["--blkio-weight", "70000"], "--blkio-weight"),
        (vec!["--pids-limit", "few"], "--pids-limit"),
        (vec!["--l3-cache-schema", "L3:0=f"], "RDT"),
    ] {
        update(&bundle, &flags).fails(words);
    }
    assert_eq!(remembered(&bundle), Value::Null, "a refused update is not remembered");
}

#[test]
fn a_refused_update_changes_nothing() {
    need!("memory", "pids", "cpuset");
    let bundle = Bundle::busybox().limit("memory/limit", json!(64 * MIB)).limit("pids/limit", json!(40)).sleeping();
    bundle.detached();
    // The kernel refuses the last of them, which is written after the others.
    let document = r#"{"memory": {"limit": 83886080}, "pids": {"limit": 50}, "hugepageLimits": [
        {"pageSize": "64GB", "limit": 1}]}"#;
    update_json(&bundle, document).fails("hugepageLimits[0]");
    assert_eq!((memory(&bundle), pids(&bundle)), ((64 * MIB).to_string(), "40".into()));
    update(&bundle, &["--memory", "80m", "--pids-limit", "50", "--cpuset-cpus", "3000"]).fails("cpu.cpus");
    assert_eq!((memory(&bundle), pids(&bundle)), ((64 * MIB).to_string(), "40".into()));
    assert_eq!(remembered(&bundle), Value::Null);
}

#[test]
fn created_running_and_paused_containers_are_updated() {
    need!("memory", "pids");
    let bundle = Bundle::busybox().limit("memory/limit", json!(64 * MIB)).sleeping();
    bundle.create();
    let check = |limit: u64, status: &str| {
        update(&bundle, &["--memory", &format!("{limit}m"), "--pids-limit", &limit.to_string()]).ok();
        assert_eq!((memory(&bundle), pids(&bundle)), ((limit * MIB).to_string(), limit.to_string()));
        assert_eq!(bundle.status(), status);
    };
    check(70, "created");
    bundle.start();
    check(71, "running");
    bundle.berth(&["pause", &bundle.id]).ok();
    check(72, "paused");
    bundle.berth(&["resume", &bundle.id]).ok();
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.inside("echo fine"), "fine");
}

#[test]
fn stopped_and_unknown_containers_are_refused() {
    let bundle = Bundle::busybox().args(["true"]);
    bundle.detached();
    bundle.until_status("stopped");
    update(&bundle, &["--pids-limit", "5"]).fails("not running");
    bundle.berth(&["update", "--pids-limit", "5", "nobody"]).fails("does not exist");
}

#[test]
fn the_state_file_remembers() {
    need!("memory", "pids", "cpu");
    let bundle = Bundle::busybox().limit("memory/limit", json!(64 * MIB)).limit("cpu/shares", json!(512)).sleeping();
    bundle.detached();
    update(&bundle, &["--memory", "80m", "--memory-swap", "100m"]).ok();
    update(&bundle, &["--pids-limit", "44"]).ok();
    let all = remembered(&bundle);
    assert_eq!(all["memory"], json!({"limit": 80 * MIB, "swap": 100 * MIB}));
    assert_eq!((&all["pids"]["limit"], &all["cpu"]["shares"]), (&json!(44), &json!(512)));
    assert!(all["devices"].is_array(), "the configuration's other limits: {all}");
}

#[test]
fn exec_is_bound_by_the_new_limits() {
    need!("cpuset", "pids");
    let bundle = sleeping();
    update(&bundle, &["--cpuset-cpus", "0", "--pids-limit", "3"]).ok();
    // The container's own two processes and the shell, which cannot make another one. On v2 exec itself needs two.
    bundle.exec(&["sh", "-c", "sleep 0; echo forked"]).complains("fork|resource temporarily|pids.max");
    update(&bundle, &["--pids-limit", "10"]).ok();
    assert_eq!(bundle.inside("grep Cpus_allowed_list /proc/self/status | cut -f2"), "0");
}

#[test]
fn a_limit_below_the_usage_is_refused_where_that_was_asked_for() {
    need!("memory");
    let bundle = Bundle::busybox()
        .limit("memory", json!({"limit": 128 * MIB}))
        .sh("dd if=/dev/zero of=/dev/shm/big bs=1M count=40; echo full; sleep 1000");
    let output = bundle.detached();
    eventually("memory is used", || output.stdout_now().contains("full").then_some(()));
    // Without swap the memory cannot go elsewhere.
    let document = r#"{"memory": {"limit": 8388608, "swap": 8388608, "checkBeforeUpdate": true}}"#;
    let output = update_json(&bundle, document).fails("linux.resources.memory.").complains("usage|uses more");
    let words = output.stderr.replace(|letter: char| !letter.is_ascii_digit(), " ");
    let tells = words.split(' ').filter_map(|word| word.parse::<u64>().ok()).any(|bytes| bytes > 30 * MIB);
    assert!(tells, "the usage is told: {}", output.stderr);
    assert_eq!(memory(&bundle), (128 * MIB).to_string());
    assert_eq!(bundle.status(), "running");
    // Above the usage the check has no objection.
    update_json(&bundle, r#"{"memory": {"limit": 100663296, "checkBeforeUpdate": true}}"#).ok();
    assert_eq!(memory(&bundle), (96 * MIB).to_string());
}

#[test]
fn device_rules_are_replaced() {
    // A device that everybody may open, if only the rules allow it.
    let Some((major, minor)) = [("fuse", (10, 229)), ("net/tun", (10, 200)), ("loop-control", (10, 237))]
        .into_iter()
        .find_map(|(name, number)| std::path::Path::new("/dev").join(name).exists().then_some(number))
    else {
        skip!("the host has none of the devices to try this with");
    };
    let device = json!({"path": "/dev/tried", "type": "c", "major": major, "minor": minor, "fileMode": 0o666});
    let bundle = Bundle::busybox().push("/linux/devices", device).sleeping();
    bundle.detached();
    let opened = || bundle.exec(&["sh", "-c", "exec 3< /dev/tried"]);
    let rule = |allow: bool| {
        let last = json!({"allow": allow, "type": "c", "major": major, "minor": minor, "access": "r"});
        json!({"devices": [{"allow": false, "access": "rwm"}, last]}).to_string()
    };
    opened().exits(1).complains("not permitted");
    update_json(&bundle, &rule(true)).ok();
    opened().ok();
    update(&bundle, &["--pids-limit", "77"]).ok();
    opened().ok();
    update_json(&bundle, &rule(false)).ok();
    opened().exits(1).complains("not permitted");
    bundle.exec(&["sh", "-c", "echo x > /dev/null"]).ok();
}
