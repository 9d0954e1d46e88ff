//! Hooks: when they run, where, with what, and what their failure does.

mod common;

use common::{Bundle, Value, eventually, host, json};
use std::fs;
use std::path::Path;

const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that runs a script of the host's shell; `$0` is the test's directory.
fn hook(bundle: &Bundle, script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script, bundle.place("")]})
}

/// A bundle in which `directory` of the test is visible at the same path in the container, for hooks in it.
fn shared(bundle: Bundle) -> Bundle {
    let log = bundle.path("log");
    fs::create_dir(&log).unwrap();
    fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let target = log.display().to_string();
    bundle.bind(&log, &target, &[])
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// All six hooks with the same script, which finds its kind in `$KIND`.
fn all(bundle: Bundle, script: &str) -> Bundle {
    let mut bundle = shared(bundle);
    for kind in KINDS {
        let place = bundle.place("");
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script, place],
                          "env": [format!("KIND={kind}"), "PATH=/usr/bin:/bin"]});
        bundle = bundle.push(&format!("/hooks/{kind}"), hook);
    }
    bundle
}

#[test]
fn hooks_run_in_the_order_of_the_lifecycle() {
    let bundle = all(Bundle::busybox(), "cat > /dev/null; echo $KIND >> $0/log/order");
    let order = bundle.path("log/order");
    let bundle = bundle.sh(&format!("echo program >> {}", order.display()));
    bundle.create();
    assert_eq!(read(&order), "prestart\ncreateRuntime\ncreateContainer\n");
    bundle.start();
    bundle.until_status("stopped");
    let text = read(&order);
    let mut lines: Vec<_> = text.lines().skip(3).collect();
    assert_eq!(lines.remove(0), "startContainer");
    lines.sort();
    assert_eq!(lines, ["poststart", "program"], "these two may overtake each other");
    bundle.delete();
    assert!(read(&order).ends_with("poststop\n"));
}

#[test]
fn hooks_of_one_kind_run_in_their_order() {
    let bundle = Bundle::busybox();
    let one = hook(&bundle, "echo one >> $0/order");
    let two = hook(&bundle, "echo two >> $0/order");
    let bundle = bundle.set("/hooks", json!({"createRuntime": [one, two, one]}));
    bundle.run().ok();
    assert_eq!(read(bundle.path("order")), "one\ntwo\none\n");
}

#[test]
fn every_hook_gets_the_state_with_its_status() {
    let bundle = all(Bundle::busybox().sleeping(), "cat > $0/log/state-$KIND").set("/annotations", json!({"a.b": "c"}));
    bundle.create();
    bundle.start();
    let pid = bundle.pid();
    bundle.kill("KILL");
    bundle.until_status("stopped");
    bundle.delete();
    for (kind, status) in
        KINDS.iter().zip(["created", "created|creating", "created|creating", "created", "running", "stopped"])
    {
        let text = read(bundle.path(format!("log/state-{kind}")));
        let state: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind}: {error}: {text:?}"));
        assert_eq!(state["id"], bundle.id.as_str(), "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}");
        assert_eq!(state["bundle"], bundle.dir().to_str().unwrap(), "{kind}");
        assert_eq!(state["annotations"], json!({"a.b": "c"}), "{kind}");
        let found = state["status"].as_str().unwrap();
        assert!(status.split('|').any(|word| word == found), "{kind}: {found}");
        if ["prestart", "createRuntime", "poststart"].contains(kind) {
            assert_eq!(state["pid"], pid, "{kind}");
        }
    }
}

#[test]
fn hooks_run_in_the_namespaces_of_the_specification() {
    let script = "cat > /dev/null; readlink /proc/self/ns/mnt /proc/self/ns/net /proc/self/ns/uts > $0/log/ns-$KIND ||
        for n in mnt net uts; do readlink /proc/self/ns/$n; done > $0/log/ns-$KIND";
    let bundle = all(Bundle::busybox().sleeping(), script);
    bundle.create();
    bundle.start();
    let inside: Vec<_> = ["mnt", "net", "uts"].map(|kind| host::proc_link(bundle.pid(), &format!("ns/{kind}"))).into();
    bundle.delete_force();
    let own = std::process::id() as i32;
    let outside: Vec<_> = ["mnt", "net", "uts"].map(|kind| host::proc_link(own, &format!("ns/{kind}"))).into();
    for kind in KINDS {
        let text = read(bundle.path(format!("log/ns-{kind}")));
        let expected = if ["createContainer", "startContainer"].contains(&kind) { &inside } else { &outside };
        assert_eq!(text.lines().collect::<Vec<_>>(), *expected, "{kind}");
    }
}

