//! Namespaces: new ones, joined ones, inherited ones, and what is set up in them.

mod common;

use common::run::{Cmd, Running};
use common::{Bundle, eventually, host, json, skip};
use std::fs;

const KINDS: [(&str, &str); 7] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

fn own(link: &str) -> String {
    host::proc_link(std::process::id() as i32, &format!("ns/{link}"))
}

/// A process of the host in namespaces of its own, made by unshare(1).
fn holder(bundle: &Bundle, options: &[&str]) -> (Running, i32) {
    let mut words = vec!["unshare"];
    words.extend(options);
    words.extend(["sh", "-c", "echo ready; exec sleep 10000"]);
    let running = Cmd::new(&bundle.path("scratch"), words).spawn();
    running.until_prints("ready");
    let pid = running.pid();
    (running, pid)
}

#[test]
fn every_namespace_that_is_asked_for_is_new_and_no_other() {
    let bundle = KINDS.iter().fold(Bundle::busybox(), |bundle, (kind, _)| bundle.namespace(kind)).sleeping();
    bundle.detached();
    for (kind, link) in KINDS {
        assert_ne!(host::proc_link(bundle.pid(), &format!("ns/{link}")), own(link), "{kind} is new");
    }
    assert_eq!(host::proc_link(bundle.pid(), "ns/user"), own("user"));
}

#[test]
fn what_is_not_asked_for_is_inherited() {
    for (kind, link) in [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("cgroup", "cgroup")] {
        let bundle = Bundle::busybox().without_namespace(kind).args(["sleep", "1000"]);
        let bundle = if kind == "network" { bundle_without_sysfs(bundle) } else { bundle };
        bundle.detached();
        assert_eq!(host::proc_link(bundle.pid(), &format!("ns/{link}")), own(link), "{kind}");
        bundle.delete_force();
    }
    let bundle = Bundle::busybox().without_namespace("uts").without("/hostname").sh("hostname");
    assert_eq!(bundle.run().ok().stdout, fs::read_to_string("/proc/sys/kernel/hostname").unwrap());
}

fn bundle_without_sysfs(mut bundle: Bundle) -> Bundle {
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["type"] != "sysfs" && mount["type"] != "cgroup");
    bundle
}

#[test]
fn every_namespace_can_be_joined_by_path() {
    for (kind, link, option) in [
        ("network", "net", "--net"),
        ("ipc", "ipc", "--ipc"),
        ("uts", "uts", "--uts"),
        ("cgroup", "cgroup", "--cgroup"),
        ("time", "time", "--time"),
    ] {
        let bundle = Bundle::busybox();
        let (_holder, pid) = holder(&bundle, &[option]);
        let bundle = bundle.join(kind, format!("/proc/{pid}/ns/{link}")).without("/hostname").sleeping();
        bundle.detached();
        assert_eq!(
            host::proc_link(bundle.pid(), &format!("ns/{link}")),
            host::proc_link(pid, &format!("ns/{link}")),
            "{kind}"
        );
        bundle.delete_force();
    }
}

#[test]
fn all_namespaces_of_another_container_can_be_joined() {
    let first = Bundle::busybox().namespace("cgroup").sleeping();
    first.detached();
    let mut second = Bundle::busybox().sleeping();
    for (kind, link) in [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup")] {
        second = second.join(kind, format!("/proc/{}/ns/{link}", first.pid()));
    }
    let second = second.without("/hostname");
    second.detached();
    for link in ["pid", "net", "ipc", "uts", "cgroup"] {
        let name = format!("ns/{link}");
        assert_eq!(host::proc_link(second.pid(), &name), host::proc_link(first.pid(), &name), "{link}");
    }
    assert!(first.inside("ls /proc | grep -c '^[0-9]'").parse::<u32>().unwrap() >= 4, "it sees the other's processes");
    assert_eq!(second.inside("hostname"), "berth");
    second.kill("KILL");
    second.until_status("stopped");
    assert_eq!(first.status(), "running");
}

#[test]
fn root_of_the_callers_user_namespace_gets_a_new_network_too() {
    let mut bundle = Bundle::busybox().without("/linux/resources").without("/linux/cgroupsPath");
    // One id is mapped, none for the group of terminals.
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["type"] != "cgroup" && mount["type"] != "devpts");
    let bundle = bundle.sh("cat /sys/class/net/lo/flags; readlink /proc/self/ns/net");
    let output = bundle.wrapped(&["unshare", "-Urm"], &["run", &bundle.id]).output().ok();
    let (flags, network) = output.stdout.trim().split_once('\n').unwrap();
    assert_eq!(flags, "0x9", "lo is up");
    assert_ne!(network, host::proc_link(std::process::id() as i32, "ns/net"));
}

