//! What Docker, containerd (`ctr`) and Podman of Debian 12 really asked of their runtime: their configurations and their
//! calls, recorded by a wrapper in place of the runtime. Only paths and ids are adapted, and limits that this caller may
//! not raise.
//!
//! `default.json` belongs to a container without options (`sleep 1000`), `terminal.json` to one with `-t`,
//! `hardened.json` to `docker run --memory 64m --pids-limit 50 --cpus 0.5 --read-only --user 1000:1000 --cap-add
//! NET_ADMIN --security-opt no-new-privileges --tmpfs /tmp -v …:/data:ro --ulimit nofile=100:200`.

mod common;

use common::fds::{Listener, receive};
use common::terminal::Screen;
use common::{Bundle, Value, eventually, host, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// An engine's recording.
struct Recording {
    calls: &'static str,
    config: &'static str,
    execs: &'static [&'static str],
}

macro_rules! data {
    ($file:literal) => {
        include_str!(concat!("data/", $file))
    };
}

const DOCKER: Recording = Recording {
    calls: data!("docker/calls.txt"),
    config: data!("docker/default.json"),
    execs: &[data!("docker/exec-1.json"), data!("docker/exec-2.json")],
};
const CONTAINERD: Recording = Recording {
    calls: data!("containerd/calls.txt"),
    config: data!("containerd/default.json"),
    execs: &[data!("containerd/exec-1.json")],
};
const PODMAN: Recording = Recording {
    calls: data!("podman/calls.txt"),
    config: data!("podman/default.json"),
    execs: &[data!("podman/exec-1.json"), data!("podman/exec-2.json")],
};

/// Puts this test's paths into a recorded text.
fn adapt(bundle: &Bundle, text: &str) -> String {
    text.replace("{{BUNDLE}}", &bundle.place("bundle"))
        .replace("{{ROOTFS}}", &bundle.place("bundle/rootfs"))
        .replace("{{ROOT}}", &bundle.place("root"))
        .replace("{{VOLUME}}", &bundle.place("bundle/volume"))
        .replace("{{HOOK}}", &bundle.place("bundle/hook"))
        .replace("{{CONTROLLER}}", "0123456789ab")
        .replace("{{ID}}", &bundle.id)
}

