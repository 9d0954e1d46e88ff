//! Each bad configuration is a good one with a single value changed; the message must start with the field's name.

use super::{runnable, validate};
use crate::bundle::config::Config;
use crate::error::Error;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A configuration with a bit of everything, so that a table row changes one value.
fn good() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "hostname": "h", "domainname": "d",
        "annotations": {"a": ""},
        "process": {"cwd": "/", "args": ["sh", "-c"], "env": ["A=b", "EMPTY="], "user": {"uid": 0, "umask": 18},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
            {"destination": "/m", "source": "/m", "options": ["bind", "idmap"],
                "uidMappings": [{"containerID": 0, "hostID": 5, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": 5, "size": 1}]}],
        "hooks": {"poststop": [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 1}]},
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc", "path": ""},
                {"type": "network", "path": "/run/netns/a"}, {"type": "user"}, {"type": "time"}, {"type": "cgroup"}],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 10, "hostID": 1, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 4294966295u32}],
            "timeOffsets": {"monotonic": {"secs": -1, "nanosecs": 999999999}},
            "sysctl": {"net.ipv4.ip_forward": "1", "kernel.sem": "1 2 3 4", "kernel/shmmax": "1", "fs.mqueue.msg_max": "1",
                "kernel.domainname": "x"},
            "devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "fileMode": 8630}, {"type": "p", "path": "/f"}],
            "cgroupsPath": "/a/b", "rootfsPropagation": "rslave",
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "personality": {"domain": "LINUX32"},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1,3", "flags": ["MPOL_F_STATIC_NODES"]},
            "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/run/agent", "listenerMetadata": "m",
                "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW",
                        "args": [{"index": 5, "value": 1, "op": "SCMP_CMP_EQ"}]},
                    {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]},
            "resources": {
                "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": -1, "minor": 0}],
                "memory": {"limit": 10, "swap": 10, "reservation": -1, "swappiness": 100},
                "cpu": {"period": 1000, "quota": -1, "cpus": "0-3,7", "mems": "", "idle": 1},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
                "blockIO": {"weight": 0, "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
                    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]},
                "network": {"classID": 1, "priorities": [{"name": "eth0", "priority": 1}]},
                "rdma": {"mlx5_1": {"hcaHandles": 3}},
                "unified": {"memory.high": "max"},
                "pids": {"limit": 0}
            }
        }
    })
}

fn check(config: &Value) -> crate::error::Result<()> {
    validate(&serde_json::from_value::<Config>(config.clone()).expect("the types are right"))
}

/// Sets the value at a path like `linux.devices.0.type`, making objects on the way; `null` removes it.
fn set(config: &mut Value, path: &str, value: Value) {
    let mut place = config;
    for key in path.split('.') {
        place = match key.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[key],
        };
    }
    *place = value;
}

fn scheduler(policy: &str, rest: Value) -> Value {
    let mut scheduler = rest;
    scheduler["policy"] = policy.into();
    scheduler
}

