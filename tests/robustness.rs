//! Death at any moment, many at once, process numbers used again, and readiness protocols.

mod common;

use common::{Bundle, Value, eventually, host, json};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

fn sleeping() -> Bundle {
    Bundle::busybox().sleeping()
}

/// Kills berth `delay` after it was started, and demands that `delete --force` cleans up.
fn killed_after(bundle: &Bundle, words: &[&str], delay: Duration) {
    let running = bundle.cmd(words).spawn();
    let end = Instant::now() + delay;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    running.signal(Signal::SIGKILL);
    running.wait();
    bundle.berth(&["delete", "--force", &bundle.id]).ok();
    bundle.assert_clean();
}

/// How long a command takes here, roughly.
fn duration_of(bundle: &Bundle, words: &[&str]) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        bundle.berth(words).ok();
        best = best.min(start.elapsed());
        bundle.delete_force();
    }
    best
}

#[test]
fn a_create_killed_at_any_moment_can_be_deleted() {
    let bundle = sleeping().limit("pids/limit", json!(100));
    let words = ["create", &bundle.id];
    let whole = duration_of(&bundle, &words);
    for step in 0..40 {
        killed_after(&bundle, &words, whole * step / 32);
    }
}

#[test]
fn a_create_in_a_user_namespace_killed_at_any_moment_can_be_deleted() {
    let bundle = sleeping().userns();
    let words = ["create", &bundle.id];
    let whole = duration_of(&bundle, &words);
    for step in 0..20 {
        killed_after(&bundle, &words, whole * step / 16);
    }
}

#[test]
fn a_run_killed_at_any_moment_can_be_deleted() {
    let bundle = sleeping();
    let whole = duration_of(&bundle, &["run", "--detach", &bundle.id]);
    for step in 0..20 {
        killed_after(&bundle, &["run", &bundle.id], whole * step / 12);
    }
}

#[test]
fn a_delete_killed_at_any_moment_can_be_repeated() {
    let bundle = sleeping();
    for step in 0..20_u32 {
        bundle.detached();
        killed_after(&bundle, &["delete", "--force", &bundle.id], Duration::from_micros(200) * step);
    }
}

#[test]
fn a_start_killed_at_any_moment_leaves_a_container_that_can_be_deleted() {
    let bundle = sleeping();
    for step in 0..15_u32 {
        bundle.create();
        killed_after(&bundle, &["start", &bundle.id], Duration::from_micros(300) * step);
    }
}

#[test]
fn an_exec_killed_at_any_moment_does_not_harm_the_container() {
    let bundle = sleeping();
    bundle.detached();
    for step in 0..15_u32 {
        let running = bundle.cmd(&["exec", &bundle.id, "true"]).spawn();
        let end = Instant::now() + Duration::from_micros(400) * step;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        running.signal(Signal::SIGKILL);
        running.wait();
    }
    assert_eq!(bundle.status(), "running");
    bundle.exec(&["true"]).ok();
}

#[test]
fn a_create_whose_init_is_killed_reports_it_and_leaves_nothing() {
    let bundle = sleeping();
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c",
        "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); kill -KILL $pid"]});
    let bundle = bundle.set("/hooks", json!({"createRuntime": [hook]}));
    let output = bundle.berth(&["create", &bundle.id]).exits(1);
    assert!(!output.stderr.is_empty(), "{output}");
    bundle.assert_clean();
}

#[test]
fn of_two_creates_at_once_one_wins_and_the_other_says_why() {
    let bundle = sleeping();
    for _ in 0..6 {
        let both = [0; 4].map(|_| bundle.cmd(&["create", &bundle.id]).spawn());
        let outputs = both.map(common::Running::wait);
        assert_eq!(outputs.iter().filter(|output| output.status == 0).count(), 1, "{outputs:?}");
        for output in outputs.into_iter().filter(|output| output.status != 0) {
            output.fails("exist");
        }
        assert_eq!(bundle.status(), "created");
        bundle.delete_force();
    }
}

#[test]
fn of_two_starts_at_once_one_wins() {
    let bundle = sleeping();
    for _ in 0..6 {
        bundle.create();
        let both = [0; 3].map(|_| bundle.cmd(&["start", &bundle.id]).spawn());
        let outputs = both.map(common::Running::wait);
        assert_eq!(outputs.iter().filter(|output| output.status == 0).count(), 1, "{outputs:?}");
        assert_eq!(bundle.status(), "running");
        bundle.delete_force();
    }
}

#[test]
fn deletes_at_once_do_not_disturb_each_other() {
    let bundle = sleeping();
    for _ in 0..6 {
        bundle.detached();
        let all = [0; 3].map(|_| bundle.cmd(&["delete", "--force", &bundle.id]).spawn());
        for running in all {
            running.wait().ok();
        }
        bundle.assert_clean();
    }
}

#[test]
fn a_kill_and_a_delete_at_once_are_fine() {
    let bundle = sleeping();
    for _ in 0..6 {
        bundle.detached();
        let kill = bundle.cmd(&["kill", &bundle.id, "KILL"]).spawn();
        let delete = bundle.cmd(&["delete", "--force", &bundle.id]).spawn();
        kill.wait();
        delete.wait().ok();
        bundle.assert_clean();
    }
}

