//! The container's file system, made for real in a mount namespace of a thread: what a process in it sees, and what a
//! hostile image cannot reach. Needs root.

#[path = "common/exchange.rs"]
mod exchange;

use berth::bundle::config::Config;
use berth::error::Result;
use berth::init::rootfs::{Rootfs, open_file};
use berth::init::sources::open_sources;
use berth::plan::filesystem::{Filesystem, Surroundings, UserNamespace, filesystem};
use exchange::exchange;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, mkfifo};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

struct Bundle {
    directory: TempDir,
    config: Value,
    user_namespace: UserNamespace<'static>,
    cgroup_namespace: bool,
    no_pivot: bool,
}

impl Bundle {
    fn new() -> Self {
        assert!(Uid::effective().is_root(), "these tests make mounts: run them as root");
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("rootfs")).unwrap();
        Self {
            directory,
            config: json!({"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "mounts": [], "linux": {}}),
            user_namespace: UserNamespace::Initial,
            cgroup_namespace: false,
            no_pivot: false,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn root(&self, name: &str) -> PathBuf {
        self.path("rootfs").join(name)
    }

    /// A directory outside of the root file system, for images to point to.
    fn outside(&self) -> PathBuf {
        let path = self.path("outside");
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn mount(mut self, mount: Value) -> Self {
        self.config["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    fn bind(self, source: &str, destination: &str, options: &[&str]) -> Self {
        self.mount(json!({"destination": destination, "type": "none", "source": source, "options": options}))
    }

    fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.config.pointer_mut(parent).unwrap()[key] = value;
        self
    }

    fn proc(self) -> Self {
        self.mount(json!({"destination": "/proc", "type": "proc", "source": "proc"}))
    }

    fn dev(self) -> Self {
        let tmpfs = json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]});
        let pts = json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]});
        self.mount(tmpfs).mount(pts)
    }

    fn plan(&self) -> Result<Filesystem> {
        let config: Config = serde_json::from_value(self.config.clone()).unwrap();
        filesystem(
            &config,
            &Surroundings {
                bundle: self.directory.path(),
                user_namespace: self.user_namespace,
                mount_namespace: true,
                cgroup_namespace: self.cgroup_namespace,
                no_pivot: self.no_pivot,
            },
        )
    }

    /// Makes the file system in a thread with namespaces of its own and runs `look` inside.
    fn try_run<T: Send>(&self, look: impl FnOnce(&mut Rootfs<'_>) -> T + Send) -> Result<T> {
        let plan = self.plan()?;
        let sources = open_sources(&plan)?;
        std::thread::scope(|scope| {
            let init = || {
                let cgroup = if self.cgroup_namespace { CloneFlags::CLONE_NEWCGROUP } else { CloneFlags::empty() };
                unshare(CloneFlags::CLONE_NEWNS | cgroup).unwrap();
                let mut rootfs = Rootfs::prepare(&plan, sources)?;
                rootfs.mount_all(|| Ok(()))?;
                rootfs.make_devices()?;
                rootfs.mask()?;
                rootfs.enter()?;
                rootfs.finish()?;
                Ok(look(&mut rootfs))
            };
            scope.spawn(init).join().unwrap()
        })
    }

    #[track_caller]
    fn run<T: Send>(&self, look: impl FnOnce(&mut Rootfs<'_>) -> T + Send) -> T {
        self.try_run(look).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn error(&self) -> String {
        match self.try_run(|_| ()) {
            Ok(()) => panic!("this was expected to fail"),
            Err(error) => error.to_string(),
        }
    }
}

/// The options of the mount at `path` and its optional fields, from /proc/self/mountinfo, which needs `proc()`.
fn mount_line(path: &str) -> String {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let line = table.lines().rfind(|line| line.split(' ').nth(4) == Some(path));
    line.unwrap_or_else(|| panic!("{path} is not mounted:\n{table}")).to_owned()
}

fn write_errno(path: &str) -> Option<Errno> {
    fs::write(path, "x").err().and_then(|error| error.raw_os_error()).map(Errno::from_raw)
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).unwrap().next().is_none()
}

#[test]
fn a_default_container_has_its_devices_links_and_masks() {
    let bundle = Bundle::new()
        .proc()
        .dev()
        .mount(json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "mode=1777"]}))
        .mount(json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid"]}))
        .mount(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]}))
        .set(
            "/linux/maskedPaths",
            json!(["/proc/kcore", "/proc/timer_list", "/proc/acpi", "/sys/firmware", "/nowhere"]),
        )
        .set("/linux/readonlyPaths", json!(["/proc/sys", "/nowhere/at/all"]))
        .set("/root/readonly", json!(true));
    bundle.run(|_| {
        for (name, major, minor) in [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("urandom", 1, 9), ("tty", 5, 0)] {
            let node = fs::symlink_metadata(format!("/dev/{name}")).unwrap();
            assert_eq!((node.rdev(), node.mode()), (nix::sys::stat::makedev(major, minor), 0o20666), "{name}");
        }
        assert_eq!(fs::read_link("/dev/ptmx").unwrap(), Path::new("pts/ptmx"));
        assert_eq!(fs::read_link("/dev/stdin").unwrap(), Path::new("/proc/self/fd/0"));
        assert_eq!(fs::read("/proc/timer_list").unwrap(), b"");
        assert!(is_empty(Path::new("/sys/firmware")));
        assert_eq!(write_errno("/proc/sys/kernel/hostname"), Some(Errno::EROFS));
        assert_eq!(write_errno("/file"), Some(Errno::EROFS));
        assert_eq!(fs::metadata("/dev/shm").unwrap().mode() & 0o7777, 0o1777);
        assert!(mount_line("/dev/shm").contains(" - tmpfs shm "));
        assert!(mount_line("/sys").contains(" ro,nosuid,relatime"));
    });
}

