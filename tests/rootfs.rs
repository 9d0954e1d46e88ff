//! The root file system: where it is, its devices and links, masked and read-only paths, working directory.

mod common;

use common::{Bundle, host, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

#[test]
fn a_readonly_root_refuses_to_be_written() {
    let bundle = Bundle::busybox();
    bundle.run_sh("touch /new").exits(1).complains("read-only file system");
    assert!(!bundle.rootfs().join("new").exists());
}

#[test]
fn a_readonly_root_does_not_make_the_mounts_in_it_readonly() {
    Bundle::busybox().run_sh("touch /dev/new /dev/shm/new").ok();
}

#[test]
fn a_writable_root_can_be_written() {
    let bundle = Bundle::busybox().writable();
    bundle.run_sh("echo x > /new").ok();
    assert_eq!(fs::read_to_string(bundle.rootfs().join("new")).unwrap(), "x\n");
}

#[test]
fn root_path_may_be_absolute() {
    let bundle = Bundle::busybox();
    let elsewhere = bundle.path("elsewhere");
    fs::rename(bundle.rootfs(), &elsewhere).unwrap();
    bundle.set("/root/path", json!(elsewhere)).run_sh("echo fine").ok().prints("fine");
}

#[test]
fn root_path_may_be_relative_to_the_bundle_wherever_the_caller_is() {
    let bundle = Bundle::busybox();
    fs::create_dir(bundle.dir().join("deep")).unwrap();
    fs::rename(bundle.rootfs(), bundle.dir().join("deep/er")).unwrap();
    let bundle = bundle.set("/root/path", json!("./deep/../deep/er")).sh("echo fine");
    bundle.cmd(&["run", "-b", &bundle.place("bundle"), &bundle.id]).cwd("/").output().ok().prints("fine");
}

#[test]
fn root_path_may_be_a_symlink() {
    let bundle = Bundle::busybox();
    let elsewhere = bundle.path("elsewhere");
    fs::rename(bundle.rootfs(), &elsewhere).unwrap();
    symlink("../elsewhere", bundle.rootfs()).unwrap();
    bundle.run_sh("echo fine").ok().prints("fine");
}

#[test]
fn the_bundle_may_be_a_symlink() {
    let bundle = Bundle::busybox().sh("echo fine");
    symlink("bundle", bundle.path("link")).unwrap();
    bundle.cmd(&["run", "-b", &bundle.place("link"), &bundle.id]).cwd("/").output().ok().prints("fine");
}

#[test]
fn the_root_may_be_a_mount_point() {
    let bundle = Bundle::busybox().sh("cat /inner; stat -f -c %T /");
    let script = "mkdir $0.new && mount -t tmpfs -o mode=755 x $0.new && cp -a $0/. $0.new && mount --move $0.new $0 &&
        echo inner > $0/inner && exec \"$@\"";
    let rootfs = bundle.rootfs().display().to_string();
    let output = bundle.wrapped(&["unshare", "-m", "sh", "-c", script, &rootfs], &["run", &bundle.id]).output();
    let _ = fs::remove_dir(bundle.dir().join("rootfs.new"));
    output.ok().prints("inner\ntmpfs");
}

#[test]
fn no_pivot_moves_the_root_instead() {
    let bundle = Bundle::busybox()
        .sh("ls -d /bin; ls -d /var/tmp/bt* /etc/hostname; awk '{print $5}' /proc/self/mountinfo | sort | head -1");
    let output = bundle.berth(&["run", "--no-pivot", &bundle.id]);
    assert!(output.stdout.starts_with("/bin\n"), "{output}");
    assert!(!output.stdout.contains("/etc/hostname"), "{output}");
}

#[test]
fn the_old_root_is_out_of_reach() {
    let output =
        Bundle::busybox().run_sh("ls /proc/1/root/ | sort; ls /.. | sort; cat /proc/self/mountinfo | wc -l").ok();
    assert!(!output.stdout.contains("lost+found"), "{output}");
}

#[test]
fn a_missing_working_directory_is_made() {
    let bundle = Bundle::busybox().set("/process/cwd", json!("/made/for/you"));
    bundle.run_args(&["pwd"]).ok().prints("/made/for/you");
    assert!(bundle.rootfs().join("made/for/you").is_dir());
}

#[test]
fn a_missing_working_directory_on_a_readonly_root_is_made_before_it_gets_so() {
    let bundle = Bundle::busybox().set("/process/cwd", json!("/dev/shm/work"));
    bundle.run_args(&["pwd"]).ok().prints("/dev/shm/work");
}

#[test]
fn a_working_directory_that_is_a_file_is_an_error() {
    let output = Bundle::busybox().set("/process/cwd", json!("/etc/passwd")).run();
    assert_ne!(output.status, 0);
    output.complains("not a directory").complains("/etc/passwd");
}

#[test]
fn a_working_directory_that_only_the_user_may_enter_works() {
    let bundle = Bundle::busybox().directory("/own").set("/process/cwd", json!("/own"));
    let bundle = bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).without("/process/capabilities");
    std::os::unix::fs::chown(bundle.rootfs().join("own"), Some(1000), Some(1000)).unwrap();
    fs::set_permissions(bundle.rootfs().join("own"), fs::Permissions::from_mode(0o700)).unwrap();
    bundle.run_args(&["pwd"]).ok().prints("/own");
}

