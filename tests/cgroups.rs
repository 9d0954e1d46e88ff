//! Resource limits: that they hold, on cgroup v1, hybrid and v2 hosts alike.

mod common;

use common::{Bundle, eventually, host, json, skip};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Ends the test when the host has no such controller.
macro_rules! need {
    ($name:literal) => {
        if host::controller($name).is_none() {
            skip!("the host has no {} controller", $name);
        }
    };
}

const MIB: u64 = 1 << 20;

/// The file of a limit on v1 or on v2.
fn file<'a>(v1: &'a str, v2: &'a str) -> &'a str {
    if common::is_v2() { v2 } else { v1 }
}

#[test]
fn a_process_that_takes_more_memory_than_allowed_is_killed() {
    need!("memory");
    let bundle = Bundle::busybox().limit("memory", json!({"limit": 20 * MIB, "swap": 20 * MIB}));
    // A tmpfs is charged like anonymous memory.
    let output = bundle.run_sh("dd if=/dev/zero of=/dev/shm/big bs=1M count=60; echo survived $?");
    assert!(output.status == 137 || output.stdout.contains("survived 137"), "{output}");
}

#[test]
fn the_memory_limit_is_where_the_kernel_reads_it() {
    need!("memory");
    let bundle = Bundle::busybox().limit("memory", json!({"limit": 64 * MIB, "reservation": 32 * MIB})).sleeping();
    bundle.detached();
    assert_eq!(bundle.cgroup_file("memory", file("memory.limit_in_bytes", "memory.max")), (64 * MIB).to_string());
    assert_eq!(bundle.cgroup_file("memory", file("memory.soft_limit_in_bytes", "memory.low")), (32 * MIB).to_string());
}

#[test]
fn swap_of_the_specification_is_memory_and_swap_together() {
    need!("memory");
    let bundle = Bundle::busybox().limit("memory", json!({"limit": 64 * MIB, "swap": 96 * MIB})).sleeping();
    let name = file("memory.memsw.limit_in_bytes", "memory.swap.max");
    if !common::is_v2() && !host::controller("memory").unwrap().join(name).exists() {
        skip!("the kernel does not account swap");
    }
    bundle.detached();
    let expected = if common::is_v2() { 32 * MIB } else { 96 * MIB };
    assert_eq!(bundle.cgroup_file("memory", name), expected.to_string());
}

#[test]
fn minus_one_means_unlimited() {
    need!("memory");
    let bundle =
        Bundle::busybox().limit("memory", json!({"limit": -1, "swap": -1})).limit("pids", json!({"limit": -1}));
    let bundle = bundle.sleeping();
    bundle.detached();
    let value = bundle.cgroup_file("memory", file("memory.limit_in_bytes", "memory.max"));
    assert!(value == "max" || value.parse::<u64>().is_ok_and(|bytes| bytes > 1 << 60), "{value}");
    if host::controller("pids").is_some() {
        assert_eq!(bundle.cgroup_file("pids", "pids.max"), "max");
    }
}

#[test]
fn a_small_memory_limit_still_lets_the_container_start() {
    need!("memory");
    let bundle = Bundle::busybox().limit("memory", json!({"limit": 4 * MIB})).args(["/bin/busybox", "echo", "fine"]);
    bundle.run().ok().prints("fine");
}

#[test]
fn no_more_processes_than_allowed_can_be_made() {
    need!("pids");
    let bundle = Bundle::busybox().limit("pids/limit", json!(8));
    let output = bundle.run_sh("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo made all");
    assert!(!output.stdout.contains("made all"), "{output}");
    output.complains("can't fork|resource temporarily");
}

#[test]
fn one_process_is_enough_to_start() {
    need!("pids");
    let bundle = Bundle::busybox().limit("pids/limit", json!(1)).args(["echo", "fine"]);
    bundle.run().ok().prints("fine");
}

#[test]
fn cpu_shares_quota_and_period_are_set() {
    need!("cpu");
    let bundle = Bundle::busybox().limit("cpu", json!({"shares": 512, "quota": 25_000, "period": 50_000})).sleeping();
    bundle.detached();
    if common::is_v2() {
        assert_eq!(bundle.cgroup_file("cpu", "cpu.max"), "25000 50000");
        let weight: u64 = bundle.cgroup_file("cpu", "cpu.weight").parse().unwrap();
        // The formula of the specification: shares 512 are weight 59.
        assert!((20..=60).contains(&weight), "{weight}");
    } else {
        assert_eq!(bundle.cgroup_file("cpu", "cpu.shares"), "512");
        assert_eq!(bundle.cgroup_file("cpu", "cpu.cfs_quota_us"), "25000");
        assert_eq!(bundle.cgroup_file("cpu", "cpu.cfs_period_us"), "50000");
    }
}

