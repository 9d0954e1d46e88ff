//! Hostile images and callers: what published escapes did must not work here.

mod common;

use common::exchange::exchange;
use common::{Bundle, Output, eventually, host, json, skip};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A directory of the host that an image points at, with what was in it before.
struct Victim {
    path: PathBuf,
    before: Vec<String>,
}

impl Victim {
    fn new(bundle: &Bundle) -> Self {
        let path = bundle.path("victim");
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("sys")).unwrap();
        fs::write(path.join("file"), "untouched").unwrap();
        let before = Self::list(&path);
        Self { path, before }
    }

    fn list(path: &Path) -> Vec<String> {
        let mut all: Vec<_> = fs::read_dir(path)
            .unwrap()
            .flatten()
            .map(|entry| {
                let data = entry.metadata().unwrap();
                format!("{:?} {:o} {} {}", entry.file_name(), data.mode(), data.uid(), data.len())
            })
            .collect();
        all.sort();
        all
    }

    #[track_caller]
    fn is_unharmed(&self, bundle: &Bundle) {
        assert_eq!(Self::list(&self.path), self.before, "the host's directory changed");
        assert_eq!(fs::read_to_string(self.path.join("file")).unwrap(), "untouched");
        assert_eq!(host::mounts_of(self.path.to_str().unwrap()), Vec::<String>::new());
        bundle.assert_clean();
    }
}

/// Climbing far enough from anywhere in the rootfs to reach `path` of the host.
fn climbing(path: &Path) -> PathBuf {
    Path::new("../../../../../../../../../..").join(path.strip_prefix("/").unwrap())
}

#[test]
fn dev_proc_and_sys_as_symlinks_touch_nothing_outside() {
    for name in ["dev", "proc", "sys"] {
        for relative in [false, true] {
            let bundle = Bundle::busybox();
            let victim = Victim::new(&bundle);
            let target = if relative { climbing(&victim.path) } else { victim.path.clone() };
            let bundle = bundle.link(&format!("/{name}"), target).sh("echo ran");
            let output = bundle.run();
            // CVE-2023-27561: a symlink at /proc or /sys is refused; at /dev it may be followed inside of the root.
            if name != "dev" {
                assert_ne!(output.status, 0, "{name}: {output}");
            }
            victim.is_unharmed(&bundle);
        }
    }
}

#[test]
fn a_mount_target_behind_a_symlink_stays_in_the_root() {
    // CVE-2019-18837, CVE-2024-45310.
    let bundle = Bundle::busybox();
    let victim = Victim::new(&bundle);
    let source = bundle.path("source");
    fs::create_dir(&source).unwrap();
    let bundle = bundle
        .link("/out", climbing(&victim.path))
        .link("/abs", &victim.path)
        .bind(&source, "/out/made/here", &[])
        .bind(&source, "/abs/made/here", &[])
        .mount(json!({"destination": "/abs", "type": "tmpfs", "source": "x"}))
        .mount(json!({"destination": "/abs/file", "type": "tmpfs", "source": "x"}));
    bundle.run();
    victim.is_unharmed(&bundle);
}

#[test]
fn devices_and_links_behind_symlinks_stay_in_the_root() {
    // CVE-2026-41579, CVE-2026-47766.
    let bundle = Bundle::busybox();
    let victim = Victim::new(&bundle);
    let mut bundle = bundle
        .link("/dev", &victim.path)
        .push("/linux/devices", json!({"path": "/dev/evil", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}));
    bundle.config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
    bundle.run();
    victim.is_unharmed(&bundle);
    let bundle = Bundle::busybox()
        .push("/linux/devices", json!({"path": "/opt/evil", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}));
    let victim = Victim::new(&bundle);
    let bundle = bundle.link("/opt", &victim.path);
    bundle.run();
    victim.is_unharmed(&bundle);
}

#[test]
fn a_device_in_place_of_a_symlink_does_not_write_through_it() {
    let bundle = Bundle::busybox();
    let victim = Victim::new(&bundle);
    let mut bundle = bundle.link("/dev/null", victim.path.join("file")).link("/dev/console", victim.path.join("file"));
    bundle.config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
    bundle.run_sh("echo overwritten > /dev/null");
    victim.is_unharmed(&bundle);
}

