//! Everything that can be wrong with what berth is given: one clear line on standard error and in the log, the right
//! exit status, nothing left behind.

mod common;

use common::{Bundle, Output, Value, host, json};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One mistake: its name, how a good bundle gets it, and words that the message must have.
type Case = (&'static str, fn(Bundle) -> Bundle, &'static [&'static str]);

/// Runs `create` with a log in JSON and checks all that holds for every failure.
fn complains(bundle: &Bundle, words: &[&str]) -> Output {
    let log = bundle.path("log.json");
    let _ = fs::remove_file(&log);
    let log_path = log.display().to_string();
    let output = bundle.berth(&["--log", &log_path, "--log-format", "json", "create", &bundle.id]).exits(1);
    assert_eq!(output.stderr.lines().count(), 1, "one line: {output}");
    let text = output.stderr.to_lowercase();
    for word in words {
        assert!(text.contains(&word.to_lowercase()), "no {word:?}: {output}");
    }
    assert!(!text.contains("panicked"), "{output}");
    let log = fs::read_to_string(log).unwrap_or_default();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let errors: Vec<_> = events.iter().filter(|event| event["level"] == "error").collect();
    assert_eq!(errors.len(), 1, "one error in the log: {log}");
    let message = errors[0]["msg"].as_str().unwrap_or_default();
    assert!(output.stderr.contains(message.trim_end()), "the log says {message:?}: {output}");
    assert!(errors[0]["time"].as_str().is_some_and(|time| time.contains('T')), "{log}");
    output
}

/// Checks a table of mistakes, and names all of those that are not answered well.
fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (name, spoil, words) in cases {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let bundle = spoil(Bundle::busybox());
            complains(&bundle, words);
            bundle.assert_clean();
        }));
        if let Err(panic) = outcome {
            let text = panic.downcast_ref::<String>().cloned();
            wrong.push(format!("* {name}: {}", text.unwrap_or_else(|| "a panic without words".into())));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn what_is_no_configuration() {
    check(&[
        ("empty file", |b| b.raw(""), &["config.json"]),
        ("no JSON", |b| b.raw("hello"), &["config.json", "line 1"]),
        ("cut off", |b| b.raw("{\n  \"ociVersion\": \"1.2.0\",\n  \"process\": {"), &["config.json", "line 3"]),
        ("a trailing comma", |b| b.raw("{\n\"ociVersion\": \"1.2.0\",\n}"), &["config.json", "line 3"]),
        ("a comment", |b| b.raw("{ // hi\n}"), &["config.json", "line 1"]),
        ("something behind the object", |b| b.raw("{\"ociVersion\": \"1.2.0\"} x"), &["config.json"]),
        ("a list", |b| b.raw("[]"), &["config.json"]),
        ("null", |b| b.raw("null"), &["config.json"]),
        (
            "no UTF-8",
            |b| {
                let bundle = b.raw("{}");
                fs::write(bundle.dir().join("config.json"), b"{\"ociVersion\": \"\xff\"}").unwrap();
                bundle
            },
            &["config.json"],
        ),
        ("deeply nested", |b| b.raw(&"[".repeat(200_000)), &["config.json"]),
        (
            "a directory",
            |b| {
                let bundle = b.raw("");
                fs::remove_file(bundle.dir().join("config.json")).unwrap();
                fs::create_dir(bundle.dir().join("config.json")).unwrap();
                bundle
            },
            &["config.json"],
        ),
        (
            "missing",
            |b| {
                let bundle = b.raw("");
                fs::remove_file(bundle.dir().join("config.json")).unwrap();
                bundle
            },
            &["config.json", "no such file"],
        ),
    ]);
}

#[test]
fn missing_properties() {
    check(&[
        ("no ociVersion", |b| b.without("/ociVersion"), &["ociVersion"]),
        ("no root", |b| b.without("/root"), &["root"]),
        ("no root.path", |b| b.without("/root/path"), &["root", "path"]),
        ("no process.cwd", |b| b.without("/process/cwd"), &["process.cwd"]),
        ("no process.args", |b| b.without("/process/args"), &["process.args"]),
        ("empty process.args", |b| b.set("/process/args", json!([])), &["process.args"]),
        ("no mount destination", |b| b.mount(json!({"type": "tmpfs", "source": "x"})), &["mounts[7]", "destination"]),
        ("no namespace type", |b| b.push("/linux/namespaces", json!({})), &["linux.namespaces", "type"]),
        ("no rlimit type", |b| b.push("/process/rlimits", json!({"soft": 1, "hard": 1})), &["process.rlimits", "type"]),
        (
            "no rlimit hard",
            |b| b.set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 1}])),
            &["process.rlimits", "hard"],
        ),
        (
            "no device path",
            |b| b.push("/linux/devices", json!({"type": "c", "major": 1, "minor": 3})),
            &["linux.devices", "path"],
        ),
        (
            "no device type",
            |b| b.push("/linux/devices", json!({"path": "/dev/x", "major": 1, "minor": 3})),
            &["linux.devices", "type"],
        ),
        (
            "no device number",
            |b| b.push("/linux/devices", json!({"path": "/dev/x", "type": "c"})),
            &["linux.devices", "major"],
        ),
        (
            "no seccomp defaultAction",
            |b| b.set("/linux/seccomp", json!({"syscalls": []})),
            &["linux.seccomp", "defaultAction"],
        ),
        (
            "no seccomp names",
            |b| {
                b.set(
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"action": "SCMP_ACT_ERRNO"}]}),
                )
            },
            &["linux.seccomp", "names"],
        ),
        ("no hook path", |b| b.set("/hooks", json!({"prestart": [{"args": ["x"]}]})), &["hooks.prestart", "path"]),
        (
            "no id map size",
            |b| b.namespace("user").set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 1}])),
            &["linux.uidMappings", "size"],
        ),
    ]);
}

