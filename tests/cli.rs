//! The command line itself: versions, help, global options, and the commands that need no container.

mod common;

use common::{Bundle, Value, json};
use std::fs;

const COMMANDS: [&str; 13] =
    ["create", "delete", "exec", "features", "kill", "list", "pause", "plan", "ps", "resume", "run", "spec", "start"];

#[test]
fn version_names_the_specification() {
    let bundle = Bundle::empty();
    for flag in ["--version", "-v"] {
        let output = bundle.berth(&[flag]).ok();
        assert!(output.stdout.lines().any(|line| line == "spec: 1.3.0"), "{output}");
        assert_eq!(
            output.stdout.lines().next(),
            Some(concat!("berth version ", env!("CARGO_PKG_VERSION"))),
            "{output}"
        );
    }
}

#[test]
fn help_lists_every_command() {
    let bundle = Bundle::empty();
    for flag in ["--help", "-h"] {
        let output = bundle.berth(&[flag]).ok();
        for command in COMMANDS.iter().chain(&["state"]) {
            assert!(output.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {output}");
        }
    }
}

#[test]
fn every_command_has_help_with_its_options() {
    let bundle = Bundle::empty();
    for (command, options) in [
        ("create", "--bundle --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds"),
        (
            "run",
            "--bundle --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --detach \
            --keep --no-subreaper",
        ),
        (
            "exec",
            "--process --cwd --env --tty --user --additional-gids --detach --pid-file --console-socket \
            --process-label --apparmor --no-new-privs --cap --preserve-fds --cgroup --ignore-paused",
        ),
        ("delete", "--force"),
        ("list", "--format --quiet"),
        ("ps", "--format"),
        ("spec", "--rootless --bundle"),
        ("plan", "--bundle --format"),
        ("kill", ""),
        ("start", ""),
        ("state", ""),
        ("pause", ""),
        ("resume", ""),
        ("features", ""),
    ] {
        let output = bundle.berth(&[command, "--help"]).ok();
        for option in options.split_whitespace() {
            assert!(output.stdout.contains(option), "{command} {option}: {output}");
        }
    }
}

#[test]
fn without_a_command_it_explains_itself() {
    let output = Bundle::empty().berth::<&str>(&[]);
    assert!(output.stdout.contains("create") || output.stderr.contains("create"), "{output}");
}

#[test]
fn unknown_flags_and_commands_are_named() {
    let bundle = Bundle::empty();
    for words in [["--unknown-flag", "list"], ["list", "--unknown-flag"], ["unknown-flag", "x"]] {
        let output = bundle.berth(&words);
        assert!(output.status != 0 && output.stderr.contains("unknown-flag"), "{output}");
    }
}

#[test]
fn the_global_options_of_runc_are_accepted() {
    let bundle = Bundle::empty();
    for words in [
        vec!["--debug", "list"],
        vec!["--log-format", "json", "list"],
        vec!["--log-format=text", "list"],
        vec!["--rootless", "auto", "list"],
        vec!["--rootless=false", "list"],
        vec!["--criu", "/usr/sbin/criu", "list"],
        vec!["--log=", "list"],
    ] {
        bundle.berth(&words).ok();
    }
}

#[test]
fn the_log_is_appended_to_and_is_one_object_per_line() {
    let bundle = Bundle::empty();
    let log = bundle.place("log.json");
    for _ in 0..2 {
        bundle.berth(&["--log", &log, "--log-format", "json", "state", "nobody"]).exits(1);
    }
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!(line["level"], "error");
        assert!(line["msg"].as_str().unwrap().contains("does not exist"));
        let time = line["time"].as_str().unwrap();
        assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "RFC 3339: {time}");
    }
}

#[test]
fn debug_adds_to_the_log() {
    let bundle = Bundle::busybox();
    let log = bundle.place("log");
    bundle.berth(&["--debug", "--log", &log, "run", &bundle.id]).ok();
    assert!(fs::read_to_string(&log).unwrap().contains("level=debug"));
}

#[test]
fn what_spec_writes_runs_as_it_is() {
    let bundle = Bundle::busybox();
    bundle.berth(&["spec", "--bundle", &bundle.place("bundle")]);
    let file = bundle.dir().join("config.json");
    let _ = fs::remove_file(&file);
    common::run::Cmd::new(&bundle.path("scratch"), [common::host::binary().to_str().unwrap(), "spec"])
        .cwd(bundle.dir())
        .output()
        .ok();
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["root"]["path"], "rootfs");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["echo", "fine"]);
    let bundle = bundle.raw(&config.to_string());
    bundle.run().ok().prints("fine");
}

#[test]
fn spec_does_not_overwrite() {
    let bundle = Bundle::busybox();
    bundle.write();
    let before = fs::read_to_string(bundle.dir().join("config.json")).unwrap();
    bundle.berth(&["spec", "-b", &bundle.place("bundle")]).fails("exist");
    assert_eq!(fs::read_to_string(bundle.dir().join("config.json")).unwrap(), before);
}

