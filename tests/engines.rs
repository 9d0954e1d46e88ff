//! What engines read from a runtime: phrases, log lines, exit statuses, the moment at which files and sockets are there.
//!
//! Each reader does what the engine of its name does with berth's output. A change that breaks one of these tests breaks
//! that engine.

mod common;

use common::fds::{Listener, receive};
use common::{Bundle, Output, Value, eventually, json};
use std::fs;

/// A bundle whose calls carry the options of containerd's shim, and of Podman.
struct Engine {
    bundle: Bundle,
    log: String,
}

impl Engine {
    fn new(bundle: Bundle) -> Self {
        let log = bundle.place("log.json");
        Self { bundle, log }
    }

    fn running() -> Self {
        let this = Self::new(Bundle::busybox().file("/plain", "no program").sleeping());
        this.bundle.detached();
        this
    }

    fn call(&self, words: &[&str]) -> Output {
        let mut all = vec!["--log", &self.log, "--log-format", "json"];
        all.extend(words);
        self.bundle.berth(&all)
    }

    fn create(&self) -> Output {
        let (bundle, pid_file) = (self.bundle.place("bundle"), self.bundle.place("init.pid"));
        self.bundle.write();
        self.call(&["create", "--bundle", &bundle, "--pid-file", &pid_file, &self.bundle.id])
    }

    fn exec(&self, program: &str) -> Output {
        self.call(&["exec", &self.bundle.id, program])
    }

    /// The message of the last line of the log whose level is `error`, as containerd's shim takes it.
    #[track_caller]
    fn last_error(&self) -> String {
        let text = fs::read_to_string(&self.log).expect("the log");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("one JSON object on each line"));
        let errors: Vec<Value> = lines.filter(|line: &Value| line["level"] == "error").collect();
        let last = errors.last().unwrap_or_else(|| panic!("no error in the log: {text}"));
        last["msg"].as_str().expect("a message").to_string()
    }
}

/// The exit status that Docker and Podman give to a program that did not start. Both look for words, in any case of
/// letters: those of a refusal first.
fn status_for(message: &str) -> i32 {
    let message = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["permission denied", "operation not permitted"]) {
        126
    } else if has(&["executable file not found", "no such file or directory"]) {
        127
    } else {
        125
    }
}

/// Programs that cannot be started, with the exit status that an engine makes of it.
const UNSTARTABLE: [(&str, i32); 4] =
    [("/no/such/program", 127), ("no-such-name", 127), ("/plain", 126), ("/etc", 126)];

#[test]
fn docker_reads_a_version() {
    let output = Bundle::empty().berth(&["--version"]).ok();
    let first = output.stdout.lines().next().unwrap();
    assert_eq!(first.split_once(" version "), Some(("berth", env!("CARGO_PKG_VERSION"))), "{output}");
    assert!(output.stdout.lines().any(|line| line.starts_with("spec: ")), "{output}");
}

#[test]
fn engines_tell_why_a_program_of_create_did_not_start() {
    for (program, status) in UNSTARTABLE {
        let engine = Engine::new(Bundle::busybox().file("/plain", "no program").args([program]));
        let output = engine.create().exits(1);
        assert_eq!(status_for(&engine.last_error()), status, "{program}: {}", engine.last_error());
        assert_eq!(status_for(&output.stderr), status, "conmon passes on standard error: {output}");
        engine.bundle.assert_clean();
    }
}

#[test]
fn engines_tell_why_a_program_of_exec_did_not_start() {
    let engine = Engine::running();
    for (program, status) in UNSTARTABLE {
        let output = engine.exec(program).exits(255);
        assert_eq!(status_for(&engine.last_error()), status, "{program}: {}", engine.last_error());
        assert_eq!(status_for(&output.stderr), status, "conmon passes on standard error: {output}");
    }
}