#[test]
fn wrong_types() {
    check(&[
        ("a number as ociVersion", |b| b.set("/ociVersion", json!(1)), &["ociVersion"]),
        ("a string as process", |b| b.set("/process", json!("sh")), &["process"]),
        ("a string as args", |b| b.set("/process/args", json!("sh")), &["process.args"]),
        ("a number in args", |b| b.set("/process/args", json!(["sh", 1])), &["process.args[1]"]),
        ("a string as terminal", |b| b.set("/process/terminal", json!("yes")), &["process.terminal"]),
        ("a string as uid", |b| b.set("/process/user/uid", json!("root")), &["process.user.uid"]),
        ("a negative uid", |b| b.set("/process/user/uid", json!(-1)), &["process.user.uid"]),
        ("a uid of 33 bits", |b| b.set("/process/user/uid", json!(4_294_967_296_u64)), &["process.user.uid"]),
        ("a gid of 33 bits", |b| b.set("/process/user/gid", json!(4_294_967_296_u64)), &["process.user.gid"]),
        (
            "an additional gid of 33 bits",
            |b| b.set("/process/user/additionalGids", json!([1, 4_294_967_296_u64])),
            &["process.user.additionalGids[1]"],
        ),
        ("a fraction as uid", |b| b.set("/process/user/uid", json!(1.5)), &["process.user.uid"]),
        ("a string as memory limit", |b| b.limit("memory/limit", json!("64M")), &["linux.resources.memory.limit"]),
        (
            "a memory limit of 65 bits",
            |b| {
                let text = b.config.to_string();
                let text =
                    text.replace("\"resources\":{", "\"resources\":{\"memory\":{\"limit\":99999999999999999999},");
                b.raw(&text)
            },
            &["linux.resources.memory.limit"],
        ),
        ("a list as mount", |b| b.mount(json!(["/proc", "proc"])), &["mounts[7]"]),
        (
            "an object as mount options",
            |b| b.mount(json!({"destination": "/x", "type": "tmpfs", "options": {}})),
            &["mounts[7].options"],
        ),
        ("a list as annotations", |b| b.set("/annotations", json!([])), &["annotations"]),
        ("a number as an annotation", |b| b.set("/annotations", json!({"a": 1})), &["annotations"]),
        ("a number as a sysctl", |b| b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": 1})), &["linux.sysctl"]),
        ("a string as oomScoreAdj", |b| b.set("/process/oomScoreAdj", json!("5")), &["process.oomScoreAdj"]),
        (
            "a string as a timeout",
            |b| b.set("/hooks", json!({"poststop": [{"path": "/x", "timeout": "5s"}]})),
            &["hooks.poststop[0].timeout"],
        ),
    ]);
}

#[test]
fn unknown_names() {
    check(&[
        ("a namespace", |b| b.push("/linux/namespaces", json!({"type": "pidd"})), &["linux.namespaces", "pidd"]),
        (
            "an rlimit",
            |b| b.push("/process/rlimits", json!({"type": "RLIMIT_FUN", "soft": 1, "hard": 1})),
            &["process.rlimits[1]", "RLIMIT_FUN"],
        ),
        (
            "a propagation",
            |b| b.set("/linux/rootfsPropagation", json!("sideways")),
            &["linux.rootfsPropagation", "sideways"],
        ),
        (
            "a device type",
            |b| b.push("/linux/devices", json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 3})),
            &["linux.devices[0]", "type"],
        ),
        (
            "a device access",
            |b| b.push("/linux/resources/devices", json!({"allow": true, "access": "rx"})),
            &["linux.resources.devices[1]", "access"],
        ),
        (
            "a seccomp action",
            |b| b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_FUN"})),
            &["linux.seccomp", "SCMP_ACT_FUN"],
        ),
        (
            "a seccomp operator",
            |b| {
                b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_XX"}]}]}))
            },
            &["linux.seccomp.syscalls[0]", "SCMP_CMP_XX"],
        ),
        (
            "a seccomp architecture",
            |b| b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]})),
            &["linux.seccomp", "SCMP_ARCH_Z80"],
        ),
        (
            "a seccomp flag",
            |b| {
                b.set(
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_FUN"]}),
                )
            },
            &["linux.seccomp", "SECCOMP_FILTER_FLAG_FUN"],
        ),
        (
            "a scheduler",
            |b| b.set("/process/scheduler", json!({"policy": "SCHED_FUN"})),
            &["process.scheduler", "SCHED_FUN"],
        ),
        (
            "an I/O priority class",
            |b| b.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_FUN", "priority": 1})),
            &["process.ioPriority", "IOPRIO_CLASS_FUN"],
        ),
        (
            "a personality",
            |b| b.set("/linux/personality", json!({"domain": "LINUX128"})),
            &["linux.personality", "LINUX128"],
        ),
        (
            "a file system",
            |b| b.mount(json!({"destination": "/x", "type": "no-such-fs", "source": "x"})).writable(),
            &["mounts[7]", "/x", "no-such-fs"],
        ),
        (
            "a mount option",
            |b| {
                b.writable().mount(json!({"destination": "/x", "type": "tmpfs", "source": "x",
            "options": ["no-such-option"]}))
            },
            &["mounts[7]", "/x"],
        ),
        (
            "a clock",
            |b| b.namespace("time").set("/linux/timeOffsets", json!({"wallclock": {"secs": 1}})),
            &["linux.timeOffsets", "wallclock"],
        ),
    ]);
}