#[test]
fn a_device_link_in_the_image_leads_nowhere() {
    let bundle = Bundle::new();
    let outside = bundle.outside();
    symlink(&outside, bundle.root("dev")).unwrap();
    let error = bundle.error();
    assert!(error.contains("dev"), "{error}");
    assert!(is_empty(&outside));
}

#[test]
fn a_node_that_is_a_link_is_not_changed() {
    let bundle = Bundle::new().set("/linux/devices", json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]));
    let victim = bundle.outside().join("victim");
    fs::write(&victim, "").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(bundle.root("dev")).unwrap();
    symlink(&victim, bundle.root("dev/x")).unwrap();
    assert!(bundle.error().contains("linux.devices[0] /dev/x"));
    assert_eq!(fs::metadata(&victim).unwrap().mode(), 0o100600);
}

#[test]
fn proc_and_sys_must_be_directories_of_the_image() {
    for (path, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let bundle = Bundle::new().mount(json!({"destination": format!("/{path}"), "type": kind, "source": kind}));
        fs::create_dir(bundle.root("elsewhere")).unwrap();
        symlink("elsewhere", bundle.root(path)).unwrap();
        assert!(bundle.error().contains("not a symbolic link"), "{}", bundle.error());
    }
}

#[test]
fn nothing_but_procfs_covers_proc() {
    for (mount, words) in [
        (json!({"destination": "/proc", "type": "tmpfs"}), "only procfs"),
        (json!({"destination": "/proc", "type": "bind", "source": "/tmp", "options": ["bind"]}), "only procfs"),
        (json!({"destination": "//x/../proc/./sys", "type": "tmpfs"}), "inside /proc"),
        (json!({"destination": "/proc/self/attr", "source": "/tmp", "options": ["bind"]}), "inside /proc"),
        (json!({"destination": "/..", "type": "tmpfs"}), "the root file system itself"),
    ] {
        let error = Bundle::new().mount(mount).plan().unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("mounts[0]"), "{error}");
    }
    let bundle = Bundle::new().proc().bind("meminfo", "/proc/meminfo", &["bind", "ro"]);
    fs::write(bundle.path("meminfo"), "lxcfs").unwrap();
    assert_eq!(bundle.run(|_| fs::read_to_string("/proc/meminfo").unwrap()), "lxcfs");
}

#[test]
fn a_link_into_proc_or_to_the_root_is_no_destination() {
    let bundle = Bundle::new().proc().bind("outside", "/innocent", &["bind"]);
    bundle.outside();
    symlink("/proc/self/attr", bundle.root("innocent")).unwrap();
    assert!(bundle.error().contains("into /proc"), "{}", bundle.error());
    fs::remove_file(bundle.root("innocent")).unwrap();
    symlink("..", bundle.root("innocent")).unwrap();
    assert!(bundle.error().contains("the root file system itself"), "{}", bundle.error());
}