#[test]
fn the_message_is_one_line_that_names_the_program() {
    let engine = Engine::running();
    let output = engine.exec("/no/such/program").exits(255);
    for message in [output.stderr.trim_end(), &engine.last_error()] {
        assert!(message.starts_with("exec failed: unable to start container process: "), "{message}");
        assert!(message.contains("/no/such/program") && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn a_warning_before_the_error_does_not_hide_it() {
    let engine = Engine::new(Bundle::busybox().caps(&["CAP_FROM_THE_FUTURE"]).args(["/no/such/program"]));
    engine.create().exits(1);
    let text = fs::read_to_string(&engine.log).unwrap();
    assert!(text.contains(r#""level":"warning""#), "{text}");
    assert_eq!(status_for(&engine.last_error()), 127, "{text}");
}

#[test]
fn a_success_writes_nothing_that_an_engine_takes_for_an_error() {
    let engine = Engine::new(Bundle::busybox().sleeping());
    let id = engine.bundle.id.clone();
    engine.create().ok();
    for words in
        [vec!["start", &id], vec!["exec", &id, "true"], vec!["pause", &id], vec!["resume", &id], vec!["kill", &id, "9"]]
    {
        let output = engine.call(&words).ok();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{output}");
    }
    engine.bundle.until_status("stopped");
    engine.call(&["delete", &id]).ok();
    let log = fs::read_to_string(&engine.log).unwrap_or_default();
    assert!(!log.contains(r#""level":"error""#), "{log}");
}

/// containerd's shim: `container not running` or `no such process` on standard error is "already finished", and
/// `does not exist` is "not found"; anything else fails the call. CRI-O looks for the same.
#[test]
fn a_kill_that_comes_too_late_is_told_from_one_that_failed() {
    let engine = Engine::running();
    let id = engine.bundle.id.clone();
    engine.call(&["kill", &id, "9"]).ok();
    engine.bundle.until_status("stopped");
    for words in [vec!["kill", &id, "15"], vec!["kill", &id, "SIGTERM"]] {
        engine.call(&words).fails("container not running");
    }
    engine.call(&["kill", "--all", &id, "9"]).ok();
    engine.call(&["delete", &id]).ok();
    for words in [vec!["kill", &id, "9"], vec!["kill", "--all", &id, "9"]] {
        engine.call(&words).fails("does not exist");
    }
}

#[test]
fn a_delete_that_comes_too_late_is_told_from_one_that_failed() {
    let engine = Engine::running();
    let id = engine.bundle.id.clone();
    engine.call(&["delete", &id]).fails("is not stopped: running");
    engine.call(&["delete", "--force", &id]).ok();
    engine.call(&["delete", &id]).fails("container does not exist");
    let output = engine.call(&["delete", "--force", &id]).ok();
    assert_eq!(output.stderr, "", "containerd and Podman do this after every failure");
}

#[test]
fn calls_in_the_wrong_state_have_the_phrases_of_runc() {
    let engine = Engine::running();
    let id = engine.bundle.id.clone();
    engine.create().fails("container with given id already exists");
    engine.call(&["start", &id]).fails("cannot start an already running container");
    engine.call(&["pause", &id]).ok();
    engine.call(&["exec", &id, "true"]).exits(255).complains("cannot exec in a paused container");
    engine.call(&["resume", &id]).ok();
    engine.call(&["kill", &id, "KILL"]).ok();
    engine.bundle.until_status("stopped");
    engine.call(&["start", &id]).fails("cannot start a container that has stopped");
    engine.call(&["exec", &id, "true"]).exits(255).complains("cannot exec in a stopped container");
    engine.call(&["create", "--bundle", &engine.bundle.place("bundle"), "../up"]).fails("invalid container ID format");
}

#[test]
fn the_pid_file_is_complete_from_the_moment_it_is_there() {
    let engine = Engine::new(Bundle::busybox().sleeping());
    engine.bundle.write();
    let (directory, pid_file) = (engine.bundle.place("bundle"), engine.bundle.path("init.pid"));
    let file = pid_file.to_str().unwrap();
    let creating =
        engine.bundle.cmd(&["create", "--bundle", &directory, "--pid-file", file, &engine.bundle.id]).spawn();
    let text = eventually("a pid file", || fs::read_to_string(&pid_file).ok());
    let state = engine.bundle.state();
    assert_eq!(text, state["pid"].to_string(), "decimal digits alone");
    assert_eq!(state["status"], "created", "who finds the pid file may start the container");
    creating.wait().ok();
}

#[test]
fn the_pid_file_of_exec_is_there_when_exec_returns() {
    let engine = Engine::new(Bundle::busybox().args(["sleep", "1000"]));
    engine.bundle.detached();
    let process = json!({"cwd": "/", "args": ["sleep", "1000"], "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]});
    let (process_file, pid_file) = (engine.bundle.place("process.json"), engine.bundle.place("exec.pid"));
    fs::write(&process_file, process.to_string()).unwrap();
    let words = ["exec", "--process", &process_file, "--detach", "--pid-file", &pid_file, &engine.bundle.id];
    engine.call(&words).ok();
    let pid: i32 = fs::read_to_string(pid_file).unwrap().parse().expect("decimal digits alone");
    assert_eq!(
        engine.call(&["ps", "--format", "json", &engine.bundle.id]).ok().json(),
        json!([engine.bundle.pid(), pid])
    );
}

/// conmon waits for the terminal before it reads the pid file; containerd's shim takes it after `create` has returned.
#[test]
fn the_terminal_is_on_the_console_socket_when_create_and_exec_return() {
    let engine = Engine::new(Bundle::busybox().sleeping().set("/process/terminal", json!(true)));
    let socket = engine.bundle.place("console.sock");
    let listener = Listener::bind(&socket);
    let directory = engine.bundle.place("bundle");
    engine.bundle.write();
    engine.call(&["create", "--bundle", &directory, "--console-socket", &socket, &engine.bundle.id]).ok();
    assert_eq!(receive(&listener.accept()).1.len(), 1, "the master");
    engine.call(&["start", &engine.bundle.id]).ok();
    let words = ["exec", "--tty", "--detach", "--console-socket", &socket, &engine.bundle.id, "sleep", "1000"];
    engine.call(&words).ok();
    assert_eq!(receive(&listener.accept()).1.len(), 1, "the master");
}

/// CRI-O takes any error, and any output it cannot decode, for a container that has stopped.
#[test]
fn the_state_is_what_cri_o_decodes() {
    let engine = Engine::running();
    let state = engine.call(&["state", &engine.bundle.id]).ok().json();
    for (key, value) in [("status", json!("running")), ("bundle", json!(engine.bundle.place("bundle")))] {
        assert_eq!(state[key], value, "{state}");
    }
    assert!(state["pid"].is_u64() && state["created"].is_string() && state["ociVersion"].is_string(), "{state}");
}

/// containerd asks for read-only bind mounts and for id-mapped mounts before it offers them to Kubernetes.
#[test]
fn the_features_that_containerd_asks_for_are_there() {
    let features = Bundle::empty().berth(&["features"]).ok().json();
    assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rro")), "{features}");
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true, "{features}");
    assert_eq!(features["linux"]["cgroup"]["systemd"], true, "{features}");
}