#[test]
fn contradictions_and_values_out_of_range() {
    check(&[
        ("the same namespace twice", |b| b.push("/linux/namespaces", json!({"type": "uts"})), &["uts"]),
        ("a relative cwd", |b| b.set("/process/cwd", json!("tmp")), &["process.cwd"]),
        ("an empty cwd", |b| b.set("/process/cwd", json!("")), &["process.cwd"]),
        ("a hostname without a UTS namespace", |b| b.without_namespace("uts"), &["hostname", "uts"]),
        (
            "a domainname without a UTS namespace",
            |b| b.without_namespace("uts").without("/hostname").set("/domainname", json!("d")),
            &["domainname", "uts"],
        ),
        (
            "id maps without a user namespace",
            |b| b.set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 1000, "size": 1}])),
            &["uidMappings", "user"],
        ),
        ("a user namespace without id maps", |b| b.namespace("user"), &["user", "uidMappings"]),
        (
            "id maps that overlap",
            |b| b.userns().push("/linux/uidMappings", json!({"containerID": 5, "hostID": 900_000, "size": 1})),
            &["uidMappings"],
        ),
        ("a user who is not mapped", |b| b.userns().set("/process/user/uid", json!(70_000)), &["process.user.uid"]),
        (
            "a sysctl of the host's network",
            |b| b.without_namespace("network").set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"})),
            &["net.ipv4.ip_forward", "network"],
        ),
        (
            "a sysctl of the host's IPC",
            |b| b.without_namespace("ipc").set("/linux/sysctl", json!({"kernel.shmmax": "1000000"})),
            &["kernel.shmmax", "ipc"],
        ),
        ("a sysctl without a namespace", |b| b.set("/linux/sysctl", json!({"vm.swappiness": "1"})), &["vm.swappiness"]),
        ("a sysctl that climbs", |b| b.set("/linux/sysctl", json!({"net/../vm/swappiness": "1"})), &["sysctl"]),
        ("an unknown sysctl", |b| b.set("/linux/sysctl", json!({"net.no.such": "1"})), &["net.no.such"]),
        (
            "time offsets without a time namespace",
            |b| b.set("/linux/timeOffsets", json!({"boottime": {"secs": 1}})),
            &["timeOffsets", "time"],
        ),
        (
            "nanoseconds beyond a second",
            |b| {
                b.namespace("time")
                    .set("/linux/timeOffsets", json!({"boottime": {"secs": 1, "nanosecs": 1_000_000_000_u32}}))
            },
            &["linux.timeOffsets"],
        ),
        (
            "the same rlimit twice",
            |b| b.push("/process/rlimits", json!({"type": "RLIMIT_NOFILE", "soft": 9, "hard": 9})),
            &["process.rlimits[1]", "RLIMIT_NOFILE"],
        ),
        (
            "a soft limit above the hard one",
            |b| b.set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}])),
            &["process.rlimits[0]"],
        ),
        ("an environment variable without =", |b| b.env("NOEQUALS"), &["process.env[2]"]),
        ("a NUL in an argument", |b| b.set("/process/args", json!(["echo", "a\u{0}b"])), &["process.args[1]"]),
        ("a NUL in a variable", |b| b.env("A=\u{0}"), &["process.env[2]"]),
        ("a masked path that is relative", |b| b.push("/linux/maskedPaths", json!("proc/kcore")), &["maskedPaths"]),
        (
            "a hook path that is relative",
            |b| b.set("/hooks", json!({"createRuntime": [{"path": "true"}]})),
            &["hooks.createRuntime[0]", "path"],
        ),
        (
            "a hook timeout of zero",
            |b| b.set("/hooks", json!({"poststart": [{"path": "/bin/true", "timeout": 0}]})),
            &["hooks.poststart[0]", "timeout"],
        ),
        (
            "a hook that is missing",
            |b| b.set("/hooks", json!({"createRuntime": [{"path": "/no/such/hook"}]})),
            &["/no/such/hook", "no such file"],
        ),
        ("an oomScoreAdj out of range", |b| b.set("/process/oomScoreAdj", json!(1001)), &["oomScoreAdj"]),
        (
            "a nice value out of range",
            |b| b.set("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 40})),
            &["process.scheduler"],
        ),
        (
            "an I/O priority out of range",
            |b| b.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8})),
            &["process.ioPriority"],
        ),
        (
            "a seccomp argument index out of range",
            |b| {
                b.set(
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
                          "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}),
                )
            },
            &["linux.seccomp.syscalls[0]"],
        ),
        (
            "notify without a listener",
            |b| {
                b.set(
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}),
                )
            },
            &["listenerPath"],
        ),
        ("idmap without mappings", |b| b.writable().bind("/etc", "/x", &["idmap"]), &["mounts[7]", "idmap"]),
        ("a memory limit below what is possible", |b| b.limit("memory/limit", json!(-5)), &["memory.limit"]),
        ("a CPU period that the kernel refuses", |b| b.limit("cpu", json!({"period": 1, "quota": 1})), &["cpu"]),
        ("CPUs that do not exist", |b| b.limit("cpu/cpus", json!("4000")), &["cpu"]),
        ("a file of cgroup v2 that climbs", |b| b.limit("unified", json!({"../memory.max": "1"})), &["unified"]),
        (
            "an AppArmor profile where there is none",
            |b| b.set("/process/apparmorProfile", json!("no-such-profile")),
            &["apparmor"],
        ),
        (
            "an SELinux label where there is none",
            |b| b.set("/process/selinuxLabel", json!("system_u:system_r:x_t:s0")),
            &["selinux"],
        ),
        ("a class of Intel RDT", |b| b.set("/linux/intelRdt", json!({"closID": "x"})), &["intelRdt", "not supported"]),
        ("a network device", |b| b.set("/linux/netDevices", json!({"eth0": {}})), &["netDevices", "not supported"]),
    ]);
}

