//! Configurations that engines wrote, run through the command sequences that they ran (`tests/data/README.md`).
//!
//! Only paths of the recording machine, `cgroupsPath` and the place of the pod's namespaces are adapted.

mod common;

use common::{Bundle, Output, Value, bundle, eventually, host, is_v2};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A recorded container on this machine.
struct Recording {
    bundle: Bundle,
    config: Value,
    directory: PathBuf,
    infra: String,
}

impl Recording {
    fn new(name: &str) -> Self {
        Self::in_pod(name, 0)
    }

    /// A container that joins namespaces of the process `infra`.
    fn in_pod(name: &str, infra: i32) -> Self {
        let mut this = Self {
            bundle: Bundle::busybox(),
            config: Value::Null,
            directory: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name),
            infra: format!("/proc/{infra}"),
        };
        this.config = serde_json::from_str(&this.adapted("config.json")).expect("the recording is JSON");
        this.config["linux"]["cgroupsPath"] = format!("/{}", this.bundle.id).into();
        this.provide();
        let text = this.config.to_string();
        this.bundle = this.bundle.raw(&text);
        this
    }

    /// A recorded file with this machine's paths in place of the placeholders.
    fn adapted(&self, name: &str) -> String {
        let path = self.directory.join(name);
        let mut text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let place = |name: &str| self.bundle.place(name);
        for (placeholder, value) in [
            ("@ROOT@", self.bundle.root().display().to_string()),
            ("@LOG@", place("log.json")),
            ("@BUNDLE@", self.bundle.dir().display().to_string()),
            ("@ROOTFS@", self.bundle.rootfs().display().to_string()),
            ("@PID_FILE@", place("init.pid")),
            ("@EXEC_PID_FILE@", place("exec.pid")),
            ("@FILES@", place("files")),
            ("@HOOK@", place("hook")),
            ("@EXEC_ROOT@", place("exec-root")),
            ("@CONTROLLER@", "controller".into()),
            ("@INFRA@", self.infra.clone()),
            ("@POD@", "pod".into()),
            ("@ID@", self.bundle.id.clone()),
            ("@SHORT_ID@", "short".into()),
        ] {
            text = text.replace(placeholder, &value);
        }
        assert!(!text.contains('@'), "a placeholder is left in {}: {text}", path.display());
        text
    }

    /// Makes what the engine had made: the sources of bind mounts, the hook's program, the owner of the image.
    fn provide(&self) {
        let files = self.bundle.path("files");
        fs::create_dir(&files).expect("a directory");
        for mount in self.config["mounts"].as_array().expect("mounts").iter().filter(|mount| mount["type"] == "bind") {
            let source = Path::new(mount["source"].as_str().expect("a source"));
            if source.ends_with("shm") {
                fs::create_dir(source).expect("a directory");
                fs::set_permissions(source, fs::Permissions::from_mode(0o1777)).expect("chmod");
            } else {
                fs::write(source, format!("{}\n", source.file_name().expect("a name").display())).expect("a file");
            }
        }
        let hook = self.bundle.path("hook");
        fs::write(&hook, format!("#!/bin/sh\necho \"$@\" > {0}.args\n/bin/cat > {0}.state\n", hook.display()))
            .expect("the hook's program");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("chmod");
        if let Some(owner) = self.config.pointer("/linux/uidMappings/0/hostID").and_then(Value::as_u64) {
            bundle::chown_all(&self.bundle.rootfs(), owner as u32, owner as u32);
            bundle::chown_all(&files, owner as u32, owner as u32);
        }
    }

    /// Runs the recorded calls in their order and looks at the container after each.
    fn play(&self) {
        for call in self.calls() {
            self.call(&call);
        }
    }

    fn calls(&self) -> Vec<Vec<String>> {
        let split = |line: &str| line.split_whitespace().map(str::to_string).collect();
        self.adapted("calls.txt").lines().map(split).collect()
    }

    fn call(&self, words: &[String]) {
        let output = self.run(words).ok();
        assert_eq!(output.stderr, "", "a call that succeeds says nothing");
        let bundle = &self.bundle;
        let has = |word: &str| words.iter().any(|other| other == word);
        match self.command(words) {
            "create" => {
                assert_eq!(bundle.status(), "created");
                assert_eq!(self.pid_file("init.pid"), bundle.pid());
                self.check_hook();
            }
            "start" => self.check_running(),
            "exec" => self.check_exec(&output),
            "pause" => assert_eq!(bundle.status(), "paused"),
            "resume" => assert_eq!(bundle.status(), "running"),
            "ps" => assert_eq!(output.json(), serde_json::json!([bundle.pid()])),
            "update" => assert_eq!(memory_limit(bundle), "134217728"),
            // `sleep` as the first process of its namespace has no handler for SIGTERM: it goes on.
            "kill" if has("15") => assert_eq!(bundle.status(), "running"),
            "kill" => bundle.until_status("stopped"),
            "delete" => assert_eq!(bundle.berth(&["state", &bundle.id]).status, 1),
            other => panic!("the recordings have a new command: {other}"),
        }
    }

    fn run(&self, words: &[String]) -> Output {
        // The harness names the `--root` itself.
        let root = ["--root".to_string(), self.bundle.root().display().to_string()];
        let words = words.strip_prefix(&root).unwrap_or(words);
        let command = self.bundle.cmd(words);
        if words.iter().any(|word| word == "--resources") {
            let path = self.bundle.path("resources.json");
            fs::write(&path, self.adapted("resources.json")).expect("a file");
            return command.stdin(fs::File::open(path).expect("the file that was just written")).output();
        }
        if words.iter().any(|word| word == "--process") {
            fs::write(self.bundle.dir().join("process.json"), self.adapted("process.json")).expect("a file");
        }
        command.output()
    }

    fn command<'a>(&self, words: &'a [String]) -> &'a str {
        let commands = ["create", "start", "exec", "pause", "resume", "ps", "update", "kill", "delete"];
        words.iter().map(String::as_str).find(|word| commands.contains(word)).unwrap_or("none")
    }

    fn pid_file(&self, name: &str) -> i32 {
        let text = fs::read_to_string(self.bundle.path(name)).expect("the engine finds a pid file");
        text.parse().unwrap_or_else(|error| panic!("a number without a newline, not {text:?}: {error}"))
    }

    /// The engine's hook got its arguments and the state of this container.
    fn check_hook(&self) {
        let Some(hook) = self.config.pointer("/hooks/prestart/0") else { return };
        let words: Vec<_> = hook["args"].as_array().expect("args").iter().skip(1).filter_map(Value::as_str).collect();
        assert_eq!(fs::read_to_string(self.bundle.path("hook.args")).expect("the hook ran").trim(), words.join(" "));
        let state = fs::read_to_string(self.bundle.path("hook.state")).expect("the hook ran");
        let state: Value = serde_json::from_str(&state).expect("JSON");
        assert_eq!(state["id"], self.bundle.id.as_str());
        assert_eq!(state["pid"], self.bundle.pid());
    }

    fn check_running(&self) {
        let (bundle, config) = (&self.bundle, &self.config);
        assert_eq!(bundle.status(), "running");
        let pid = bundle.pid();
        eventually("the program", || (host::proc_status(pid, "Name") == "sleep").then_some(()));
        let status = |name: &str| host::proc_status(pid, name);
        assert_eq!(status("Seccomp"), if config.pointer("/linux/seccomp").is_some() { "2" } else { "0" });
        let capabilities = u64::from_str_radix(&status("CapEff"), 16).expect("a mask");
        let wanted = config.pointer("/process/capabilities/effective").and_then(Value::as_array).map_or(0, Vec::len);
        assert_eq!(capabilities.count_ones() as usize, wanted);
        for mount in config["mounts"].as_array().expect("mounts").iter().filter(|mount| mount["type"] == "bind") {
            let destination = mount["destination"].as_str().expect("a destination");
            if let Some((_, name)) = destination.rsplit_once('/').filter(|(_, name)| *name != "shm") {
                assert_eq!(bundle.inside(&format!("cat {destination}")), name);
            }
        }
        if config.pointer("/root/readonly").and_then(Value::as_bool) == Some(true) {
            bundle.exec(&["touch", "/new"]).exits(1).complains("read-only");
        }
        if let Some(limit) = config.pointer("/linux/resources/memory/limit") {
            assert_eq!(memory_limit(bundle), limit.to_string());
        }
        if let Some(limit) = config.pointer("/linux/resources/pids/limit") {
            assert_eq!(bundle.cgroup_file("pids", "pids.max"), limit.to_string());
        }
    }

    fn check_exec(&self, output: &Output) {
        let process: Value = serde_json::from_str(&self.adapted("process.json")).expect("JSON");
        let (user, group) = (&process["user"]["uid"], &process["user"]["gid"]);
        let shown = eventually("what id says", || Some(output.stdout_now()).filter(|text| text.ends_with('\n')));
        assert!(shown.starts_with(&format!("uid={user}")) && shown.contains(&format!(" gid={group}")), "{shown}");
        for id in process["user"]["additionalGids"].as_array().into_iter().flatten() {
            assert!(shown.contains(&format!("{id}(")), "group {id} in {shown}");
        }
        assert!(self.pid_file("exec.pid") > 1);
    }
}