#[test]
fn destinations_stay_inside() {
    let bundle = Bundle::new().bind("outside", "../../escape", &["bind"]).bind("outside", "/a/x", &["bind"]).bind(
        "outside",
        "relative/one",
        &["bind"],
    );
    let outside = bundle.outside();
    fs::write(outside.join("file"), "").unwrap();
    // A chain of links that ends, seen from the container's root, at a directory of the image.
    fs::create_dir_all(bundle.root("real")).unwrap();
    symlink("/b", bundle.root("a")).unwrap();
    symlink("../../../real", bundle.root("b")).unwrap();
    bundle.run(|_| {
        for path in ["/escape/file", "/real/x/file", "/relative/one/file"] {
            assert!(Path::new(path).exists(), "{path}");
        }
    });
    assert!(bundle.root("escape").is_dir() && bundle.root("real/x").is_dir());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_destination_that_is_swapped_all_the_time_stays_inside() {
    let bundle = Bundle::new().bind("source", "/volume/in/here", &["bind"]);
    let outside = bundle.outside();
    fs::create_dir(bundle.path("source")).unwrap();
    fs::create_dir_all(bundle.root("volume/real")).unwrap();
    fs::create_dir_all(bundle.root("volume/in")).unwrap();
    symlink(&outside, bundle.root("volume/link")).unwrap();
    let (stop, volume) = (Arc::new(AtomicBool::new(false)), bundle.root("volume"));
    let swapper = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let (a, b) = (volume.join("in"), volume.join("link"));
            while !stop.load(Ordering::Relaxed) {
                exchange(&a, &b).unwrap();
            }
        }
    });
    let mut made = 0;
    for _ in 0..200 {
        // Both ends are fine: it is mounted inside, or refused.
        made += u32::from(bundle.try_run(|_| ()).is_ok());
        assert!(is_empty(&outside));
        for place in ["in/here", "link/here"] {
            let _ = fs::remove_dir(bundle.root("volume").join(place));
        }
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(is_empty(&outside));
    assert!(made > 0, "not one of 200 tries came through");
}

#[test]
fn bind_mounts_make_their_targets_and_take_all_options() {
    let bundle = Bundle::new()
        .proc()
        .bind("dir", "/new/dir", &["bind", "ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime"])
        .bind("file", "/new/file", &["rbind", "rprivate", "mode=755", "size=1m", "whatever"])
        .bind("dir", "/shared", &["rbind", "rshared", "rro"]);
    fs::create_dir(bundle.path("dir")).unwrap();
    fs::write(bundle.path("file"), "text").unwrap();
    bundle.run(|_| {
        assert!(
            mount_line("/new/dir").contains(" ro,nosuid,nodev,noexec,noatime,nosymfollow "),
            "{}",
            mount_line("/new/dir")
        );
        assert_eq!(fs::read_to_string("/new/file").unwrap(), "text");
        assert!(mount_line("/shared").contains(" ro,") && mount_line("/shared").contains(" shared:"));
    });
}

#[test]
fn recursive_attributes_reach_the_mounts_below() {
    let bundle = Bundle::new()
        .mount(json!({"destination": "/a/b", "type": "tmpfs"}))
        .bind("rootfs/a", "/all", &["rbind", "rro", "rnosuid"])
        .bind("rootfs/a", "/top", &["rbind", "ro"])
        .bind("rootfs/a", "/alone", &["bind"]);
    fs::create_dir_all(bundle.root("a/b")).unwrap();
    bundle.run(|_| {
        assert_eq!(write_errno("/all/b/file"), Some(Errno::EROFS));
        assert_eq!(write_errno("/top/file"), Some(Errno::EROFS));
        assert_eq!(write_errno("/top/b/file"), None);
        assert!(Path::new("/a/b/file").exists(), "the source is what was mounted before in the container");
        assert!(is_empty(Path::new("/alone/b")));
    });
    assert!(is_empty(&bundle.root("a/b")));
}

#[test]
fn a_missing_source_is_named() {
    let error = Bundle::new().bind("/no/such/source", "/x", &["bind"]).error();
    assert!(error.starts_with("mounts[0] /x (none): open_tree /no/such/source: no such file or directory"), "{error}");
}

