//! A bundle in a directory of its own, its containers, and the proof that nothing of them is left.

use super::run::{Cmd, Output, Running};
use super::{config, host};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bundle with its configuration, a `--root` and a container id of its own.
pub struct Bundle {
    /// The configuration; written to `config.json` before each command.
    pub config: Value,
    /// The id of the bundle's container, and the name of its cgroup.
    pub id: String,
    directory: tempfile::TempDir,
    written: bool,
    /// Global options between the binary and the command.
    pub globals: Vec<String>,
    /// Cgroups besides `/<id>` that must be gone at the end.
    pub cgroups: Vec<String>,
}

impl Bundle {
    /// A bundle with busybox as its whole root file system.
    pub fn busybox() -> Self {
        let bundle = Self::empty();
        fill_with_busybox(&bundle.rootfs());
        bundle
    }

    /// A bundle whose root file system is an empty directory.
    pub fn empty() -> Self {
        assert!(host::is_root(), "the integration tests need root: they make containers");
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("bt{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::Builder::new().prefix(&format!("{id}-")).tempdir_in(base());
        let directory = directory.unwrap_or_else(|error| panic!("a directory in {}: {error}", base().display()));
        // Programs of other users and of user namespaces go through it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let bundle = Self {
            config: config::default(&id),
            id,
            directory,
            written: false,
            globals: Vec::new(),
            cgroups: Vec::new(),
        };
        for path in [bundle.dir(), bundle.rootfs(), bundle.path("scratch")] {
            fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        bundle
    }

    /// A path beside the bundle in the test's directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as text.
    pub fn place(&self, name: impl AsRef<Path>) -> String {
        self.path(name).display().to_string()
    }

    /// The bundle's directory.
    pub fn dir(&self) -> PathBuf {
        self.path("bundle")
    }

    /// The bundle's root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.dir().join("rootfs")
    }