#[test]
fn a_cpu_quota_slows_down() {
    need!("cpu");
    let bundle = Bundle::busybox().limit("cpu", json!({"quota": 5_000, "period": 100_000})).sh("while :; do :; done");
    bundle.detached();
    let throttled = || {
        let stat = bundle.cgroup_file("cpu", "cpu.stat");
        let count = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap_or("0").to_string();
        (count.parse::<u64>().unwrap() > 0).then_some(())
    };
    eventually("the kernel throttles it", throttled);
}

#[test]
fn cpus_and_memory_nodes_are_set() {
    need!("cpuset");
    let bundle = Bundle::busybox().limit("cpu", json!({"cpus": "0", "mems": "0"})).sleeping();
    bundle.detached();
    assert_eq!(bundle.cgroup_file("cpuset", "cpuset.cpus"), "0");
    assert_eq!(bundle.cgroup_file("cpuset", "cpuset.mems"), "0");
    assert_eq!(bundle.inside("grep Cpus_allowed_list /proc/self/status | cut -f2"), "0");
}

#[test]
fn a_cpuset_below_a_new_parent_is_filled_from_above() {
    need!("cpuset");
    let bundle = Bundle::busybox();
    let path = format!("/{}/inner", bundle.id);
    let bundle = bundle.cgroups_path(&path).sleeping();
    bundle.detached();
    if !common::is_v2() {
        assert_ne!(bundle.cgroup_file("cpuset", "cpuset.cpus"), "");
    }
    bundle.delete_force();
    common::bundle::remove_cgroup_of(&bundle.id);
}

#[test]
fn device_rules_decide_what_can_be_opened() {
    // A device that everybody may open, if only the rules allow it.
    let Some((major, minor)) = [("fuse", (10, 229)), ("net/tun", (10, 200)), ("loop-control", (10, 237))]
        .into_iter()
        .find_map(|(name, number)| std::path::Path::new("/dev").join(name).exists().then_some(number))
    else {
        skip!("the host has none of the devices to try this with");
    };
    let rules = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": major, "minor": minor, "access": "r"}
    ]);
    let device = json!({"path": "/dev/tried", "type": "c", "major": major, "minor": minor, "fileMode": 0o666});
    let bundle = Bundle::busybox().limit("devices", rules).caps(&["CAP_MKNOD"]).push("/linux/devices", device);
    let script = "(exec 3< /dev/tried) && echo read; (exec 3<> /dev/tried) || echo no write;
        mknod /dev/loop9 b 7 9; (exec 3< /dev/loop9) || echo no loop; echo x > /dev/null && echo null";
    let output = bundle.run_sh(script).ok();
    assert_eq!(output.stdout, "read\nno write\nno loop\nnull\n", "{output}");
}

#[test]
fn an_allowed_device_works() {
    let bundle = Bundle::busybox()
        .limit("devices", json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]))
        .push("/linux/devices", json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}));
    if !std::path::Path::new("/dev/fuse").exists() {
        skip!("the host has no /dev/fuse");
    }
    bundle.run_sh("exec 3<> /dev/fuse && echo open").ok().prints("open");
}

#[test]
fn the_default_devices_are_allowed_whatever_the_rules_say() {
    let bundle = Bundle::busybox().limit("devices", json!([{"allow": false, "access": "rwm"}]));
    let script =
        "for d in null zero full random urandom; do head -c 0 < /dev/$d || exit 1; done; echo > /dev/null && echo fine";
    bundle.run_sh(script).ok().prints("fine");
}

#[test]
fn nodes_can_be_made_but_not_opened_without_a_rule() {
    let bundle = Bundle::busybox().caps(&["CAP_MKNOD"]);
    let output = bundle.run_sh("mknod /dev/mem1 c 1 1 && echo made; cat /dev/mem1").exits(1);
    output.prints("made").complains("not permitted");
}

#[test]
fn without_resources_every_device_of_the_default_list_works() {
    let bundle = Bundle::busybox().without("/linux/resources");
    bundle.run_sh("echo x > /dev/null && echo fine").ok().prints("fine");
}

#[test]
fn the_processes_are_in_every_hierarchy() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let text = host::proc(bundle.pid(), "cgroup");
    for line in text.lines() {
        let group = line.splitn(3, ':').nth(2).unwrap();
        assert!(group.ends_with(&bundle.id), "{line}");
    }
}