/// A bundle with a recorded configuration and the files that engines put beside it.
fn bundle(config: &str) -> Bundle {
    let bundle = Bundle::busybox();
    let dir = bundle.dir();
    for (name, text) in
        [("hosts", "127.0.0.1 localhost\n"), ("hostname", "recorded\n"), ("resolv.conf", ""), (".containerenv", "")]
    {
        fs::write(dir.join(name), text).unwrap();
    }
    fs::create_dir(dir.join("shm")).unwrap();
    fs::set_permissions(dir.join("shm"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::create_dir(dir.join("volume")).unwrap();
    fs::write(dir.join("volume/file"), "from the volume\n").unwrap();
    let hook = format!("#!/bin/sh\necho \"$*\" > {0}/hook.args; cat > {0}/hook.state\n", dir.display());
    fs::write(dir.join("hook"), hook).unwrap();
    fs::set_permissions(dir.join("hook"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut value: Value = serde_json::from_str(&adapt(&bundle, config)).unwrap();
    if host::bounding() & 1 << 24 == 0 {
        clamp(&mut value);
    }
    // Names of v1 are not in the way on v2; engines leave out what the host has not.
    let text = value.to_string();
    let mut bundle = bundle.raw(&text);
    bundle.config = value;
    bundle
}

/// Without CAP_SYS_RESOURCE nobody raises a limit.
fn clamp(config: &mut Value) {
    for entry in config["process"]["rlimits"].as_array_mut().into_iter().flatten() {
        let resource = match entry["type"].as_str() {
            Some("RLIMIT_NOFILE") => nix::sys::resource::Resource::RLIMIT_NOFILE,
            Some("RLIMIT_NPROC") => nix::sys::resource::Resource::RLIMIT_NPROC,
            _ => continue,
        };
        let (_, hard) = nix::sys::resource::getrlimit(resource).unwrap();
        for name in ["soft", "hard"] {
            entry[name] = json!(entry[name].as_u64().unwrap().min(hard));
        }
    }
}

/// Makes the recorded calls, one after the other, and returns what the execs printed.
#[track_caller]
fn replay(recording: &Recording) -> String {
    let bundle = bundle(recording.config);
    for (number, exec) in recording.execs.iter().enumerate() {
        fs::write(bundle.dir().join(format!("exec-{}.json", number + 1)), adapt(&bundle, exec)).unwrap();
    }
    let mut printed = String::new();
    let mut create = None;
    for line in recording.calls.lines() {
        let words: Vec<String> = adapt(&bundle, line).split(' ').map(str::to_string).collect();
        let is = |command: &str| words.iter().any(|word| word == command);
        let mut all = vec![host::binary().display().to_string()];
        if !is("--root") {
            all.extend(["--root".to_string(), bundle.place("root")]);
        }
        all.extend(words.iter().cloned());
        if is("delete") {
            eventually("the container has stopped", || {
                let state = bundle.berth(&["state", &bundle.id]);
                (state.status != 0 || state.stdout.contains("\"stopped\"")).then_some(())
            });
        }
        let output = common::run::Cmd::new(&bundle.path("scratch"), all).cwd("/").output().ok();
        if is("exec") {
            let file = bundle.dir().join("exec.pid");
            let pid: i32 = fs::read_to_string(&file).unwrap().parse().unwrap();
            eventually("the exec ends", || (!host::alive(pid)).then_some(()));
            printed += &output.stdout_now();
        } else if is("create") {
            let pid: i32 = fs::read_to_string(bundle.dir().join("init.pid")).unwrap().parse().unwrap();
            assert!(host::alive(pid));
            create = Some(output);
        } else if is("ps") {
            assert_eq!(output.json(), json!([bundle.pid()]));
        } else if is("pause") {
            assert_eq!(bundle.status(), "paused");
        } else if is("resume") || is("start") {
            assert_eq!(bundle.status(), "running");
        }
    }
    assert!(create.is_some());
    bundle.berth(&["state", &bundle.id]).fails("does not exist");
    bundle.assert_clean();
    printed
}

#[test]
fn the_life_of_a_docker_container() {
    let printed = replay(&DOCKER);
    assert!(printed.starts_with("in exec\nuid=0(root) gid=0"), "{printed}");
    assert!(printed.ends_with("1000\n/tmp\nb\n"), "{printed}");
}

#[test]
fn the_life_of_a_containerd_container() {
    let printed = replay(&CONTAINERD);
    assert!(printed.starts_with("in exec\nuid=0(root)"), "{printed}");
}

#[test]
fn the_life_of_a_podman_container() {
    let printed = replay(&PODMAN);
    assert!(printed.starts_with("in exec\nuid=0(root)") && printed.ends_with("1000\n"), "{printed}");
}

#[test]
fn dockers_network_hook_gets_the_state() {
    let bundle = bundle(DOCKER.config);
    bundle.berth(&["run", "-d", &bundle.id]).ok();
    let state: Value = serde_json::from_str(&fs::read_to_string(bundle.dir().join("hook.state")).unwrap()).unwrap();
    assert_eq!(state["pid"], bundle.pid());
    let args = fs::read_to_string(bundle.dir().join("hook.args")).unwrap();
    assert!(args.contains(&bundle.id), "{args}");
}

/// Runs a script in a recorded container instead of its program.
#[track_caller]
fn inside(config: &str, script: &str) -> String {
    let bundle = bundle(config);
    let output = bundle.run_args(&["/bin/sh", "-c", script]).ok();
    output.stdout
}

#[test]
fn dockers_default_container_is_confined() {
    let printed = inside(
        DOCKER.config,
        "grep -E '^(CapEff|CapBnd|Seccomp):' /proc/self/status; ls -A /sys/firmware; cat /etc/hostname;
        mount -t tmpfs x /mnt 2>/dev/null || echo no mount; unshare -U true 2>/dev/null || echo no user namespace",
    );
    assert!(
        printed.contains("CapEff:\t00000000a80425fb\n") && printed.contains("CapBnd:\t00000000a80425fb\n"),
        "{printed}"
    );
    assert!(printed.contains("Seccomp:\t2\n"), "{printed}");
    assert!(printed.ends_with("recorded\nno mount\nno user namespace\n"), "{printed}");
}

#[test]
fn podmans_default_container_is_confined() {
    let printed = inside(PODMAN.config, "grep -E '^(CapBnd|Seccomp):' /proc/self/status; cat /etc/hostname; test -f /run/.containerenv && echo env; umask;
        mount -t tmpfs x /mnt 2>/dev/null || echo no mount");
    assert!(printed.contains("Seccomp:\t2\n") && printed.ends_with("recorded\nenv\n0022\nno mount\n"), "{printed}");
}

#[test]
fn containerds_default_container_is_confined() {
    let printed = inside(
        CONTAINERD.config,
        "grep -E '^(CapBnd|NoNewPrivs):' /proc/self/status; touch /run/x && echo run; hostname",
    );
    assert!(printed.contains("NoNewPrivs:\t1\n") && printed.contains("run\n"), "{printed}");
}

#[test]
fn dockers_options_have_their_effect() {
    let script = "id -u; id -g; ulimit -Sn; ulimit -Hn; cat /data/file; touch /new 2>/dev/null || echo ro root;
        touch /data/new 2>/dev/null || echo ro volume; touch /tmp/new && echo tmp; grep NoNewPrivs /proc/self/status | tr -d '\\t'";
    let printed = inside(data!("docker/hardened.json"), script);
    assert_eq!(printed, "1000\n1000\n100\n200\nfrom the volume\nro root\nro volume\ntmp\nNoNewPrivs:1\n");
    let bundle = bundle(data!("docker/hardened.json"));
    bundle.detached();
    if host::controller("pids").is_some() {
        assert_eq!(bundle.cgroup_file("pids", "pids.max"), "50");
    }
    if host::controller("memory").is_some() {
        let name = if common::is_v2() { "memory.max" } else { "memory.limit_in_bytes" };
        assert_eq!(bundle.cgroup_file("memory", name), (64 << 20).to_string());
    }
}

#[test]
fn containers_with_a_terminal_get_one() {
    for config in [data!("docker/terminal.json"), data!("podman/terminal.json")] {
        let bundle = bundle(config);
        let socket = bundle.place("console.sock");
        let listener = Listener::bind(&socket);
        let running = bundle.cmd(&["create", "--console-socket", &socket, &bundle.id]).spawn();
        let (_, mut fds) = receive(&listener.accept());
        running.wait().ok();
        let screen = Screen::new(fds.remove(0));
        bundle.start();
        screen.until_shows("with a terminal");
        assert!(screen.shown().contains("/dev/pts/0"), "{:?}", screen.shown());
        bundle.until_status("stopped");
    }
}