#[test]
fn a_tmpfs_copies_up_and_looks_like_what_it_covers() {
    let bundle = Bundle::new()
        .mount(json!({"destination": "/data", "type": "tmpfs", "options": ["tmpcopyup", "ro"]}))
        .mount(json!({"destination": "/data/deep", "type": "tmpfs", "options": ["mode=700"]}));
    fs::create_dir_all(bundle.root("data/dir")).unwrap();
    fs::write(bundle.root("data/dir/file"), "text").unwrap();
    fs::set_permissions(bundle.root("data/dir/file"), fs::Permissions::from_mode(0o4751)).unwrap();
    symlink("/etc/passwd", bundle.root("data/link")).unwrap();
    mkfifo(&bundle.root("data/fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    fs::set_permissions(bundle.root("data"), fs::Permissions::from_mode(0o1750)).unwrap();
    bundle.run(|_| {
        assert_eq!(fs::read_to_string("/data/dir/file").unwrap(), "text");
        assert_eq!(fs::metadata("/data/dir/file").unwrap().mode() & 0o7777, 0o4751);
        assert_eq!(fs::read_link("/data/link").unwrap(), Path::new("/etc/passwd"));
        assert!(fs::metadata("/data/fifo").unwrap().file_type().is_fifo());
        assert_eq!(fs::metadata("/data").unwrap().mode() & 0o7777, 0o1750);
        assert_eq!(write_errno("/data/new"), Some(Errno::EROFS), "read-only once all is in place");
        assert_eq!(write_errno("/data/deep/new"), None);
    });
    assert!(!bundle.root("data/deep").exists());
}

#[test]
fn an_id_mapped_mount_shows_other_owners() {
    let maps = json!([{"containerID": 0, "hostID": 5000, "size": 1000}]);
    let bundle = Bundle::new().mount(json!({"destination": "/x", "source": "dir", "options": ["bind", "idmap"],
        "uidMappings": maps, "gidMappings": maps}));
    fs::create_dir(bundle.path("dir")).unwrap();
    fs::write(bundle.path("dir/file"), "").unwrap();
    assert_eq!(bundle.run(|_| fs::metadata("/x/file").unwrap().uid()), 5000);
    let error = Bundle::new().bind("dir", "/x", &["bind", "idmap"]).plan().unwrap_err().to_string();
    assert!(error.contains("idmap without uidMappings"), "{error}");
}

#[test]
fn an_overlay_of_many_layers_is_mounted() {
    let mut bundle = Bundle::new();
    let layers: Vec<_> = (0..12).map(|index| bundle.path(&format!("layer-with-a-long-name-{index}"))).collect();
    for (index, layer) in layers.iter().enumerate() {
        fs::create_dir(layer).unwrap();
        fs::write(layer.join(index.to_string()), "").unwrap();
    }
    let lower = layers.iter().map(|layer| layer.to_str().unwrap()).collect::<Vec<_>>().join(":");
    assert!(lower.len() > 255);
    for (destination, layers) in
        [("/long", lower), ("/short", format!("{}:{}", layers[0].display(), layers[1].display()))]
    {
        bundle = bundle.mount(json!({"destination": destination, "type": "overlay", "source": "overlay",
            "options": [format!("lowerdir={layers}"), "ro", "nosuid"]}));
    }
    bundle.proc().run(|_| {
        assert_eq!(fs::read_dir("/long").unwrap().count(), 12);
        assert_eq!(fs::read_dir("/short").unwrap().count(), 2);
        assert!(mount_line("/long").contains(" ro,nosuid,"), "{}", mount_line("/long"));
    });
}

#[test]
fn remount_changes_what_is_there() {
    let bundle = Bundle::new()
        .proc()
        .mount(json!({"destination": "/t", "type": "tmpfs", "options": ["size=1m"]}))
        .mount(json!({"destination": "/t", "options": ["remount", "size=2m", "noexec"]}))
        .bind("dir", "/b", &["bind"])
        .bind("", "/b", &["remount", "bind", "ro"]);
    fs::create_dir(bundle.path("dir")).unwrap();
    bundle.run(|_| {
        assert!(mount_line("/t").contains("noexec") && mount_line("/t").contains("size=2048k"), "{}", mount_line("/t"));
        assert_eq!(write_errno("/b/file"), Some(Errno::EROFS));
    });
}

#[test]
fn errors_of_a_file_system_name_the_option() {
    let error = Bundle::new().mount(json!({"destination": "/t", "type": "tmpfs", "options": ["nonsense=1"]})).error();
    assert!(error.contains("mounts[0] /t (tmpfs): option nonsense=1: fsconfig: tmpfs: Unknown parameter"), "{error}");
    let error = Bundle::new().mount(json!({"destination": "/t", "type": "nofs"})).error();
    assert!(error.contains("fsopen: no such device") || error.contains("ENODEV"), "{error}");
}

#[test]
fn cgroups_are_seen_with_and_without_a_namespace() {
    for namespace in [false, true] {
        let mut bundle = Bundle::new().proc().mount(json!({"destination": "/sys", "type": "sysfs"})).mount(json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]}));
        bundle.cgroup_namespace = namespace;
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        bundle.run(|_| {
            let path = if unified { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
            assert!(mount_line(path).contains(" ro,nosuid,nodev,noexec"), "{}", mount_line(path));
            let procs = fs::read_to_string(format!("{path}/cgroup.procs")).unwrap();
            let pid = std::process::id().to_string();
            // Without a namespace, v2 shows the whole tree.
            if namespace || !unified {
                assert!(procs.lines().any(|line| line == pid), "this process is in its own cgroup");
            }
            assert!(write_errno("/sys/fs/cgroup/file").is_some());
        });
    }
}