#[test]
fn masked_and_readonly_paths_behind_symlinks_stay_in_the_root() {
    let bundle = Bundle::busybox();
    let victim = Victim::new(&bundle);
    let bundle = bundle
        .link("/mask", &victim.path)
        .link("/fixed", &victim.path)
        .push("/linux/maskedPaths", json!("/mask"))
        .push("/linux/maskedPaths", json!("/mask/file"))
        .push("/linux/readonlyPaths", json!("/fixed"));
    bundle.run();
    fs::write(victim.path.join("file"), "untouched").expect("the host can still write");
    victim.is_unharmed(&bundle);
}

#[test]
fn masks_use_the_real_dev_null() {
    // CVE-2025-31133: /dev/null of the image leads elsewhere.
    let bundle = Bundle::busybox();
    let victim = Victim::new(&bundle);
    let devices = bundle.path("devices");
    fs::create_dir(&devices).unwrap();
    for name in ["pts", "shm", "mqueue"] {
        fs::create_dir(devices.join(name)).unwrap();
    }
    symlink("/proc/sys/kernel/core_pattern", devices.join("null")).unwrap();
    let bundle = bundle
        .set("/mounts/1", json!({"destination": "/dev", "type": "bind", "source": devices, "options": ["bind"]}))
        .file("/secret", "secret")
        .push("/linux/maskedPaths", json!("/secret"));
    let output = bundle.run_sh("cat /secret; ls -ln /secret");
    if output.status == 0 {
        assert!(output.stdout.starts_with('c') && output.stdout.contains("1,   3"), "{output}");
    }
    victim.is_unharmed(&bundle);
}

#[test]
fn the_console_is_the_real_terminal() {
    // CVE-2025-52565: /dev/console or /dev/pts/0 of the image is a symlink.
    let bundle = Bundle::busybox().set("/process/terminal", json!(true));
    let victim = Victim::new(&bundle);
    let mut bundle = bundle.link("/dev/console", victim.path.join("file"));
    bundle.config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
    bundle.run_sh("echo overwritten > /dev/console");
    victim.is_unharmed(&bundle);
}