#[test]
fn a_joined_pid_namespace_does_not_make_the_program_pid_1() {
    let first = Bundle::busybox().sleeping();
    first.detached();
    let second = Bundle::busybox().join("pid", format!("/proc/{}/ns/pid", first.pid()));
    let output = second.run_sh("echo $$; tr '\\0' ' ' < /proc/1/cmdline").ok();
    assert_ne!(output.stdout.lines().next(), Some("1"));
    assert!(output.stdout.contains("trap"), "PID 1 is that of the first: {output}");
}

#[test]
fn a_mount_namespace_can_be_joined() {
    let bundle = Bundle::busybox();
    let rootfs = bundle.rootfs().display().to_string();
    let inside = format!(
        "mount --bind {rootfs} {rootfs}; mount -t tmpfs x {rootfs}/mnt; touch {rootfs}/mnt/marker; echo ready; exec sleep 10000"
    );
    let running = Cmd::new(&bundle.path("scratch"), ["unshare", "-m", "sh", "-c", &inside]).spawn();
    running.until_prints("ready");
    let bundle = bundle.join("mount", format!("/proc/{}/ns/mnt", running.pid()));
    let output = bundle.berth(&["create", &bundle.id]);
    if output.status != 0 {
        // A runtime may refuse it; it must then say why.
        assert!(!output.stderr.is_empty(), "{output}");
    }
    drop(running);
    bundle.assert_clean_after_delete();
}

#[test]
fn the_loopback_interface_is_up() {
    Bundle::busybox().run_sh("ip addr show lo").ok().prints("127.0.0.1/8").prints("UP");
    let bundle = Bundle::busybox().userns();
    bundle.run_sh("ip addr show lo").ok().prints("127.0.0.1/8");
}

#[test]
fn a_joined_network_is_left_as_it_is() {
    let bundle = Bundle::busybox();
    let (_holder, pid) = holder(&bundle, &["--net"]);
    let bundle = bundle.join("network", format!("/proc/{pid}/ns/net"));
    let output = bundle.run_sh("ip link show lo").ok();
    assert!(!output.stdout.contains(",UP"), "{output}");
}

#[test]
fn time_offsets_move_the_clocks() {
    let bundle = Bundle::busybox().namespace("time").set(
        "/linux/timeOffsets",
        json!({"monotonic": {"secs": 7881, "nanosecs": 2_718_281}, "boottime": {"secs": 1_000_000}}),
    );
    let output = bundle.run_sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words[..6], ["monotonic", "7881", "2718281", "boottime", "1000000", "0"]);
    assert!(words[6].parse::<u64>().unwrap() >= 1_000_000);
}

#[test]
fn exec_lives_in_the_time_of_the_container() {
    let bundle = Bundle::busybox()
        .namespace("time")
        .set("/linux/timeOffsets", json!({"boottime": {"secs": 1_000_000}}))
        .sleeping();
    bundle.detached();
    assert!(bundle.inside("cut -d. -f1 /proc/uptime").parse::<u64>().unwrap() >= 1_000_000);
}

#[test]
fn time_offsets_work_with_a_user_namespace() {
    let bundle = Bundle::busybox()
        .userns()
        .namespace("time")
        .set("/linux/timeOffsets", json!({"boottime": {"secs": 500_000_000}}));
    let output = bundle.run_sh("cut -d. -f1 /proc/uptime").ok();
    assert!(output.text().parse::<u64>().unwrap() >= 500_000_000);
}

#[test]
fn a_user_namespace_maps_ids() {
    let bundle = Bundle::busybox()
        .userns()
        .set(
            "/linux/uidMappings",
            json!([
                {"containerID": 0, "hostID": 100_000, "size": 1000},
                {"containerID": 1000, "hostID": 300_000, "size": 5}
            ]),
        )
        .set("/process/user", json!({"uid": 1001, "gid": 7}))
        .args(["sleep", "1000"]);
    bundle.detached();
    assert_eq!(host::proc_status(bundle.pid(), "Uid"), "300001 300001 300001 300001");
    assert_eq!(host::proc_status(bundle.pid(), "Gid"), "200007 200007 200007 200007");
    let map: Vec<Vec<String>> = host::proc(bundle.pid(), "uid_map")
        .lines()
        .map(|line| line.split_whitespace().map(str::to_string).collect())
        .collect();
    assert_eq!(map, [["0", "100000", "1000"], ["1000", "300000", "5"]]);
}