#[test]
fn the_cgroup_is_gone_after_delete() {
    let bundle = Bundle::busybox().limit("pids", json!({"limit": 100})).sleeping();
    bundle.detached();
    assert!(!host::cgroup_dirs(&bundle.id).is_empty());
    bundle.delete_force();
    assert!(host::cgroup_dirs(&bundle.id).is_empty(), "at once, not some time later");
}

#[test]
fn groups_that_the_container_made_are_removed_too() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    for directory in host::cgroup_dirs(&bundle.id) {
        fs::create_dir_all(directory.join("deep/er")).unwrap();
    }
    bundle.delete_force();
    bundle.assert_clean();
}

#[test]
fn a_group_with_strangers_in_it_is_refused() {
    let first = Bundle::busybox().sleeping();
    first.detached();
    let second = Bundle::busybox();
    let second = second.set("/linux/cgroupsPath", json!(format!("/{}", first.id)));
    second.berth(&["run", &second.id]).fails("cgroup");
    assert_eq!(first.status(), "running", "and they are unharmed");
    assert!(!host::cgroup_dirs(&first.id).is_empty());
}

/// Where the container's processes are frozen, if the host can.
fn freezer(bundle: &Bundle) -> Option<PathBuf> {
    let v2 = common::is_v2().then(|| "/sys/fs/cgroup".into());
    v2.or_else(|| host::controller("freezer")).map(|mount| mount.join(&bundle.id))
}

fn set_frozen(directory: &Path, frozen: bool) {
    let (name, value) = match (common::is_v2(), frozen) {
        (true, true) => ("cgroup.freeze", "1"),
        (true, false) => ("cgroup.freeze", "0"),
        (false, true) => ("freezer.state", "FROZEN"),
        (false, false) => ("freezer.state", "THAWED"),
    };
    fs::write(directory.join(name), value).unwrap();
}

#[test]
fn a_frozen_group_is_refused() {
    let bundle = Bundle::busybox();
    let Some(directory) = freezer(&bundle) else { skip!("the host has no freezer") };
    fs::create_dir(&directory).unwrap();
    set_frozen(&directory, true);
    bundle.berth(&["create", &bundle.id]).fails("container's cgroup unexpectedly frozen").complains("thaw it");
    set_frozen(&directory, false);
    bundle.run_sh("echo fine").ok().prints("fine");
}

#[test]
fn frozen_groups_below_do_not_hinder_kill_and_delete() {
    for how in ["kill", "kill --all", "delete --force"] {
        let bundle = Bundle::busybox().without_namespace("pid").sleeping();
        let Some(directory) = freezer(&bundle) else { skip!("the host has no freezer") };
        bundle.detached();
        let pid_file = bundle.place("pid");
        bundle.exec_with(&["-d", "--pid-file", &pid_file], &["sleep", "1013"]).ok();
        let pid: i32 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
        let below = directory.join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("cgroup.procs"), pid.to_string()).unwrap();
        set_frozen(&below, true);
        if host::has("ps") {
            bundle.berth(&["ps", &bundle.id]).ok().prints("sleep 1013");
        }
        match how {
            "kill" => bundle.kill("KILL"),
            "kill --all" => drop(bundle.berth(&["kill", "--all", &bundle.id, "KILL"]).ok()),
            _ => bundle.delete_force(),
        }
        eventually("the frozen process is gone", || (!host::alive(pid)).then_some(()));
        if how != "delete --force" {
            bundle.until_status("stopped");
            bundle.delete();
        }
        bundle.assert_clean();
    }
}

#[test]
fn a_pause_that_the_kernel_cannot_finish_is_given_up_and_undone() {
    if !Path::new("/dev/fuse").exists() {
        skip!("the host has no /dev/fuse");
    }
    let bundle = Bundle::busybox().sleeping();
    let Some(directory) = freezer(&bundle) else { skip!("the host has no freezer") };
    bundle.detached();
    // A process that waits for a file system that does not answer cannot be stopped, only killed.
    let silent = bundle.path("silent");
    fs::create_dir(&silent).unwrap();
    let server = common::silence::mount(&silent);
    let script = format!("echo $$ > {}/cgroup.procs && exec stat {}/x", directory.display(), silent.display());
    let waiting = bundle.host_spawn(&["sh", "-c", &script]);
    server.asked();
    let pause = bundle.berth(&["pause", &bundle.id]);
    let status = bundle.status();
    // Before anything is demanded: nothing must stay that cannot be stopped.
    drop(server);
    waiting.wait();
    pause.fails("did not stop within").complains("uninterruptible");
    assert_eq!(status, "running");
    bundle.inside("true");
    bundle.berth(&["pause", &bundle.id]).ok();
    bundle.delete_force();
}