    /// The `--root` of the test.
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Sets the value at a JSON pointer of the configuration.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        config::set(&mut self.config, pointer, value);
        self
    }

    /// Removes what is at a JSON pointer of the configuration.
    pub fn without(mut self, pointer: &str) -> Self {
        config::remove(&mut self.config, pointer);
        self
    }

    /// Appends to the array at a JSON pointer of the configuration.
    pub fn push(mut self, pointer: &str, value: Value) -> Self {
        config::push(&mut self.config, pointer, value);
        self
    }

    /// The program and its arguments.
    pub fn args<S: AsRef<str>>(self, args: impl IntoIterator<Item = S>) -> Self {
        let args: Vec<_> = args.into_iter().map(|word| word.as_ref().to_string()).collect();
        self.set("/process/args", json!(args))
    }

    /// A shell script as the program.
    pub fn sh(self, script: &str) -> Self {
        self.args(["sh", "-c", script])
    }

    /// A program that runs until it gets SIGTERM or SIGKILL.
    pub fn sleeping(self) -> Self {
        self.sh("trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done")
    }

    /// A writable root file system.
    pub fn writable(self) -> Self {
        self.set("/root/readonly", json!(false))
    }

    /// One more environment variable, `NAME=value`.
    pub fn env(self, variable: &str) -> Self {
        self.push("/process/env", json!(variable))
    }

    /// One more mount.
    pub fn mount(self, mount: Value) -> Self {
        self.push("/mounts", mount)
    }

    /// One more bind mount.
    pub fn bind(self, source: impl AsRef<Path>, destination: &str, options: &[&str]) -> Self {
        let source = source.as_ref();
        let mut all = vec![if options.contains(&"rbind") { "rbind" } else { "bind" }];
        all.extend(options.iter().filter(|option| **option != "rbind"));
        self.mount(json!({"destination": destination, "type": "bind", "source": source, "options": all}))
    }

    /// One more new namespace.
    pub fn namespace(self, kind: &str) -> Self {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind}))
    }

    /// A namespace joined by its path instead of a new one.
    pub fn join(self, kind: &str, path: impl AsRef<Path>) -> Self {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind, "path": path.as_ref()}))
    }

    /// One namespace less: the host's is inherited.
    pub fn without_namespace(mut self, kind: &str) -> Self {
        if let Some(list) = self.config.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut) {
            list.retain(|entry| entry["type"] != kind);
        }
        self
    }

    /// A new user namespace with root mapped to an ordinary range of the host, and the image's owner with it.
    pub fn userns(self) -> Self {
        let bundle = self
            .namespace("user")
            .set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]))
            .set("/linux/gidMappings", json!([{"containerID": 0, "hostID": 200_000, "size": 65_536}]));
        chown_all(&bundle.rootfs(), 100_000, 200_000);
        bundle
    }

    /// A limit of `linux.resources`, by its path there: `.limit("memory/limit", json!(1 << 20))`.
    pub fn limit(self, name: &str, value: Value) -> Self {
        self.set(&format!("/linux/resources/{name}"), value)
    }

    /// The same capabilities in the bounding, effective and permitted sets.
    pub fn caps(self, names: &[&str]) -> Self {
        self.set("/process/capabilities", json!({"bounding": names, "effective": names, "permitted": names}))
    }

    /// Another cgroup than `/<id>`, which must be gone at the end.
    pub fn cgroups_path(mut self, path: &str) -> Self {
        self.cgroups.push(path.into());
        self.set("/linux/cgroupsPath", json!(path))
    }

    /// Takes `config.json` as it is on disk: the test writes it itself.
    pub fn raw(mut self, text: &str) -> Self {
        fs::write(self.dir().join("config.json"), text).expect("config.json can be written");
        self.written = true;
        self
    }

    /// Writes a file into the root file system, with its directories.
    pub fn file(self, path: &str, content: &str) -> Self {
        let target = self.rootfs().join(path.trim_start_matches('/'));
        let parent = target.parent().expect("a file has a directory");
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        fs::write(&target, content).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        self
    }

    /// Writes an executable script into the root file system.
    pub fn script(self, path: &str, content: &str) -> Self {
        let bundle = self.file(path, content);
        let target = bundle.rootfs().join(path.trim_start_matches('/'));
        fs::set_permissions(target, fs::Permissions::from_mode(0o755)).expect("chmod");
        bundle
    }

    /// Makes a directory in the root file system.
    pub fn directory(self, path: &str) -> Self {
        let target = self.rootfs().join(path.trim_start_matches('/'));
        fs::create_dir_all(&target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        self
    }

    /// Makes a symlink in the root file system, in place of what is there.
    pub fn link(self, path: &str, target: impl AsRef<Path>) -> Self {
        let place = self.rootfs().join(path.trim_start_matches('/'));
        let _ = fs::remove_file(&place).or_else(|_| fs::remove_dir_all(&place));
        symlink(target, &place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        self
    }

    /// Writes `config.json` as the configuration is now.
    pub fn write(&self) {
        if !self.written {
            let text = serde_json::to_string_pretty(&self.config).expect("JSON");
            // A berth that is starting may be reading it.
            if fs::read_to_string(self.dir().join("config.json")).is_ok_and(|there| there == text) {
                return;
            }
            fs::write(self.dir().join("config.json"), text).expect("config.json can be written");
        }
    }

    /// A command of berth: `--root`, the global options, the words.
    pub fn cmd<S: AsRef<str>>(&self, words: &[S]) -> Cmd {
        self.wrapped::<&str, S>(&[], words)
    }

    /// A command of berth started through another program, such as `setsid -c`.
    pub fn wrapped<W: AsRef<str>, S: AsRef<str>>(&self, wrapper: &[W], words: &[S]) -> Cmd {
        self.write();
        self.prepared(wrapper, words)
    }

    /// The same without writing the configuration.
    fn prepared<W: AsRef<str>, S: AsRef<str>>(&self, wrapper: &[W], words: &[S]) -> Cmd {
        let mut all: Vec<String> = wrapper.iter().map(|word| word.as_ref().to_string()).collect();
        all.push(host::binary().display().to_string());
        all.extend(["--root".to_string(), self.root().display().to_string()]);
        all.extend(self.globals.iter().cloned());
        all.extend(words.iter().map(|word| word.as_ref().to_string()));
        Cmd::new(&self.path("scratch"), all).cwd(self.dir())
    }

    /// Runs a command of berth to its end.
    #[track_caller]
    pub fn berth<S: AsRef<str>>(&self, words: &[S]) -> Output {
        self.cmd(words).output()
    }

    /// Runs a command of the host to its end; the test fails when it does.
    #[track_caller]
    pub fn host(&self, words: &[&str]) -> Output {
        Cmd::new(&self.path("scratch"), words.iter().copied()).output().ok()
    }

    /// Runs a command of the host to its end, however it ends.
    #[track_caller]
    pub fn host_output(&self, words: &[&str]) -> Output {
        Cmd::new(&self.path("scratch"), words.iter().copied()).output()
    }

    /// Starts a command of the host.
    #[track_caller]
    pub fn host_spawn(&self, words: &[&str]) -> Running {
        Cmd::new(&self.path("scratch"), words.iter().copied()).spawn()
    }

    /// `run`, to the container's end.
    #[track_caller]
    pub fn run(&self) -> Output {
        self.berth(&["run", &self.id])
    }

    /// `run` of another program than that of the configuration.
    #[track_caller]
    pub fn run_args(&self, args: &[&str]) -> Output {
        let mut config = self.config.clone();
        config::set(&mut config, "/process/args", json!(args));
        fs::write(self.dir().join("config.json"), config.to_string()).expect("config.json can be written");
        self.prepared::<&str, &str>(&[], &["run", &self.id]).output()
    }

    /// `run` of a shell script, whatever the configuration said before.
    #[track_caller]
    pub fn run_sh(&self, script: &str) -> Output {
        self.run_args(&["sh", "-c", script])
    }

    /// `create`, which must succeed; the output goes on receiving what the container writes.
    #[track_caller]
    pub fn create(&self) -> Output {
        self.berth(&["create", &self.id]).ok()
    }

    /// `create` of the bundle under another id.
    #[track_caller]
    pub fn create_as(&self, id: &str) -> Output {
        self.berth(&["create", id]).ok()
    }

    /// `start`, which must succeed.
    #[track_caller]
    pub fn start(&self) -> Output {
        self.berth(&["start", &self.id]).ok()
    }

    /// `run --detach`, which must succeed.
    #[track_caller]
    pub fn detached(&self) -> Output {
        self.berth(&["run", "--detach", &self.id]).ok()
    }

    /// `exec` of a command line, without options.
    #[track_caller]
    pub fn exec(&self, words: &[&str]) -> Output {
        self.exec_with(&[], words)
    }

    /// `exec` with options before the container's id.
    #[track_caller]
    pub fn exec_with(&self, options: &[&str], words: &[&str]) -> Output {
        let all: Vec<&str> = ["exec"].iter().chain(options).chain(&[self.id.as_str()]).chain(words).copied().collect();
        self.berth(&all)
    }

    /// What a shell script prints inside of the running container.
    #[track_caller]
    pub fn inside(&self, script: &str) -> String {
        self.exec(&["sh", "-c", script]).ok().text().to_string()
    }

    /// `state` as JSON.
    #[track_caller]
    pub fn state(&self) -> Value {
        self.berth(&["state", &self.id]).ok().json()
    }

    /// The `status` of `state`.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_string()
    }

    /// Waits for a status.
    #[track_caller]
    pub fn until_status(&self, status: &str) {
        host::eventually(&format!("status {status}"), || (self.status() == status).then_some(()));
    }

    /// The container's process number on the host.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().expect("state has a pid") as i32
    }

    /// `kill` with a signal, which must succeed.
    #[track_caller]
    pub fn kill(&self, signal: &str) {
        self.berth(&["kill", &self.id, signal]).ok();
    }

    /// `delete`, which must succeed.
    #[track_caller]
    pub fn delete(&self) {
        self.berth(&["delete", &self.id]).ok();
    }

    /// `delete --force`, which must succeed.
    #[track_caller]
    pub fn delete_force(&self) {
        self.berth(&["delete", "--force", &self.id]).ok();
    }

    /// A file of the container's cgroup on the host; the name of the controller matters on v1 only.
    #[track_caller]
    pub fn cgroup_file(&self, controller: &str, file: &str) -> String {
        let mount = host::controller(controller).unwrap_or_else(|| panic!("the host has no controller {controller}"));
        let path = self.config.pointer("/linux/cgroupsPath").and_then(Value::as_str).unwrap_or(&self.id);
        let file = mount.join(path.trim_start_matches('/')).join(file);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.trim().to_string()
    }

    /// What of the test's containers is on the host: directories of state, cgroups, mounts, processes.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root()).into_iter().flatten().flatten() {
            // Hidden entries are caches, not containers.
            if !entry.file_name().to_string_lossy().starts_with('.') {
                found.push(format!("state {}", entry.path().display()));
            }
        }
        for path in std::iter::once(&self.id).chain(&self.cgroups) {
            found.extend(host::cgroup_dirs(path).iter().map(|path| format!("cgroup {}", path.display())));
        }
        found.extend(host::mounts_of(&self.marker()).into_iter().map(|line| format!("mount {line}")));
        for pid in host::processes_of(&self.marker()) {
            let command = host::proc(pid, "cmdline").replace('\0', " ");
            found.push(format!("process {pid} ({}) {command}", host::proc_status(pid, "Name")));
        }
        found
    }

    /// Demands that nothing of the test's containers is on the host, or will be in a moment.
    #[track_caller]
    pub fn assert_clean(&self) {
        let mut found = Vec::new();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10).min(host::limit());
        while std::time::Instant::now() < deadline {
            found = self.leftovers();
            if found.is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("left behind:\n{}", found.join("\n"));
    }

    /// Deletes the container, if there is one, and demands that nothing of it is left.
    #[track_caller]
    pub fn assert_clean_after_delete(&self) {
        self.delete_force();
        self.assert_clean();
    }

    /// The text by which processes and mounts of this test are known.
    fn marker(&self) -> String {
        self.directory.path().file_name().expect("a temporary name").to_string_lossy().into_owned()
    }

    /// Ends and removes by hand whatever is there.
    fn sweep(&self) {
        for pid in host::processes_of(&self.marker()).into_iter().chain(self.cgroup_processes()) {
            host::signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
        for line in host::mounts_of(&self.marker()).iter().rev() {
            let point = line.split(' ').nth(4).unwrap_or_default();
            let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
        }
        for path in std::iter::once(&self.id).chain(&self.cgroups) {
            for directory in host::cgroup_dirs(path) {
                remove_cgroup(&directory);
            }
        }
    }

    fn cgroup_processes(&self) -> Vec<i32> {
        let paths = std::iter::once(&self.id).chain(&self.cgroups);
        let directories = paths.flat_map(|path| host::cgroup_dirs(path));
        let lists = directories.map(|path| fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default());
        lists.flat_map(|list| list.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>()).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let mut complaints = Vec::new();
        for entry in fs::read_dir(self.root()).into_iter().flatten().flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            if id.starts_with('.') {
                continue;
            }
            let command = ["delete", "--force", &id];
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.berth(&command)));
            match outcome {
                Ok(output) if output.status == 0 => {}
                Ok(output) => complaints.push(format!("{output:#}")),
                Err(_) => complaints.push(format!("delete --force {id} panicked or hung")),
            }
        }
        let clean = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.assert_clean()));
        if clean.is_err() {
            complaints.extend(self.leftovers());
            self.sweep();
        }
        assert!(failed || complaints.is_empty(), "after the test: {}", complaints.join("\n"));
    }
}

