//! Mounts: every type and option, seen from inside of the container.

mod common;

use common::{Bundle, host, json, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A line of `/proc/self/mountinfo` of a container.
#[derive(Debug)]
struct Line {
    options: String,
    propagation: String,
    kind: String,
    data: String,
}

/// Runs the container and returns its mount at `target`, the topmost one.
#[track_caller]
fn mount_at(bundle: &Bundle, target: &str) -> Line {
    let output = bundle.run_args(&["cat", "/proc/self/mountinfo"]).ok();
    find(&output.stdout, target).unwrap_or_else(|| panic!("no mount at {target}: {output}"))
}

fn find(mountinfo: &str, target: &str) -> Option<Line> {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(target))?;
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    Some(Line {
        options: format!(",{},", left[5]),
        propagation: left[6..].join(" "),
        kind: right[0].into(),
        data: format!(",{},", right[2]),
    })
}

impl Line {
    #[track_caller]
    fn has(&self, options: &[&str]) {
        for option in options {
            assert!(self.options.contains(&format!(",{option},")), "{option} in {self:?}");
        }
    }

    #[track_caller]
    fn lacks(&self, options: &[&str]) {
        for option in options {
            assert!(!self.options.contains(&format!(",{option},")), "no {option} in {self:?}");
        }
    }
}

/// A directory on the host with a file in it.
fn source(bundle: &Bundle) -> PathBuf {
    let path = bundle.path("source");
    let _ = fs::create_dir(&path);
    fs::write(path.join("file"), "from the host\n").unwrap();
    path
}

/// A bundle with a bind mount of a directory of the host at `/data`.
fn bound(options: &[&str]) -> Bundle {
    let bundle = Bundle::busybox().directory("/data");
    let source = source(&bundle);
    bundle.bind(source, "/data", options)
}

fn tmpfs(options: &[&str]) -> Bundle {
    let bundle = Bundle::busybox().directory("/data");
    bundle.mount(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options}))
}

#[test]
fn the_default_mounts_are_there_with_their_options() {
    let bundle = Bundle::busybox();
    let all = bundle.run_sh("cat /proc/self/mountinfo").ok().stdout;
    let at = |target: &str| find(&all, target).unwrap_or_else(|| panic!("{target} in {all}"));
    assert_eq!(at("/proc").kind, "proc");
    assert_eq!(at("/dev").kind, "tmpfs");
    at("/dev").has(&["nosuid"]);
    assert!(at("/dev").data.contains("mode=755") && at("/dev").data.contains("size=65536k"), "{:?}", at("/dev"));
    assert_eq!(at("/dev/pts").kind, "devpts");
    at("/dev/pts").has(&["nosuid", "noexec"]);
    assert!(at("/dev/pts").data.contains("gid=5,mode=620,ptmxmode=666"), "{:?}", at("/dev/pts"));
    at("/dev/shm").has(&["nosuid", "noexec", "nodev"]);
    assert_eq!(at("/dev/mqueue").kind, "mqueue");
    assert_eq!(at("/sys").kind, "sysfs");
    at("/sys").has(&["ro", "nosuid", "noexec", "nodev"]);
    at("/").has(&["ro"]);
}

#[test]
fn mounts_are_made_in_the_order_of_the_configuration() {
    let bundle = tmpfs(&[]).mount(json!({"destination": "/data", "type": "tmpfs", "source": "second",
        "options": ["ro", "mode=0711"]}));
    let output = bundle.run_sh("grep -c ' /data ' /proc/self/mountinfo; stat -c %a /data");
    assert_eq!(output.ok().stdout, "2\n711\n");
}

#[test]
fn each_flag_of_a_tmpfs_is_set() {
    for flag in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"] {
        mount_at(&tmpfs(&[flag]), "/data").has(&[flag]);
    }
    let line = mount_at(&tmpfs(&["ro", "rw", "nosuid", "suid", "noexec", "exec", "nodev", "dev"]), "/data");
    line.has(&["rw"]);
    line.lacks(&["nosuid", "nodev", "noexec"]);
    let line = mount_at(&tmpfs(&["strictatime"]), "/data");
    line.lacks(&["relatime", "noatime"]);
    mount_at(&tmpfs(&["nosymfollow"]), "/data").has(&["nosymfollow"]);
}