#[test]
fn what_is_not_there() {
    check(&[
        (
            "a bundle without rootfs",
            |b| {
                fs::remove_dir_all(b.rootfs()).unwrap();
                b
            },
            &["rootfs", "no such file"],
        ),
        (
            "a rootfs that is a file",
            |b| {
                fs::remove_dir_all(b.rootfs()).unwrap();
                fs::write(b.rootfs(), "").unwrap();
                b
            },
            &["rootfs", "not a directory"],
        ),
        ("an empty root.path", |b| b.set("/root/path", json!("")), &["root.path"]),
        ("the host as rootfs", |b| b.set("/root/path", json!("/")), &["root"]),
        (
            "a bind source that is missing",
            |b| b.writable().bind("/no/such/source", "/x", &[]),
            &["mounts[7]", "/no/such/source", "no such file"],
        ),
        (
            "a namespace path that is missing",
            |b| b.join("network", "/no/such/namespace"),
            &["linux.namespaces", "/no/such/namespace", "no such file"],
        ),
        ("a namespace of another type", |b| b.join("network", "/proc/self/ns/uts"), &["linux.namespaces", "network"]),
        (
            "a namespace path that is no namespace",
            |b| b.join("network", "/etc/passwd"),
            &["linux.namespaces", "/etc/passwd"],
        ),
        (
            "a namespace path that is a FIFO",
            |b| {
                let fifo = b.place("fifo");
                b.host(&["mkfifo", &fifo]);
                b.join("network", fifo)
            },
            &["linux.namespaces"],
        ),
        ("a program that is missing", |b| b.args(["/no/such/program"]), &["/no/such/program", "no such file"]),
        ("a program that is a directory", |b| b.args(["/etc"]), &["/etc"]),
        (
            "a mount target beneath a file",
            |b| {
                b.writable().mount(json!({"destination": "/etc/passwd/x", "type": "tmpfs",
            "source": "x"}))
            },
            &["mounts[7]", "not a directory"],
        ),
        ("a file onto a directory", |b| b.bind("/etc/hostname", "/etc", &[]), &["mounts[7]"]),
        ("a directory onto a file", |b| b.bind("/etc", "/etc/passwd", &[]), &["mounts[7]"]),
        (
            "a mount inside of /proc",
            |b| b.mount(json!({"destination": "/proc/sys", "type": "tmpfs", "source": "x"})),
            &["/proc"],
        ),
        (
            "a tmpfs over /proc",
            |b| b.mount(json!({"destination": "/proc", "type": "tmpfs", "source": "x"})),
            &["/proc"],
        ),
        (
            "a mount over the root",
            |b| b.mount(json!({"destination": "/", "type": "tmpfs", "source": "x"})),
            &["mounts[7]"],
        ),
        (
            "a seccomp listener that nobody listens at",
            |b| {
                b.set(
                    "/linux/seccomp",
                    json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/such/socket",
                   "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}),
                )
            },
            &["/no/such/socket"],
        ),
    ]);
}

