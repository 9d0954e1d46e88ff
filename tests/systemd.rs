//! `--systemd-cgroup`, with the systemd of a pure cgroup v2 host: units, their properties, messages on the bus.

mod common;

use common::{Bundle, Output, Value, eventually, host, json, skip};
use std::fs;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// Ends the test where there is no systemd to ask.
macro_rules! need_systemd {
    () => {
        if !Path::new("/run/systemd/system").is_dir() {
            skip!("systemd is not the init system of this host");
        }
        if !common::is_v2() {
            skip!("the host is not pure cgroup v2");
        }
    };
}

/// A bundle whose container systemd puts into a scope of the default name.
fn bundle() -> Bundle {
    named(None)
}

/// The same with a `linux.cgroupsPath`.
fn named(path: Option<&str>) -> Bundle {
    let mut bundle = Bundle::busybox();
    bundle.globals.push("--systemd-cgroup".into());
    bundle.cgroups.push(format!("/system.slice/berth-{}.scope", bundle.id));
    match path {
        Some(path) => bundle.set("/linux/cgroupsPath", json!(path)),
        None => bundle.without("/linux/cgroupsPath"),
    }
}

fn scope(bundle: &Bundle) -> String {
    format!("berth-{}.scope", bundle.id)
}

/// The container's cgroup below the root, by the kernel's word.
fn place(bundle: &Bundle) -> String {
    let text = host::proc(bundle.pid(), "cgroup");
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_string()
}

fn dir(bundle: &Bundle) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(place(bundle).trim_start_matches('/'))
}

fn file(bundle: &Bundle, name: &str) -> String {
    let path = dir(bundle).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_string()
}

/// systemd's word on a property of a unit.
fn show(bundle: &Bundle, unit: &str, property: &str) -> String {
    bundle.host(&["systemctl", "show", "--value", "-p", property, unit]).text().to_string()
}

/// Demands these properties of a container's scope; one call, because each takes long on an emulated machine.
#[track_caller]
fn assert_shown(bundle: &Bundle, expected: &[(&str, &str)]) {
    let names = expected.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
    let output = bundle.host(&["systemctl", "show", "-p", &names, &scope(bundle)]);
    for (name, value) in expected {
        assert!(output.stdout.lines().any(|line| line == format!("{name}={value}")), "{name} {value}: {output}");
    }
}

#[track_caller]
fn assert_unit_gone(bundle: &Bundle, unit: &str) {
    eventually(&format!("{unit} is forgotten"), || {
        let listed = bundle.host(&["systemctl", "list-units", "--all", "--plain", "--no-legend", unit]);
        listed.text().is_empty().then_some(())
    });
}

fn update(bundle: &Bundle, flags: &[&str]) -> Output {
    let words: Vec<&str> = ["update"].iter().chain(flags).chain(&[bundle.id.as_str()]).copied().collect();
    bundle.berth(&words)
}

fn reload(bundle: &Bundle) {
    bundle.host(&["systemctl", "daemon-reload"]);
}

#[test]
fn without_systemd_the_flag_is_refused() {
    if Path::new("/run/systemd/system").is_dir() {
        skip!("systemd is the init system of this host");
    }
    let bundle = bundle();
    let output = bundle.berth(&["create", &bundle.id]).fails("--systemd-cgroup");
    output.complains("/run/systemd/system").complains("run without it");
    bundle.assert_clean();
}

#[test]
fn the_default_is_a_scope_in_the_system_slice() {
    need_systemd!();
    let bundle = bundle().sleeping();
    bundle.detached();
    assert_eq!(place(&bundle), format!("/system.slice/berth-{}.scope", bundle.id));
    assert_shown(&bundle, &[("ActiveState", "active"), ("Slice", "system.slice"), ("Delegate", "yes")]);
    bundle.delete_force();
    assert_unit_gone(&bundle, &scope(&bundle));
}