#[test]
fn flags_of_the_super_block_are_set() {
    let line = mount_at(&tmpfs(&["sync"]), "/data");
    assert!(line.data.contains(",sync,"), "{line:?}");
    let line = mount_at(&tmpfs(&["dirsync"]), "/data");
    assert!(line.data.contains(",dirsync,"), "{line:?}");
    let line = mount_at(&tmpfs(&["lazytime"]), "/data");
    assert!(line.data.contains(",lazytime,"), "{line:?}");
    for harmless in ["defaults", "async", "nolazytime", "noiversion", "nomand", "silent", "loud", "diratime"] {
        mount_at(&tmpfs(&[harmless]), "/data");
    }
}

#[test]
fn data_goes_to_the_file_system() {
    let line = mount_at(&tmpfs(&["size=1234k", "nr_inodes=77", "mode=1750", "uid=5", "gid=6"]), "/data");
    for option in ["size=1236k", "nr_inodes=77", "mode=1750", "uid=5", "gid=6"] {
        let found =
            line.data.contains(&format!(",{option},")) || (option.starts_with("size") && line.data.contains("size=12"));
        assert!(found, "{option}: {line:?}");
    }
}

#[test]
fn a_bind_mount_shows_the_directory_of_the_host() {
    let bundle = bound(&[]);
    bundle.run_sh("cat /data/file; echo written > /data/new").ok().prints("from the host");
    assert_eq!(fs::read_to_string(bundle.path("source/new")).unwrap(), "written\n");
}

#[test]
fn a_bind_source_may_be_relative_to_the_bundle() {
    let bundle = Bundle::busybox().directory("/data");
    fs::create_dir(bundle.dir().join("near")).unwrap();
    fs::write(bundle.dir().join("near/file"), "near\n").unwrap();
    let bundle = bundle.bind("near", "/data", &[]);
    bundle.run_sh("cat /data/file").ok().prints("near");
    let id = bundle.id.clone();
    let bundle_dir = bundle.place("bundle");
    bundle.cmd(&["run", "--bundle", &bundle_dir, &id]).cwd("/").output().ok();
}

#[test]
fn a_file_can_be_bound_onto_a_file() {
    let bundle = Bundle::busybox();
    let file = source(&bundle).join("file");
    bundle.bind(file, "/etc/passwd", &["ro"]).run_sh("cat /etc/passwd").ok().prints("from the host");
}

#[test]
fn missing_targets_are_made() {
    let bundle = Bundle::busybox();
    let directory = source(&bundle);
    let bundle = bundle.bind(&directory, "/made/deep/dir", &[]).bind(directory.join("file"), "/made/file", &[]);
    bundle.run_sh("cat /made/deep/dir/file /made/file").ok().prints("from the host\nfrom the host\n");
    assert!(bundle.rootfs().join("made/deep/dir").is_dir());
    let stub = fs::metadata(bundle.rootfs().join("made/file")).unwrap();
    assert!(stub.is_file() && stub.len() == 0);
    assert_eq!(stub.permissions().mode() & 0o022, 0, "nobody else may write to what was made");
}

#[test]
fn a_target_that_is_a_symlink_stays_in_the_rootfs() {
    let bundle = Bundle::busybox().directory("/real").link("/data", "/real");
    let source = source(&bundle);
    bundle.bind(source, "/data", &[]).run_sh("cat /real/file").ok().prints("from the host");
}

#[test]
fn each_flag_of_a_bind_mount_is_set() {
    for flag in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"] {
        mount_at(&bound(&[flag]), "/data").has(&[flag]);
    }
    mount_at(&bound(&["nosymfollow"]), "/data").has(&["nosymfollow"]);
    mount_at(&bound(&["ro", "nosuid", "nodev", "noexec"]), "/data").has(&["ro", "nosuid", "nodev", "noexec"]);
}