#[test]
fn spec_rootless_has_a_user_namespace_with_the_callers_ids() {
    let bundle = Bundle::empty();
    let target = bundle.place("scratch");
    bundle.berth(&["spec", "--rootless", "--bundle", &target]).ok();
    let config: Value = serde_json::from_str(&fs::read_to_string(format!("{target}/config.json")).unwrap()).unwrap();
    let kinds: Vec<_> = config["linux"]["namespaces"].as_array().unwrap().iter().map(|entry| &entry["type"]).collect();
    assert!(kinds.contains(&&json!("user")) && !kinds.contains(&&json!("network")), "{kinds:?}");
    assert_eq!(config["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
}

#[test]
fn features_describe_what_there_is() {
    let features = Bundle::empty().berth(&["features"]).ok().json();
    assert!(features["ociVersionMin"].is_string());
    assert_eq!(features["ociVersionMax"], "1.3.0");
    let has = |pointer: &str, name: &str| {
        let list = features.pointer(pointer).and_then(Value::as_array);
        list.unwrap_or_else(|| panic!("{pointer}: {features}")).iter().any(|entry| entry == name)
    };
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        assert!(has("/hooks", hook), "{hook}");
    }
    for option in ["rro", "bind", "rbind", "nosymfollow", "idmap", "ridmap", "tmpcopyup", "rnosuid", "private"] {
        assert!(has("/mountOptions", option), "{option}");
    }
    for namespace in ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"] {
        assert!(has("/linux/namespaces", namespace), "{namespace}");
    }
    assert!(has("/linux/capabilities", "CAP_SYS_ADMIN"));
    assert!(has("/linux/seccomp/actions", "SCMP_ACT_NOTIFY"));
    assert!(has("/linux/seccomp/operators", "SCMP_CMP_MASKED_EQ"));
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert_eq!(features["linux"]["cgroup"]["v1"], true);
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    let parsed: Result<oci_spec::runtime::Features, _> = serde_json::from_value(features.clone());
    assert!(parsed.is_ok(), "another implementation of the specification reads it: {parsed:?}");
}

#[test]
fn plan_shows_what_create_would_do_and_does_nothing() {
    let bundle = Bundle::busybox().limit("pids/limit", json!(77)).set("/hostname", json!("planned"));
    bundle.write();
    let text = bundle.berth(&["plan", "--bundle", &bundle.place("bundle")]).ok();
    for word in ["/proc", "pids.max", "77", "planned", "CAP_KILL"] {
        assert!(text.stdout.contains(word), "{word}: {text}");
    }
    let json = bundle.berth(&["plan", "--bundle", &bundle.place("bundle"), "--format", "json"]).ok().json();
    assert!(json.is_object(), "{json}");
    bundle.assert_clean();
    assert!(!bundle.root().join(&bundle.id).exists());
}

#[test]
fn plan_refuses_what_create_refuses() {
    let bundle = Bundle::busybox().set("/process/cwd", json!("relative"));
    bundle.write();
    let words = ["plan", "--bundle", &bundle.place("bundle")];
    bundle.berth(&words).fails("process.cwd");
}

#[test]
fn the_systemd_driver_works_or_says_why_not() {
    let bundle = Bundle::busybox().set("/linux/cgroupsPath", json!("system.slice:berth-test:unit"));
    let output = bundle.berth(&["--systemd-cgroup", "run", &bundle.id]);
    if output.status != 0 {
        output.complains("systemd");
        bundle.assert_clean();
    }
}

#[test]
fn options_may_be_joined_to_their_values() {
    let bundle = Bundle::busybox().sleeping();
    let pid_file = bundle.place("pid");
    bundle.berth(&["run", "-d", &format!("--pid-file={pid_file}"), &bundle.id]).ok();
    assert!(fs::metadata(pid_file).is_ok());
    bundle.berth(&["exec", "--user=5", "--env=A=b=c", &bundle.id, "sh", "-c", "echo $(id -u) $A"]).ok().prints("5 b=c");
    bundle.berth(&["delete", "-f", &bundle.id]).ok();
}

#[test]
fn words_that_the_shim_of_containerd_uses_are_accepted() {
    let bundle = Bundle::busybox().sleeping();
    let (log, pid) = (bundle.place("log.json"), bundle.place("init.pid"));
    let dir = bundle.place("bundle");
    let common = ["--log", &log, "--log-format", "json", "--rootless=false"];
    let call = |words: &[&str]| {
        let all: Vec<&str> = common.iter().chain(words).copied().collect();
        bundle.berth(&all)
    };
    call(&["create", "--bundle", &dir, "--pid-file", &pid, &bundle.id]).ok();
    call(&["start", &bundle.id]).ok();
    let state = call(&["state", &bundle.id]).ok().json();
    assert_eq!(fs::read_to_string(pid).unwrap(), state["pid"].to_string());
    call(&["kill", "--all", &bundle.id, "9"]).ok();
    bundle.until_status("stopped");
    call(&["delete", "--force", &bundle.id]).ok();
}