/// Path of the value, the value, how the message starts.
fn bad() -> Vec<(&'static str, Value, &'static str)> {
    let map = |c: u32, h: u32, s: u32| json!([{"containerID": c, "hostID": h, "size": s}]);
    let two = |c: u32, h: u32| json!([{"containerID": 0, "hostID": 0, "size": 9}, {"containerID": c, "hostID": h, "size": 9}]);
    let policy = |mode: &str, nodes: &str, flags: &[&str]| json!({"mode": mode, "nodes": nodes, "flags": flags});
    let network_only =
        json!([{"type": "network"}, {"type": "mount"}, {"type": "uts"}, {"type": "user"}, {"type": "time"}]);
    let no = |kind: &str| {
        let all = good()["linux"]["namespaces"].as_array().unwrap().clone();
        Value::from(all.into_iter().filter(|namespace| namespace["type"] != kind).collect::<Vec<_>>())
    };
    vec![
        ("ociVersion", json!(""), "ociVersion: \"\" is not a version"),
        ("ociVersion", json!("2.0.0"), "ociVersion: \"2.0.0\""),
        ("ociVersion", json!("1.0"), "ociVersion: "),
        ("ociVersion", json!("one"), "ociVersion: "),
        ("root", Value::Null, "root: is missing"),
        ("root.path", json!(""), "root.path: is empty"),
        ("root.path", json!("a\0b"), "root.path: \"a\\0b\" has a NUL byte"),
        ("hostname", json!("a".repeat(65)), "hostname: "),
        ("hostname", json!("a\0"), "hostname: "),
        ("domainname", json!("a".repeat(65)), "domainname: "),
        ("linux.namespaces", no("uts"), "hostname: \"h\" cannot be set without a private UTS namespace"),
        ("annotations", json!({"": "x"}), "annotations: "),
        ("process.args", json!([]), "process.args: must not be empty"),
        ("process.args", json!([""]), "process.args[0]: is empty"),
        ("process.args", json!(["sh", "a\0"]), "process.args[1]: "),
        ("process.cwd", json!(""), "process.cwd: is empty"),
        ("process.cwd", json!("tmp"), "process.cwd: \"tmp\" is not absolute"),
        ("process.cwd", json!("/a\0"), "process.cwd: "),
        ("process.env", json!(["A=b", "PATH"]), "process.env[1]: \"PATH\" is not of the form"),
        ("process.env", json!(["=b"]), "process.env[0]: "),
        ("process.env", json!(["A=b\0"]), "process.env[0]: "),
        ("process.user.uid", json!(4294967295u32), "process.user.uid: "),
        ("process.user.gid", json!(4294967295u32), "process.user.gid: "),
        ("process.user.additionalGids", json!([1, 4294967295u32]), "process.user.additionalGids[1]: "),
        ("process.user.umask", json!(4096), "process.user.umask: "),
        ("process.rlimits.0.type", json!("RLIMIT_X"), "process.rlimits[0].type: \"RLIMIT_X\" is unknown"),
        ("process.rlimits.0.soft", json!(3), "process.rlimits[0].soft: 3 is greater than the hard limit 2"),
        (
            "process.rlimits",
            json!([{"type": "RLIMIT_AS", "soft": 1, "hard": 1}, {"type": "RLIMIT_AS", "soft": 1, "hard": 1}]),
            "process.rlimits[1].type: RLIMIT_AS is already set",
        ),
        ("process.apparmorProfile", json!("a\0"), "process.apparmorProfile: "),
        ("process.selinuxLabel", json!("a\0"), "process.selinuxLabel: "),
        ("process.oomScoreAdj", json!(1001), "process.oomScoreAdj: 1001 is out of range"),
        ("process.oomScoreAdj", json!(-1001), "process.oomScoreAdj: "),
        ("process.ioPriority", json!({"class": "RT"}), "process.ioPriority.class: "),
        ("process.ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8}), "process.ioPriority.priority: "),
        ("process.scheduler", scheduler("SCHED_ISO", json!({})), "process.scheduler.policy: "),
        ("process.scheduler", scheduler("SCHED_RR", json!({})), "process.scheduler.priority: "),
        ("process.scheduler", scheduler("SCHED_OTHER", json!({"priority": 1})), "process.scheduler.priority: "),
        ("process.scheduler", scheduler("SCHED_BATCH", json!({"nice": 20})), "process.scheduler.nice: "),
        ("process.scheduler", scheduler("SCHED_IDLE", json!({"flags": ["X"]})), "process.scheduler.flags[0]: "),
        ("process.scheduler", scheduler("SCHED_OTHER", json!({"runtime": 9999})), "process.scheduler: runtime"),
        (
            "process.scheduler",
            scheduler("SCHED_DEADLINE", json!({"runtime": 9999, "deadline": 1})),
            "process.scheduler: ",
        ),
        ("process.execCPUAffinity", json!({"initial": "0-"}), "process.execCPUAffinity.initial: "),
        ("process.execCPUAffinity", json!({"final": "3-1"}), "process.execCPUAffinity.final: "),
        ("mounts.0.destination", json!(""), "mounts[0].destination: is empty"),
        ("mounts.0.destination", json!("/a\0"), "mounts[0].destination: "),
        ("mounts.0.source", json!("a\0"), "mounts[0].source: "),
        ("mounts.0.type", json!("a\0"), "mounts[0].type: "),
        ("mounts.0.options", json!(["ro", "a\0"]), "mounts[0].options[1]: "),
        ("mounts.1.uidMappings", json!([]), "mounts[1].uidMappings: is missing"),
        ("mounts.1.gidMappings", json!([]), "mounts[1].gidMappings: is missing"),
        ("mounts.1.uidMappings", map(0, 0, 0), "mounts[1].uidMappings[0].size: is 0"),
        ("mounts.1.options", json!(["ro"]), "mounts[1].uidMappings: are only supported for bind mounts"),
        ("hooks.poststop.0.path", json!("true"), "hooks.poststop[0].path: \"true\" is not absolute"),
        ("hooks.poststop.0.timeout", json!(0), "hooks.poststop[0].timeout: 0 is not greater than zero"),
        ("hooks.poststop.0.timeout", json!(-1), "hooks.poststop[0].timeout: "),
        ("hooks.poststop.0.args", json!(["a\0"]), "hooks.poststop[0].args[0]: "),
        ("hooks.poststop.0.env", json!(["a=\0"]), "hooks.poststop[0].env[0]: "),
        ("linux.namespaces.0.type", json!("net"), "linux.namespaces[0].type: \"net\" is unknown"),
        (
            "linux.namespaces.0.type",
            json!("uts"),
            "linux.namespaces[2].type: \"uts\" is already in linux.namespaces[0]",
        ),
        ("linux.namespaces.0.path", json!("proc/1/ns/pid"), "linux.namespaces[0].path: "),
        ("linux.namespaces", no("user"), "linux.uidMappings: are there, but the container has no user namespace"),
        ("linux.uidMappings", json!([]), "linux.uidMappings: is missing"),
        ("linux.gidMappings", json!([]), "linux.gidMappings: is missing"),
        ("linux.uidMappings", map(0, 0, 0), "linux.uidMappings[0].size: is 0"),
        ("linux.uidMappings", map(1, 0, u32::MAX), "linux.uidMappings[0]: reaches beyond the last id"),
        ("linux.gidMappings", map(0, u32::MAX, 1), "linux.gidMappings[0]: reaches beyond"),
        ("linux.uidMappings", two(8, 100), "linux.uidMappings[1]: overlaps linux.uidMappings[0]"),
        ("linux.uidMappings", two(9, 8), "linux.uidMappings[1]: overlaps linux.uidMappings[0]"),
        ("linux.namespaces.6.path", json!("/proc/1/ns/time"), "linux.timeOffsets: needs a new time namespace"),
        ("linux.timeOffsets", json!({"realtime": {}}), "linux.timeOffsets: \"realtime\" is unknown"),
        ("linux.timeOffsets.monotonic.nanosecs", json!(1000000000), "linux.timeOffsets.monotonic.nanosecs: "),
        ("linux.sysctl", json!({"kernel.core_pattern": "|/x"}), "linux.sysctl[\"kernel.core_pattern\"]: "),
        ("linux.sysctl", json!({"kernel.hostname": "x"}), "linux.sysctl[\"kernel.hostname\"]: conflicts with"),
        ("linux.sysctl", json!({"net/../kernel/core_pattern": "x"}), "linux.sysctl[\"net/../kernel/core_pattern\"]: "),
        ("linux.sysctl", json!({"net.x": "a\0"}), "linux.sysctl[\"net.x\"]: "),
        ("linux.sysctl", json!({"vm.swappiness": "1"}), "linux.sysctl[\"vm.swappiness\"]: "),
        ("linux.namespaces", no("network"), "linux.sysctl[\"net.ipv4.ip_forward\"]: needs a private network namespace"),
        ("linux.namespaces", network_only, "linux.sysctl[\"fs.mqueue.msg_max\"]: needs a private ipc namespace"),
        ("linux.devices.0.type", json!("d"), "linux.devices[0].type: "),
        ("linux.devices.0.path", json!("dev/x"), "linux.devices[0].path: "),
        ("linux.devices.0.major", Value::Null, "linux.devices[0].major: is missing for /dev/x"),
        ("linux.devices.0.minor", json!(-1), "linux.devices[0].minor: "),
        ("linux.devices.0.fileMode", json!(65536), "linux.devices[0].fileMode: "),
        ("linux.devices.0.uid", json!(4294967295u32), "linux.devices[0].uid: "),
        ("linux.cgroupsPath", json!("/a/../../b"), "linux.cgroupsPath: "),
        ("linux.cgroupsPath", json!("a\0"), "linux.cgroupsPath: "),
        ("linux.rootfsPropagation", json!("public"), "linux.rootfsPropagation: \"public\" is unknown"),
        ("linux.maskedPaths", json!(["proc"]), "linux.maskedPaths[0]: "),
        ("linux.readonlyPaths", json!(["/a", "/b\0"]), "linux.readonlyPaths[1]: "),
        ("linux.namespaces", no("mount"), "linux.maskedPaths: needs a private mount namespace"),
        ("linux.mountLabel", json!("\0"), "linux.mountLabel: "),
        ("linux.personality.domain", json!("BSD"), "linux.personality.domain: "),
        ("linux.personality.flags", json!(["X"]), "linux.personality.flags: "),
        ("linux.memoryPolicy", policy("BIND", "0", &[]), "linux.memoryPolicy.mode: "),
        ("linux.memoryPolicy", policy("MPOL_BIND", "", &[]), "linux.memoryPolicy.nodes: is empty"),
        ("linux.memoryPolicy", policy("MPOL_BIND", "a", &[]), "linux.memoryPolicy.nodes: \"a\""),
        ("linux.memoryPolicy", policy("MPOL_LOCAL", "0", &[]), "linux.memoryPolicy.nodes: "),
        ("linux.memoryPolicy", policy("MPOL_BIND", "0", &["X"]), "linux.memoryPolicy.flags[0]: "),
        (
            "linux.memoryPolicy",
            policy("MPOL_INTERLEAVE", "0", &["MPOL_F_NUMA_BALANCING"]),
            "linux.memoryPolicy.flags: ",
        ),
        (
            "linux.memoryPolicy",
            policy("MPOL_BIND", "0", &["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]),
            "linux.memoryPolicy.flags: ",
        ),
        ("linux.seccomp.defaultAction", json!("ALLOW"), "linux.seccomp.defaultAction: "),
        ("linux.seccomp.defaultAction", json!("SCMP_ACT_NOTIFY"), "linux.seccomp.defaultAction: "),
        ("linux.seccomp.defaultAction", json!("SCMP_ACT_KILL"), "linux.seccomp.defaultErrnoRet: 38 does not go with"),
        ("linux.seccomp.defaultErrnoRet", json!(4096), "linux.seccomp.defaultErrnoRet: "),
        ("linux.seccomp.architectures", json!(["x86"]), "linux.seccomp.architectures[0]: "),
        ("linux.seccomp.flags", json!(["LOG"]), "linux.seccomp.flags[0]: "),
        ("linux.seccomp.listenerPath", Value::Null, "linux.seccomp.listenerPath: is missing"),
        ("linux.seccomp.syscalls.0.names", json!([]), "linux.seccomp.syscalls[0].names: "),
        ("linux.seccomp.syscalls.0.action", json!("X"), "linux.seccomp.syscalls[0].action: "),
        ("linux.seccomp.syscalls.0.action", json!("SCMP_ACT_NOTIFY"), "linux.seccomp.syscalls[0].action: "),
        ("linux.seccomp.syscalls.0.errnoRet", json!(1), "linux.seccomp.syscalls[0].errnoRet: "),
        ("linux.seccomp.syscalls.0.args.0.index", json!(6), "linux.seccomp.syscalls[0].args[0].index: "),
        ("linux.seccomp.syscalls.0.args.0.op", json!("=="), "linux.seccomp.syscalls[0].args[0].op: "),
        (
            "linux.seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
            "linux.seccomp.listenerMetadata: ",
        ),
        ("linux.resources.devices.0.type", json!("p"), "linux.resources.devices[0].type: "),
        ("linux.resources.devices.0.access", json!("x"), "linux.resources.devices[0].access: "),
        ("linux.resources.devices.0.major", json!(-2), "linux.resources.devices[0].major: "),
        ("linux.resources.memory.limit", json!(-2), "linux.resources.memory.limit: "),
        ("linux.resources.memory.swap", json!(9), "linux.resources.memory.swap: 9 is less than the memory limit 10"),
        ("linux.resources.memory.swappiness", json!(101), "linux.resources.memory.swappiness: "),
        ("linux.resources.cpu.period", json!(999), "linux.resources.cpu.period: "),
        ("linux.resources.cpu.quota", json!(999), "linux.resources.cpu.quota: "),
        ("linux.resources.cpu.idle", json!(2), "linux.resources.cpu.idle: "),
        ("linux.resources.cpu.cpus", json!("0,,1"), "linux.resources.cpu.cpus: "),
        ("linux.resources.cpu.mems", json!("+1"), "linux.resources.cpu.mems: "),
        ("linux.resources.hugepageLimits.0.pageSize", json!("64kB"), "linux.resources.hugepageLimits[0].pageSize: "),
        ("linux.resources.hugepageLimits.0.pageSize", json!("../x"), "linux.resources.hugepageLimits[0].pageSize: "),
        ("linux.resources.blockIO.weight", json!(9), "linux.resources.blockIO.weight: "),
        ("linux.resources.blockIO.leafWeight", json!(1001), "linux.resources.blockIO.leafWeight: "),
        ("linux.resources.blockIO.weightDevice.0.weight", json!(1), "linux.resources.blockIO.weightDevice[0].weight: "),
        (
            "linux.resources.blockIO.throttleReadBpsDevice.0.major",
            json!(-1),
            "linux.resources.blockIO.throttleReadBpsDevice[0]: ",
        ),
        ("linux.resources.network.priorities.0.name", json!(""), "linux.resources.network.priorities[0].name: "),
        ("linux.resources.rdma", json!({"a b": {}}), "linux.resources.rdma: "),
        ("linux.resources.unified", json!({"../memory.max": "1"}), "linux.resources.unified[\"../memory.max\"]: "),
    ]
}

#[test]
fn a_configuration_with_everything_is_accepted() {
    check(&good()).unwrap();
}

#[test]
fn each_bad_value_is_refused_by_the_name_of_its_field() {
    let table = bad();
    assert!(table.len() >= 80, "{}", table.len());
    let wrong: Vec<_> = table
        .iter()
        .filter_map(|(path, value, wanted)| {
            let mut config = good();
            set(&mut config, path, value.clone());
            let message = check(&config).err().map(|error| error.to_string());
            let matches =
                message.as_deref().is_some_and(|message| message.starts_with(wanted) && message.contains(". "));
            (!matches).then(|| format!("{path} = {value}: wanted {wanted:?}, got {message:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_mapping_for_a_namespace_that_is_joined_is_accepted() {
    let mut config = good();
    set(&mut config, "linux.namespaces.5.path", json!("/proc/1/ns/user"));
    check(&config).unwrap();
}

#[test]
fn an_idmapped_mount_needs_a_mapping_from_somewhere() {
    let mount = json!({"destination": "/a", "source": "/a", "options": ["bind", "idmap"]});
    let config = json!({"ociVersion": "1.0.0", "root": {"path": "r"}, "mounts": [mount]});
    assert!(check(&config).unwrap_err().to_string().starts_with("mounts[0].options: \"idmap\" has no mapping"));
}

#[test]
fn scheduling_policies_have_their_own_parameters() {
    for (policy, rest) in [
        ("SCHED_OTHER", json!({"nice": -20})),
        ("SCHED_FIFO", json!({"priority": 99, "flags": ["SCHED_FLAG_RESET_ON_FORK"]})),
        ("SCHED_DEADLINE", json!({"runtime": 1024, "deadline": 2000, "period": 3000})),
    ] {
        let mut config = good();
        set(&mut config, "process.scheduler", scheduler(policy, rest));
        check(&config).unwrap();
    }
}

#[test]
fn only_what_shall_run_needs_a_process() {
    let config: Config = serde_json::from_value(json!({"ociVersion": "1.0.0", "root": {"path": "r"}})).unwrap();
    validate(&config).unwrap();
    assert!(runnable(&config).unwrap_err().to_string().starts_with("process: is missing"));
}

fn examples(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema/config").join(kind);
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_specification_s_examples_are_judged_as_its_schema_does() {
    let judge = |path: &PathBuf| {
        let config: Config =
            serde_json::from_slice(&fs::read(path).unwrap()).map_err(|error| Error::new(error.to_string()))?;
        validate(&config)
    };
    for path in examples("good") {
        let verdict = judge(&path);
        if path.ends_with("freebsd-example.json") || path.ends_with("zos-example.json") {
            // Other systems have no uts namespaces; on Linux the host itself would be renamed.
            assert!(verdict.unwrap_err().to_string().starts_with("hostname: "), "{}", path.display());
        } else {
            verdict.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    let accepted: Vec<_> = examples("bad").into_iter().filter(|path| judge(path).is_ok()).collect();
    assert_eq!(accepted, Vec::<PathBuf>::new());
    assert!(examples("good").len() >= 9 && examples("bad").len() >= 5);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_checks_panic(text in "\\PC*", index in 0..5usize) {
        let field = ["linux.resources.cpu.cpus", "ociVersion", "linux.cgroupsPath", "process.cwd",
            "linux.resources.hugepageLimits.0.pageSize"][index];
        let mut config = good();
        set(&mut config, field, text.into());
        let _ = check(&config);
    }
}