#[test]
fn an_empty_group_that_exists_is_used() {
    let Some(mount) = host::controller("pids") else { skip!("the host has no pids controller") };
    let bundle = Bundle::busybox();
    fs::create_dir(mount.join(&bundle.id)).unwrap();
    bundle.run_sh("echo fine").ok().prints("fine");
}

#[test]
fn a_nested_path_is_made() {
    let bundle = Bundle::busybox();
    let path = format!("/{}/a/b", bundle.id);
    let bundle = bundle.cgroups_path(&path).sleeping();
    bundle.detached();
    assert!(host::proc(bundle.pid(), "cgroup").contains(&path));
    bundle.delete_force();
    assert!(host::cgroup_dirs(&path).is_empty());
    common::bundle::remove_cgroup_of(&bundle.id);
}

#[test]
fn a_relative_path_is_made_below_some_default() {
    let bundle = Bundle::busybox();
    let relative = format!("{}rel", bundle.id);
    let bundle = bundle.cgroups_path(&relative).sleeping();
    bundle.detached();
    assert!(host::proc(bundle.pid(), "cgroup").contains(&relative));
    bundle.delete_force();
    bundle.assert_clean();
}

#[test]
fn without_a_path_the_id_names_the_group() {
    let bundle = Bundle::busybox().without("/linux/cgroupsPath").sleeping();
    bundle.detached();
    let text = host::proc(bundle.pid(), "cgroup");
    assert!(text.lines().any(|line| line.contains(&bundle.id)), "{text}");
}

#[test]
fn a_path_cannot_climb_out_of_the_hierarchy() {
    let bundle = Bundle::busybox();
    let path = format!("/../../../..{}", bundle.place("escaped"));
    let bundle = bundle.set("/linux/cgroupsPath", json!(path));
    let output = bundle.berth(&["create", &bundle.id]);
    assert!(!bundle.path("escaped").exists(), "{output}");
    bundle.delete_force();
    // Where a runtime cleans the path instead of refusing it, the group is at the cleaned place.
    for (mount, _) in host::cgroup_mounts() {
        let inside = mount.join(bundle.place("escaped").trim_start_matches('/'));
        assert!(!inside.exists(), "{}", inside.display());
        let first = bundle.place("escaped").split('/').nth(1).unwrap().to_string();
        if mount.join(&first).exists() {
            common::bundle::remove_cgroup(&mount.join(first));
        }
    }
}

#[test]
fn a_limit_that_the_host_cannot_apply_names_its_controller() {
    for (controller, limit, value) in [
        ("rdma", "rdma", json!({"mlx5_1": {"hcaHandles": 3}})),
        ("net_cls", "network/classID", json!(1_048_577)),
        ("memory", "memory/limit", json!(MIB * 64)),
        ("hugetlb", "hugepageLimits", json!([{"pageSize": "3kB", "limit": 1}])),
    ] {
        let known = host::controller(controller).is_some();
        let bundle = Bundle::busybox().limit(limit, value);
        let output = bundle.berth(&["run", &bundle.id]);
        if known && controller == "memory" {
            output.ok();
        } else {
            output.fails(&format!("{controller}|{}", limit.split('/').next().unwrap()));
            bundle.assert_clean();
        }
    }
}

#[test]
fn unified_is_for_v2_alone() {
    let bundle = Bundle::busybox().limit("unified", json!({"pids.max": "55"})).sleeping();
    if common::is_v2() {
        bundle.detached();
        assert_eq!(bundle.cgroup_file("pids", "pids.max"), "55");
    } else {
        bundle.berth(&["create", &bundle.id]).fails("unified");
    }
}

#[test]
fn pids_of_exec_are_counted() {
    need!("pids");
    let bundle = Bundle::busybox().limit("pids/limit", json!(20)).sleeping();
    bundle.detached();
    for _ in 0..3 {
        bundle.exec_with(&["-d"], &["sleep", "1000"]).ok();
    }
    let current: u32 = bundle.cgroup_file("pids", "pids.current").parse().unwrap();
    assert!(current >= 4, "{current}");
}