#[test]
fn root_of_a_user_namespace_owns_the_image_and_its_namespaces() {
    let bundle = Bundle::busybox().userns().writable().caps(&["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_CHOWN"]);
    let script = "id -u; touch /new && chown 5:6 /new && stat -c '%u %g' /new; ip link add dummy0 type dummy 2>/dev/null || ip link set lo down && echo net; hostname other && hostname";
    let output = bundle.run_sh(script).ok();
    assert_eq!(output.stdout, "0\n5 6\nnet\nother\n");
    let new = host::stat(bundle.rootfs().join("new"));
    use std::os::unix::fs::MetadataExt;
    assert_eq!((new.uid(), new.gid()), (100_005, 200_006));
}

#[test]
fn a_user_namespace_works_with_every_other_one_inherited() {
    let mut bundle = bundle_without_sysfs(Bundle::busybox().userns());
    for kind in ["network", "ipc", "cgroup"] {
        bundle = bundle.without_namespace(kind);
    }
    bundle.config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "mqueue");
    bundle.run_sh("id -u").ok().prints("0");
}

#[test]
fn a_user_namespace_can_be_joined_with_and_without_others() {
    let first = Bundle::busybox().userns().sleeping();
    first.detached();
    let pid = first.pid();
    let user = format!("/proc/{pid}/ns/user");
    let second =
        Bundle::busybox().userns().join("user", &user).without("/linux/uidMappings").without("/linux/gidMappings");
    second.run_sh("id -u; cat /proc/self/uid_map | tr -s ' '").ok().prints("0\n 0 100000 65536");
    let mut third =
        Bundle::busybox().userns().join("user", &user).without("/linux/uidMappings").without("/linux/gidMappings");
    for (kind, link) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
        third = third.join(kind, format!("/proc/{pid}/ns/{link}"));
    }
    let third = third.without("/hostname");
    let output = third.run_sh("hostname; readlink /proc/self/ns/net").ok();
    assert_eq!(output.stdout, format!("berth\n{}\n", host::proc_link(pid, "ns/net")));
}

#[test]
fn the_order_in_the_configuration_does_not_matter() {
    let first = Bundle::busybox().userns().sleeping();
    first.detached();
    let pid = first.pid();
    let path = |link: &str| format!("/proc/{pid}/ns/{link}");
    let joined = [
        json!({"type": "network", "path": path("net")}),
        json!({"type": "user", "path": path("user")}),
        json!({"type": "mount"}),
        json!({"type": "uts", "path": path("uts")}),
        json!({"type": "pid"}),
        json!({"type": "ipc", "path": path("ipc")}),
    ];
    for turn in 0..joined.len() {
        let mut order = joined.to_vec();
        order.rotate_left(turn);
        let second = Bundle::busybox().userns().set("/linux/namespaces", json!(order));
        let second = second.without("/linux/uidMappings").without("/linux/gidMappings").without("/hostname");
        second.run_sh("hostname").ok().prints("berth");
    }
}

#[test]
fn new_and_joined_namespaces_combine_in_every_way() {
    let bundle = Bundle::busybox();
    let (_holder, pid) = holder(&bundle, &["--net", "--ipc", "--uts"]);
    for mask in 0..8_u32 {
        let mut bundle = Bundle::busybox().without("/hostname").sleeping();
        let parts = [("network", "net"), ("ipc", "ipc"), ("uts", "uts")];
        for (bit, (kind, link)) in parts.iter().enumerate() {
            if mask & (1 << bit) != 0 {
                bundle = bundle.join(kind, format!("/proc/{pid}/ns/{link}"));
            }
        }
        bundle.detached();
        for (bit, (kind, link)) in parts.iter().enumerate() {
            let same =
                host::proc_link(bundle.pid(), &format!("ns/{link}")) == host::proc_link(pid, &format!("ns/{link}"));
            assert_eq!(same, mask & (1 << bit) != 0, "{kind} in {mask:03b}");
        }
    }
}

#[test]
fn a_new_cgroup_namespace_is_rooted_at_the_containers_cgroup() {
    let bundle = Bundle::busybox().namespace("cgroup");
    let output = bundle.run_sh("cat /proc/self/cgroup").ok();
    let controllers = output.stdout.lines().filter(|line| !line.contains("name=") && !line.starts_with("0::"));
    assert!(controllers.clone().count() > 0 || common::is_v2(), "{output}");
    assert!(controllers.clone().all(|line| line.ends_with(":/")), "{output}");
    if common::is_v2() {
        assert_eq!(output.stdout, "0::/\n");
    }
}

#[test]
fn without_a_pid_namespace_the_host_is_seen_and_delete_still_ends_all() {
    let bundle = Bundle::busybox().without_namespace("pid").sh("sleep 2001 & echo ready; wait");
    let output = bundle.detached();
    eventually("it is ready", || output.stdout_now().contains("ready").then_some(()));
    bundle.delete_force();
    bundle.assert_clean();
}