#[test]
fn slice_prefix_and_name_are_the_paths() {
    need_systemd!();
    for (path, expected, unit) in [
        ("SLICE-in.slice:pre:NAME", "/SLICE.slice/SLICE-in.slice/pre-NAME.scope", "pre-NAME.scope"),
        (":pre:NAME", "/system.slice/pre-NAME.scope", "pre-NAME.scope"),
        ("::NAME", "/system.slice/NAME.scope", "NAME.scope"),
        ("SLICE-in.slice::NAME", "/SLICE.slice/SLICE-in.slice/NAME.scope", "NAME.scope"),
        ("-.slice:pre:NAME", "/pre-NAME.scope", "pre-NAME.scope"),
    ] {
        let mut bundle = named(None);
        let named = |text: &str| text.replace("SLICE", &bundle.id).replace("NAME", &format!("n{}", bundle.id));
        let (path, expected, unit) = (named(path), named(expected), named(unit));
        bundle.cgroups.push(expected.clone());
        let bundle = bundle.set("/linux/cgroupsPath", json!(path)).sleeping();
        bundle.detached();
        assert_eq!(place(&bundle), expected, "{path}");
        assert_eq!(show(&bundle, &unit, "ActiveState"), "active");
        bundle.delete_force();
        assert_unit_gone(&bundle, &unit);
        if expected.contains(".slice/") && !expected.contains("system.slice") {
            assert_slice_gone(&bundle, &format!("{}-in.slice", bundle.id));
            assert_slice_gone(&bundle, &format!("{}.slice", bundle.id));
        }
    }
}

/// Neither systemd nor the kernel has the slice.
#[track_caller]
fn assert_slice_gone(bundle: &Bundle, slice: &str) {
    assert_unit_gone(bundle, slice);
    assert!(!slice_dir(slice).exists(), "{slice}");
}

/// The cgroup of `a-b.slice` or `a.slice`.
fn slice_dir(slice: &str) -> PathBuf {
    let above = slice.split_once('-').map(|(above, _)| format!("{above}.slice")).unwrap_or_default();
    Path::new("/sys/fs/cgroup").join(above).join(slice)
}

#[test]
fn a_slice_goes_with_the_last_container_in_it() {
    need_systemd!();
    let (first, second) = (bundle(), bundle());
    let (outer, inner) = (format!("{}.slice", first.id), format!("{0}-in.slice", first.id));
    let within = |mut bundle: Bundle| {
        bundle.cgroups = vec![format!("/{outer}/{inner}/berth-{}.scope", bundle.id)];
        let path = json!(format!("{inner}:berth:{}", bundle.id));
        let bundle = bundle.set("/linux/cgroupsPath", path).sleeping();
        bundle.detached();
        bundle
    };
    let (first, second) = (within(first), within(second));
    first.delete_force();
    assert_unit_gone(&first, &scope(&first));
    assert_eq!((second.status().as_str(), slice_dir(&inner).exists()), ("running", true));
    second.delete_force();
    assert_slice_gone(&second, &inner);
    assert_slice_gone(&second, &outer);
}

#[test]
fn a_slice_that_others_made_stays() {
    need_systemd!();
    // Started by somebody, and only described by somebody, with a limit.
    for described in [false, true] {
        let mut bundle = bundle();
        let slice = format!("{}.slice", bundle.id);
        let file = PathBuf::from(format!("/run/systemd/system/{slice}"));
        if described {
            fs::create_dir_all("/run/systemd/system").unwrap();
            fs::write(&file, "[Slice]\nTasksMax=77\n").unwrap();
        } else {
            bundle.host(&["systemctl", "start", &slice]);
        }
        bundle.cgroups = vec![format!("/{slice}/berth-{}.scope", bundle.id)];
        let path = json!(format!("{slice}:berth:{}", bundle.id));
        let bundle = bundle.set("/linux/cgroupsPath", path).sleeping();
        bundle.detached();
        bundle.delete_force();
        assert_unit_gone(&bundle, &scope(&bundle));
        assert_eq!(show(&bundle, &slice, "ActiveState"), "active");
        if described {
            assert_eq!(fs::read_to_string(slice_dir(&slice).join("pids.max")).unwrap(), "77\n");
            fs::remove_file(file).unwrap();
        }
        bundle.host(&["systemctl", "stop", &slice]);
    }
}