#[test]
fn flags_of_bind_mounts_have_their_effect() {
    bound(&["ro"]).run_sh("echo x > /data/new").exits(1).complains("read-only file system");
    let bundle = bound(&["noexec"]);
    fs::copy(bundle.rootfs().join("bin/busybox"), bundle.path("source/echo")).unwrap();
    let output = bundle.run_sh("/data/echo hello");
    assert!(output.status == 126 && output.stderr.contains("Permission denied"), "{output}");
    let bundle = bound(&["nosymfollow"]);
    std::os::unix::fs::symlink("file", bundle.path("source/link")).unwrap();
    bundle.run_sh("cat /data/link").exits(1).complains("symbolic links");
}

#[test]
fn options_that_mean_nothing_to_a_bind_mount_are_tolerated() {
    let line = mount_at(&bound(&["mode=755", "size=65536k", "ro"]), "/data");
    line.has(&["ro"]);
}

#[test]
fn bind_as_an_option_is_enough_whatever_the_type() {
    for kind in ["none", "bind", ""] {
        let bundle = Bundle::busybox().directory("/data");
        let source = source(&bundle);
        let bundle = bundle.mount(json!({"destination": "/data", "type": kind, "source": source, "options": ["bind"]}));
        bundle.run_sh("cat /data/file").ok().prints("from the host");
    }
    let bundle = Bundle::busybox().directory("/data");
    let source = source(&bundle);
    let bundle = bundle.mount(json!({"destination": "/data", "source": source, "options": ["rbind", "ro"]}));
    bundle.run_sh("cat /data/file").ok().prints("from the host");
}

/// A bundle whose bound directory has a tmpfs below it, made in a mount namespace around berth.
fn nested(options: &[&str], script: &str) -> common::Output {
    let bundle = bound(options);
    let inner = bundle.path("source/inner");
    fs::create_dir(&inner).unwrap();
    let around = format!("mount -t tmpfs inner {0} && echo deep > {0}/deep && exec \"$@\"", inner.display());
    let bundle = bundle.sh(script);
    bundle.wrapped(&["unshare", "-m", "sh", "-c", &around, "sh"], &["run", &bundle.id]).output()
}

#[test]
fn bind_does_not_take_mounts_below_and_rbind_does() {
    nested(&[], "ls /data/inner").ok().prints("");
    assert_eq!(nested(&[], "ls /data/inner").ok().stdout, "");
    assert_eq!(nested(&["rbind"], "cat /data/inner/deep").ok().stdout, "deep\n");
}

#[test]
fn ro_is_for_the_top_mount_and_rro_for_all() {
    nested(&["rbind", "ro"], "echo x > /data/inner/new && ! echo x > /data/new").ok();
    nested(&["rbind", "rro"], "echo x > /data/inner/new").exits(1).complains("read-only");
    nested(&["rbind", "rro"], "echo x > /data/new").exits(1).complains("read-only");
}

#[test]
fn recursive_flags_reach_mounts_below() {
    for (option, flag) in [
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
        ("rnosymfollow", "nosymfollow"),
        ("rro", "ro"),
    ] {
        let output = nested(&["rbind", option], "cat /proc/self/mountinfo").ok();
        for target in ["/data", "/data/inner"] {
            find(&output.stdout, target).unwrap().has(&[flag]);
        }
    }
    let output = nested(&["rbind", "ro", "rrw"], "cat /proc/self/mountinfo").ok();
    find(&output.stdout, "/data/inner").unwrap().has(&["rw"]);
    let output = nested(&["rbind", "rstrictatime"], "cat /proc/self/mountinfo").ok();
    find(&output.stdout, "/data/inner").unwrap().lacks(&["relatime", "noatime"]);
}

#[test]
fn propagation_of_a_mount_is_set() {
    for (option, expected) in [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        let line = mount_at(&bound(&["rbind", option]), "/data");
        let found = line.propagation.starts_with(expected) && (!expected.is_empty() || line.propagation.is_empty());
        assert!(found, "{option}: {line:?}");
    }
}