#[test]
fn many_containers_at_once_come_and_go() {
    let bundles: Vec<_> = (0..8).map(|n| Bundle::busybox().sh(&format!("echo number {n}"))).collect();
    for _ in 0..2 {
        let all: Vec<_> = bundles.iter().map(|bundle| bundle.cmd(&["run", &bundle.id]).spawn()).collect();
        for (n, running) in all.into_iter().enumerate() {
            running.wait().ok().prints(&format!("number {n}"));
        }
    }
}

/// Every number in a JSON value that equals `from` becomes `to`.
fn replace(value: &mut Value, from: i64, to: &Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, from, to)),
        Value::Object(map) => map.values_mut().for_each(|value| replace(value, from, to)),
        other if other.as_i64() == Some(from) => *other = to.clone(),
        _ => {}
    }
}

#[test]
fn a_process_that_only_has_the_same_number_is_never_hit() {
    let bundle = sleeping();
    bundle.detached();
    let pid = bundle.pid();
    let mut stranger = common::run::Cmd::new(&bundle.path("scratch"), ["sleep", "1000"]).spawn();
    host::signal(pid, Signal::SIGKILL);
    eventually("init is gone", || (!host::alive(pid)).then_some(()));
    // As if the stranger had got the number of init: its start time gives it away.
    let file = bundle.root().join(&bundle.id).join("state.json");
    let mut state: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    replace(&mut state, i64::from(pid), &json!(stranger.pid()));
    fs::write(&file, state.to_string()).unwrap();
    assert_eq!(bundle.status(), "stopped");
    bundle.berth(&["kill", &bundle.id, "KILL"]).fails("not running");
    bundle.exec(&["true"]).exits(255);
    bundle.delete_force();
    assert!(stranger.is_running(), "the stranger lives");
    bundle.assert_clean();
}

#[test]
fn state_is_written_atomically() {
    let bundle = sleeping();
    bundle.detached();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (file, flag) = (bundle.root().join(&bundle.id).join("state.json"), stop.clone());
    let reader = std::thread::spawn(move || {
        let mut bad = Vec::new();
        while !flag.load(std::sync::atomic::Ordering::Relaxed) {
            if let Ok(text) = fs::read_to_string(&file)
                && serde_json::from_str::<Value>(&text).is_err()
            {
                bad.push(text);
            }
        }
        bad
    });
    for _ in 0..10 {
        bundle.berth(&["pause", &bundle.id]).ok();
        bundle.berth(&["resume", &bundle.id]).ok();
        bundle.delete_force();
        bundle.detached();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(reader.join().unwrap(), Vec::<String>::new());
}

#[test]
fn a_full_disk_for_the_state_is_an_error_and_leaves_nothing() {
    let bundle = sleeping();
    let root = bundle.root().display().to_string();
    fs::create_dir(bundle.root()).unwrap();
    let around = format!("mount -t tmpfs -o size=4k,nr_inodes=2 x {root} && \"$@\"; s=$?; ls -A {root}; exit $s");
    let output = bundle.wrapped(&["unshare", "-m", "sh", "-c", &around, "sh"], &["create", &bundle.id]).output();
    output.fails("no space left");
    bundle.assert_clean();
}

#[test]
fn a_read_only_root_for_the_state_is_an_error() {
    let bundle = sleeping();
    fs::create_dir(bundle.root()).unwrap();
    let root = bundle.root().display().to_string();
    let around = format!("mount --bind {root} {root} && mount -o remount,bind,ro {root} && \"$@\"");
    let output = bundle.wrapped(&["unshare", "-m", "sh", "-c", &around, "sh"], &["create", &bundle.id]).output();
    output.fails("read-only");
    bundle.assert_clean();
}

#[test]
fn standard_streams_that_are_closed_do_no_harm() {
    let bundle = Bundle::busybox().writable().sh("echo x > /ran; ls -l /proc/self/fd > /fds");
    let output = bundle.wrapped(&["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"], &["run", &bundle.id]).output();
    assert!(output.status <= 255, "{output}");
    bundle.assert_clean();
    let config = bundle.dir().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "nothing was written over the configuration");
}

#[test]
fn a_reader_that_goes_away_does_not_hang_or_kill_us() {
    // PID 1 of a namespace would ignore SIGPIPE and go on.
    let bundle = Bundle::busybox().without_namespace("pid").sh("while :; do echo a line; done");
    let script = "\"$@\" 2>/dev/null | head -1; exit ${PIPESTATUS[0]}";
    let output = bundle.wrapped(&["bash", "-c", script, "bash"], &["run", &bundle.id]).output();
    assert_eq!(output.stdout, "a line\n");
    bundle.assert_clean();
}

