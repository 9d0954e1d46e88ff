//! `events`: what a container uses, in the shape of runc's that engines parse, and news of the OOM killer.

mod common;

use common::{Bundle, Running, Value, eventually, host, json, skip};
use std::fs;

const MIB: u64 = 1 << 20;

/// The events that a command has printed so far, one a line.
#[track_caller]
fn parse(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.collect()
}

fn printed(events: &Running) -> Vec<Value> {
    let text = events.stdout_now();
    // The last line may not be whole yet.
    parse(text.rsplit_once('\n').map_or("", |(whole, _)| whole))
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["type"] == kind).count()
}

#[track_caller]
fn stats(bundle: &Bundle) -> Value {
    let output = bundle.berth(&["events", "--stats", &bundle.id]).ok();
    let mut events = parse(&output.stdout);
    assert_eq!(events.len(), 1, "one report, one line: {output}");
    let mut event = events.remove(0);
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(bundle.id)));
    assert_eq!(event.as_object().unwrap().len(), 3, "{event}");
    event["data"].take()
}

/// Demands an object with exactly these members (`?` marks those that may be missing), all of them numbers.
#[track_caller]
fn numbers(value: &Value, place: &str, members: &[&str]) {
    members_of(value, place, members);
    for (name, number) in value.as_object().unwrap() {
        assert!(number.is_u64() || number.is_i64() || number.is_f64(), "{place}.{name} is {number}");
    }
}

/// Demands an object with exactly these members; `?` marks those that may be missing.
#[track_caller]
fn members_of(value: &Value, place: &str, members: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("{place} is {value}"));
    for member in members.iter().filter(|member| !member.ends_with('?')) {
        assert!(object.contains_key(*member), "{place} lacks {member}: {value}");
    }
    for name in object.keys() {
        let known = members.iter().any(|member| member.trim_end_matches('?') == name);
        assert!(known, "{place} has {name}, which callers do not know");
    }
}

/// Demands pressure stall information, if there is any.
#[track_caller]
fn pressure(value: &Value, place: &str) {
    if !value.is_null() {
        members_of(value, place, &["some", "full"]);
        for kind in ["some", "full"] {
            numbers(&value[kind], place, &["avg10", "avg60", "avg300", "total"]);
        }
    }
}

#[test]
fn a_report_has_every_member_that_engines_parse_and_no_other() {
    let bundle = Bundle::busybox().limit("memory/limit", json!(64 * MIB)).limit("pids/limit", json!(30)).sleeping();
    bundle.detached();
    let data = stats(&bundle);
    let all = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"];
    members_of(&data, "data", &all);

    let cpu = &data["cpu"];
    members_of(cpu, "cpu", &["usage", "throttling", "psi?"]);
    members_of(&cpu["usage"], "cpu.usage", &["total?", "percpu?", "percpu_kernel?", "percpu_user?", "kernel", "user"]);
    numbers(&cpu["throttling"], "cpu.throttling", &["periods?", "throttledPeriods?", "throttledTime?"]);
    pressure(&cpu["psi"], "cpu.psi");

    let set = [
        "cpus?",
        "cpu_exclusive",
        "mems?",
        "mem_hardwall",
        "mem_exclusive",
        "memory_migrate",
        "memory_spread_page",
        "memory_spread_slab",
        "memory_pressure",
        "sched_load_balance",
        "sched_relax_domain_level",
    ];
    members_of(&data["cpuset"], "cpuset", &set);

    let memory = &data["memory"];
    members_of(memory, "memory", &["cache?", "usage", "swap", "kernel", "kernelTCP", "raw?", "psi?"]);
    for kind in ["usage", "swap", "kernel", "kernelTCP"] {
        numbers(&memory[kind], &format!("memory.{kind}"), &["limit", "usage?", "max?", "failcnt"]);
    }
    pressure(&memory["psi"], "memory.psi");

    numbers(&data["pids"], "pids", &["current?", "limit?"]);

    let blkio = data["blkio"].as_object().unwrap();
    for (name, entries) in blkio.iter().filter(|(name, _)| *name != "psi") {
        let known = [
            "ioServiceBytesRecursive",
            "ioServicedRecursive",
            "ioQueueRecursive",
            "ioServiceTimeRecursive",
            "ioWaitTimeRecursive",
            "ioMergedRecursive",
            "ioTimeRecursive",
            "sectorsRecursive",
        ];
        assert!(known.contains(&name.as_str()), "{name}");
        for entry in entries.as_array().unwrap() {
            members_of(entry, name, &["major?", "minor?", "op?", "value?"]);
        }
    }
    pressure(&data["blkio"]["psi"], "blkio.psi");

    for (size, entry) in data["hugetlb"].as_object().unwrap() {
        assert!(size.ends_with('B'), "{size}");
        numbers(entry, "hugetlb", &["usage?", "max?", "failcnt"]);
    }
    assert_eq!((&data["intel_rdt"], &data["network_interfaces"]), (&json!({}), &Value::Null));
}