#[test]
fn a_slave_mount_receives_mounts_of_the_host_and_a_private_one_does_not() {
    for (option, receives) in [("rslave", true), ("rprivate", false)] {
        let bundle = bound(&["rbind", option]).sh("read x < /data/go; ls /data/inner");
        let inner = bundle.path("source/inner");
        fs::create_dir(&inner).unwrap();
        bundle.host(&["mkfifo", &bundle.place("source/go")]);
        let around = format!(
            "mount --bind {0} {0} && mount --make-shared {0} && (\"$@\" & until grep -qs ' /data ' /proc/$(cat {1})/mountinfo;
             do :; done; mount -t tmpfs x {0}/inner && touch {0}/inner/arrived && echo go > {0}/go; wait)",
            bundle.place("source"),
            bundle.place("pid")
        );
        // The pid file is written when the container's mounts are made.
        let words = ["run", "--pid-file", &bundle.place("pid"), &bundle.id];
        let output = bundle.wrapped(&["unshare", "-m", "bash", "-c", &around, "bash"], &words).output().ok();
        assert_eq!(output.stdout.contains("arrived"), receives, "{option}: {output}");
    }
}

#[test]
fn tmpcopyup_fills_a_tmpfs_with_what_was_there() {
    let bundle = tmpfs(&["tmpcopyup", "mode=755"]).file("/data/a/b", "kept\n").link("/data/l", "a/b");
    let output = bundle.run_sh("cat /data/a/b; readlink /data/l; echo new > /data/new; stat -f -c %T /data");
    assert_eq!(output.ok().stdout, "kept\na/b\ntmpfs\n");
    assert!(!bundle.rootfs().join("data/new").exists());
}