/// Removes a cgroup with everything below it.
pub fn remove_cgroup(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while fs::remove_dir(directory).is_err() && directory.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Gives a tree to another owner.
pub fn chown_all(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if fs::symlink_metadata(path).is_ok_and(|data| data.is_dir()) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            chown_all(&entry.path(), uid, gid);
        }
    }
}

/// Fills a directory with busybox under all its names, and the usual directories.
pub fn fill_with_busybox(rootfs: &Path) {
    let source = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.exists());
    let Some(source) = source else { panic!("the tests need a static /bin/busybox: apt-get install busybox-static") };
    static APPLETS: OnceLock<Vec<String>> = OnceLock::new();
    let applets = APPLETS.get_or_init(|| {
        let list = std::process::Command::new(source).arg("--list").output().expect("busybox runs");
        String::from_utf8_lossy(&list.stdout).lines().map(str::to_string).collect()
    });
    for name in ["bin", "dev", "etc", "home", "mnt", "proc", "root", "sbin", "sys", "tmp", "usr", "usr/bin", "var"] {
        let path = rootfs.join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    fs::copy(source, rootfs.join("bin/busybox")).expect("busybox can be copied");
    for name in applets.iter().filter(|name| *name != "busybox") {
        let _ = symlink("busybox", rootfs.join("bin").join(name));
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1001:Sailor:/home/sailor:/bin/sh\n";
    fs::write(rootfs.join("etc/passwd"), passwd).expect("etc/passwd");
    fs::write(rootfs.join("etc/group"), "root:x:0:\ntty:x:5:\nsailors:x:1001:\ncrew:x:1002:sailor\n")
        .expect("etc/group");
}

/// A directory for tests on a file system that can hold programs, set-user-id files and device nodes.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        use nix::sys::statvfs::{FsFlags, statvfs};
        let bad = FsFlags::ST_NOEXEC | FsFlags::ST_NOSUID | FsFlags::ST_NODEV;
        let fits = |path: &PathBuf| {
            path.is_absolute() && statvfs(path).is_ok_and(|data| !data.flags().intersects(bad | FsFlags::ST_RDONLY))
        };
        let wanted = std::env::var_os("TMPDIR").map(PathBuf::from);
        let places = wanted.into_iter().chain(["/var/tmp", "/tmp", "/root"].map(PathBuf::from));
        let found = places.into_iter().find(fits).expect("a directory without noexec, nosuid and nodev: set TMPDIR");
        fs::canonicalize(found).expect("it exists")
    })
}

/// Removes the cgroup `/<id>` of a container whose state the test destroyed.
pub fn remove_cgroup_of(id: &str) {
    for directory in host::cgroup_dirs(id) {
        remove_cgroup(&directory);
    }
}