#[test]
fn propagation_of_the_root_is_what_was_asked_for() {
    for (kind, sign) in [
        ("shared", Some("shared:")),
        ("rshared", Some("shared:")),
        ("unbindable", Some("unbindable")),
        ("private", None),
        ("slave", None),
    ] {
        let bundle = Bundle::new().proc().set("/linux/rootfsPropagation", json!(kind));
        let line = bundle.run(|_| mount_line("/"));
        match sign {
            Some(sign) => assert!(line.contains(sign), "{kind}: {line}"),
            None => assert!(!line.contains("shared:") && !line.contains("unbindable"), "{kind}: {line}"),
        }
    }
    let error = Bundle::new().set("/linux/rootfsPropagation", json!("public")).plan().unwrap_err().to_string();
    assert!(error.starts_with("linux.rootfsPropagation"), "{error}");
}

#[test]
fn without_pivot_no_other_procfs_is_left() {
    let mut bundle = Bundle::new().proc();
    bundle.no_pivot = true;
    bundle.run(|_| {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert_eq!(
            table.lines().filter(|line| line.contains(" - proc ") || line.contains(" - sysfs ")).count(),
            1,
            "{table}"
        );
        assert!(Path::new("/proc/self").exists() && !Path::new("/etc").exists());
    });
}

#[test]
fn the_host_is_gone_after_pivot() {
    let bundle = Bundle::new().proc().dev();
    let table = bundle.run(|_| fs::read_to_string("/proc/thread-self/mountinfo").unwrap());
    assert_eq!(table.lines().count(), 4, "{table}");
}

#[test]
fn devices_are_what_the_configuration_says() {
    let bundle = Bundle::new().dev().set(
        "/linux/devices",
        json!([
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o4640, "uid": 7, "gid": 8},
            {"path": "/elsewhere/loop", "type": "b", "major": 7, "minor": 0},
            {"path": "/dev/pipe", "type": "p", "major": 3, "minor": 4, "fileMode": 0o600},
            {"path": "/dev/null", "type": "u", "major": 1, "minor": 3, "fileMode": 0o600},
        ]),
    );
    bundle.run(|_| {
        let fuse = fs::metadata("/dev/fuse").unwrap();
        assert_eq!((fuse.mode(), fuse.uid(), fuse.gid()), (0o24640, 7, 8));
        assert!(fs::metadata("/elsewhere/loop").unwrap().file_type().is_block_device());
        assert!(fs::metadata("/dev/pipe").unwrap().file_type().is_fifo());
        assert_eq!(fs::metadata("/dev/null").unwrap().mode(), 0o20600);
    });
    // Again, over the node that the first run left in the image.
    bundle.run(|_| ());
}

#[test]
fn a_user_namespace_gets_the_nodes_of_the_host() {
    let mut bundle = Bundle::new().proc().dev();
    bundle.user_namespace = UserNamespace::Inherited;
    bundle.run(|_| {
        assert!(mount_line("/dev/null").contains("/null /dev/null"));
        fs::write("/dev/null", "gone").unwrap();
        let mut bytes = [1; 4];
        fs::File::open("/dev/zero").unwrap().read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 4]);
    });
}