#[test]
fn create_container_hooks_see_the_mounts_before_the_root_changes() {
    let bundle = Bundle::busybox();
    let script =
        "cd $0/bundle/rootfs && test -e proc/1/status && test -c dev/null && test -d /etc && ls -A / > $0/list";
    let hook = hook(&bundle, script);
    let bundle = bundle.set("/hooks", json!({"createContainer": [hook]}));
    bundle.run().ok();
    let host_root = fs::read_dir("/").unwrap().count();
    assert_eq!(read(bundle.path("list")).lines().count(), host_root, "the path is still the host's");
}

#[test]
fn create_runtime_hooks_can_set_up_the_network() {
    let bundle = Bundle::busybox().sh("ip link show hooked0");
    let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ip link add hooked0 type dummy";
    if !host::has("ip") || !host::has("nsenter") {
        common::skip!("the host has no ip or no nsenter");
    }
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]});
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    let output = bundle.run();
    if output.stderr.contains("Not supported") || output.stderr.contains("Unknown device type") {
        common::skip!("the kernel has no dummy interfaces");
    }
    output.ok().prints("hooked0");
}

#[test]
fn start_container_hooks_run_inside_of_the_root() {
    let bundle =
        Bundle::busybox().writable().script("/hook", "#!/bin/sh\ncat > /dev/null; pwd > /seen; hostname >> /seen\n");
    let bundle =
        bundle.set("/hooks", json!({"startContainer": [{"path": "/hook", "args": ["hook"], "env": ["PATH=/bin"]}]}));
    bundle.create();
    assert!(!bundle.rootfs().join("seen").exists());
    bundle.start();
    bundle.until_status("stopped");
    assert!(read(bundle.rootfs().join("seen")).ends_with("berth\n"));
}

#[test]
fn the_environment_is_what_the_hook_names_and_nothing_else() {
    let bundle = Bundle::busybox();
    let target = bundle.place("env");
    let hook = json!({"path": "/usr/bin/env", "args": ["env", "-u", "_", "/bin/sh", "-c", format!("/usr/bin/env > {target}")],
                      "env": ["ONLY=this", "AND=that one"]});
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    bundle.cmd(&["run", &bundle.id]).env("SECRET_OF_THE_HOST", "1").output().ok();
    let text = read(target);
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("PWD=") && !line.starts_with("_=") && !line.starts_with("SHLVL="))
        .collect();
    lines.sort();
    assert_eq!(lines, ["AND=that one", "ONLY=this"]);
}

#[test]
fn arguments_are_passed_as_they_are() {
    let bundle = Bundle::busybox();
    let target = bundle.place("args");
    let script = format!("echo \"$0|$1|$2|$#\" > {target}");
    let hook = json!({"path": "/bin/sh", "args": ["other name", "-c", script, "a b", "", "$HOME"]});
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    bundle.run().ok();
    assert_eq!(read(target), "a b||$HOME|2\n");
}

#[test]
fn a_failing_hook_before_the_start_undoes_the_container_and_its_output_is_shown() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let bundle = Bundle::busybox();
        let hook = hook(&bundle, "echo words of the hook >&2; exit 3");
        let stop = json!([{"path": "/bin/sh", "args": ["sh", "-c", "touch $0/stopped", bundle.place("")]}]);
        let bundle = bundle.set("/hooks", json!({kind: [hook], "poststop": stop}));
        let output = bundle.berth(&["create", &bundle.id]).exits(1);
        output.complains("hook").complains("words of the hook").complains("3");
        bundle.berth(&["state", &bundle.id]).fails("does not exist");
        bundle.assert_clean();
    }
}

#[test]
fn a_failing_start_container_hook_fails_the_start() {
    let bundle = Bundle::busybox()
        .script("/hook", "#!/bin/sh\necho words of the hook >&2; exit 3\n")
        .set("/hooks", json!({"startContainer": [{"path": "/hook"}]}))
        .writable()
        .sh("touch /ran");
    let output = bundle.run();
    assert_ne!(output.status, 0, "{output}");
    assert!(!bundle.rootfs().join("ran").exists());
    bundle.assert_clean();
}

#[test]
fn a_failing_poststart_hook_stops_the_container() {
    let bundle = Bundle::busybox().sleeping();
    let hook = hook(&bundle, "exit 3");
    let bundle = bundle.set("/hooks", json!({"poststart": [hook]}));
    bundle.create();
    bundle.berth(&["start", &bundle.id]).fails("hook");
    let gone = || !bundle.berth(&["state", &bundle.id]).stdout.contains("\"running\"");
    eventually("it does not run", || gone().then_some(()));
}