#[test]
fn passwd_that_is_no_file_neither_hangs_nor_escapes() {
    type Make = fn(&Path);
    let kinds: [(&str, Make); 5] = [
        ("a FIFO", |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()),
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a symlink to a FIFO", |path| {
            nix::unistd::mkfifo(&path.with_extension("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            symlink("passwd.fifo", path).unwrap();
        }),
        ("a symlink loop", |path| symlink("passwd", path).unwrap()),
        ("a huge file", |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ];
    for (name, make) in kinds {
        let bundle = Bundle::busybox()
            .set("/process/user/uid", json!(1000))
            .sh("while read name id rest; do test $name = Uid: && echo ran as $id in $HOME; done < /proc/self/status");
        for file in ["etc/passwd", "etc/group"] {
            fs::remove_file(bundle.rootfs().join(file)).unwrap();
        }
        make(&bundle.rootfs().join("etc/passwd"));
        let output = bundle.run();
        assert!(output.stdout == "ran as 1000 in /\n" || output.status != 0, "{name}: {output}");
        let bundle = bundle.set("/process/user/uid", json!(0)).env("HOME=/").sleeping();
        bundle.detached();
        let output = bundle.exec_with(&["-u", "1000"], &["sh", "-c", "echo $HOME"]);
        assert!(output.stdout == "/\n" || output.status != 0, "{name}: {output}");
        bundle.delete_force();
    }
}

#[test]
fn passwd_behind_a_symlink_is_not_read_from_the_host() {
    let bundle = Bundle::busybox();
    let outside = bundle.path("passwd");
    fs::write(&outside, "x:x:1000:1000::/from/the/host:/bin/sh\n").unwrap();
    let bundle = bundle.link("/etc/passwd", &outside).set("/process/user/uid", json!(1000));
    let output = bundle.run_sh("echo home $HOME");
    assert!(!output.stdout.contains("/from/the/host"), "{output}");
}

#[test]
fn a_numeric_user_is_never_looked_up_as_a_name() {
    // CVE-2016-3697.
    let passwd = "1000:x:0:0:root by another name:/root:/bin/sh\nroot:x:0:0::/root:/bin/sh\n";
    let bundle = Bundle::busybox().file("/etc/passwd", passwd).file("/etc/group", "1000:x:0:\n").sleeping();
    bundle.detached();
    for user in ["1000", "1000:1000"] {
        let output = bundle.exec_with(&["-u", user], &["id", "-u"]).ok();
        assert_eq!(output.text(), "1000", "-u {user}");
    }
}

#[test]
fn a_user_is_never_root_by_a_mistake_in_the_number() {
    // CVE-2026-30892.
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    for user in [
        "1",
        "1:2",
        "01",
        "+1",
        " 1",
        "1 ",
        "",
        ":",
        "1:",
        ":1",
        "4294967295",
        "4294967296",
        "-1",
        "1e3",
        "0x1",
        "\u{661}",
    ] {
        let output = bundle.exec_with(&[&format!("--user={user}")], &["id", "-u"]);
        let fine =
            output.status != 0 || output.text() == "1" || (["", ":", ":1"].contains(&user) && output.text() == "0");
        assert!(fine, "-u {user:?}: {output}");
    }
}

#[test]
fn a_working_directory_behind_an_open_descriptor_leads_nowhere() {
    // CVE-2024-21626.
    let mut bundle = Bundle::busybox();
    for number in 3..24 {
        for suffix in ["", "/../../../.."] {
            let path = format!("/proc/self/fd/{number}{suffix}");
            bundle = bundle.set("/process/cwd", json!(path));
            let output = bundle.run_sh("ls ../../../../../.. ; pwd; echo x > sys/kernel/domainname && echo wrote");
            outside_is_hidden(&output, &path);
        }
    }
}

#[test]
fn a_working_directory_of_exec_behind_an_open_descriptor_leads_nowhere() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    for number in 3..24 {
        let path = format!("/proc/self/fd/{number}");
        let output = bundle.exec_with(
            &["--cwd", &path],
            &["sh", "-c", "ls ../../../../../..; pwd; echo x > sys/kernel/domainname && echo wrote"],
        );
        outside_is_hidden(&output, &path);
    }
}

#[track_caller]
fn outside_is_hidden(output: &Output, what: &str) {
    for name in ["lost+found", "boot", "cgroup.procs", "cpuset"] {
        assert!(!output.stdout.lines().any(|line| line == name), "{what}: {output}");
    }
    // Where the descriptor is of the container itself, its protections must hold.
    assert!(!output.stdout.contains("wrote") && !output.stdout.contains("unreachable"), "{what}: {output}");
}

#[test]
fn no_descriptor_of_ours_or_of_the_callers_is_in_the_container() {
    let bundle = Bundle::busybox().sh("ls -l /proc/self/fd; ls /proc/1/fd");
    let words = ["run", &bundle.id];
    let leak = "exec 7</etc/passwd 9</ 44</etc/hostname; exec \"$@\"";
    let output = bundle.wrapped(&["bash", "-c", leak, "bash"], &words).output().ok();
    for name in ["passwd", "hostname", "cgroup", bundle.place("root").as_str(), "memfd", "socket"] {
        assert!(!output.stdout.contains(name), "{name}: {output}");
    }
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let words = ["exec", &bundle.id, "sh", "-c", "ls -l /proc/self/fd"];
    let output = bundle.wrapped(&["bash", "-c", leak, "bash"], &words).output().ok();
    assert_eq!(output.stdout.lines().filter(|line| line.contains("->")).count(), 3, "that of ls is closed: {output}");
}

#[test]
fn a_waiting_init_shows_no_directory_of_the_host() {
    let bundle = Bundle::busybox().sleeping();
    bundle.create();
    let list = bundle.inside("ls -l /proc/1/fd /proc/1/cwd /proc/1/root 2>&1");
    for name in ["/sys/fs/cgroup", "/var/tmp", "/run/", "state.json"] {
        assert!(!list.contains(name), "{name}: {list}");
    }
    // Nor can it be followed: a directory of the host would show the host's root.
    let script = "for f in /proc/1/fd/*; do ls -d $f/../../../../../../lost+found $f/../../../../../../boot 2>/dev/null; done; true";
    assert_eq!(bundle.inside(script), "");
}