#[test]
fn a_bound_dev_is_left_alone() {
    let bundle = Bundle::new().bind("dev", "/dev", &["rbind"]);
    fs::create_dir(bundle.path("dev")).unwrap();
    bundle.run(|_| assert!(is_empty(Path::new("/dev"))));
}

#[test]
fn a_masked_path_takes_no_null_device_of_the_image() {
    let bundle = Bundle::new().proc().set("/linux/maskedPaths", json!(["/proc/timer_list", "/secret"]));
    fs::create_dir(bundle.root("dev")).unwrap();
    fs::write(bundle.root("secret"), "secret").unwrap();
    // make_devices refuses the fake one; the mask would not have used it.
    symlink("/proc/sys/kernel/core_pattern", bundle.root("dev/null")).unwrap();
    assert!(bundle.error().contains("/dev/null"));
    fs::remove_file(bundle.root("dev/null")).unwrap();
    assert_eq!(bundle.run(|_| fs::read("/secret").unwrap()), b"");
}

#[test]
fn files_of_the_image_are_read_only_when_they_are_files() {
    let bundle = Bundle::new();
    fs::create_dir_all(bundle.root("etc/directory")).unwrap();
    fs::write(bundle.root("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    fs::write(bundle.path("secret"), "secret").unwrap();
    mkfifo(&bundle.root("etc/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("../../../../etc/passwd", bundle.root("etc/inside")).unwrap();
    symlink(bundle.path("secret"), bundle.root("etc/outside")).unwrap();
    symlink("loop", bundle.root("etc/loop")).unwrap();
    let root = fs::File::open(bundle.path("rootfs")).unwrap();
    let read = |name: &str| {
        let mut text = String::new();
        let file = open_file(root.as_fd(), &Path::new("/etc").join(name)).unwrap();
        file.map(|mut file| file.read_to_string(&mut text).map(|_| text).unwrap())
    };
    assert!(read("passwd").unwrap().starts_with("root:"));
    assert_eq!(read("inside"), read("passwd"));
    for name in ["directory", "fifo", "outside", "loop", "missing"] {
        assert_eq!(read(name), None, "{name}");
    }
}

#[test]
fn the_private_procfs_writes_only_where_it_is_told() {
    let bundle = Bundle::new().proc();
    bundle.run(|rootfs| {
        let proc = rootfs.procfs().unwrap();
        let before = proc.read_self("comm").unwrap();
        proc.write_self("comm", "berth-test").unwrap();
        assert_eq!(proc.read_self("comm").unwrap().trim(), "berth-test");
        assert_ne!(before.trim(), "berth-test");
        assert!(proc.write("self/comm", "x").is_err(), "self is a symbolic link");
        assert!(proc.write("../x", "x").is_err());
        // A file that something covers is not the one that was meant.
        fs::write("/fake", "").unwrap();
        nix::mount::mount(Some("/fake"), "/proc/uptime", None::<&str>, nix::mount::MsFlags::MS_BIND, None::<&str>)
            .unwrap();
        assert!(proc.write("uptime", "x").unwrap_err().to_string().contains("EXDEV"));
    });
}

#[test]
fn a_missing_working_directory_is_made() {
    let bundle = Bundle::new();
    symlink("/image", bundle.root("link")).unwrap();
    fs::create_dir(bundle.root("image")).unwrap();
    bundle.run(|rootfs| {
        rootfs.ensure_cwd(Path::new("/link/../work/space")).unwrap();
        rootfs.ensure_cwd(Path::new("/work/space")).unwrap();
        rootfs.ensure_cwd(Path::new("/")).unwrap();
        assert!(Path::new("/work/space").is_dir());
    });
}

#[test]
fn the_plan_is_readable() {
    let bundle = Bundle::new().proc().dev().bind("/etc", "/host", &["rbind", "ro", "rprivate"]);
    let plan = serde_json::to_value(bundle.plan().unwrap()).unwrap();
    assert_eq!(plan["mounts"][1]["attributes"], json!(["nosuid", "strictatime"]));
    assert_eq!(plan["mounts"][1]["data"], json!(["mode=755", "size=65536k"]));
    assert_eq!(
        plan["mounts"][3],
        json!({"destination": "host", "mount": "bind", "source": "/etc", "recursive": true,
        "by_parent": false, "attributes": ["ro"], "propagation": ["rprivate"]})
    );
    assert_eq!(plan["devices"][0]["type"], "char");
}
