//! A container's life as the command line shows it: create, start, state, kill, delete, run, list, ps, pause, resume.

mod common;

use common::{Bundle, eventually, host, json, skip, stays};
use nix::sys::signal::Signal;
use std::fs;

fn sleeping() -> Bundle {
    Bundle::busybox().sleeping()
}

#[test]
fn a_container_goes_from_created_to_running_to_stopped() {
    let bundle = sleeping();
    bundle.create();
    assert_eq!(bundle.status(), "created");
    bundle.start();
    assert_eq!(bundle.status(), "running");
    bundle.kill("KILL");
    bundle.until_status("stopped");
    bundle.delete();
    bundle.berth(&["state", &bundle.id]).fails("does not exist");
    bundle.assert_clean();
}

#[test]
fn the_program_does_not_run_before_start() {
    let bundle = Bundle::busybox().writable().sh("echo ran > /ran; echo heard");
    let output = bundle.create();
    let ran = bundle.rootfs().join("ran");
    assert!(stays(|| !ran.exists()));
    bundle.start();
    bundle.until_status("stopped");
    assert!(ran.exists());
    assert_eq!(output.stdout_now(), "heard\n", "the program has the standard output of create");
}

#[test]
fn state_has_the_keys_of_the_specification_and_of_runc() {
    let bundle = sleeping().set("/annotations", json!({"org.example.key": "value"}));
    bundle.create();
    let state = bundle.state();
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], bundle.dir().to_str().unwrap());
    assert_eq!(state["rootfs"], bundle.rootfs().to_str().unwrap());
    assert_eq!(state["annotations"], json!({"org.example.key": "value"}));
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    assert_eq!(state["owner"], "root");
    let created = state["created"].as_str().unwrap();
    assert!(created.len() >= 20 && created.contains('T') && created.ends_with('Z'), "RFC 3339: {created}");
    assert!(host::alive(state["pid"].as_i64().unwrap() as i32));
}

#[test]
fn state_of_a_stopped_container_has_pid_zero() {
    let bundle = Bundle::busybox();
    bundle.detached();
    bundle.until_status("stopped");
    assert_eq!(bundle.state()["pid"], 0);
}

#[test]
fn a_zombie_init_counts_as_stopped() {
    // The test itself is the parent that does not reap: init of `create` goes to the nearest reaper, so keep one.
    let bundle = sleeping();
    bundle.create();
    bundle.start();
    let pid = bundle.pid();
    host::signal(host::proc_status(pid, "Pid").parse().unwrap(), Signal::SIGKILL);
    bundle.until_status("stopped");
    bundle.delete();
}

#[test]
fn pid_file_is_relative_to_the_caller() {
    let bundle = sleeping();
    let place = bundle.path("caller");
    fs::create_dir(&place).unwrap();
    let words = ["create", "--bundle", &bundle.place("bundle"), "--pid-file", "init.pid", &bundle.id];
    bundle.cmd(&words).cwd(&place).output().ok();
    let text = fs::read_to_string(place.join("init.pid")).unwrap();
    assert_eq!(text.parse(), Ok(bundle.pid()), "decimal, without a newline: {text:?}");
}

#[test]
fn run_writes_the_pid_file_and_detaches() {
    let bundle = sleeping();
    let file = bundle.path("pid");
    bundle.berth(&["run", "--detach", "--pid-file", file.to_str().unwrap(), &bundle.id]).ok();
    assert_eq!(fs::read_to_string(file).unwrap().parse(), Ok(bundle.pid()));
    assert_eq!(bundle.status(), "running");
}

#[test]
fn the_bundle_may_be_given_relative_to_the_caller() {
    let bundle = Bundle::busybox().sh("echo here");
    let words = ["run", "-b", "bundle", &bundle.id];
    bundle.cmd(&words).cwd(bundle.path("")).output().ok().prints("here");
}

#[test]
fn a_second_container_of_the_same_id_is_refused_and_harms_nothing() {
    let bundle = sleeping();
    bundle.create();
    let pid = bundle.pid();
    bundle.berth(&["create", &bundle.id]).fails("exist");
    bundle.berth(&["run", &bundle.id]).fails("exist");
    assert_eq!((bundle.status().as_str(), bundle.pid()), ("created", pid));
    bundle.start();
    assert_eq!(bundle.status(), "running");
}

#[test]
fn an_id_is_free_again_after_delete() {
    let bundle = Bundle::busybox().sh("echo again");
    for _ in 0..3 {
        bundle.run().ok().prints("again");
    }
}