#[test]
fn the_numbers_are_the_kernels() {
    let bundle = Bundle::busybox()
        .limit("memory/limit", json!(64 * MIB))
        .limit("pids/limit", json!(30))
        .limit("cpu", json!({"cpus": "0", "mems": "0", "quota": 10_000, "period": 100_000}))
        .sh("dd if=/dev/zero of=/dev/shm/big bs=1M count=10; echo full; while :; do :; done");
    for controller in ["memory", "pids", "cpu", "cpuset"] {
        if host::controller(controller).is_none() {
            skip!("the host has no {controller} controller");
        }
    }
    let output = bundle.detached();
    eventually("memory is used", || output.stdout_now().contains("full").then_some(()));
    let data = eventually("it is throttled for milliseconds", || {
        let data = stats(&bundle);
        (data["cpu"]["throttling"]["throttledTime"].as_u64() > Some(1_000_000)).then_some(data)
    });
    let current: u64 = bundle.cgroup_file("pids", "pids.current").parse().unwrap();
    assert_eq!(data["pids"], json!({"current": current, "limit": 30}));
    let memory = &data["memory"];
    assert_eq!(memory["usage"]["limit"], 64 * MIB);
    let usage = memory["usage"]["usage"].as_u64().unwrap();
    assert!((10 * MIB..64 * MIB).contains(&usage), "{usage}");
    assert!(memory["cache"].as_u64().unwrap() >= 10 * MIB && memory["raw"].as_object().unwrap().len() > 10);
    let cpu = &data["cpu"];
    let [total, user, kernel] = ["total", "user", "kernel"].map(|name| cpu["usage"][name].as_u64().unwrap());
    // Nanoseconds: it was stopped after ten milliseconds at the earliest.
    assert!(total > 1_000_000 && total >= user.max(kernel) / 2, "{cpu}");
    let files = if common::is_v2() { ("cpu", "cpu.stat") } else { ("cpuacct", "cpuacct.usage") };
    let text = bundle.cgroup_file(files.0, files.1);
    let kernel_total: u64 = match text.lines().find_map(|line| line.strip_prefix("usage_usec ")) {
        Some(micros) => micros.parse::<u64>().unwrap() * 1000,
        None => text.parse().unwrap(),
    };
    assert!(total <= kernel_total && kernel_total / 10 < total, "{total} {kernel_total}");
    assert!(cpu["throttling"]["periods"].as_u64().unwrap() > 0, "{cpu}");
    if !common::is_v2() {
        assert_eq!((&data["cpuset"]["cpus"], &data["cpuset"]["mems"]), (&json!([0]), &json!([0])));
    } else if fs::exists("/proc/pressure/cpu").unwrap() {
        assert!(data["cpu"]["psi"]["some"]["total"].is_u64(), "{data}");
    }
}