#[test]
fn exec_does_not_hang_on_a_full_pipe_of_init() {
    // Init's output is a pipe that nobody reads.
    let bundle = Bundle::busybox().sh("while :; do echo a line; done");
    let fifo = bundle.place("fifo");
    bundle.host(&["mkfifo", &fifo]);
    let both = fs::File::options().read(true).write(true).open(&fifo).unwrap();
    bundle.cmd(&["run", "-d", &bundle.id]).stdout(both.try_clone().unwrap()).output().ok();
    bundle.exec(&["echo", "fine"]).ok().prints("fine");
    bundle.delete_force();
}

/// The messages that a socket got until `wanted` was among them.
fn messages(socket: &UnixDatagram, wanted: &str) -> String {
    socket.set_read_timeout(Some(host::limit())).unwrap();
    let mut all = String::new();
    let mut buffer = [0; 4096];
    while !all.contains(wanted) {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted:?} but {all:?}: {error}"));
        all += &String::from_utf8_lossy(&buffer[..length]);
        all.push('\n');
    }
    all
}

#[test]
fn the_notify_socket_is_in_the_container_and_readiness_is_passed_on() {
    let bundle = Bundle::busybox().sh("echo socket $NOTIFY_SOCKET; test -S $NOTIFY_SOCKET && echo there; sleep 1000");
    let socket = bundle.path("notify.sock");
    let listener = UnixDatagram::bind(&socket).unwrap();
    let running = bundle.cmd(&["run", &bundle.id]).env("NOTIFY_SOCKET", &socket).spawn();
    running.until_prints("there");
    // The other end, reached as a process of the container would: through its root.
    let line = running.stdout_now();
    let inside = line.lines().find_map(|line| line.strip_prefix("socket ")).unwrap().to_string();
    let path = format!("/proc/{}/root{inside}", bundle.pid());
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"STATUS=not yet\n", &path).unwrap();
    sender.send_to(b"READY=1\nX_SECRET=1\n", &path).unwrap();
    let got = messages(&listener, "READY=1");
    assert!(!got.contains("X_SECRET"), "only what systemd needs is passed on: {got}");
    bundle.kill("KILL");
    running.wait().exits(137);
}

#[test]
fn the_notify_socket_of_create_serves_start() {
    let bundle = Bundle::busybox().sh("echo socket $NOTIFY_SOCKET; test -S $NOTIFY_SOCKET && echo there; sleep 1000");
    let socket = bundle.path("notify.sock");
    let listener = UnixDatagram::bind(&socket).unwrap();
    let output = bundle.cmd(&["create", &bundle.id]).env("NOTIFY_SOCKET", &socket).output().ok();
    let starting = bundle.cmd(&["start", &bundle.id]).env("NOTIFY_SOCKET", &socket).spawn();
    eventually("the socket is there", || output.stdout_now().contains("there").then_some(()));
    let text = output.stdout_now();
    let inside = text.lines().find_map(|line| line.strip_prefix("socket ")).unwrap();
    let path = format!("/proc/{}/root{inside}", bundle.pid());
    UnixDatagram::unbound().unwrap().send_to(b"READY=1\n", path).unwrap();
    assert!(messages(&listener, "READY=1").contains("MAINPID="));
    starting.wait().ok();
}

#[test]
fn listen_fds_are_passed_with_their_variables() {
    let bundle = Bundle::busybox().sh("echo $LISTEN_FDS $LISTEN_PID $$; cat <&3; ls /proc/self/fd | wc -l");
    let file = bundle.path("three");
    fs::write(&file, "drei\n").unwrap();
    let script = format!("exec 3<{} 4</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"", file.display());
    let output = bundle.wrapped(&["sh", "-c", &script, "sh"], &["run", &bundle.id]).output().ok();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("1 1 1"), "{output}");
    assert_eq!(lines[1..], ["drei", "5"], "0 to 3 and that of ls: {output}");
}

#[test]
fn preserved_descriptors_follow_those_of_listen_fds() {
    let bundle = Bundle::busybox().sh("cat <&3; cat <&4");
    let (three, four) = (bundle.path("three"), bundle.path("four"));
    fs::write(&three, "drei\n").unwrap();
    fs::write(&four, "vier\n").unwrap();
    let script = format!("exec 3<{} 4<{}; export LISTEN_FDS=1; exec \"$@\"", three.display(), four.display());
    let words = ["run", "--preserve-fds", "1", &bundle.id];
    let output = bundle.wrapped(&["sh", "-c", &script, "sh"], &words).output().ok();
    assert_eq!(output.stdout, "drei\nvier\n");
}

#[test]
fn small_limits_of_the_caller_do_not_stop_us() {
    let bundle = Bundle::busybox().sh("echo fine").without("/process/rlimits");
    let script = "ulimit -n 24; ulimit -s 512; exec \"$@\"";
    bundle.wrapped(&["sh", "-c", script, "sh"], &["run", &bundle.id]).output().ok().prints("fine");
}

#[test]
fn an_environment_without_anything_is_enough() {
    let bundle = Bundle::busybox().sh("echo fine");
    bundle.wrapped(&["env", "-i"], &["run", &bundle.id]).output().ok().prints("fine");
}