#[test]
fn block_weights_and_rates_are_set_where_the_kernel_has_them() {
    let name = file("blkio", "io");
    let Some(mount) = host::controller(name) else { skip!("the host has no {name} controller") };
    if !mount.join("blkio.throttle.read_bps_device").exists() && !common::is_v2() {
        skip!("the kernel has no throttling of block devices");
    }
    let Some(device) = fs::read_dir("/sys/block").unwrap().flatten().map(|entry| entry.path().join("dev")).next()
    else {
        skip!("the host has no block device");
    };
    let number = fs::read_to_string(device).unwrap().trim().to_string();
    let (major, minor) = number.split_once(':').unwrap();
    let (major, minor): (i64, i64) = (major.parse().unwrap(), minor.parse().unwrap());
    let bundle = Bundle::busybox()
        .limit("blockIO/throttleReadBpsDevice", json!([{"major": major, "minor": minor, "rate": 1_048_576}]))
        .sleeping();
    bundle.detached();
    let text = bundle.cgroup_file(name, file("blkio.throttle.read_bps_device", "io.max"));
    assert!(text.contains(&number) && text.contains("1048576"), "{text}");
}

#[test]
fn the_freezer_of_a_paused_container_is_frozen() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    bundle.berth(&["pause", &bundle.id]).ok();
    if common::is_v2() {
        assert_eq!(bundle.cgroup_file("pids", "cgroup.freeze"), "1");
    } else if host::controller("freezer").is_some() {
        assert_eq!(bundle.cgroup_file("freezer", "freezer.state"), "FROZEN");
    }
    bundle.berth(&["resume", &bundle.id]).ok();
}

/// A bundle in a user namespace whose cgroup mount can, or cannot, be written.
fn in_user_namespace(mode: &str) -> Bundle {
    let mut bundle = Bundle::busybox().userns();
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        if mount["type"] == "cgroup" {
            mount["options"] = json!(["nosuid", "noexec", "nodev", "relatime", mode]);
        }
    }
    bundle
}

#[test]
fn a_user_namespace_can_manage_its_own_groups_on_v2() {
    if !common::is_v2() {
        skip!("delegation is for cgroup v2");
    }
    let bundle = in_user_namespace("rw");
    bundle.run_sh("mkdir /sys/fs/cgroup/mine && echo made && rmdir /sys/fs/cgroup/mine").ok().prints("made");
}

#[test]
fn what_the_kernel_lists_for_delegation_belongs_to_the_user_namespaces_root_and_nothing_else() {
    if !common::is_v2() {
        skip!("delegation is for cgroup v2");
    }
    let list = fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap();
    for (mode, owner) in [("rw", (100_000, 200_000)), ("ro", (0, 0))] {
        let bundle = in_user_namespace(mode).sleeping();
        bundle.detached();
        let [directory] = &host::cgroup_dirs(&bundle.id)[..] else { panic!("one cgroup") };
        let of = |path: &Path| (host::stat(path).uid(), host::stat(path).gid());
        assert_eq!(of(directory), owner, "{mode}");
        for entry in fs::read_dir(directory).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            let listed = list.lines().any(|name| name == entry.file_name());
            assert_eq!(of(&entry.path()), if listed { owner } else { (0, 0) }, "{mode}: {}", entry.path().display());
        }
        assert!(directory.join("cgroup.procs").is_file() && directory.join("memory.max").is_file());
    }
}

#[test]
fn without_a_cgroup_manager_the_container_stays_in_its_callers_cgroup() {
    let mut bundle = Bundle::busybox()
        .without_namespace("cgroup")
        .without("/linux/cgroupsPath")
        .without("/linux/resources")
        .sh("cat /proc/self/cgroup; sleep 1000");
    bundle.globals = ["--cgroup-manager", "disabled"].map(str::to_string).to_vec();
    let output = bundle.detached();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    common::eventually("its cgroups", || (output.stdout_now() == own).then_some(()));
    assert_eq!(bundle.inside("cat /proc/self/cgroup"), own.trim());
    bundle.berth(&["pause", &bundle.id]).fails("cgroup");
    bundle.kill("KILL");
    bundle.until_status("stopped");
    bundle.delete();
    bundle.assert_clean();
}

#[test]
fn without_a_cgroup_manager_a_limit_is_refused() {
    let mut bundle = Bundle::busybox().without("/linux/cgroupsPath").limit("memory/limit", json!(64 << 20));
    bundle.globals = ["--cgroup-manager", "disabled"].map(str::to_string).to_vec();
    bundle.run().fails("linux.resources.memory");
}