#[test]
fn starting_twice_is_refused() {
    let bundle = sleeping();
    bundle.create();
    bundle.start();
    bundle.berth(&["start", &bundle.id]).fails("cannot start|already");
    bundle.kill("KILL");
    bundle.until_status("stopped");
    bundle.berth(&["start", &bundle.id]).fails("stopped|cannot start");
}

#[test]
fn starting_a_created_container_whose_init_is_gone_fails_and_does_not_hang() {
    let bundle = sleeping();
    bundle.create();
    host::signal(bundle.pid(), Signal::SIGKILL);
    bundle.until_status("stopped");
    bundle.berth(&["start", &bundle.id]).fails("stopped|cannot start");
}

#[test]
fn kill_understands_every_form_of_a_signal() {
    let bundle = Bundle::busybox()
        .writable()
        .sh("for s in TERM HUP USR1 USR2 INT QUIT; do trap \"echo $s >> /seen\" $s; done; touch /ready
             while :; do sleep 1000 & wait $!; kill $! 2> /dev/null; done");
    bundle.detached();
    let (ready, seen) = (bundle.rootfs().join("ready"), bundle.rootfs().join("seen"));
    eventually("traps are set", || ready.exists().then_some(()));
    let mut expected = String::new();
    for (given, name) in
        [("SIGHUP", "HUP"), ("USR1", "USR1"), ("12", "USR2"), ("sigint", "INT"), ("Quit", "QUIT"), ("15", "TERM")]
    {
        bundle.kill(given);
        expected += &format!("{name}\n");
        eventually(given, || (fs::read_to_string(&seen).ok()? == expected).then_some(()));
    }
    bundle.berth(&["kill", &bundle.id]).ok();
    expected += "TERM\n";
    eventually("the default is SIGTERM", || (fs::read_to_string(&seen).ok()? == expected).then_some(()));
}

#[test]
fn kill_refuses_what_is_no_signal() {
    let bundle = sleeping();
    bundle.detached();
    for signal in ["SIGNONE", "65", "-1", "9x", "4294967305", "SIGSIGTERM"] {
        bundle.berth(&["kill", "--", &bundle.id, signal]).fails("signal");
    }
    assert_eq!(bundle.status(), "running");
}

#[test]
fn kill_with_a_real_time_signal_ends_a_program_that_has_no_handler() {
    let bundle = Bundle::busybox().without_namespace("pid").args(["sleep", "1000"]);
    bundle.detached();
    bundle.kill("34");
    bundle.until_status("stopped");
}

#[test]
fn killing_a_stopped_container_says_that_it_does_not_run() {
    let bundle = Bundle::busybox();
    bundle.detached();
    bundle.until_status("stopped");
    bundle.berth(&["kill", &bundle.id, "KILL"]).fails("container not running");
    bundle.berth(&["kill", "--all", &bundle.id, "KILL"]).ok();
}

#[test]
fn kill_reaches_a_created_container() {
    let bundle = sleeping();
    bundle.create();
    bundle.kill("KILL");
    bundle.until_status("stopped");
    bundle.delete();
}

#[test]
fn kill_all_reaches_every_process() {
    let bundle = Bundle::busybox().without_namespace("pid").sh("sleep 1001 & sleep 1002 & echo ready; wait");
    let output = bundle.detached();
    eventually("both sleep", || output.stdout_now().contains("ready").then_some(()));
    let processes = || {
        host::pids().into_iter().filter(|pid| host::proc(*pid, "cgroup").contains(&format!("/{}\n", bundle.id))).count()
    };
    assert!(processes() >= 3);
    bundle.berth(&["kill", "--all", &bundle.id, "KILL"]).ok();
    eventually("all are gone", || (processes() == 0).then_some(()));
}

#[test]
fn kill_kills_the_whole_cgroup_when_there_is_no_pid_namespace() {
    let bundle = Bundle::busybox().without_namespace("pid").sh("sleep 1003 & echo ready; wait");
    let output = bundle.detached();
    eventually("it is ready", || output.stdout_now().contains("ready").then_some(()));
    bundle.kill("KILL");
    bundle.until_status("stopped");
    let group = format!("/{}\n", bundle.id);
    let left = || host::pids().into_iter().any(|pid| host::proc(pid, "cgroup").contains(&group) && host::alive(pid));
    eventually("the other process is gone too", || (!left()).then_some(()));
    bundle.delete();
}

#[test]
fn delete_refuses_a_running_container() {
    let bundle = sleeping();
    bundle.detached();
    bundle.berth(&["delete", &bundle.id]).fails("not stopped|running");
    assert_eq!(bundle.status(), "running");
}

#[test]
fn delete_force_ends_and_removes_a_running_container() {
    let bundle = sleeping();
    bundle.detached();
    bundle.delete_force();
    bundle.assert_clean();
    bundle.berth(&["state", &bundle.id]).fails("does not exist");
}

#[test]
fn delete_force_removes_a_created_a_stopped_and_a_paused_container() {
    let bundle = sleeping();
    bundle.create();
    bundle.delete_force();
    bundle.assert_clean();
    bundle.detached();
    bundle.kill("KILL");
    bundle.until_status("stopped");
    bundle.delete_force();
    bundle.assert_clean();
    bundle.detached();
    bundle.berth(&["pause", &bundle.id]).ok();
    bundle.delete_force();
    bundle.assert_clean();
}

#[test]
fn delete_force_of_an_unknown_container_is_silent() {
    let bundle = Bundle::empty();
    let output = bundle.berth(&["delete", "--force", "nobody"]).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    bundle.berth(&["delete", "nobody"]).fails("container does not exist");
}

#[test]
fn every_command_says_that_an_unknown_container_does_not_exist() {
    let bundle = Bundle::empty();
    for command in ["state", "start", "kill", "pause", "resume", "ps", "delete"] {
        bundle.berth(&[command, "nobody"]).fails("container does not exist");
    }
    bundle.berth(&["exec", "nobody", "true"]).complains("container does not exist");
    assert!(!bundle.root().join("nobody").exists());
}

#[test]
fn delete_force_removes_a_half_made_container() {
    let bundle = sleeping();
    bundle.create();
    let pid = bundle.pid();
    let state = bundle.root().join(&bundle.id);
    // As if berth had been killed in the middle of create: a directory without a word of state.
    host::signal(pid, Signal::SIGKILL);
    eventually("init is gone", || (!host::alive(pid)).then_some(()));
    for entry in fs::read_dir(&state).unwrap().flatten() {
        fs::remove_file(entry.path()).unwrap();
    }
    bundle.berth(&["delete", "--force", &bundle.id]).ok();
    assert!(!state.exists());
    common::bundle::remove_cgroup_of(&bundle.id);
}

#[test]
fn delete_force_removes_a_container_with_a_damaged_state() {
    let bundle = sleeping();
    bundle.create();
    let pid = bundle.pid();
    host::signal(pid, Signal::SIGKILL);
    eventually("init is gone", || (!host::alive(pid)).then_some(()));
    fs::write(bundle.root().join(&bundle.id).join("state.json"), "{\"version\":").unwrap();
    bundle.berth(&["state", &bundle.id]).exits(1);
    bundle.berth(&["delete", "--force", &bundle.id]).ok();
    assert!(!bundle.root().join(&bundle.id).exists());
    common::bundle::remove_cgroup_of(&bundle.id);
}

#[test]
fn run_returns_the_exit_status_of_the_program() {
    for status in [0, 1, 42, 127, 255] {
        Bundle::busybox().sh(&format!("exit {status}")).run().exits(status);
    }
}

#[test]
fn run_returns_128_plus_the_signal_that_ended_the_program() {
    for (signal, status) in [("KILL", 137), ("SEGV", 139), ("TERM", 143)] {
        // PID 1 of a namespace ignores fatal signals from within.
        Bundle::busybox().without_namespace("pid").sh(&format!("kill -{signal} $$; sleep 1000")).run().exits(status);
    }
    let bundle = sleeping();
    let running = bundle.cmd(&["run", &bundle.id]).spawn();
    eventually("it runs", || (bundle.berth(&["state", &bundle.id]).stdout.contains("running")).then_some(()));
    bundle.kill("KILL");
    running.wait().exits(137);
}

#[test]
fn run_leaves_nothing_behind() {
    let bundle = Bundle::busybox();
    bundle.run().ok();
    bundle.berth(&["state", &bundle.id]).fails("does not exist");
    bundle.assert_clean();
}

#[test]
fn run_leaves_no_orphan_of_the_container_alive() {
    let bundle = Bundle::busybox().without_namespace("pid").sh("setsid sleep 1004 & exit 3");
    bundle.run().exits(3);
    bundle.assert_clean();
}

#[test]
fn run_keep_keeps_the_stopped_container() {
    let bundle = Bundle::busybox().sh("exit 7");
    bundle.berth(&["run", "--keep", &bundle.id]).exits(7);
    assert_eq!(bundle.status(), "stopped");
    bundle.delete();
    bundle.assert_clean();
}

#[test]
fn run_passes_standard_input_output_and_error() {
    let bundle = Bundle::busybox().sh("read line; echo out $line; echo err >&2");
    let input = bundle.path("input");
    fs::write(&input, "hello\n").unwrap();
    let output = bundle.cmd(&["run", &bundle.id]).stdin(fs::File::open(input).unwrap()).output().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out hello\n", "err\n"));
}

#[test]
fn run_ends_quickly_for_short_programs_every_time() {
    let bundle = Bundle::busybox().args(["true"]);
    for _ in 0..20 {
        bundle.run().ok();
    }
}

#[test]
fn run_forwards_signals_to_the_program() {
    let bundle = Bundle::busybox()
        .sh("for s in TERM HUP USR1 INT; do trap \"echo got $s\" $s; done; trap 'echo bye; exit 9' USR2; echo ready
             while :; do sleep 1000 & wait $!; kill $! 2> /dev/null; done");
    let running = bundle.cmd(&["run", &bundle.id]).spawn();
    running.until_prints("ready");
    for (signal, name) in
        [(Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1"), (Signal::SIGINT, "INT")]
    {
        running.signal(signal);
        running.until_prints(&format!("got {name}\n"));
    }
    running.signal(Signal::SIGUSR2);
    running.wait().exits(9).prints("bye");
}

#[test]
fn run_does_not_hang_when_a_grandchild_keeps_the_output_open() {
    let bundle = Bundle::busybox().sh("(sleep 1005 &) ; exit 0");
    bundle.run().ok();
}

#[test]
fn run_reaps_the_children_it_inherits() {
    // Without a PID namespace orphans come to run, the subreaper.
    let bundle = Bundle::busybox().without_namespace("pid").sh("(sleep 0 &); echo ready; exec sleep 1006");
    let running = bundle.cmd(&["run", &bundle.id]).spawn();
    running.until_prints("ready");
    let zombies = || {
        let of_run = |pid: &i32| host::proc_status(*pid, "PPid") == running.pid().to_string();
        host::pids().iter().filter(|pid| of_run(pid)).any(|pid| host::proc_status(*pid, "State").starts_with('Z'))
    };
    eventually("no zombie is left", || (!zombies()).then_some(()));
    bundle.kill("KILL");
    running.wait().exits(137);
}

#[test]
fn no_subreaper_leaves_orphans_to_others() {
    let bundle = Bundle::busybox().without_namespace("pid").sh("(echo $$; sleep 1007 &); echo ready; exec sleep 1008");
    let running = bundle.cmd(&["run", "--no-subreaper", &bundle.id]).spawn();
    running.until_prints("ready");
    let group = format!("/{}\n", bundle.id);
    let find = || {
        let is =
            |pid: &i32| host::proc(*pid, "cmdline") == "sleep\x001007\0" && host::proc(*pid, "cgroup").contains(&group);
        host::pids().into_iter().find(is)
    };
    let orphan = eventually("the orphan sleeps", find);
    eventually("it has another parent", || {
        let parent = host::proc_status(orphan, "PPid");
        (parent != running.pid().to_string() && parent != bundle.pid().to_string()).then_some(())
    });
    bundle.kill("KILL");
    running.wait().exits(137);
}

#[test]
fn list_shows_every_container() {
    let bundle = sleeping();
    let (one, two) = (format!("{}a", bundle.id), format!("{}b", bundle.id));
    let second = "/linux/cgroupsPath";
    bundle.create_as(&one);
    let mut bundle = bundle.set(second, json!(format!("/{two}")));
    bundle.cgroups.push(two.clone());
    bundle.berth(&["run", "-d", &two]).ok();

    let table = bundle.berth(&["list"]).ok().stdout;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    assert_eq!((lines[1][0], lines[1][2]), (one.as_str(), "created"));
    assert_eq!((lines[2][0], lines[2][2]), (two.as_str(), "running"));

    assert_eq!(bundle.berth(&["list", "-q"]).ok().stdout, format!("{one}\n{two}\n"));
    let list = bundle.berth(&["list", "--format", "json"]).ok().json();
    assert_eq!((&list[0]["id"], &list[0]["status"]), (&json!(one), &json!("created")));
    assert_eq!((&list[1]["id"], &list[1]["status"]), (&json!(two), &json!("running")));
    for key in ["ociVersion", "pid", "bundle", "rootfs", "created", "owner"] {
        assert!(!list[1][key].is_null(), "{key} in {list}");
    }
}

#[test]
fn list_of_a_missing_root_is_empty_and_does_not_make_it() {
    let bundle = Bundle::empty();
    assert_eq!(bundle.berth(&["list", "--quiet"]).ok().stdout, "");
    let json = bundle.berth(&["list", "--format", "json"]).ok();
    assert!(["null", "[]"].contains(&json.text()), "{json}");
    assert!(bundle.berth(&["list"]).ok().stdout.starts_with("ID"));
    assert!(!bundle.root().exists());
}

#[test]
fn list_does_not_fail_because_of_one_damaged_container() {
    let bundle = sleeping();
    bundle.detached();
    let broken = bundle.root().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("state.json"), "nonsense").unwrap();
    let list = bundle.berth(&["list", "-q"]);
    assert!(list.stdout.contains(&bundle.id), "{list}");
    fs::remove_dir_all(broken).unwrap();
}

#[test]
fn ps_lists_the_processes_of_the_container() {
    if !host::has("ps") {
        skip!("the host has no ps");
    }
    let bundle = Bundle::busybox().sh("sleep 1009 & echo ready; wait");
    let output = bundle.detached();
    eventually("it is ready", || output.stdout_now().contains("ready").then_some(()));
    let pids = bundle.berth(&["ps", "--format", "json", &bundle.id]).ok().json();
    let pids: Vec<i64> = pids.as_array().unwrap().iter().map(|pid| pid.as_i64().unwrap()).collect();
    assert!(pids.contains(&i64::from(bundle.pid())), "{pids:?}");
    assert!(pids.len() >= 2, "{pids:?}");

    let table = bundle.berth(&["ps", &bundle.id]).ok().stdout;
    assert!(table.lines().next().unwrap().contains("PID"), "{table}");
    assert_eq!(table.lines().count(), pids.len() + 1, "{table}");
    assert!(table.contains("sleep 1009"), "{table}");

    let table = bundle.berth(&["ps", &bundle.id, "-o", "pid,comm"]).ok().stdout;
    assert!(table.lines().any(|line| line.trim() == format!("{} sh", bundle.pid())), "{table}");
    assert!(!table.contains("1009"), "{table}");
}

#[test]
fn ps_fails_on_options_that_hide_the_process_number() {
    if !host::has("ps") {
        skip!("the host has no ps");
    }
    let bundle = sleeping();
    bundle.detached();
    bundle.berth(&["ps", &bundle.id, "-o", "comm"]).fails("pid");
}

#[test]
fn a_paused_container_stands_still_until_it_is_resumed() {
    let bundle = Bundle::busybox().sh("while :; do echo tick; sleep 0.01; done");
    let output = bundle.detached();
    let ticks = || output.stdout_now().len();
    let moves = || {
        let before = ticks();
        eventually("it ticks", || (ticks() > before).then_some(()));
    };
    moves();
    bundle.berth(&["pause", &bundle.id]).ok();
    assert_eq!(bundle.status(), "paused");
    let before = ticks();
    assert!(stays(|| ticks() == before), "a paused container does nothing");
    bundle.berth(&["resume", &bundle.id]).ok();
    assert_eq!(bundle.status(), "running");
    moves();
}

#[test]
fn pause_and_resume_refuse_the_wrong_status() {
    let bundle = sleeping();
    bundle.create();
    bundle.start();
    bundle.berth(&["resume", &bundle.id]).exits(1);
    bundle.berth(&["pause", &bundle.id]).ok();
    bundle.kill("KILL");
    // On cgroup v2 SIGKILL reaches frozen processes; on v1 somebody has to thaw them.
    bundle.berth(&["resume", &bundle.id]);
    bundle.until_status("stopped");
    bundle.berth(&["pause", &bundle.id]).fails("not running|stopped");
    bundle.berth(&["resume", &bundle.id]).exits(1);
}

#[test]
fn root_may_be_relative_and_is_made_with_its_parents() {
    let bundle = Bundle::busybox().sh("echo fine");
    bundle.write();
    let binary = host::binary();
    let words = [binary.to_str().unwrap(), "--root", "deep/er/root", "run", &bundle.id];
    common::run::Cmd::new(&bundle.path("scratch"), words).cwd(bundle.dir()).output().ok().prints("fine");
    assert!(bundle.dir().join("deep/er/root").is_dir());
}

#[test]
fn the_state_directory_is_for_root_alone() {
    let bundle = sleeping();
    bundle.create();
    assert_eq!(host::mode(bundle.root()) & 0o077 & !0o011, 0, "nobody else reads --root");
    assert_eq!(host::mode(bundle.root().join(&bundle.id)) & 0o066, 0, "nobody else reads a container's directory");
}

#[test]
fn create_returns_at_once_and_start_too() {
    let bundle = sleeping();
    bundle.create();
    bundle.start();
    let children = host::processes_of(bundle.dir().to_str().unwrap());
    let berths: Vec<_> = children.iter().filter(|pid| host::proc(**pid, "cmdline").contains("--root")).collect();
    assert!(berths.iter().all(|pid| **pid == bundle.pid()), "no berth stays behind: {berths:?}");
}

#[test]
fn a_program_that_is_missing_is_named_and_nothing_stays() {
    let bundle = Bundle::busybox().args(["/no/such/program"]);
    let output = bundle.run();
    assert_ne!(output.status, 0);
    output.complains("/no/such/program").complains("no such file or directory");
    bundle.assert_clean();
    let bundle = bundle.args(["nothing-of-this-name"]);
    let output = bundle.run();
    assert_ne!(output.status, 0);
    output.complains("executable file not found in $PATH");
    bundle.assert_clean();
}

#[test]
fn a_program_that_may_not_be_executed_is_named() {
    let bundle = Bundle::busybox().file("/plain", "#!/bin/sh\n").args(["/plain"]);
    let output = bundle.run();
    assert_ne!(output.status, 0);
    output.complains("permission denied").complains("/plain");
}

#[test]
fn a_container_whose_create_failed_does_not_exist() {
    let bundle = Bundle::busybox().args(["/no/such/program"]);
    let output = bundle.berth(&["create", &bundle.id]);
    assert_eq!(output.status, 1, "the program is looked up before create returns: {output}");
    bundle.berth(&["state", &bundle.id]).fails("does not exist");
    bundle.assert_clean();
}

#[test]
fn pidfd_socket_receives_a_pidfd_of_init() {
    let bundle = sleeping();
    if !bundle.berth(&["create", "--help"]).stdout.contains("pidfd-socket") {
        skip!("this binary has no --pidfd-socket");
    }
    let socket = bundle.path("pidfd.sock");
    let listener = common::fds::Listener::bind(&socket);
    let running = bundle.cmd(&["create", "--pidfd-socket", socket.to_str().unwrap(), &bundle.id]).spawn();
    let (_, fds) = common::fds::receive(&listener.accept());
    running.wait().ok();
    use std::os::fd::AsRawFd;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fds[0].as_raw_fd())).unwrap();
    assert!(info.lines().any(|line| line == format!("Pid:\t{}", bundle.pid())), "{info}");
}

#[test]
fn preserve_fds_passes_exactly_so_many() {
    let bundle = Bundle::busybox().sh("cat <&3; cat <&4; ls /proc/self/fd");
    let (three, four) = (bundle.path("three"), bundle.path("four"));
    fs::write(&three, "drei\n").unwrap();
    fs::write(&four, "vier\n").unwrap();
    let shell = format!("exec 3<{} 4<{} 5</dev/null; exec \"$@\"", three.display(), four.display());
    let words = ["run", "--preserve-fds", "2", &bundle.id];
    let output = bundle.wrapped(&["sh", "-c", &shell, "sh"], &words).output().ok();
    assert!(output.stdout.starts_with("drei\nvier\n"), "{output}");
    let fds: Vec<&str> = output.stdout.lines().skip(2).collect();
    assert!(fds.contains(&"3") && fds.contains(&"4"), "{fds:?}");
    assert!(fds.len() <= 6, "0 to 4 and that of ls: {fds:?}");
    let bundle = bundle.sh("ls /proc/self/fd");
    let output = bundle.wrapped(&["sh", "-c", &shell, "sh"], &["run", &bundle.id]).output().ok();
    assert_eq!(output.stdout.lines().count(), 4, "0, 1, 2 and that of ls: {output}");
}

#[test]
fn preserving_an_fd_that_is_not_open_is_an_error() {
    let bundle = Bundle::busybox();
    let output = bundle.berth(&["run", "--preserve-fds", "40", &bundle.id]);
    assert_eq!(output.status, 1, "{output}");
    bundle.assert_clean();
}