#[test]
fn reports_come_at_the_interval_until_the_container_ends() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let events = bundle.cmd(&["events", "--interval", "50ms", &bundle.id]).spawn();
    eventually("three reports", || (count(&printed(&events), "stats") >= 3).then_some(()));
    bundle.kill("KILL");
    let output = events.wait().ok();
    assert!(parse(&output.stdout).iter().all(|event| event["type"] == "stats"), "{output}");
}

#[test]
fn a_long_interval_does_not_delay_the_end() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let events = bundle.cmd(&["events", "--follow", "--interval=10h", &bundle.id]).spawn();
    eventually("the first report", || (count(&printed(&events), "stats") == 1).then_some(()));
    bundle.delete_force();
    let output = events.wait().ok();
    assert_eq!(count(&parse(&output.stdout), "stats"), 1, "{output}");
}

#[test]
fn the_oom_killer_is_reported() {
    if host::controller("memory").is_none() {
        skip!("the host has no memory controller");
    }
    let bundle = Bundle::busybox()
        .limit("memory", json!({"limit": 24 * MIB, "swap": 24 * MIB}))
        .sh("while [ ! -e /dev/shm/go ]; do usleep 20000; done; dd if=/dev/zero of=/dev/shm/big bs=1M count=60
            rm -f /dev/shm/big; echo survived; sleep 1000");
    let output = bundle.detached();
    let events = bundle.cmd(&["events", "--interval", "1h", &bundle.id]).spawn();
    eventually("it watches", || (!printed(&events).is_empty()).then_some(()));
    bundle.inside("touch /dev/shm/go");
    eventually("dd is killed", || output.stdout_now().contains("survived").then_some(()));
    eventually("the event", || (count(&printed(&events), "oom") > 0).then_some(()));
    let oom = printed(&events).into_iter().find(|event| event["type"] == "oom").unwrap();
    assert_eq!(oom, json!({"type": "oom", "id": bundle.id}));
    assert_eq!(bundle.status(), "running", "its init lives on");
    bundle.delete_force();
    events.wait().ok();
}

#[test]
fn an_oom_kill_that_ends_the_container_is_reported_too() {
    if host::controller("memory").is_none() {
        skip!("the host has no memory controller");
    }
    let bundle = Bundle::busybox()
        .limit("memory", json!({"limit": 24 * MIB, "swap": 24 * MIB}))
        .sh("while [ ! -e /dev/shm/go ]; do usleep 20000; done; exec dd if=/dev/zero of=/dev/shm/big bs=1M count=60");
    bundle.detached();
    let events = bundle.cmd(&["events", "--interval", "1h", &bundle.id]).spawn();
    eventually("it watches", || (!printed(&events).is_empty()).then_some(()));
    bundle.inside("touch /dev/shm/go");
    let output = events.wait().ok();
    assert!(count(&parse(&output.stdout), "oom") > 0, "{output}");
    bundle.until_status("stopped");
}

#[test]
fn created_and_paused_containers_are_watched_too() {
    let bundle = Bundle::busybox().sleeping();
    bundle.create();
    stats(&bundle);
    bundle.start();
    bundle.berth(&["pause", &bundle.id]).ok();
    stats(&bundle);
    bundle.berth(&["resume", &bundle.id]).ok();
}

#[test]
fn a_reader_who_goes_ends_it_without_noise() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let (reader, writer) = std::io::pipe().unwrap();
    let events = bundle.cmd(&["events", "--interval", "20ms", &bundle.id]).stdout(writer).spawn();
    drop(reader);
    let output = events.wait();
    assert!(output.stderr.is_empty(), "{output}");
}

#[test]
fn mistakes_are_explained() {
    let bundle = Bundle::busybox().args(["true"]);
    bundle.detached();
    bundle.until_status("stopped");
    bundle.berth(&["events", &bundle.id]).fails("not running");
    bundle.berth(&["events", "--stats", &bundle.id]).fails("not running");
    bundle.berth(&["events", "nobody"]).fails("does not exist");
    for interval in ["0", "0s", "-1s", "5", "soon"] {
        bundle.berth(&["events", &format!("--interval={interval}"), &bundle.id]).fails("--interval");
    }
}
