//! Terminals: a pty of the container's own, handed over or passed through.

mod common;

use common::fds::{Listener, receive};
use common::terminal::Screen;
use common::{Bundle, eventually, host, json};
use nix::sys::signal::Signal;
use std::os::fd::OwnedFd;
use std::process::Stdio;

fn terminal(script: &str) -> Bundle {
    Bundle::busybox().set("/process/terminal", json!(true)).sh(script)
}

/// `run` or `exec` in the foreground of a terminal of our own, with its own session.
fn foreground(bundle: &Bundle, words: &[&str]) -> (Screen, common::Running, OwnedFd) {
    let (screen, side) = Screen::open();
    let stdio = || Stdio::from(side.try_clone().expect("a second handle"));
    let command = bundle.wrapped(&["setsid", "--wait", "--ctty"], words);
    let running = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn();
    (screen, running, side)
}

/// `create` with a console socket; returns the screen of the container's terminal.
fn created(bundle: &Bundle) -> Screen {
    let socket = bundle.place("console.sock");
    let _ = std::fs::remove_file(&socket);
    let listener = Listener::bind(&socket);
    let running = bundle.cmd(&["create", "--console-socket", &socket, &bundle.id]).spawn();
    let (_, mut fds) = receive(&listener.accept());
    assert_eq!(fds.len(), 1, "one descriptor, the master");
    running.wait().ok();
    Screen::new(fds.remove(0))
}

#[test]
fn the_console_socket_receives_the_master_of_the_containers_terminal() {
    let bundle = terminal("tty; test -t 0 && test -t 1 && test -t 2 && echo all; read line; echo got $line");
    let screen = created(&bundle);
    bundle.start();
    screen.until_shows("all\n");
    screen.types("hello\n");
    screen.until_shows("got hello");
    assert!(screen.shown().starts_with("/dev/pts/0"), "{:?}", screen.shown());
    bundle.until_status("stopped");
}

#[test]
fn the_message_on_the_console_socket_names_the_terminal() {
    let bundle = terminal("true");
    let socket = bundle.place("console.sock");
    let listener = Listener::bind(&socket);
    let running = bundle.cmd(&["create", "--console-socket", &socket, &bundle.id]).spawn();
    let (message, _fds) = receive(&listener.accept());
    running.wait().ok();
    assert!(!message.is_empty(), "at least one byte carries the descriptor");
}

#[test]
fn a_newline_is_not_turned_into_two_characters_in_the_foreground() {
    let bundle = terminal("echo one; echo two");
    let (side, output) = (Screen::open(), bundle.path("output"));
    let stdin = Stdio::from(side.1.try_clone().unwrap());
    let command = bundle.wrapped(&["setsid", "--wait", "--ctty"], &["run", &bundle.id]);
    let file = std::fs::File::create(&output).unwrap();
    command.stdin(stdin).stdout(file).output().ok();
    assert_eq!(std::fs::read_to_string(output).unwrap(), "one\ntwo\n");
}

#[test]
fn dev_console_is_the_terminal() {
    let bundle = terminal(
        "echo through > /dev/console; stat -c '%t:%T %a' /dev/console; grep -c ' /dev/console ' /proc/self/mountinfo",
    );
    let screen = created(&bundle);
    bundle.start();
    screen.until_shows("through");
    screen.until_shows("88:0");
    screen.until_shows("\n1\n");
    bundle.until_status("stopped");
}

#[test]
fn the_terminal_belongs_to_the_user_and_the_group_tty() {
    let bundle =
        terminal("stat -c 'owner %u %g %a' $(tty); id -u").set("/process/user", json!({"uid": 1000, "gid": 1001}));
    let screen = created(&bundle);
    bundle.start();
    screen.until_shows("owner 1000 5 620");
    bundle.until_status("stopped");
}

#[test]
fn the_program_has_a_controlling_terminal_and_job_control() {
    let bundle = terminal(
        "trap 'echo interrupted; exit' INT; echo tty $(cut -d' ' -f7,8 /proc/1/stat); echo x > /dev/tty; while :; do sleep 0.05; done",
    );
    let screen = created(&bundle);
    bundle.start();
    // Device 136:0, and the program's process group in its foreground.
    screen.until_shows("tty 34816 1\nx\n");
    screen.types("\u{3}");
    screen.until_shows("interrupted");
    bundle.until_status("stopped");
}