#[test]
fn tmpcopyup_keeps_owner_and_mode() {
    let bundle = tmpfs(&["tmpcopyup"]).file("/data/secret", "x");
    let secret = bundle.rootfs().join("data/secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&secret, Some(1000), Some(1001)).unwrap();
    bundle.run_sh("stat -c '%a %u %g' /data/secret").ok().prints("640 1000 1001");
}

#[test]
fn overlay_is_a_file_system_like_any_other() {
    let bundle = Bundle::busybox().directory("/data");
    for name in ["lower", "upper", "work"] {
        fs::create_dir(bundle.path(name)).unwrap();
    }
    fs::write(bundle.path("lower/below"), "below\n").unwrap();
    let options = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", bundle.place(name)));
    let bundle =
        bundle.mount(json!({"destination": "/data", "type": "overlay", "source": "overlay", "options": options}));
    bundle.run_sh("cat /data/below; echo above > /data/above").ok().prints("below");
    assert_eq!(fs::read_to_string(bundle.path("upper/above")).unwrap(), "above\n");
    assert!(!bundle.path("lower/above").exists());
}

#[test]
fn devpts_is_an_instance_of_its_own() {
    let bundle = Bundle::busybox();
    let output = bundle.run_sh("ls /dev/pts; readlink /dev/ptmx; stat -c %a /dev/pts/ptmx").ok();
    assert_eq!(output.stdout, "ptmx\npts/ptmx\n666\n");
}

#[test]
fn mqueue_shm_and_proc_belong_to_the_containers_namespaces() {
    let bundle = Bundle::busybox().set("/linux/sysctl", json!({"fs.mqueue.queues_max": "17"}));
    let output =
        bundle.run_sh("cat /proc/sys/fs/mqueue/queues_max; ls /proc | grep -c '^[0-9]*$'; stat -c %a /dev/shm");
    assert_eq!(output.ok().stdout.lines().next(), Some("17"));
}

#[test]
fn proc_is_that_of_the_new_pid_namespace() {
    let output = Bundle::busybox().run_sh("echo $$; readlink /proc/self; cat /proc/1/comm; true").ok();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!((lines[0], lines[2]), ("1", "sh"));
}

#[test]
fn proc_can_be_mounted_with_options() {
    let bundle = Bundle::busybox().set(
        "/mounts/0",
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev", "hidepid=2"]}),
    );
    let line = mount_at(&bundle, "/proc");
    line.has(&["nosuid", "noexec", "nodev"]);
    assert!(line.data.contains("hidepid="), "{line:?}");
}

#[test]
fn the_cgroup_mount_shows_the_containers_cgroup_read_only() {
    let bundle = Bundle::busybox();
    let output = bundle.run_sh("cd /sys/fs/cgroup; ls; mkdir pids/x x").exits(1);
    if common::is_v2() {
        assert!(output.stdout.contains("cgroup.procs"), "{output}");
    } else {
        assert!(output.stdout.contains("memory") && output.stdout.contains("pids"), "{output}");
    }
    output.complains("read-only file system");
}

#[test]
fn on_v1_the_cgroup_mount_is_the_containers_own_group() {
    if common::is_v2() || host::controller("pids").is_none() {
        skip!("the host has no pids controller of cgroup v1");
    }
    let bundle = Bundle::busybox();
    bundle.run_sh("cat /sys/fs/cgroup/pids/cgroup.procs | head -1").ok().prints("1\n");
    let bundle = Bundle::busybox().namespace("cgroup");
    let output = bundle.run_sh("cat /sys/fs/cgroup/pids/cgroup.procs | head -1; cat /proc/self/cgroup").ok();
    assert!(output.stdout.starts_with("1\n") && output.stdout.contains("pids:/\n"), "{output}");
}

#[test]
fn on_v2_the_cgroup_mount_works_with_and_without_a_namespace() {
    if !common::is_v2() {
        skip!("the host has no pure cgroup v2");
    }
    let bundle = Bundle::busybox();
    bundle.run_sh("cat /sys/fs/cgroup/cgroup.procs | head -1; cat /proc/self/cgroup").ok().prints("1\n0::/\n");
    let bundle = Bundle::busybox().without_namespace("cgroup");
    // Without a namespace the tree is the host's, in which the container finds itself.
    let own = "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)";
    bundle.run_sh(&format!("test -f {own}/cgroup.type && grep -x $$ {own}/cgroup.procs")).ok().prints("1\n");
}

#[test]
fn sysfs_shows_the_network_of_the_container() {
    let bundle = Bundle::busybox();
    assert_eq!(bundle.run_sh("ls /sys/class/net").ok().stdout, "lo\n");
}

#[test]
fn idmapped_binds_show_other_owners() {
    let map = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 65_536}]);
    let bundle = Bundle::busybox().directory("/data");
    let source = source(&bundle);
    std::os::unix::fs::chown(source.join("file"), Some(1), Some(2)).unwrap();
    let bundle = bundle.mount(json!({
        "destination": "/data", "type": "bind", "source": source, "options": ["bind", "idmap"],
        "uidMappings": map(1000), "gidMappings": map(2000)
    }));
    let output = bundle.run_sh("stat -c '%u %g' /data/file; touch /data/new");
    // Without a user namespace the mapping's host side is what the container sees.
    assert!(output.stdout.starts_with("1001 2002\n"), "{output}");
}

#[test]
fn a_caller_s_directory_that_the_container_s_root_may_not_enter_is_no_hindrance() {
    use std::os::unix::fs::PermissionsExt;
    let bundle = Bundle::busybox().userns().sh("pwd; grep -c -E ' (tmpfs|devpts|mqueue) ' /proc/mounts");
    let closed = bundle.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let dir = bundle.dir().display().to_string();
    let output = bundle.cmd(&["run", "--bundle", &dir, &bundle.id]).cwd(&closed).output().ok();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines[0], "/");
    assert!(lines[1].parse::<u32>().unwrap() >= 4, "{}", output.stdout);
    bundle.assert_clean();
}

#[test]
fn idmap_in_a_user_namespace_uses_its_mapping() {
    let bundle = Bundle::busybox().directory("/data").userns();
    let source = source(&bundle);
    std::os::unix::fs::chown(source.join("file"), Some(7), Some(8)).unwrap();
    let bundle = bundle.bind(&source, "/data", &["idmap"]);
    let output = bundle.run_sh("stat -c '%u %g' /data/file; echo x > /data/new").ok();
    assert_eq!(output.stdout, "7 8\n");
    let new = host::stat(source.join("new"));
    use std::os::unix::fs::MetadataExt;
    assert_eq!((new.uid(), new.gid()), (0, 0), "root of the container is root of the mount");
}