#[test]
fn other_paths_are_explained() {
    need_systemd!();
    for (path, words) in [
        ("/absolute", "slice:prefix:name"),
        ("a:b:c", ".slice"),
        ("a--b.slice:b:c", "slice"),
        ("system.slice:p:../up", "no name of a unit"),
        ("system.slice:p:", "empty"),
    ] {
        let bundle = named(Some(path));
        bundle.berth(&["create", &bundle.id]).fails("linux.cgroupsPath").complains(words);
        bundle.assert_clean();
    }
}

#[test]
fn a_unit_that_exists_is_refused_and_unharmed() {
    need_systemd!();
    let first = bundle().sleeping();
    first.detached();
    let second = named(Some(&format!(":berth:{}", first.id)));
    second.berth(&["create", &second.id]).fails(&scope(&first));
    assert_eq!(first.status(), "running");
}

#[test]
fn limits_are_in_the_unit_and_in_the_files() {
    need_systemd!();
    let bundle = bundle()
        .limit("memory", json!({"limit": 64 * MIB, "swap": 80 * MIB, "reservation": 16 * MIB}))
        .limit("pids/limit", json!(30))
        .limit("cpu", json!({"shares": 512, "quota": 33_333, "period": 100_000, "cpus": "0", "mems": "0"}))
        .limit("unified", json!({"memory.high": "50331648"}))
        .sleeping();
    bundle.detached();
    let check = || {
        for (name, value) in [
            ("memory.max", "67108864"),
            ("memory.swap.max", "16777216"),
            ("memory.low", "16777216"),
            ("memory.high", "50331648"),
            ("pids.max", "30"),
            ("cpu.weight", "59"),
            ("cpuset.cpus", "0"),
            ("cpuset.mems", "0"),
        ] {
            assert_eq!(file(&bundle, name), value, "{name}");
        }
        let properties = [
            ("MemoryMax", "67108864"),
            ("MemorySwapMax", "16777216"),
            ("MemoryLow", "16777216"),
            ("MemoryHigh", "50331648"),
            ("TasksMax", "30"),
            ("CPUWeight", "59"),
            ("CPUQuotaPerSecUSec", "340ms"),
            ("AllowedCPUs", "0"),
            ("AllowedMemoryNodes", "0"),
        ];
        assert_shown(&bundle, &properties);
        // systemd knows whole percents only, and writes its value again at each reload, those of other tests too.
        let quota = file(&bundle, "cpu.max");
        assert!(quota == "33333 100000" || quota == "34000 100000", "{quota}");
    };
    check();
    reload(&bundle);
    check();
}

#[test]
fn update_goes_through_the_unit() {
    need_systemd!();
    let bundle = bundle().limit("memory/limit", json!(64 * MIB)).limit("pids/limit", json!(30)).sleeping();
    bundle.detached();
    update(&bundle, &["--memory", "80m", "--memory-swap", "100m", "--cpu-share", "2048", "--cpu-quota", "50000"]).ok();
    let check = || {
        for (name, value) in [
            ("memory.max", "83886080"),
            ("memory.swap.max", "20971520"),
            ("cpu.weight", "174"),
            ("cpu.max", "50000 100000"),
            ("pids.max", "30"),
        ] {
            assert_eq!(file(&bundle, name), value, "{name}");
        }
        let quota = ("CPUQuotaPerSecUSec", "500ms");
        assert_shown(&bundle, &[("MemoryMax", "83886080"), ("CPUWeight", "174"), quota, ("TasksMax", "30")]);
    };
    check();
    bundle.berth(&["pause", &bundle.id]).ok();
    update(&bundle, &["--pids-limit", "31"]).ok();
    assert_eq!((file(&bundle, "pids.max"), show(&bundle, &scope(&bundle), "TasksMax")), ("31".into(), "31".into()));
    assert_eq!(bundle.status(), "paused");
    bundle.berth(&["resume", &bundle.id]).ok();
    // A refused update leaves files and unit as they were.
    update(&bundle, &["--pids-limit", "30"]).ok();
    update(&bundle, &["--memory", "90m", "--cpuset-cpus", "3000"]).fails("cpu.cpus");
    check();
    reload(&bundle);
    check();
}