#[test]
fn the_default_devices_are_there() {
    let output = Bundle::busybox().run_sh("cd /dev; stat -c '%n %F %t:%T %a' null zero full random urandom tty").ok();
    let expected =
        [("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"), ("urandom", "1:9"), ("tty", "5:0")];
    for (line, (name, number)) in output.stdout.lines().zip(expected) {
        assert_eq!(line, format!("{name} character special file {number} 666"));
    }
    assert_eq!(output.stdout.lines().count(), expected.len());
}

#[test]
fn the_default_devices_work() {
    let script = "echo x > /dev/null && head -c 4 /dev/zero | od -An -tx1 && head -c 4 /dev/urandom | wc -c &&
        ! echo x > /dev/full";
    let output = Bundle::busybox().run_sh(script).ok();
    assert_eq!(output.stdout, " 00 00 00 00\n4\n");
}

#[test]
fn the_default_links_are_there() {
    let output = Bundle::busybox().run_sh("cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done").ok();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines, ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"]);
}

#[test]
fn dev_stdout_can_be_opened_by_another_user() {
    let bundle = Bundle::busybox().set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle.run_sh("echo through > /dev/stdout").ok().prints("through");
}

#[test]
fn devices_of_every_type_are_made_with_mode_and_owner() {
    let bundle = Bundle::busybox()
        .push(
            "/linux/devices",
            json!({"path": "/dev/mychar", "type": "c", "major": 1, "minor": 3,
            "fileMode": 0o640, "uid": 1000, "gid": 1001}),
        )
        .push(
            "/linux/devices",
            json!({"path": "/dev/deep/er/block", "type": "b", "major": 7, "minor": 99,
            "fileMode": 0o600}),
        )
        .push("/linux/devices", json!({"path": "/dev/fifo", "type": "p", "fileMode": 0o622, "uid": 5, "gid": 6}))
        .push(
            "/linux/devices",
            json!({"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5, "fileMode": 0o666}),
        )
        .limit("devices", json!([{"allow": true, "access": "rwm"}]));
    let output = bundle.run_sh("cd /dev; stat -c '%n %F %t:%T %a %u %g' mychar deep/er/block fifo unbuffered").ok();
    let expected = "mychar character special file 1:3 640 1000 1001\n\
        deep/er/block block special file 7:63 600 0 0\n\
        fifo fifo 0:0 622 5 6\n\
        unbuffered character special file 1:5 666 0 0\n";
    assert_eq!(output.stdout, expected);
}

#[test]
fn the_callers_umask_does_not_change_devices_and_directories() {
    let bundle = Bundle::busybox()
        .push("/linux/devices", json!({"path": "/dev/mychar", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}))
        .set("/process/cwd", json!("/new/dir"))
        .sh("stat -c %a /dev/mychar /dev/null /dev/shm /new");
    let words = ["run", &bundle.id];
    let output = bundle.wrapped(&["sh", "-c", "umask 077; exec \"$@\"", "sh"], &words).output().ok();
    assert_eq!(output.stdout, "666\n666\n1777\n755\n");
}

#[test]
fn a_device_may_stand_outside_of_dev() {
    let bundle = Bundle::busybox()
        .writable()
        .push("/linux/devices", json!({"path": "/opt/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}));
    bundle.run_sh("echo x > /opt/null && test -c /opt/null").ok();
    assert!(host::stat(bundle.rootfs().join("opt/null")).file_type().is_char_device());
}

#[test]
fn a_device_that_is_there_already_is_fine() {
    let bundle = Bundle::busybox()
        .push("/linux/devices", json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}))
        .limit("devices", json!([{"allow": true, "access": "rwm"}]));
    bundle.run_sh("echo x > /dev/null").ok();
}

#[test]
fn dev_may_be_bound_from_the_host_and_stays_as_it_is() {
    let bundle = Bundle::busybox();
    let devices = bundle.path("dev");
    fs::create_dir(&devices).unwrap();
    bundle.host(&["mknod", "-m", "666", &bundle.place("dev/null"), "c", "1", "3"]);
    for name in ["pts", "shm", "mqueue"] {
        fs::create_dir(devices.join(name)).unwrap();
    }
    let bundle = bundle.set(
        "/mounts/1",
        json!({"destination": "/dev", "type": "bind", "source": devices,
        "options": ["bind", "rw"]}),
    );
    bundle.run_sh("echo x > /dev/null; ls /dev").ok();
    let mut names: Vec<_> = fs::read_dir(&devices).unwrap().flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["mqueue", "null", "pts", "shm"], "nothing is made in a directory of the host");
}

#[test]
fn devices_work_in_a_user_namespace() {
    let bundle = Bundle::busybox().userns();
    let output = bundle.run_sh("echo x > /dev/null && head -c 2 /dev/zero | wc -c; stat -c '%F %t:%T' /dev/null").ok();
    assert_eq!(output.stdout, "2\ncharacter special file 1:3\n");
    assert_eq!(host::stat("/dev/null").rdev(), nix::sys::stat::makedev(1, 3), "the host's device is unharmed");
}

#[test]
fn masked_files_read_empty_and_masked_directories_are_empty() {
    let bundle = Bundle::busybox()
        .file("/secret", "secret")
        .file("/hidden/file", "hidden")
        .push("/linux/maskedPaths", json!("/secret"))
        .push("/linux/maskedPaths", json!("/hidden"))
        .push("/linux/maskedPaths", json!("/not/there"));
    let output = bundle.run_sh("cat /secret; ls -A /hidden; touch /hidden/x").exits(1);
    assert_eq!(output.stdout, "");
    output.complains("read-only file system");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("secret")).unwrap(), "secret");
}