#[test]
fn the_binary_cannot_be_overwritten_from_inside() {
    // CVE-2019-5736: the container runs the runtime's own executable and opens it for writing.
    let binary = host::binary();
    let before = fs::read(&binary).unwrap();
    let stat = host::stat(&binary);
    let bundle = Bundle::busybox()
        .writable()
        .script("/again", "#!/proc/self/exe\n")
        .script(
            "/attack",
            "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do for p in /proc/[0-9]*; do
            (echo overwritten > $p/exe) 2>/dev/null && echo wrote $p/exe; done; done; true\n",
        )
        .sh("while :; do /attack; done");
    bundle.detached();
    let end = Instant::now() + Duration::from_secs(2);
    let mut rounds = 0;
    while Instant::now() < end || rounds < 5 {
        bundle.exec(&["/again"]);
        bundle.exec(&["/proc/self/exe", "--version"]);
        bundle.exec(&["sh", "-c", "exec 3<> /proc/self/exe; echo x >&3"]);
        rounds += 1;
    }
    bundle.delete_force();
    for program in ["/proc/self/exe", "/again"] {
        let bundle = Bundle::busybox().script("/again", "#!/proc/self/exe\n").args([program, "--version"]);
        bundle.run();
    }
    assert!(fs::read(&binary).unwrap() == before, "the binary changed");
    assert_eq!((host::stat(&binary).ino(), host::stat(&binary).mode()), (stat.ino(), stat.mode()));
}