fn memory_limit(bundle: &Bundle) -> String {
    bundle.cgroup_file("memory", if is_v2() { "memory.max" } else { "memory.limit_in_bytes" })
}

#[test]
fn docker_runs_a_container_as_it_comes() {
    Recording::new("docker/default").play();
}

#[test]
fn docker_runs_and_updates_a_container_with_limits() {
    Recording::new("docker/limits").play();
}

#[test]
fn containerd_runs_a_container() {
    Recording::new("containerd/default").play();
}

#[test]
fn podman_runs_a_container_as_it_comes() {
    Recording::new("podman/default").play();
}

#[test]
fn podman_runs_a_container_in_a_user_namespace() {
    let recording = Recording::new("podman/userns");
    let (start, rest): (Vec<_>, Vec<_>) =
        recording.calls().into_iter().partition(|words| ["create", "start"].contains(&recording.command(words)));
    start.iter().for_each(|call| recording.call(call));
    let map = host::proc(recording.bundle.pid(), "uid_map");
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    rest.iter().for_each(|call| recording.call(call));
}

#[test]
fn podman_runs_a_pod() {
    let infra = Recording::new("podman/pod-infra");
    let calls = infra.calls();
    let (up, down) = calls.split_at(2);
    up.iter().for_each(|call| infra.call(call));
    let member = Recording::in_pod("podman/pod-member", infra.bundle.pid());
    let shares =
        |pid: i32| ["net", "ipc", "uts"].map(|name| fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a link"));
    for call in member.calls() {
        member.call(&call);
        if member.command(&call) == "start" {
            assert_eq!(shares(member.bundle.pid()), shares(infra.bundle.pid()));
        }
    }
    down.iter().for_each(|call| infra.call(call));
}