#[test]
fn the_console_has_its_size_before_the_program_starts() {
    let bundle = terminal("stty size").set("/process/consoleSize", json!({"height": 33, "width": 111}));
    let screen = created(&bundle);
    bundle.start();
    screen.until_shows("33 111");
    bundle.until_status("stopped");
}

#[test]
fn a_terminal_works_in_a_user_namespace() {
    let bundle = terminal("tty; stat -c '%u %g' $(tty); echo x > /dev/console; echo end").userns();
    let screen = created(&bundle);
    bundle.start();
    screen.until_shows("end");
    assert!(screen.shown().contains("/dev/pts/0\n0 5\nx\n"), "{:?}", screen.shown());
    bundle.until_status("stopped");
}

#[test]
fn a_console_socket_without_a_terminal_is_refused() {
    let bundle = Bundle::busybox();
    let socket = bundle.place("console.sock");
    let _listener = Listener::bind(&socket);
    bundle.berth(&["create", "--console-socket", &socket, &bundle.id]).fails("terminal|tty");
}

#[test]
fn a_terminal_without_a_console_socket_is_refused_when_detached() {
    let bundle = terminal("true");
    bundle.berth(&["create", &bundle.id]).fails("console|tty|terminal");
    bundle.berth(&["run", "--detach", &bundle.id]).fails("console|tty|terminal");
    bundle.assert_clean();
}

#[test]
fn a_console_socket_that_nobody_listens_at_is_an_error() {
    let bundle = terminal("true");
    let socket = bundle.place("nobody.sock");
    bundle.berth(&["create", "--console-socket", &socket, &bundle.id]).fails("no such file");
    drop(Listener::bind(&socket));
    bundle.berth(&["create", "--console-socket", &socket, &bundle.id]).fails("refused");
    bundle.assert_clean();
}

#[test]
fn run_passes_a_terminal_through() {
    let bundle = terminal("tty; echo ready; read line; echo got $line; exit 5");
    let (screen, running, _side) = foreground(&bundle, &["run", &bundle.id]);
    screen.until_shows("ready");
    screen.types("hello\r");
    screen.until_shows("got hello");
    running.wait().exits(5);
    assert!(screen.shown().contains("/dev/pts/0"), "{:?}", screen.shown());
}

#[test]
fn run_restores_the_terminal_however_it_ends() {
    for (script, end) in [("echo ready; exit 0", None), ("echo ready; sleep 1000", Some("KILL"))] {
        let bundle = terminal(script);
        let (screen, side) = Screen::open();
        let before = screen.settings();
        let stdio = || Stdio::from(side.try_clone().unwrap());
        let command = bundle.wrapped(&["setsid", "--wait", "--ctty"], &["run", &bundle.id]);
        let running = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn();
        screen.until_shows("ready");
        if let Some(signal) = end {
            assert!(!screen.settings().1.contains(nix::sys::termios::LocalFlags::ICANON), "raw while it runs");
            bundle.kill(signal);
        }
        running.wait();
        assert_eq!(screen.settings(), before);
    }
}

#[test]
fn run_restores_the_terminal_when_it_fails() {
    let bundle = Bundle::busybox().set("/process/terminal", json!(true)).args(["/no/such/program"]);
    let (screen, side) = Screen::open();
    let before = screen.settings();
    let stdio = || Stdio::from(side.try_clone().unwrap());
    let command = bundle.wrapped(&["setsid", "--wait", "--ctty"], &["run", &bundle.id]);
    let output = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().wait();
    assert_ne!(output.status, 0);
    assert_eq!(screen.settings(), before);
}

#[test]
fn control_c_goes_to_the_program_not_to_run() {
    let bundle = terminal("trap 'echo interrupted; exit 6' INT; echo ready; while :; do sleep 1; done");
    let (screen, running, _side) = foreground(&bundle, &["run", &bundle.id]);
    screen.until_shows("ready");
    screen.types("\u{3}");
    screen.until_shows("interrupted");
    running.wait().exits(6);
}