#[test]
fn an_unprivileged_user_can_run_a_container() {
    if !host::has("setpriv") {
        skip!("the host has no setpriv");
    }
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if limit.trim() == "0" {
        skip!("user namespaces are off");
    }
    let bundle = rootless(Bundle::busybox().sh("id -u; echo hello; cat /proc/1/comm"));
    let words = ["run", &bundle.id];
    let output = bundle.wrapped(&["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups"], &words).output();
    output.ok().prints("0\nhello\n");
}

/// Rootless Podman calls from a user namespace in which the user is root.
#[test]
fn root_of_a_users_namespace_has_the_users_directory() {
    if !host::has("setpriv") {
        skip!("the host has no setpriv");
    }
    let mut bundle = rootless(Bundle::busybox().sleeping()).without_namespace("user");
    bundle = bundle.without("/linux/uidMappings").without("/linux/gidMappings");
    bundle.write();
    let session = bundle.path("session");
    fs::create_dir(&session).unwrap();
    common::bundle::chown_all(&session, 4321, 4321);
    let program = host::binary();
    let berth = |user: &str, words: &[&str]| {
        let around = ["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups", "unshare", "-Ur"];
        let all = around.into_iter().chain([program.to_str().unwrap()]).chain(words.iter().copied());
        Cmd::new(&bundle.path("scratch"), all).env("XDG_RUNTIME_DIR", &session).env("USER", user).output()
    };
    berth("tester", &["run", "-d", "--bundle", &bundle.place("bundle"), &bundle.id]).ok();
    assert!(session.join("berth").join(&bundle.id).join("state.json").exists());
    assert_eq!(berth("tester", &["state", &bundle.id]).ok().json()["status"], "running");
    berth("root", &["state", &bundle.id]).fails("does not exist|/run/berth");
    berth("tester", &["delete", "--force", &bundle.id]).ok();
}

#[test]
fn an_unprivileged_user_maps_ranges_with_newuidmap() {
    if !host::has("setpriv") || !host::has("newuidmap") {
        skip!("the host has no setpriv or no newuidmap (package uidmap)");
    }
    let bundle = rootless(Bundle::busybox().sh("id -u; cat /proc/self/uid_map | tr -s ' '"))
        .set(
            "/linux/uidMappings",
            json!([
                {"containerID": 0, "hostID": 4321, "size": 1}, {"containerID": 1, "hostID": 700_000, "size": 1000}
            ]),
        )
        .set(
            "/linux/gidMappings",
            json!([
                {"containerID": 0, "hostID": 4321, "size": 1}, {"containerID": 1, "hostID": 700_000, "size": 1000}
            ]),
        );
    let ids = bundle.place("subid");
    fs::write(&ids, "tester4321:700000:65536\n").unwrap();
    let (passwd, group) = (bundle.place("passwd"), bundle.place("group"));
    let host_passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(&passwd, host_passwd + "tester4321:x:4321:4321::/:/bin/sh\n").unwrap();
    fs::write(&group, fs::read_to_string("/etc/group").unwrap() + "tester4321:x:4321:\n").unwrap();
    // A private view of the files that newuidmap reads.
    let around = format!(
        "touch /etc/subuid /etc/subgid; mount --bind {ids} /etc/subuid && mount --bind {ids} /etc/subgid &&
         mount --bind {passwd} /etc/passwd && mount --bind {group} /etc/group &&
         exec setpriv --reuid 4321 --regid 4321 --clear-groups \"$@\""
    );
    let output = bundle.wrapped(&["unshare", "-m", "sh", "-c", &around, "sh"], &["run", &bundle.id]).output();
    output.ok().prints("0\n 0 4321 1\n 1 700000 1000\n");
}

/// Makes a bundle one that user 4321 can run: as `spec --rootless` would write it.
fn rootless(bundle: Bundle) -> Bundle {
    let map = json!([{"containerID": 0, "hostID": 4321, "size": 1}]);
    let mut bundle = bundle
        .without_namespace("network")
        .namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .without("/linux/resources")
        .without("/linux/cgroupsPath");
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["type"] != "cgroup");
    for mount in mounts.iter_mut() {
        if mount["type"] == "sysfs" {
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        }
        if mount["type"] == "devpts" {
            let options = mount["options"].as_array_mut().unwrap();
            options.retain(|option| option != "gid=5");
        }
    }
    fs::create_dir(bundle.root()).unwrap();
    common::bundle::chown_all(bundle.path("").as_path(), 4321, 4321);
    bundle
}