#[test]
fn a_failing_poststop_hook_is_a_warning_and_the_others_run() {
    let bundle = Bundle::busybox();
    let bad = hook(&bundle, "exit 3");
    let good = hook(&bundle, "touch $0/last");
    let bundle = bundle.set("/hooks", json!({"poststop": [bad, good]}));
    bundle.detached();
    bundle.until_status("stopped");
    let output = bundle.berth(&["delete", &bundle.id]).ok();
    assert!(output.stderr.contains("hook"), "it is logged: {output}");
    assert!(bundle.path("last").exists());
    bundle.assert_clean();
}

#[test]
fn a_hook_that_takes_too_long_is_ended() {
    let bundle = Bundle::busybox();
    let marker = bundle.place("sleeping-hook");
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "echo $$ > $0; exec sleep 3000", marker], "timeout": 1});
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    bundle.berth(&["create", &bundle.id]).fails("timeout|timed out|longer than|deadline|did not end");
    let pid: i32 = read(marker).trim().parse().unwrap();
    eventually("the hook is gone", || (!host::alive(pid)).then_some(()));
    bundle.assert_clean();
}

#[test]
fn a_hook_that_ends_in_time_is_not_disturbed_by_its_timeout() {
    let bundle = Bundle::busybox();
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "touch $0/done", bundle.place("")], "timeout": 1000});
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    bundle.run().ok();
    assert!(bundle.path("done").exists());
}

#[test]
fn a_hook_that_does_not_read_its_input_is_fine() {
    let annotations: serde_json::Map<String, Value> =
        (0..2000).map(|n| (format!("key{n}"), json!("x".repeat(100)))).collect();
    let bundle = Bundle::busybox().set("/annotations", annotations.into());
    let closed = hook(&bundle, "exec <&-; exit 0");
    let ignoring = json!({"path": "/bin/true"});
    let bundle = bundle.set("/hooks", json!({"prestart": [closed, ignoring], "poststop": [ignoring]}));
    bundle.run().ok();
}

#[test]
fn a_hook_with_much_output_does_not_hang() {
    let bundle = Bundle::busybox();
    let hook =
        hook(&bundle, "i=0; while test $i -lt 20000; do echo a line of output that fills every pipe; i=$((i+1)); done");
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    bundle.run().ok();
}

#[test]
fn a_hook_that_leaves_a_child_behind_does_not_hang_us() {
    let bundle = Bundle::busybox();
    let hook = hook(&bundle, "sleep 3001 & echo $! > $0/child; exit 0");
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    bundle.run().ok();
    let pid: i32 = read(bundle.path("child")).trim().parse().unwrap();
    host::signal(pid, nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn a_hook_killed_by_a_signal_has_failed() {
    let bundle = Bundle::busybox();
    let hook = hook(&bundle, "kill -KILL $$");
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    bundle.berth(&["create", &bundle.id]).fails("hook");
    bundle.assert_clean();
}

#[test]
fn hooks_have_no_descriptors_of_ours() {
    let bundle = Bundle::busybox();
    let hook = hook(&bundle, "ls -l /proc/$$/fd > $0/fds");
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook], "poststart": [hook], "poststop": [hook]}));
    for kind in ["createRuntime", "poststart", "poststop"] {
        let bundle = Bundle::busybox().set("/hooks", json!({kind: [bundle.config["hooks"][kind][0].clone()]}));
        bundle.run().ok();
    }
    let text = read(bundle.path("fds"));
    let numbers: Vec<_> = text.lines().filter_map(|line| line.split(" -> ").next()?.split(' ').next_back()).collect();
    assert!(
        numbers.iter().all(|number| ["0", "1", "2"].contains(number) || number.starts_with("total") || *number == "10"),
        "{text}"
    );
}

#[test]
fn delete_force_runs_poststop_hooks_too() {
    let bundle = Bundle::busybox().sleeping();
    let hook = hook(&bundle, "cat > $0/stopped");
    let bundle = bundle.set("/hooks", json!({"poststop": [hook]}));
    bundle.detached();
    bundle.delete_force();
    assert!(read(bundle.path("stopped")).contains("stopped"));
}

#[test]
fn the_cgroup_and_its_limits_are_there_when_prestart_hooks_run() {
    if host::controller("pids").is_none() {
        common::skip!("the host has no pids controller");
    }
    let bundle = Bundle::busybox().limit("pids/limit", json!(77));
    let file = host::controller("pids").unwrap().join(&bundle.id).join("pids.max");
    let hook = hook(&bundle, &format!("cp {} $0/limit", file.display()));
    let bundle = bundle.set("/hooks", json!({"prestart": [hook]}));
    bundle.run().ok();
    assert_eq!(read(bundle.path("limit")), "77\n");
}