#[test]
fn command_lines() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let id = bundle.id.clone();
    let lines: &[(&[&str], &str)] = &[
        (&["create"], ""),
        (&["run"], ""),
        (&["start"], ""),
        (&["state"], ""),
        (&["state", &id, "surplus"], ""),
        (&["kill"], ""),
        (&["kill", &id, "NOSIGNAL"], "signal"),
        (&["create", "--bundle", "/no/such/bundle", "x"], "/no/such/bundle"),
        (&["create", "--bundle", "/etc/passwd", "x"], "/etc/passwd"),
        (&["create", "--no-such-flag", "x"], "no-such-flag"),
        (&["create", "--preserve-fds", "many", "x"], "preserve-fds"),
        (&["create", "--preserve-fds=-1", "x"], ""),
        (&["create", "--console-socket", "/no/such", "x"], "terminal"),
        (&["create", &id], "exist"),
        (&["start", &id], ""),
        (&["delete", &id], "not stopped|running"),
        (&["resume", &id], ""),
        (&["no-such-command"], "no-such-command"),
        (&["list", "--format", "yaml"], "yaml"),
        (&["--log-format", "yaml", "list"], "yaml"),
        (&["--log", "/no/such/dir/log", "list"], "/no/such/dir/log"),
        (&["--rootless", "perhaps", "list"], "perhaps"),
        (&["exec", "--no-such-flag", &id, "true"], "no-such-flag"),
        (&["exec", "--process", "/no/such/file", &id], "/no/such/file"),
        (&["exec", "nobody", "true"], "does not exist"),
        (&["run", ""], "id"),
        (&["run", "."], "id"),
        (&["run", ".."], "id"),
        (&["run", "../x"], "id"),
        (&["run", "a/b"], "id"),
        (&["run", "a b"], "id"),
        (&["run", "a\nb"], "id"),
        (&["run", "ä"], "id"),
        (&["state", "../../etc"], "id|exist"),
        (&["delete", "--force", ".."], "id"),
        (&["delete", "--force", "."], "id"),
    ];
    let mut wrong = Vec::new();
    for (words, needle) in lines {
        let output = bundle.berth(words);
        let text = output.stderr.to_lowercase();
        let said = needle.split('|').any(|word| text.contains(word)) && !text.trim().is_empty();
        if output.status == 0 || output.status > 255 || !said || text.contains("panicked") {
            wrong.push(format!("* {output}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
    assert_eq!(bundle.status(), "running", "no mistake harmed the container");
    assert_eq!(bundle.berth(&["list", "-q"]).ok().text(), id);
}

#[test]
fn an_error_in_the_text_log_is_a_logrus_line() {
    let bundle = Bundle::busybox().without("/process/cwd");
    let log = bundle.place("log");
    bundle.berth(&["--log", &log, "create", &bundle.id]).exits(1);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("time=\"") && text.contains(" level=error msg="), "{text}");
    let output = bundle.berth(&["create", &bundle.id]).exits(1);
    assert!(output.stderr.contains("level=error msg="), "without --log the log is standard error: {output}");
}

#[test]
fn an_unknown_property_is_no_mistake() {
    let bundle = Bundle::busybox().set("/somethingNew", json!({"a": [1]})).set("/linux/somethingNew", json!(true));
    bundle.run().ok();
}

#[test]
fn unknown_capabilities_and_system_calls_are_warnings() {
    let bundle = Bundle::busybox().caps(&["CAP_KILL", "CAP_FROM_THE_FUTURE"]).set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW",
               "syscalls": [{"names": ["call_from_the_future"], "action": "SCMP_ACT_ERRNO"}]}),
    );
    for _ in 0..2 {
        let log = bundle.place("log.json");
        let _ = fs::remove_file(&log);
        bundle.berth(&["--log", &log, "--log-format", "json", "run", &bundle.id]).ok();
        let text = fs::read_to_string(&log).unwrap();
        for name in ["CAP_FROM_THE_FUTURE", "call_from_the_future"] {
            let found = text.lines().any(|line| line.contains(name) && line.contains("\"warning\""));
            assert!(found, "a warning names {name}, every time: {text}");
        }
    }
}

#[test]
fn a_failure_at_any_step_leaves_no_cgroup_below_a_missing_parent() {
    let bundle = Bundle::busybox().args(["/no/such/program"]);
    let path = format!("/{}p/inner", bundle.id);
    let top = format!("/{}p", bundle.id);
    let bundle = bundle.cgroups_path(&path);
    complains(&bundle, &["/no/such/program"]);
    assert!(host::cgroup_dirs(&path).is_empty());
    for directory in host::cgroup_dirs(&top) {
        common::bundle::remove_cgroup(&directory);
    }
}
