//! Callers that are killed, signals that are ignored or blocked, readers that go away, inputs that are huge: nothing
//! hangs, nothing is lost.

mod common;

use common::{Bundle, Value, eventually, json};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::net::UnixDatagram;

/// A hook of the host's shell.
fn hook(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]})
}

/// A command line that runs its arguments after a shell's `trap '' SIGNAL`, which children inherit.
fn ignoring(signal: &str) -> Vec<String> {
    ["sh", "-c", &format!("trap '' {signal}; exec \"$@\""), "sh"].map(String::from).to_vec()
}

#[test]
fn hooks_begin_with_no_signal_blocked_and_with_no_descriptor_of_the_caller() {
    let bundle = Bundle::busybox().args(["true"]);
    let out = bundle.place("hooks");
    let look = format!("grep SigBlk /proc/self/status >>{out}; ls /proc/self/fd | wc -l >>{out}");
    let mut bundle = bundle;
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        bundle = bundle.set(&format!("/hooks/{kind}"), json!([hook(&look)]));
    }
    let words = ["run", "--preserve-fds", "1", &bundle.id];
    bundle.wrapped(&["sh", "-c", "exec \"$@\" 3</dev/null", "sh"], &words).output().ok();
    let text = fs::read_to_string(bundle.path("hooks")).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.trim_start_matches("SigBlk:").trim()).collect();
    // Three streams, and the one that ls itself reads the directory with.
    assert_eq!(lines, ["0000000000000000", "4"].repeat(5), "{text}");
}

#[test]
fn a_caller_that_ignores_the_end_of_its_children_learns_the_exit_status() {
    let bundle = Bundle::busybox().sh("exit 7").set("/hooks/createRuntime", json!([hook("exit 0")]));
    bundle.wrapped(&ignoring("CHLD"), &["run", &bundle.id]).output().exits(7);
}

#[test]
fn a_hangup_that_the_caller_ignores_is_not_passed_on() {
    let script = "trap 'echo hangup' HUP; trap 'echo user; exit 0' USR1; echo ready; while :; do sleep 0.05; done";
    let bundle = Bundle::busybox().sh(script);
    let running = bundle.wrapped(&ignoring("HUP"), &["run", &bundle.id]).spawn();
    running.until_prints("ready");
    running.signal(Signal::SIGHUP);
    running.signal(Signal::SIGUSR1);
    assert_eq!(running.wait().ok().text(), "ready\nuser");
}

#[test]
fn hooks_inside_get_a_state_of_any_size() {
    let bundle = Bundle::busybox().args(["true"]).set("/annotations", json!({"big": "x".repeat(300_000)}));
    let out = bundle.place("size");
    let inside = r#"[ "$(wc -c)" -gt 300000 ] || { echo cut; exit 1; }"#;
    let inside = json!({"path": "/bin/sh", "args": ["sh", "-c", inside], "env": ["PATH=/bin"]});
    let bundle = bundle
        .set("/hooks/createContainer", json!([hook(&format!("wc -c >{out}"))]))
        .set("/hooks/startContainer", json!([inside]));
    bundle.run().ok();
    let size: usize = fs::read_to_string(bundle.path("size")).unwrap().trim().parse().unwrap();
    assert!(size > 300_000, "{size}");
}

#[test]
fn an_error_of_any_size_arrives() {
    let name = "/x".repeat(50_000);
    Bundle::busybox().args([name.as_str()]).run().exits(1).complains("name too long|no such file");
}

#[test]
fn a_namespace_that_cannot_be_joined_is_named_once_and_nothing_stays() {
    let bundle = Bundle::busybox().args(["true"]).join("network", "/proc/self/fd/9").without("/linux/resources");
    let mut bundle = bundle.without("/linux/cgroupsPath");
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["type"] != "cgroup" && mount["type"] != "sysfs");
    // Root of a user namespace may not join a network that belongs to the outer one.
    let around = "exec 9</proc/self/ns/net; exec unshare -Urm \"$@\"";
    let output = bundle.wrapped(&["sh", "-c", around, "sh"], &["run", &bundle.id]).output();
    let output = output.fails("joining the network namespace");
    assert_eq!(output.stderr.matches("level=error").count(), 1, "{output}");
    assert!(!bundle.root().join(&bundle.id).exists());
}

