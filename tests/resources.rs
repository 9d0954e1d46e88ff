//! Every property of `linux.resources`: what this host can apply is in the kernel's file, what it cannot is an error.

mod common;

use common::{Bundle, Value, eventually, host, json, skip};
use std::fs;

const MIB: u64 = 1 << 20;

/// A property, and what its file says then.
struct Case {
    /// The place below `linux.resources`.
    property: &'static str,
    value: Value,
    controller: &'static str,
    /// File and content on v1, if it exists there.
    v1: Option<(&'static str, String)>,
    /// File and content on v2.
    v2: Option<(&'static str, String)>,
}

fn case(
    property: &'static str,
    value: Value,
    controller: &'static str,
    v1: Option<(&'static str, &str)>,
    v2: Option<(&'static str, &str)>,
) -> Case {
    let own = |(file, text): (&'static str, &str)| (file, text.to_string());
    Case { property, value, controller, v1: v1.map(own), v2: v2.map(own) }
}

/// A block device of the host: its number as text, and both parts.
fn disk() -> Option<(String, u64, u64)> {
    let mut names: Vec<_> = fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.path()).collect();
    // Loop devices come and go; a real disk stays.
    names.sort_by_key(|path| path.to_string_lossy().contains("loop"));
    let number = fs::read_to_string(names.first()?.join("dev")).ok()?.trim().to_string();
    let (major, minor) = number.split_once(':')?;
    Some((number.clone(), major.parse().ok()?, minor.parse().ok()?))
}

/// The content of a file of the container's cgroup, in whichever hierarchy has it.
fn file(bundle: &Bundle, name: &str) -> Option<String> {
    let found = host::cgroup_dirs(&bundle.id).into_iter().find_map(|dir| fs::read_to_string(dir.join(name)).ok());
    found.map(|text| text.trim().to_string())
}

/// The bundle with this property alone.
fn only(bundle: Bundle, property: &str, value: &Value) -> Bundle {
    let denied = json!([{"allow": false, "access": "rwm"}]);
    bundle.without("/linux/resources").limit("devices", denied).limit(property, value.clone())
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "memory/limit",
            json!(64 * MIB),
            "memory",
            Some(("memory.limit_in_bytes", "67108864")),
            Some(("memory.max", "67108864")),
        ),
        case(
            "memory/reservation",
            json!(32 * MIB),
            "memory",
            Some(("memory.soft_limit_in_bytes", "33554432")),
            Some(("memory.low", "33554432")),
        ),
        case(
            "memory",
            json!({"limit": 64 * MIB, "swap": 80 * MIB}),
            "memory",
            Some(("memory.memsw.limit_in_bytes", "83886080")),
            Some(("memory.swap.max", "16777216")),
        ),
        case(
            "memory",
            json!({"limit": 64 * MIB, "swap": -1}),
            "memory",
            Some(("memory.limit_in_bytes", "67108864")),
            Some(("memory.swap.max", "max")),
        ),
        case(
            "memory/kernelTCP",
            json!(8 * MIB),
            "memory",
            Some(("memory.kmem.tcp.limit_in_bytes", "8388608")),
            Some(("memory.max", "max")),
        ),
        case("memory/swappiness", json!(10), "memory", Some(("memory.swappiness", "10")), None),
        case(
            "memory/disableOOMKiller",
            json!(true),
            "memory",
            Some(("memory.oom_control", "oom_kill_disable 1")),
            None,
        ),
        case("cpu/shares", json!(2048), "cpu", Some(("cpu.shares", "2048")), Some(("cpu.weight", "174"))),
        case("cpu/quota", json!(40_000), "cpu", Some(("cpu.cfs_quota_us", "40000")), Some(("cpu.max", "40000 100000"))),
        case("cpu/period", json!(20_000), "cpu", Some(("cpu.cfs_period_us", "20000")), Some(("cpu.max", "max 20000"))),
        case(
            "cpu",
            json!({"quota": 40_000, "burst": 10_000}),
            "cpu",
            Some(("cpu.cfs_burst_us", "10000")),
            Some(("cpu.max.burst", "10000")),
        ),
        case("cpu/realtimePeriod", json!(800_000), "cpu", Some(("cpu.rt_period_us", "800000")), None),
        case("cpu/realtimeRuntime", json!(2_000), "cpu", Some(("cpu.rt_runtime_us", "2000")), None),
        case("cpu/cpus", json!("0"), "cpuset", Some(("cpuset.cpus", "0")), Some(("cpuset.cpus", "0"))),
        case("cpu/mems", json!("0"), "cpuset", Some(("cpuset.mems", "0")), Some(("cpuset.mems", "0"))),
        case("cpu/idle", json!(1), "cpu", Some(("cpu.idle", "1")), Some(("cpu.idle", "1"))),
        case("pids/limit", json!(123), "pids", Some(("pids.max", "123")), Some(("pids.max", "123"))),
        case("network/classID", json!(1_048_577), "net_cls", Some(("net_cls.classid", "1048577")), None),
        case(
            "network/priorities",
            json!([{"name": "lo", "priority": 3}]),
            "net_prio",
            Some(("net_prio.ifpriomap", "lo 3")),
            None,
        ),
        case("unified", json!({"memory.high": "50331648"}), "memory", None, Some(("memory.high", "50331648"))),
        case("unified", json!({"cgroup.max.depth": "3"}), "cgroup", Some(("", "")), Some(("cgroup.max.depth", "3"))),
    ];
    if let Some((number, major, minor)) = disk() {
        let device = |name: &str, value: u64| json!([{"major": major, "minor": minor, name: value}]);
        for (property, v1, v2, rate) in [
            ("blockIO/throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", 1_048_576),
            ("blockIO/throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", 2_097_152),
            ("blockIO/throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", 300),
            ("blockIO/throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", 400),
        ] {
            let (v1, v2) = ((v1, format!("{number} {rate}")), ("io.max", format!("{v2}={rate}")));
            let value = device("rate", rate);
            cases.push(Case { property, value, controller: "blkio|io", v1: Some(v1), v2: Some(v2) });
        }
        for (property, value, suffix) in
            [("blockIO/weight", json!(500), ""), ("blockIO/weightDevice", device("weight", 500), "_device")]
        {
            let v1 = if suffix.is_empty() { "blkio.bfq.weight" } else { "blkio.bfq.weight_device" };
            let (v1, v2) = ((v1, "500".to_string()), ("io.bfq.weight", "500".to_string()));
            cases.push(Case { property, value, controller: "blkio|io", v1: Some(v1), v2: Some(v2) });
        }
    }
    cases
}

#[test]
fn every_property_is_in_the_kernels_file_or_says_what_is_missing() {
    // What this host has in a container's cgroup.
    let probe = Bundle::busybox();
    probe.create();
    let (mut bundle, mut applied) = (Bundle::busybox(), Vec::new());
    for Case { property, value, controller, v1, v2 } in cases() {
        let v2_here = common::is_v2() || v1.as_ref().is_some_and(|(file, _)| file.is_empty());
        let expected = if v2_here { v2 } else { v1 };
        bundle = only(bundle, property, &value);
        let output = bundle.berth(&["create", &bundle.id]);
        match expected.filter(|(name, _)| file(&probe, name).is_some()) {
            Some(_) if property.ends_with("weightDevice") && output.stderr.contains("EOPNOTSUPP") => {
                output.fails("linux.resources.blockIO.weightDevice[0]").complains("scheduler");
            }
            Some((name, content)) => {
                let output = output.ok();
                let text = file(&bundle, name).unwrap_or_else(|| panic!("{property}: no {name}\n{output}"));
                assert!(text.contains(&content), "{property}: {name} says {text:?}, not {content:?}");
                applied.push(property);
            }
            // Weights have another file where another I/O scheduler is at work.
            None if property.starts_with("blockIO/weight") && output.status == 0 => {
                let text = file(&bundle, "io.weight").unwrap_or_else(|| panic!("no io.weight\n{output}"));
                assert!(text.contains("4950"), "{text}");
            }
            None => {
                let field = property.replace('/', ".");
                let output = output.fails(&format!("linux.resources.{field}")).complains(controller);
                assert!(output.stderr.contains(". ") || output.stderr.lines().count() > 1, "a remedy: {output}");
                assert!(host::cgroup_dirs(&bundle.id).is_empty());
                host::skipped("every_property_is_in_the_kernels_file", &format!("{field}: only the error was tried"));
            }
        }
        bundle.delete_force();
    }
    assert!(applied.len() > 5, "this host can apply little: {applied:?}");
}

#[test]
fn all_properties_can_come_together() {
    for controller in ["memory", "cpu", "cpuset", "pids"] {
        if host::controller(controller).is_none() {
            skip!("the host has no {controller} controller");
        }
    }
    let bundle = Bundle::busybox()
        .limit("memory", json!({"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB, "useHierarchy": true}))
        .limit(
            "cpu",
            json!({"shares": 512, "quota": 40_000, "period": 80_000, "burst": 1_000, "cpus": "0", "mems": "0"}),
        )
        .limit("pids/limit", json!(20))
        .sleeping();
    bundle.detached();
    let files: &[(&str, &str)] = if common::is_v2() {
        &[
            ("memory.max", "67108864"),
            ("memory.swap.max", "33554432"),
            ("memory.low", "33554432"),
            ("cpu.weight", "59"),
            ("cpu.max", "40000 80000"),
            ("cpu.max.burst", "1000"),
            ("cpuset.cpus", "0"),
            ("pids.max", "20"),
        ]
    } else {
        &[
            ("memory.limit_in_bytes", "67108864"),
            ("memory.memsw.limit_in_bytes", "100663296"),
            ("memory.soft_limit_in_bytes", "33554432"),
            ("cpu.shares", "512"),
            ("cpu.cfs_quota_us", "40000"),
            ("cpu.cfs_period_us", "80000"),
            ("cpuset.cpus", "0"),
            ("pids.max", "20"),
        ]
    };
    for (name, value) in files {
        assert_eq!(file(&bundle, name).as_deref(), Some(*value), "{name}");
    }
}

#[test]
fn huge_pages_are_limited_in_use_and_in_reservation() {
    let sizes: Vec<u64> = fs::read_dir("/sys/kernel/mm/hugepages")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            entry.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()
        })
        .collect();
    let Some(kib) = sizes.into_iter().min() else { skip!("the kernel has no huge pages") };
    let size = if kib >= 1 << 20 { format!("{}GB", kib >> 20) } else { format!("{}MB", kib >> 10) };
    let bundle = Bundle::busybox().limit("hugepageLimits", json!([{"pageSize": size, "limit": 2 * kib * 1024}]));
    let output = bundle.berth(&["create", &bundle.id]);
    let controllers = fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers").unwrap_or_default();
    if host::controller("hugetlb").is_none() && !controllers.contains("hugetlb") {
        output.fails("linux.resources.hugepageLimits[0]").complains("hugetlb");
        skip!("the host has no hugetlb controller");
    }
    output.ok();
    let suffix = if host::controller("hugetlb").is_none() || common::is_v2() { "max" } else { "limit_in_bytes" };
    let expected = (2 * kib * 1024).to_string();
    assert_eq!(file(&bundle, &format!("hugetlb.{size}.{suffix}")), Some(expected.clone()));
    assert_eq!(file(&bundle, &format!("hugetlb.{size}.rsvd.{suffix}")), Some(expected));
    // A size that this machine has not got.
    let other = Bundle::busybox().limit("hugepageLimits", json!([{"pageSize": "3MB", "limit": 1}]));
    other.berth(&["create", &other.id]).fails("linux.resources.hugepageLimits[0]").complains(&size);
}

#[test]
fn rdma_is_limited_or_explained() {
    let bundle = Bundle::busybox().limit("rdma", json!({"mlx5_1": {"hcaHandles": 3, "hcaObjects": 100}}));
    let output = bundle.berth(&["create", &bundle.id]);
    output.fails("linux.resources.rdma").complains("mlx5_1").complains("rdma");
    bundle.assert_clean();
}

#[test]
fn swappiness_and_the_oom_killer_are_not_for_v2() {
    if !common::is_v2() {
        skip!("they are for cgroup v1");
    }
    for (name, value) in [("memory/swappiness", json!(10)), ("memory/disableOOMKiller", json!(true))] {
        let bundle = Bundle::busybox().limit(name, value);
        bundle.berth(&["create", &bundle.id]).fails(&name.replace('/', ".")).complains("cgroup v2");
    }
    let bundle = Bundle::busybox().limit("memory/disableOOMKiller", json!(false)).args(["echo", "fine"]);
    bundle.run().ok().prints("fine");
}

#[test]
fn limits_that_the_kernel_no_longer_has_are_ignored_with_a_warning() {
    if host::controller("memory").is_none() {
        skip!("the host has no memory controller");
    }
    for (value, words) in [
        (json!({"kernel": 8 * MIB}), "linux.resources.memory.kernel is ignored"),
        (json!({"useHierarchy": false}), "linux.resources.memory.useHierarchy"),
    ] {
        let bundle = Bundle::busybox().limit("memory", value).args(["echo", "fine"]);
        bundle.run().ok().prints("fine").complains(words);
    }
}

#[test]
fn impossible_values_are_explained_by_their_field() {
    let mut bundle = Bundle::busybox();
    for (property, value, words) in [
        ("memory/limit", json!(-2), "memory.limit"),
        ("memory/limit", json!("64m"), "memory.limit"),
        ("memory/reservation", json!(-7), "memory.reservation"),
        ("memory", json!({"limit": 100 * MIB, "swap": 50 * MIB}), "memory.swap"),
        ("memory/swap", json!(50 * MIB), "memory.swap"),
        ("memory/swappiness", json!(101), "memory.swappiness"),
        ("cpu/quota", json!(500), "cpu.quota"),
        ("cpu/period", json!(10), "cpu.period"),
        ("cpu/period", json!(2_000_000), "cpu.period"),
        ("cpu", json!({"quota": 5_000, "burst": 5_001}), "cpu.burst"),
        ("cpu/idle", json!(7), "cpu.idle"),
        ("cpu/cpus", json!("0-"), "cpu.cpus"),
        ("cpu/cpus", json!("2000"), "cpu.cpus"),
        ("cpu/mems", json!("600"), "cpu.mems"),
        ("pids/limit", json!("many"), "pids.limit"),
        ("blockIO/weight", json!(1001), "blockIO.weight"),
        ("blockIO/leafWeight", json!(500), "blockIO.leafWeight"),
        ("blockIO/throttleReadBpsDevice", json!([{"major": 4000, "minor": 77, "rate": 1}]), "throttleReadBpsDevice[0]"),
        ("blockIO/throttleReadBpsDevice", json!([{"major": -1, "minor": 0, "rate": 1}]), "throttleReadBpsDevice[0]"),
        ("hugepageLimits", json!([{"pageSize": "2 MB", "limit": 1}]), "hugepageLimits[0].pageSize"),
        ("network/priorities", json!([{"name": "", "priority": 1}]), "network.priorities[0]"),
        ("rdma", json!({"mlx": {}}), "rdma"),
        ("unified", json!({"../pids.max": "1"}), "unified"),
        ("unified", json!({"nonsense": "1"}), "unified"),
        ("devices", json!([{"allow": true, "type": "x", "access": "r"}]), "devices[0].type"),
        ("devices", json!([{"allow": true, "type": "c", "access": "q"}]), "devices[0].access"),
        ("devices", json!([{"allow": true, "type": "c", "major": -2, "access": "r"}]), "devices[0].major"),
    ] {
        bundle = only(bundle, property, &value);
        bundle.berth(&["create", &bundle.id]).fails(words);
        assert!(host::cgroup_dirs(&bundle.id).is_empty(), "{property}");
    }
    bundle.assert_clean();
}

#[test]
fn without_the_oom_killer_processes_wait() {
    if common::is_v2() || host::controller("memory").is_none() {
        skip!("only cgroup v1's memory controller can disable the OOM killer");
    }
    let bundle = Bundle::busybox()
        .limit("memory", json!({"limit": 24 * MIB, "swap": 24 * MIB, "disableOOMKiller": true}))
        .sh("dd if=/dev/zero of=/dev/shm/big bs=1M count=60; echo ended");
    let output = bundle.detached();
    eventually("the kernel is out of memory here", || {
        bundle.cgroup_file("memory", "memory.oom_control").contains("under_oom 1").then_some(())
    });
    assert!(!output.stdout_now().contains("ended"));
    bundle.delete_force();
}

#[test]
fn burst_and_quota_hold_whatever_came_before() {
    let Some(mount) = host::controller("cpu") else { skip!("the host has no cpu controller") };
    let bundle = Bundle::busybox();
    // An empty cgroup from before, with limits of its own.
    let directory = mount.join(&bundle.id);
    if common::is_v2() {
        fs::write(mount.join("cgroup.subtree_control"), "+cpu").unwrap();
    }
    fs::create_dir(&directory).unwrap();
    let before = if common::is_v2() {
        [("cpu.max", "50000 100000"), ("cpu.max.burst", "50000")]
    } else {
        [("cpu.cfs_quota_us", "50000"), ("cpu.cfs_burst_us", "50000")]
    };
    for (name, value) in before {
        fs::write(directory.join(name), value).unwrap();
    }
    let bundle = bundle.limit("cpu", json!({"quota": 20_000, "burst": 1_000}));
    bundle.create();
    let (quota, burst) =
        if common::is_v2() { ("cpu.max", "cpu.max.burst") } else { ("cpu.cfs_quota_us", "cpu.cfs_burst_us") };
    let expected = if common::is_v2() { "20000 100000" } else { "20000" };
    assert_eq!(file(&bundle, quota).as_deref(), Some(expected));
    assert_eq!(file(&bundle, burst).as_deref(), Some("1000"));
}