#[test]
fn a_container_with_ptrace_finds_nothing_of_the_host_in_an_exec() {
    // CVE-2016-9962.
    let bundle = Bundle::busybox().writable().caps(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]).sh(
        "while :; do for p in /proc/[0-9]*; do for f in $p/fd/*; do
           case $(readlink $f 2>/dev/null) in /sys/fs/cgroup*|/var/tmp/*|/run/*) echo $f $(readlink $f) >> /found;; esac
           test -e $f/lost+found && echo host $f >> /found
         done; test -e $p/root/lost+found && echo root $p >> /found; done; done 2> /dev/null",
    );
    // Its standard streams are files of the test; the paths of those are of no interest.
    let words = ["run", "-d", &bundle.id];
    let null = || fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    bundle.cmd(&words).stdout(null()).stderr(null()).output().ok();
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let words = ["exec", &bundle.id, "true"];
        bundle.cmd(&words).stdout(null()).stderr(null()).output().ok();
    }
    let found = fs::read_to_string(bundle.rootfs().join("found")).unwrap_or_default();
    assert_eq!(found, "");
}

#[test]
fn an_id_cannot_leave_the_root() {
    let bundle = Bundle::busybox().sleeping();
    let marker = bundle.path("outside");
    fs::create_dir(&marker).unwrap();
    fs::write(marker.join("state.json"), "{}").unwrap();
    for id in ["../outside", "..", ".", "/", "a/../../outside", "", "a\0b", "../../etc", "x/", "%2e%2e"] {
        if id.contains('\0') {
            continue;
        }
        for command in [
            vec!["create", id],
            vec!["state", id],
            vec!["delete", "--force", id],
            vec!["kill", id],
            vec!["start", id],
            vec!["exec", id, "true"],
            vec!["pause", id],
        ] {
            let output = bundle.berth(&command);
            let harmless = command[0] == "delete" && output.status == 0;
            assert!(output.status != 0 || harmless, "{command:?}: {output}");
            assert!(marker.join("state.json").exists(), "{command:?}: {output}");
        }
    }
    assert!(bundle.path("bundle").exists() && bundle.path("scratch").exists());
}

#[test]
fn labels_and_sysctls_cannot_be_redirected_by_the_image() {
    // CVE-2019-16884, CVE-2025-52881: /proc of the image is a fake.
    let bundle = Bundle::busybox().file("/fake/sys/net/ipv4/ip_forward", "0").file("/fake/self/attr/exec", "");
    let victim = Victim::new(&bundle);
    let fake = bundle.rootfs().join("fake");
    let mut bundle = bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/proc", "type": "bind", "source": fake,
        "options": ["bind"]}));
    let output = bundle.run_sh("true");
    assert_ne!(output.status, 0, "a bind of something else over /proc is refused: {output}");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("fake/sys/net/ipv4/ip_forward")).unwrap(), "0");
    victim.is_unharmed(&bundle);
}

#[test]
fn only_known_files_of_proc_can_be_covered() {
    for (target, allowed) in [
        ("/proc/cpuinfo", true),
        ("/proc/meminfo", true),
        ("/proc/uptime", true),
        ("/proc/self/attr/exec", false),
        ("/proc/1/environ", false),
        ("/proc/sys/kernel/core_pattern", false),
        ("/proc/../proc/self/attr", false),
        ("/proc/sysrq-trigger", false),
    ] {
        let bundle = Bundle::busybox().file("/cover", "covered\n");
        let cover = bundle.path("cover");
        fs::write(&cover, "covered\n").unwrap();
        let bundle = bundle.bind(&cover, target, &[]);
        let output = bundle.run_sh(&format!("cat {target}"));
        assert_eq!(output.status == 0 && output.stdout == "covered\n", allowed, "{target}: {output}");
        if !allowed {
            assert_ne!(output.status, 0, "{target}: {output}");
        }
    }
}

#[test]
fn what_we_write_into_a_hostile_root_stays_there() {
    // Stubs of mount targets, the working directory and the console are made in the image, never through its links.
    let bundle = Bundle::busybox();
    let victim = Victim::new(&bundle);
    let bundle = bundle
        .writable()
        .link("/a", climbing(&victim.path))
        .set("/process/cwd", json!("/a/work"))
        .mount(json!({"destination": "/a/new/tmpfs", "type": "tmpfs", "source": "x"}));
    bundle.run();
    victim.is_unharmed(&bundle);
}

/// Exchanges a directory and a symlink of a volume as fast as it goes, while containers mount into it.
#[test]
fn exchanging_a_mount_target_during_create_leads_nowhere() {
    // CVE-2019-19921, CVE-2021-30465, CVE-2024-45310.
    let bundle = Bundle::busybox().directory("/volume");
    let volume = bundle.path("volume");
    fs::create_dir_all(volume.join("one/inner")).unwrap();
    symlink("../../../../../../../../../..", volume.join("two")).unwrap();
    let racing = volume.clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stop.clone();
    let racer = std::thread::spawn(move || {
        let (one, two) = (racing.join("one"), racing.join("two"));
        while !flag.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = exchange(&one, &two);
        }
    });
    let marker = bundle.place("victim");
    fs::create_dir(&marker).unwrap();
    let bundle = bundle
        .bind(&volume, "/volume", &[])
        .mount(json!({"destination": "/volume/one/inner", "type": "tmpfs", "source": "x"}))
        .mount(json!({"destination": format!("/volume/one{marker}/made"), "type": "tmpfs", "source": "x"}))
        .sh("ls -d /volume/one/inner/lost+found /volume/one/boot /volume/one/inner/boot 2>/dev/null; true");
    let end = Instant::now() + Duration::from_secs(2);
    let mut rounds = 0;
    while Instant::now() < end || rounds < 5 {
        let output = bundle.run();
        assert_eq!(output.stdout, "", "the host shows: {output}");
        assert!(!Path::new(&marker).join("made").exists(), "a directory was made on the host");
        rounds += 1;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    racer.join().unwrap();
    bundle.assert_clean();
}

#[test]
fn exchanging_a_masked_path_during_create_leads_nowhere() {
    let bundle = Bundle::busybox().file("/volume/one/secret", "secret").directory("/volume/x");
    let victim = Victim::new(&bundle);
    let volume = bundle.rootfs().join("volume");
    fs::remove_dir(volume.join("x")).unwrap();
    symlink(climbing(&victim.path), volume.join("two")).unwrap();
    let racing = volume.clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stop.clone();
    let racer = std::thread::spawn(move || {
        let (one, two) = (racing.join("one"), racing.join("two"));
        while !flag.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = exchange(&one, &two);
        }
    });
    let bundle = bundle
        .push("/linux/maskedPaths", json!("/volume/one"))
        .push("/linux/readonlyPaths", json!("/volume/two"))
        .push("/linux/maskedPaths", json!("/volume/one/file"));
    let end = Instant::now() + Duration::from_secs(2);
    let mut rounds = 0;
    while Instant::now() < end || rounds < 5 {
        bundle.run();
        rounds += 1;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    racer.join().unwrap();
    victim.is_unharmed(&bundle);
}

#[test]
fn the_callers_terminal_cannot_be_typed_into() {
    // CVE-2017-5226: the container has no controlling terminal of the caller.
    let (screen, side) = common::terminal::Screen::open();
    let bundle = Bundle::busybox().sh("cut -d' ' -f7 /proc/1/stat; (exec 3<> /dev/tty) 2>&1 | head -1");
    let stdio = || std::process::Stdio::from(side.try_clone().unwrap());
    let command = bundle.wrapped(&["setsid", "--wait", "--ctty"], &["run", &bundle.id]);
    command.stdin(stdio()).stdout(stdio()).stderr(stdio()).output().ok();
    assert!(screen.shown().starts_with("0\n"), "no controlling terminal: {:?}", screen.shown());
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let command = bundle
        .wrapped(&["setsid", "--wait", "--ctty"], &["exec", &bundle.id, "sh", "-c", "cut -d' ' -f7 /proc/self/stat"]);
    let output = command.stdin(stdio()).output().ok();
    assert_eq!(output.text(), "0");
}

#[test]
fn a_long_id_map_is_not_cut_off() {
    // CVE-2021-43784.
    let map: Vec<_> =
        (0..250_u32).map(|n| json!({"containerID": n * 2, "hostID": 100_000 + n * 2, "size": 1})).collect();
    let bundle = Bundle::busybox().userns().set("/linux/uidMappings", json!(map));
    common::bundle::chown_all(&bundle.rootfs(), 100_000, 100_000);
    bundle.run_sh("wc -l < /proc/self/uid_map").ok().prints("250");
    let map: Vec<_> =
        (0..5000_u32).map(|n| json!({"containerID": n * 2, "hostID": 100_000 + n * 2, "size": 1})).collect();
    let bundle = Bundle::busybox().userns().set("/linux/uidMappings", json!(map));
    let output = bundle.run_sh("true");
    assert_ne!(output.status, 0, "more lines than the kernel takes are an error: {output}");
}

#[test]
fn init_cannot_be_dumped_or_traced_before_it_is_the_program() {
    let bundle = Bundle::busybox().caps(&["CAP_SYS_PTRACE"]).sleeping();
    bundle.create();
    let owner = fs::metadata(format!("/proc/{}/status", bundle.pid())).unwrap().uid();
    assert_eq!(owner, 0);
    // A process that can be dumped lets root of a user namespace read its memory and descriptors.
    let bundle = Bundle::busybox().userns().caps(&["CAP_SYS_PTRACE"]).sleeping();
    bundle.create();
    let output = bundle.exec(&["ls", "/proc/1/fd"]);
    assert_ne!(output.status, 0, "{output}");
    bundle.start();
    eventually("then it is the program", || (bundle.status() == "running").then_some(()));
}

#[test]
fn setgroups_is_always_called() {
    if !host::has("setpriv") {
        skip!("the host has no setpriv");
    }
    let bundle = Bundle::busybox().set("/process/user", json!({"uid": 1000, "gid": 1000})).sh("id -G");
    let output = bundle.wrapped(&["setpriv", "--groups", "0,6"], &["run", &bundle.id]).output().ok();
    assert_eq!(output.text(), "1000");
}

#[test]
fn the_executable_may_be_on_a_read_only_or_odd_place() {
    let bundle = Bundle::busybox().sh("echo fine");
    let copy = bundle.path("copied berth");
    fs::copy(host::binary(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o555)).unwrap();
    bundle.write();
    let words = [copy.to_str().unwrap(), "--root", &bundle.place("root"), "run", &bundle.id].map(str::to_string);
    common::run::Cmd::new(&bundle.path("scratch"), words).cwd(bundle.dir()).output().ok().prints("fine");
}