#[test]
fn a_container_paused_before_its_start_is_paused_and_can_be_resumed_and_started() {
    let bundle = Bundle::busybox().sleeping();
    bundle.create();
    bundle.berth(&["pause", &bundle.id]).ok();
    assert_eq!(bundle.state()["status"], "paused");
    bundle.berth(&["start", &bundle.id]).fails("paused");
    bundle.berth(&["resume", &bundle.id]).ok();
    assert_eq!(bundle.state()["status"], "created");
    bundle.start();
    assert_eq!(bundle.state()["status"], "running");
}

#[test]
fn a_start_that_is_killed_on_its_way_does_not_leave_a_container_that_hangs_the_next_one() {
    let bundle = Bundle::busybox().sleeping().file("wait", "");
    let slow = json!({"path": "/bin/sh", "args": ["sh", "-c", "while [ -e /wait ]; do sleep 0.05; done"],
        "env": ["PATH=/bin"]});
    let bundle = bundle.set("/hooks/startContainer", json!([slow]));
    bundle.create();
    let start = bundle.cmd(&["start", &bundle.id]).spawn();
    eventually("the start", || (bundle.state()["status"] == "running").then_some(()));
    start.signal(Signal::SIGKILL);
    start.wait();
    fs::remove_file(bundle.rootfs().join("wait")).unwrap();
    bundle.berth(&["start", &bundle.id]).fails("cannot start an already running container");
}

#[test]
fn a_start_that_waits_for_readiness_does_not_keep_others_from_the_container() {
    let bundle = Bundle::busybox().sleeping();
    let socket = bundle.place("notify");
    let _manager = UnixDatagram::bind(&socket).unwrap();
    bundle.cmd(&["create", &bundle.id]).env("NOTIFY_SOCKET", &socket).output().ok();
    let mut start = bundle.cmd(&["start", &bundle.id]).env("NOTIFY_SOCKET", &socket).spawn();
    eventually("the start", || (bundle.state()["status"] == "running").then_some(()));
    bundle.berth(&["update", "--pids-limit", "50", &bundle.id]).ok();
    assert!(start.is_running());
    bundle.berth(&["delete", "--force", &bundle.id]).ok();
    start.wait();
}

#[test]
fn readiness_works_however_long_the_path_of_the_state_is() {
    let bundle = Bundle::busybox().args(["true"]);
    let socket = bundle.place("notify");
    let _manager = UnixDatagram::bind(&socket).unwrap();
    let id = "long-".repeat(40);
    bundle.cmd(&["create", &id]).env("NOTIFY_SOCKET", &socket).output().ok();
    bundle.cmd(&["start", &id]).env("NOTIFY_SOCKET", &socket).output().ok();
    bundle.berth(&["delete", "--force", &id]).ok();
}

#[test]
fn run_returns_the_exit_status_of_a_container_that_somebody_else_deletes() {
    let bundle = Bundle::busybox().sh("echo up; exec sleep 1000");
    let running = bundle.cmd(&["run", &bundle.id]).spawn();
    running.until_prints("up");
    bundle.berth(&["delete", "--force", &bundle.id]).ok();
    assert_eq!(running.wait().exits(137).stderr, "");
}

#[test]
fn any_number_of_preserved_descriptors_is_checked() {
    let bundle = Bundle::busybox().args(["true"]);
    bundle.berth(&["run", "--preserve-fds", "4294967295", &bundle.id]).fails("--preserve-fds");
}

#[test]
fn a_hook_may_work_on_its_container() {
    let bundle = Bundle::busybox().sleeping();
    let berth = common::host::binary().display().to_string();
    let script = format!("{berth} --root {} update --pids-limit 40 {}", bundle.root().display(), bundle.id);
    let bundle = bundle.set("/hooks/poststart", json!([hook(&script)]));
    bundle.detached();
}

#[test]
fn low_limits_of_a_user_namespace_do_not_stop_its_making() {
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]);
    let bundle = Bundle::busybox().userns().set("/process/rlimits", limits).sh("ulimit -n");
    assert_eq!(bundle.run().ok().text(), "8");
    let bundle = bundle.sleeping();
    bundle.detached();
    assert_eq!(bundle.inside("ulimit -n"), "8");
}