#[test]
fn ridmap_maps_the_mounts_below_too() {
    let map = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 65_536}]);
    let bundle = Bundle::busybox().directory("/data");
    let source = source(&bundle);
    let inner = source.join("inner");
    fs::create_dir(&inner).unwrap();
    for (option, inside) in [("ridmap", "1003"), ("idmap", "3")] {
        let mount = json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind", option],
            "uidMappings": map(1000), "gidMappings": map(1000)});
        let mut again = Bundle::busybox().directory("/data").mount(mount).sh("stat -c %u /data/inner/f");
        again.globals.clear();
        let around = format!("mount -t tmpfs x {0} && touch {0}/f && chown 3 {0}/f && exec \"$@\"", inner.display());
        let output = again.wrapped(&["unshare", "-m", "sh", "-c", &around, "sh"], &["run", &again.id]).output().ok();
        assert_eq!(output.text(), inside, "{option}");
    }
}

#[test]
fn binds_in_a_user_namespace_keep_the_locked_flags() {
    let bundle = Bundle::busybox().directory("/data").userns();
    let source = source(&bundle);
    let bundle = bundle.bind(&source, "/data", &["ro"]).sh("cat /data/file; grep ' /data ' /proc/self/mountinfo");
    let around = format!(
        "mount --bind {0} {0} && mount -o remount,bind,nosuid,nodev,noexec {0} && exec \"$@\"",
        source.display()
    );
    let output = bundle.wrapped(&["unshare", "-m", "sh", "-c", &around, "sh"], &["run", &bundle.id]).output().ok();
    output.prints("from the host").prints("ro,nosuid,nodev,noexec");
}

#[test]
fn the_parent_opens_what_the_user_namespaces_root_cannot_reach() {
    let bundle = Bundle::busybox().directory("/data").userns();
    let locked = bundle.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::create_dir(locked.join("inside")).unwrap();
    fs::write(locked.join("inside/file"), "reached\n").unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    bundle.bind(locked.join("inside"), "/data", &[]).run_sh("cat /data/file").ok().prints("reached");
}

#[test]
fn a_bind_source_in_the_rootfs_sees_the_mounts_made_before() {
    let bundle = tmpfs(&[]).directory("/again");
    let inside = bundle.rootfs().join("data");
    bundle.bind(inside, "/again", &[]).run_sh("echo x > /data/f; cat /again/f").ok().prints("x");
}

#[test]
fn the_mounts_of_the_host_are_gone() {
    let output = Bundle::busybox().run_sh("cat /proc/self/mountinfo").ok();
    let allowed = |line: &str| {
        let target = line.split(' ').nth(4).unwrap_or_default();
        target == "/" || ["/proc", "/dev", "/sys"].iter().any(|top| target.starts_with(top))
    };
    assert!(output.stdout.lines().all(allowed), "{output}");
}

#[test]
fn nothing_of_the_containers_mounts_appears_on_the_host() {
    let bundle = tmpfs(&[]).sleeping();
    bundle.detached();
    assert_eq!(host::mounts_of(bundle.dir().to_str().unwrap()), Vec::<String>::new());
}

#[test]
fn three_hundred_mounts_are_made() {
    let mut bundle = Bundle::busybox();
    let source = source(&bundle);
    for number in 0..300 {
        bundle = bundle.bind(&source, &format!("/m/{number}"), &["ro"]);
    }
    bundle.run_sh("grep -c ' /m/' /proc/self/mountinfo").ok().prints("300");
}

#[test]
fn strange_names_of_targets_work() {
    let bundle = Bundle::busybox();
    let source = source(&bundle);
    let bundle = bundle.bind(&source, "/a b\tc/ü", &[]).bind(&source, "/x//y/./z/../w/", &[]);
    bundle.run_sh("cat \"/a b\tc/ü/file\" /x/y/w/file").ok().prints("from the host\nfrom the host\n");
}

#[test]
fn a_relative_destination_is_taken_from_the_root() {
    let bundle = Bundle::busybox();
    let source = source(&bundle);
    bundle.bind(source, "data", &[]).run_sh("cat /data/file").ok().prints("from the host");
}