#[test]
fn writing_to_a_masked_file_reaches_nothing() {
    let bundle = Bundle::busybox().writable().file("/secret", "secret").push("/linux/maskedPaths", json!("/secret"));
    bundle.run_sh("echo overwritten > /secret; cat /secret").ok();
    assert_eq!(fs::read_to_string(bundle.rootfs().join("secret")).unwrap(), "secret");
}

#[test]
fn masks_survive_an_attempt_to_unmount_them() {
    let bundle = Bundle::busybox().file("/secret", "secret").push("/linux/maskedPaths", json!("/secret"));
    let output = bundle.run_sh("umount /secret; cat /secret");
    assert!(!output.stdout.contains("secret"), "{output}");
}

#[test]
fn the_default_masks_hide_the_kernel() {
    let bundle = Bundle::busybox();
    let paths = bundle.config["linux"]["maskedPaths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap());
    let paths = paths.collect::<Vec<_>>().join(" ");
    let script =
        format!("for p in {paths}; do test -d $p && ls -A $p; test -e $p && ! test -d $p && head -c 9 $p; done; true");
    assert_eq!(bundle.run_sh(&script).ok().stdout, "");
}

#[test]
fn readonly_paths_cannot_be_written() {
    let bundle = Bundle::busybox()
        .writable()
        .file("/fixed/file", "kept")
        .file("/single", "kept")
        .push("/linux/readonlyPaths", json!("/fixed"))
        .push("/linux/readonlyPaths", json!("/single"))
        .push("/linux/readonlyPaths", json!("/not/there"));
    let script = "for f in /fixed/file /single /proc/sys/kernel/hostname /proc/sys/kernel/domainname; do
        echo x > $f && echo wrote $f; done; cat /fixed/file /single; touch /else";
    let output = bundle.run_sh(script).ok();
    assert_eq!(output.stdout, "keptkept", "{output}");
    assert_eq!(output.stderr.matches("Read-only file system").count(), 4, "{output}");
}

#[test]
fn readonly_paths_keep_the_flags_of_what_they_cover() {
    let bundle = Bundle::busybox()
        .mount(json!({"destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["nosuid", "nodev", "noexec"]}))
        .push("/linux/readonlyPaths", json!("/tmp"));
    bundle.run_sh("grep ' /tmp ' /proc/self/mountinfo | tail -1").ok().prints("ro,nosuid,nodev,noexec");
}

#[test]
fn a_readonly_path_takes_the_mounts_below_it_along() {
    let bundle = Bundle::busybox()
        .directory("/top")
        .mount(json!({"destination": "/top", "type": "tmpfs", "source": "x"}))
        .mount(json!({"destination": "/top/below", "type": "tmpfs", "source": "x"}))
        .push("/linux/readonlyPaths", json!("/top"));
    let output = bundle.run_sh("touch /top/new; ls -A /top").ok();
    assert_eq!(output.stdout, "below\n");
    assert!(output.stderr.contains("Read-only"), "{output}");
}

#[test]
fn every_root_propagation_is_set() {
    for (name, expected) in [
        ("private", "-"),
        ("rprivate", "-"),
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        let bundle = Bundle::busybox().set("/linux/rootfsPropagation", json!(name));
        let output = bundle.run_sh("awk '$5 == \"/\" {print $7}' /proc/self/mountinfo").ok();
        assert!(output.stdout.lines().last().unwrap().starts_with(expected), "{name}: {output}");
    }
}

#[test]
fn a_slave_root_receives_mounts_of_the_host() {
    for (name, receives) in [("rslave", true), ("rprivate", false)] {
        let bundle = Bundle::busybox().directory("/volume").set("/linux/rootfsPropagation", json!(name));
        let bundle = bundle.sh("read x < /go; ls /volume");
        let rootfs = bundle.rootfs().display().to_string();
        bundle.host(&["mkfifo", &format!("{rootfs}/go")]);
        let pid = bundle.place("pid");
        let around = format!(
            "mount --bind {rootfs} {rootfs} && mount --make-shared {rootfs} && (\"$@\" & until test -s {pid}; do :; done;
             mount -t tmpfs x {rootfs}/volume && touch {rootfs}/volume/arrived && echo go > {rootfs}/go; wait)"
        );
        let words = ["run", "--pid-file", &pid, &bundle.id];
        let output = bundle.wrapped(&["unshare", "-m", "bash", "-c", &around, "bash"], &words).output().ok();
        assert_eq!(output.stdout.contains("arrived"), receives, "{name}: {output}");
    }
}

#[test]
fn hostname_and_domainname_are_set() {
    let bundle = Bundle::busybox().set("/hostname", json!("ship")).set("/domainname", json!("sea.example"));
    let output = bundle.run_sh("hostname; cat /proc/sys/kernel/domainname").ok();
    assert_eq!(output.stdout, "ship\nsea.example\n");
    assert_ne!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), "ship\n");
}

#[test]
fn sysctls_are_set_with_dots_and_with_slashes() {
    let bundle = Bundle::busybox().set(
        "/linux/sysctl",
        json!({"net.ipv4.ip_forward": "1", "net/ipv4/ip_local_port_range": "2000 3000", "kernel.msgmax": "9000",
               "kernel.domainname": "by.sysctl"}),
    );
    let output = bundle
        .run_sh("cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/ip_local_port_range kernel/msgmax kernel/domainname");
    assert_eq!(output.ok().stdout, "1\n2000\t3000\n9000\nby.sysctl\n");
}

#[test]
fn the_files_of_the_rootfs_are_left_as_they_were() {
    let bundle = Bundle::busybox();
    let list = || {
        let output = bundle.host(&["find", bundle.rootfs().to_str().unwrap(), "-printf", "%P %y %m %s %T@\n"]);
        let mut lines: Vec<_> = output.stdout.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    let before = list();
    bundle.run().ok();
    assert_eq!(before, list());
}

#[test]
fn the_callers_directory_does_not_matter() {
    let bundle = Bundle::busybox().sh("echo fine");
    let gone = bundle.path("gone");
    fs::create_dir(&gone).unwrap();
    let script = format!("cd {0} && rmdir {0} && exec \"$@\"", gone.display());
    let words = ["run", "--bundle", &bundle.place("bundle"), &bundle.id];
    bundle.wrapped(&["sh", "-c", &script, "sh"], &words).output().ok().prints("fine");
}

#[test]
fn a_rootfs_on_an_overlay_works() {
    let bundle = Bundle::busybox().writable().sh("echo new > /new; cat /new");
    for name in ["upper", "work", "merged"] {
        fs::create_dir(bundle.path(name)).unwrap();
    }
    let merged = bundle.path("merged");
    let lower = bundle.rootfs().display().to_string();
    let bundle = bundle.set("/root/path", json!(merged));
    let around = format!(
        "mount -t overlay x -o lowerdir={lower},upperdir={},workdir={} {} && exec \"$@\"",
        bundle.place("upper"),
        bundle.place("work"),
        merged.display()
    );
    bundle.wrapped(&["unshare", "-m", "sh", "-c", &around, "sh"], &["run", &bundle.id]).output().ok().prints("new");
    assert!(bundle.path("upper/new").exists());
}

#[test]
fn an_image_without_any_directory_works() {
    let bundle = Bundle::empty().args(["/busybox", "sh", "-c", "/busybox ls /"]);
    fs::copy("/bin/busybox", bundle.rootfs().join("busybox")).unwrap();
    let output = bundle.run().ok();
    assert_eq!(output.stdout, "busybox\ndev\nproc\nsys\n");
}