#[test]
fn annotations_are_properties() {
    need_systemd!();
    let annotate = |bundle: Bundle, name: &str, value: &str| {
        bundle.set("/annotations", json!({(format!("org.systemd.property.{name}")): value}))
    };
    let first = annotate(bundle(), "TimeoutStopSec", "7").sleeping();
    first.detached();
    assert_eq!(show(&first, &scope(&first), "TimeoutStopUSec"), "7s");
    let malformed = annotate(bundle(), "TimeoutStopSec", "seven");
    malformed.berth(&["create", &malformed.id]).fails("annotations[org.systemd.property.TimeoutStopSec]");
    let unknown = annotate(bundle(), "NoSuchThing", "true");
    unknown.berth(&["create", &unknown.id]).fails("NoSuchThing");
    assert_unit_gone(&unknown, &scope(&unknown));
    unknown.assert_clean();
}

#[test]
fn device_rules_survive_a_reload() {
    need_systemd!();
    let rule = |allow: bool| {
        json!([{"allow": false, "access": "rwm"},
            {"allow": allow, "type": "c", "major": 1, "minor": 11, "access": "w"}])
    };
    let device = json!({"path": "/dev/tried", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
    let container = |allow: bool| {
        let bundle = bundle().limit("devices", rule(allow)).push("/linux/devices", device.clone()).sleeping();
        bundle.detached();
        bundle
    };
    let opened = |bundle: &Bundle| {
        let output = bundle.exec(&["sh", "-c", "exec 3> /dev/tried && echo x > /dev/null && : < /dev/zero"]);
        assert!(output.status == 0 || output.stderr.contains("not permitted"), "{output}");
        output.status == 0
    };
    let (allowed, denied) = (container(true), container(false));
    assert!(opened(&allowed) && !opened(&denied));
    reload(&allowed);
    assert!(opened(&allowed) && !opened(&denied));
    // New rules survive, too.
    let change = |bundle: &Bundle, allow: bool| {
        let path = bundle.place("devices.json");
        fs::write(&path, json!({"devices": rule(allow)}).to_string()).unwrap();
        update(bundle, &["--resources", &path]).ok();
    };
    change(&allowed, false);
    change(&denied, true);
    assert!(!opened(&allowed) && opened(&denied));
    reload(&allowed);
    assert!(!opened(&allowed) && opened(&denied));
}

/// Method calls on the system bus from the client that called `member` for `unit`, as `destination.member`.
fn calls(events: &[Value], member: &str, unit: &str) -> Vec<String> {
    let concerns = |event: &&Value| {
        event["type"] == "method_call" && event["member"] == member && event["payload"].to_string().contains(unit)
    };
    let first: Vec<&Value> = events.iter().filter(concerns).collect();
    assert_eq!(first.len(), 1, "{member} of {unit}: once");
    let own = events.iter().filter(|event| event["type"] == "method_call" && event["sender"] == first[0]["sender"]);
    own.map(|event| format!("{}.{}", text(&event["destination"]), text(&event["member"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn one_message_makes_the_unit_and_one_stops_it() {
    need_systemd!();
    if !host::has("busctl") || !Path::new("/run/dbus/system_bus_socket").exists() {
        skip!("the host has no system bus, or no busctl");
    }
    let bundle = bundle()
        .limit("memory", json!({"limit": 64 * MIB, "swap": 64 * MIB}))
        .limit("cpu", json!({"shares": 512, "quota": 50_000}))
        .limit("pids/limit", json!(30))
        .sleeping();
    let monitor = bundle.host_spawn(&["busctl", "monitor", "--json=short"]);
    eventually("the monitor is ready", || {
        bundle.host_output(&["busctl", "list"]);
        (!monitor.stdout_now().is_empty()).then_some(())
    });
    bundle.create();
    bundle.start();
    update(&bundle, &["--pids-limit", "40"]).ok();
    bundle.berth(&["exec", &bundle.id, "true"]).ok();
    bundle.delete_force();
    // What comes after all else on the bus.
    let last = format!("after-{}.service", bundle.id);
    let call = ["call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
    let words: Vec<&str> = ["busctl"].iter().chain(&call).chain(&["GetUnit", "s", last.as_str()]).copied().collect();
    bundle.host_output(&words);
    eventually("the monitor has seen it", || monitor.stdout_now().contains(&last).then_some(()));
    let output = monitor.stdout_now();
    let events: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for (member, most) in [("StartTransientUnit", 2), ("SetUnitProperties", 1), ("StopUnit", 1)] {
        let all = calls(&events, member, &scope(&bundle));
        let to_systemd = all.iter().filter(|call| call.starts_with("org.freedesktop.systemd1.")).count();
        assert!(to_systemd <= most, "{member}: {all:?}");
        // Besides these only the bus itself hears of us: who we are, and which signal we wait for.
        assert!(all.len() <= to_systemd + 2, "{member}: {all:?}");
    }
    let senders: std::collections::BTreeSet<_> = events
        .iter()
        .filter(|event| event["type"] == "method_call" && event["payload"].to_string().contains(&scope(&bundle)))
        .map(|event| text(&event["sender"]))
        .collect();
    assert_eq!(senders.len(), 3, "create, update, delete; start and exec need nothing of systemd");
}

#[test]
fn without_a_bus_root_asks_systemd_itself() {
    need_systemd!();
    let bundle = bundle().limit("pids/limit", json!(30)).sleeping();
    let hide = "mount -t tmpfs tmpfs /run/dbus && exec \"$@\"";
    let hidden = |words: &[&str]| bundle.wrapped(&["unshare", "-m", "sh", "-c", hide, "sh"], words).output().ok();
    hidden(&["run", "--detach", &bundle.id]);
    assert_eq!((file(&bundle, "pids.max"), show(&bundle, &scope(&bundle), "TasksMax")), ("30".into(), "30".into()));
    hidden(&["update", "--pids-limit", "31", &bundle.id]);
    assert_eq!((file(&bundle, "pids.max"), show(&bundle, &scope(&bundle), "TasksMax")), ("31".into(), "31".into()));
    hidden(&["delete", "--force", &bundle.id]);
    assert_unit_gone(&bundle, &scope(&bundle));
}

#[test]
fn tiny_limits_are_enough_to_start() {
    need_systemd!();
    for systemd in [true, false] {
        let driver = |limit: &str, value: u64| {
            let mut bundle = bundle().limit(limit, json!(value)).args(["/bin/true"]);
            if !systemd {
                bundle.globals.clear();
            }
            bundle
        };
        driver("memory/limit", 512 * 1024).run().ok();
        driver("pids/limit", 1).run().ok();
    }
}

#[test]
fn the_life_of_a_container_is_the_same() {
    need_systemd!();
    let bundle = bundle().sleeping();
    bundle.create();
    assert_eq!((bundle.status().as_str(), place(&bundle).ends_with(".scope")), ("created", true));
    bundle.start();
    bundle.exec_with(&["-d"], &["sleep", "1000"]).ok();
    let list: Vec<i32> =
        serde_json::from_value(bundle.berth(&["ps", "--format", "json", &bundle.id]).ok().json()).unwrap();
    assert!(list.len() >= 3, "{list:?}");
    assert!(list.iter().all(|pid| host::proc(*pid, "cgroup").contains(&scope(&bundle))));
    bundle.berth(&["pause", &bundle.id]).ok();
    assert_eq!((bundle.status(), file(&bundle, "cgroup.freeze")), ("paused".into(), "1".into()));
    bundle.delete_force();
    assert_unit_gone(&bundle, &scope(&bundle));
    bundle.assert_clean();
}

#[test]
fn a_container_that_ends_by_itself_frees_its_name() {
    need_systemd!();
    let bundle = bundle().args(["true"]);
    for _ in 0..3 {
        bundle.run().ok();
        assert_unit_gone(&bundle, &scope(&bundle));
    }
    bundle.assert_clean();
}

#[test]
fn a_failed_create_leaves_no_unit() {
    need_systemd!();
    let bundle = bundle().args(["/no/such/program"]);
    bundle.berth(&["create", &bundle.id]).fails("no such file");
    assert_unit_gone(&bundle, &scope(&bundle));
    bundle.assert_clean();
}

#[test]
fn an_unprivileged_user_has_limits_through_the_users_systemd() {
    need_systemd!();
    if !host::has("as-user") {
        skip!("the host has no user with a systemd for this: as-user of the test machine");
    }
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let mut bundle = bundle()
        .without_namespace("network")
        .namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .limit("memory", json!({"limit": 64 * MIB, "swap": 64 * MIB}))
        .limit("pids/limit", json!(30))
        .limit("cpu/shares", json!(512))
        .without("/linux/resources/devices")
        .sleeping();
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["type"] != "cgroup");
    for mount in mounts.iter_mut() {
        if mount["type"] == "sysfs" {
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        }
        if mount["type"] == "devpts" {
            mount["options"].as_array_mut().unwrap().retain(|option| option != "gid=5");
        }
    }
    fs::create_dir(bundle.root()).unwrap();
    common::bundle::chown_all(bundle.path("").as_path(), 1000, 1000);
    let directory = bundle.dir().display().to_string();
    let user = |words: &[&str]| bundle.wrapped(&["as-user"], words).output();
    user(&["run", "--detach", "--bundle", &directory, &bundle.id]).ok();
    let unit = scope(&bundle);
    let expected = format!("/user.slice/user-1000.slice/user@1000.service/user.slice/{unit}");
    assert_eq!(place(&bundle), expected);
    assert_eq!((file(&bundle, "memory.max"), file(&bundle, "memory.swap.max")), ((64 * MIB).to_string(), "0".into()));
    assert_eq!((file(&bundle, "pids.max"), file(&bundle, "cpu.weight")), ("30".into(), "59".into()));
    let shown = |property: &str| {
        let words = ["as-user", "systemctl", "--user", "show", "--value", "-p", property, unit.as_str()];
        bundle.host(&words).text().to_string()
    };
    assert_eq!((shown("MemoryMax"), shown("TasksMax")), ((64 * MIB).to_string(), "30".into()));
    user(&["update", "--memory", "80m", "--memory-swap", "80m", "--pids-limit", "31", &bundle.id]).ok();
    assert_eq!((file(&bundle, "memory.max"), file(&bundle, "pids.max")), ((80 * MIB).to_string(), "31".into()));
    assert_eq!((shown("MemoryMax"), shown("TasksMax")), ((80 * MIB).to_string(), "31".into()));
    user(&["exec", &bundle.id, "sh", "-c", "id -u"]).ok().prints("0");
    // Below the container's cgroup, where only systemd may move a process of a login session to.
    let below = dir(&bundle).join("below").display().to_string();
    bundle.host(&["as-user", "mkdir", &below]);
    let pid_file = bundle.place("pid");
    let words = ["exec", "--cgroup", "below", "-d", "--pid-file", &pid_file, &bundle.id, "sleep", "1011"];
    user(&words).ok();
    let pid: i32 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert_eq!(host::proc(pid, "cgroup"), format!("0::{expected}/below\n"));
    for outside in ["..", "/../..", "missing"] {
        user(&["exec", "--cgroup", outside, &bundle.id, "true"]).exits(255);
    }
    user(&["pause", &bundle.id]).ok();
    user(&["resume", &bundle.id]).ok();
    user(&["delete", "--force", &bundle.id]).ok();
    eventually("the unit is forgotten", || (shown("ActiveState") == "inactive").then_some(()));
    // The user's own user.slice, which nobody needed before, too.
    let slice = Path::new("/sys/fs/cgroup").join(expected.trim_start_matches('/')).parent().unwrap().to_owned();
    eventually("the slice is gone", || (!slice.exists()).then_some(()));
    bundle.assert_clean();
}