#[test]
fn the_size_follows_the_callers_terminal() {
    let bundle = terminal("stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done");
    let (screen, running, _side) = foreground(&bundle, &["run", &bundle.id]);
    screen.until_shows("24 80");
    screen.until_shows("ready");
    screen.resize(50, 132);
    screen.until_shows("50 132");
    bundle.kill("KILL");
    running.wait().exits(137);
}

#[test]
fn run_with_a_terminal_works_when_standard_input_is_none() {
    let bundle = terminal("tty; echo fine");
    let output = bundle.berth(&["run", &bundle.id]);
    output.ok().prints("/dev/pts/0").prints("fine");
}

#[test]
fn run_with_a_terminal_reads_what_is_piped_in() {
    let bundle = terminal("read line; echo got $line");
    let input = bundle.path("input");
    std::fs::write(&input, "piped\n").unwrap();
    let output = bundle.cmd(&["run", &bundle.id]).stdin(std::fs::File::open(input).unwrap()).output();
    output.ok().prints("got piped");
}

#[test]
fn all_of_the_output_arrives_before_run_ends() {
    let bundle = terminal("i=0; while test $i -lt 2000; do echo line $i; i=$((i+1)); done; echo the end");
    let output = bundle.berth(&["run", &bundle.id]).ok();
    assert_eq!(output.stdout.lines().count(), 2001);
    assert!(output.stdout.trim_end().ends_with("the end"));
}

#[test]
fn exec_makes_a_terminal_of_its_own() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let words = ["exec", "--tty", &bundle.id, "sh", "-c", "tty; stty size; read line; echo got $line; exit 4"];
    let (screen, running, _side) = foreground(&bundle, &words);
    screen.until_shows("24 80");
    screen.types("hello\r");
    screen.until_shows("got hello");
    running.wait().exits(4);
    assert!(screen.shown().contains("/dev/pts/0"), "{:?}", screen.shown());
}

#[test]
fn exec_with_a_terminal_works_without_one_around() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    bundle.exec_with(&["-t"], &["sh", "-c", "tty; echo fine"]).ok().prints("/dev/pts/").prints("fine");
}

#[test]
fn exec_sends_its_master_to_the_console_socket() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let socket = bundle.place("console.sock");
    let listener = Listener::bind(&socket);
    let options = ["-t", "-d", "--console-socket", &socket];
    let words: Vec<&str> =
        ["exec"].into_iter().chain(options).chain([bundle.id.as_str(), "sh", "-c", "read x; echo got $x"]).collect();
    let running = bundle.cmd(&words).spawn();
    let (_, mut fds) = receive(&listener.accept());
    running.wait().ok();
    let screen = Screen::new(fds.remove(0));
    screen.types("hello\n");
    screen.until_shows("got hello");
}

#[test]
fn exec_with_a_size_in_the_process_file() {
    let bundle = Bundle::busybox().sleeping();
    bundle.detached();
    let file = bundle.place("process.json");
    let process = json!({"terminal": true, "consoleSize": {"height": 12, "width": 34}, "cwd": "/",
        "args": ["stty", "size"], "env": ["PATH=/bin"]});
    std::fs::write(&file, process.to_string()).unwrap();
    let socket = bundle.place("console.sock");
    let listener = Listener::bind(&socket);
    let words = ["exec", "-p", &file, "-d", "--console-socket", &socket, &bundle.id];
    let running = bundle.cmd(&words).spawn();
    let (_, mut fds) = receive(&listener.accept());
    running.wait().ok();
    Screen::new(fds.remove(0)).until_shows("12 34");
}

#[test]
fn a_hangup_of_the_callers_terminal_is_forwarded() {
    let bundle = terminal("trap 'exit 8' HUP; echo ready; while :; do sleep 0.05; done");
    let (screen, running, _side) = foreground(&bundle, &["run", &bundle.id]);
    screen.until_shows("ready");
    let berth = eventually("run is found", || {
        host::processes_of(bundle.path("root").to_str().unwrap()).into_iter().find(|pid| {
            let line = host::proc(*pid, "cmdline");
            !line.starts_with("setsid") && line.contains("run")
        })
    });
    host::signal(berth, Signal::SIGHUP);
    running.wait().exits(8);
}
