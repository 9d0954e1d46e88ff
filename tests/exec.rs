//! `exec`: a second process in a running container.

mod common;

use common::{Bundle, eventually, host, json, skip, stays};
use std::fs;

/// A running container that waits for its end.
fn running() -> Bundle {
    up(Bundle::busybox())
}

fn up(bundle: Bundle) -> Bundle {
    let bundle = bundle.sleeping();
    bundle.detached();
    bundle
}

#[test]
fn a_command_runs_inside_and_its_output_comes_back() {
    let bundle = running();
    let output = bundle.exec(&["sh", "-c", "hostname; echo oops >&2"]).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("berth\n", "oops\n"));
}

#[test]
fn options_after_the_id_belong_to_the_command() {
    let bundle = running();
    bundle.exec(&["echo", "--tty", "-e", "--user", "x"]).ok().prints("--tty -e --user x");
    bundle.exec(&["ls", "-d", "/bin"]).ok().prints("/bin");
}

#[test]
fn the_exit_status_comes_back() {
    let bundle = running();
    for status in [0, 1, 42, 255] {
        bundle.exec(&["sh", "-c", &format!("exit {status}")]).exits(status);
    }
    bundle.exec(&["sh", "-c", "kill -KILL $$"]).exits(137);
    bundle.exec(&["sh", "-c", "kill -SEGV $$"]).exits(139);
}

#[test]
fn a_missing_command_is_255_and_named() {
    let bundle = running();
    bundle.exec(&["/no/such"]).exits(255).complains("/no/such").complains("no such file or directory");
    bundle.exec(&["no-such-name"]).exits(255).complains("executable file not found in $PATH");
    bundle.exec(&["/etc/passwd"]).exits(255).complains("permission denied");
    bundle.exec(&["/etc"]).exits(255).complains("permission denied").complains("is a directory");
    assert_eq!(bundle.status(), "running");
}

#[test]
fn a_script_without_an_interpreter_is_explained() {
    let bundle = up(Bundle::busybox()
        .script("/lost", "#!/no/interpreter\n")
        .script("/plain", "echo no first line\n")
        .script("/crlf", "#!/bin/sh\r\necho\r\n"));
    bundle.exec(&["/lost"]).exits(255).complains("/lost").complains("no such file or directory");
    bundle.exec(&["/plain"]).exits(255).complains("exec format error");
    bundle.exec(&["/crlf"]).exits(255).complains("no such file or directory");
}

#[test]
fn it_joins_every_namespace_and_the_cgroup_of_the_container() {
    let bundle = running();
    let init = bundle.pid();
    let spaces = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let links = bundle.inside("for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done");
    let expected: Vec<_> = spaces.iter().map(|kind| host::proc_link(init, &format!("ns/{kind}"))).collect();
    assert_eq!(links.lines().collect::<Vec<_>>(), expected);
    let group = |text: String| text.lines().map(str::to_string).collect::<Vec<_>>();
    assert_eq!(group(bundle.inside("cat /proc/self/cgroup")), group(bundle.inside("cat /proc/1/cgroup")));
}

#[test]
fn it_is_in_the_cgroup_on_the_host() {
    let bundle = running();
    let pid_file = bundle.place("pid");
    bundle.exec_with(&["--detach", "--pid-file", &pid_file], &["sleep", "1000"]).ok();
    let pid: i32 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert_eq!(host::proc(pid, "cgroup"), host::proc(bundle.pid(), "cgroup"));
    assert!(host::proc(pid, "cgroup").contains(&bundle.id));
}

#[test]
fn environment_comes_from_the_configuration_and_from_env() {
    let bundle = up(Bundle::busybox().env("KEPT=1").env("CHANGED=old"));
    let output = bundle.exec_with(&["-e", "CHANGED=new", "-e", "ADDED=a b=c", "-e", "EMPTY="], &["env"]).ok();
    for line in ["KEPT=1", "CHANGED=new", "ADDED=a b=c", "EMPTY=", "TERM=xterm", "HOME=/root"] {
        assert!(output.stdout.lines().any(|found| found == line), "{line}: {output}");
    }
    assert_eq!(output.stdout.matches("CHANGED=").count(), 1, "{output}");
}

#[test]
fn nothing_of_the_callers_environment_gets_in() {
    let bundle = running();
    let words = ["exec", &bundle.id, "env"];
    let output = bundle.cmd(&words).env("SECRET_OF_THE_HOST", "1").output().ok();
    assert!(!output.stdout.contains("SECRET_OF_THE_HOST"), "{output}");
}

#[test]
fn cwd_is_that_of_the_configuration_unless_given() {
    let bundle = up(Bundle::busybox().set("/process/cwd", json!("/tmp")));
    assert_eq!(bundle.inside("pwd"), "/tmp");
    bundle.exec_with(&["--cwd", "/etc"], &["pwd"]).ok().prints("/etc");
    let output = bundle.exec_with(&["--cwd", "relative"], &["pwd"]);
    assert_eq!(output.status, 255, "{output}");
}

#[test]
fn user_by_number() {
    let bundle = running();
    let ids = |user: &str| bundle.exec_with(&["--user", user], &["sh", "-c", "id -u; id -g; id -G"]).ok().stdout;
    assert_eq!(ids("1000:1001"), "1000\n1001\n1001\n");
    assert!(ids("1000").starts_with("1000\n"));
    assert_eq!(ids("0:0"), "0\n0\n0\n");
    assert!(ids("54321:12").starts_with("54321\n12\n"));
    assert!(ids("4294967294:4294967294").starts_with("4294967294\n4294967294\n"));
}

#[test]
fn user_ids_beyond_32_bits_are_refused() {
    let bundle = running();
    for user in ["4294967296", "4294967295", "-1", "0:4294967296", "0:-1", "18446744073709551616", "1:2:3", "0x0"] {
        let output = bundle.exec_with(&[&format!("--user={user}")], &["id", "-u"]);
        assert_eq!((output.status, output.text()), (255, ""), "user {user:?}: {output}");
    }
}

#[test]
fn additional_gids_are_added() {
    let bundle = up(Bundle::busybox().set("/process/user/additionalGids", json!([20, 30])));
    assert_eq!(bundle.inside("id -G"), "0 20 30");
    let output = bundle.exec_with(&["--additional-gids", "1002", "--additional-gids", "1003"], &["id", "-G"]).ok();
    let groups: Vec<&str> = output.text().split(' ').collect();
    assert!(groups.contains(&"1002") && groups.contains(&"1003"), "{groups:?}");
}

#[test]
fn the_callers_groups_never_get_in() {
    let bundle = up(Bundle::busybox().set("/process/user/additionalGids", json!([])));
    if !host::has("setpriv") {
        skip!("the host has no setpriv");
    }
    let words = ["exec", &bundle.id, "id", "-G"];
    let output = bundle.wrapped(&["setpriv", "--groups", "7,8,9"], &words).output().ok();
    assert_eq!(output.text(), "0");
}

#[test]
fn capabilities_are_those_of_the_configuration() {
    let bundle = up(Bundle::busybox().caps(&["CAP_CHOWN", "CAP_KILL"]));
    let sets = bundle.inside("grep Cap /proc/self/status | tr '\\t' ' '");
    let mask = format!("{:016x}", 1 | 1 << 5);
    let zero = "0".repeat(16);
    for (set, value) in [("Inh", &zero), ("Prm", &mask), ("Eff", &mask), ("Bnd", &mask), ("Amb", &zero)] {
        assert!(sets.contains(&format!("Cap{set}: {value}")), "{sets}");
    }
}

#[test]
fn cap_adds_a_capability_but_not_to_the_inheritable_set() {
    let bundle = up(Bundle::busybox().caps(&["CAP_CHOWN"]));
    let output = bundle.exec_with(&["--cap", "CAP_KILL"], &["grep", "Cap", "/proc/self/status"]).ok();
    let mask = format!("{:016x}", 1 | 1 << 5);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(output.stdout.contains(&format!("{set}:\t{mask}")), "{output}");
    }
    // CVE-2022-29162.
    assert!(output.stdout.contains(&format!("CapInh:\t{}", "0".repeat(16))), "{output}");
}

#[test]
fn another_user_has_no_effective_capabilities() {
    let bundle = running();
    let output = bundle.exec_with(&["--user", "1000"], &["grep", "-E", "Cap(Eff|Prm)", "/proc/self/status"]).ok();
    let zero = "0".repeat(16);
    assert_eq!(output.stdout, format!("CapPrm:\t{zero}\nCapEff:\t{zero}\n"));
}

#[test]
fn no_new_privileges_comes_from_the_configuration_or_the_flag() {
    let bundle = up(Bundle::busybox().set("/process/noNewPrivileges", json!(false)));
    let grep = ["grep", "NoNewPrivs", "/proc/self/status"];
    bundle.exec(&grep).ok().prints("NoNewPrivs:\t0");
    bundle.exec_with(&["--no-new-privs"], &grep).ok().prints("NoNewPrivs:\t1");
    let bundle = running();
    bundle.exec(&grep).ok().prints("NoNewPrivs:\t1");
}

#[test]
fn rlimits_come_from_the_configuration() {
    let limits = json!([
        {"type": "RLIMIT_NOFILE", "soft": 123, "hard": 456},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}
    ]);
    let bundle = up(Bundle::busybox().set("/process/rlimits", limits));
    assert_eq!(bundle.inside("ulimit -Sn; ulimit -Hn; ulimit -c"), "123\n456\n0");
}

#[test]
fn its_cpus_are_those_of_the_final_affinity() {
    let bundle = up(Bundle::busybox().set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"})));
    bundle.exec(&["grep", "Cpus_allowed_list", "/proc/self/status"]).ok().prints("Cpus_allowed_list:\t0\n");
    // It is for exec alone.
    let cpus = |pid: i32| host::proc_status(pid, "Cpus_allowed_list");
    assert_eq!(cpus(bundle.pid()), cpus(std::process::id() as i32));
}

#[test]
fn seccomp_comes_from_the_configuration() {
    let bundle = up(Bundle::busybox().set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW",
               "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}),
    ));
    bundle.exec(&["mkdir", "/tmp/x"]).exits(1).complains("not supported");
    assert_eq!(bundle.inside("grep Seccomp: /proc/self/status | tr -d '\\t'"), "Seccomp:2");
}

#[test]
fn detach_returns_at_once_and_writes_the_pid_file() {
    let bundle = running();
    let pid_file = bundle.place("exec.pid");
    bundle.exec_with(&["-d", "--pid-file", &pid_file], &["sleep", "1010"]).ok();
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert_eq!(host::proc(pid, "cmdline"), "sleep\x001010\0");
    assert_ne!(pid, bundle.pid());
    assert!(stays(|| host::alive(pid)));
}

#[test]
fn a_detached_command_that_is_missing_is_still_an_error() {
    let bundle = running();
    let pid_file = bundle.path("exec.pid");
    let output = bundle.exec_with(&["-d", "--pid-file", pid_file.to_str().unwrap()], &["/no/such"]);
    output.exits(255).complains("no such file or directory");
    assert!(!pid_file.exists());
}

#[test]
fn a_process_may_come_from_a_file() {
    let bundle = running();
    let file = bundle.path("process.json");
    let process = json!({
        "terminal": false, "cwd": "/etc", "args": ["sh", "-c", "pwd; id -u; id -g; id -G; echo $WHO; umask; ulimit -n"],
        "env": ["PATH=/bin", "WHO=file"], "user": {"uid": 1000, "gid": 1001, "additionalGids": [77], "umask": 23},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}],
        "capabilities": {"bounding": [], "effective": [], "permitted": []}
    });
    fs::write(&file, process.to_string()).unwrap();
    let output = bundle.berth(&["exec", "--process", file.to_str().unwrap(), &bundle.id]).ok();
    assert_eq!(output.stdout, "/etc\n1000\n1001\n1001 77\nfile\n0027\n99\n");
}

#[test]
fn a_bad_process_file_is_255() {
    let bundle = running();
    let file = bundle.path("process.json");
    let path = file.to_str().unwrap().to_string();
    let exec = || bundle.berth(&["exec", "--process", &path, &bundle.id]);
    exec().exits(255).complains("process.json").complains("no such file");
    for text in ["{", "[]", "{\"args\": \"sh\", \"cwd\": \"/\"}", "{\"cwd\": \"/\"}", "{\"cwd\": \"/\", \"args\": []}"]
    {
        fs::write(&file, text).unwrap();
        let output = exec();
        assert!(output.status == 255 && !output.stderr.is_empty(), "{text}: {output}");
    }
}

#[test]
fn a_command_is_required() {
    let bundle = running();
    let output = bundle.berth(&["exec", &bundle.id]);
    assert!(output.status != 0 && !output.stderr.is_empty(), "{output}");
}

#[test]
fn preserve_fds_passes_exactly_so_many() {
    let bundle = running();
    let file = bundle.path("three");
    fs::write(&file, "drei\n").unwrap();
    let shell = format!("exec 3<{} 4</dev/null; exec \"$@\"", file.display());
    let wrapper = ["sh", "-c", &shell, "sh"];
    let words = ["exec", "--preserve-fds", "1", &bundle.id, "sh", "-c", "cat <&3; ls /proc/self/fd"];
    let output = bundle.wrapped(&wrapper, &words).output().ok();
    assert!(output.stdout.starts_with("drei\n0\n1\n2\n3\n"), "{output}");
    let words = ["exec", &bundle.id, "ls", "/proc/self/fd"];
    assert_eq!(bundle.wrapped(&wrapper, &words).output().ok().stdout, "0\n1\n2\n3\n", "3 is that of ls");
}

#[test]
fn standard_input_is_passed() {
    let bundle = running();
    let input = bundle.path("input");
    fs::write(&input, "one\ntwo\n").unwrap();
    let output = bundle.cmd(&["exec", &bundle.id, "cat"]).stdin(fs::File::open(input).unwrap()).output().ok();
    assert_eq!(output.stdout, "one\ntwo\n");
}

#[test]
fn a_created_container_can_be_entered() {
    let bundle = Bundle::busybox().sleeping();
    bundle.create();
    assert_eq!(bundle.inside("hostname"), "berth");
    assert_eq!(bundle.status(), "created");
}

#[test]
fn a_stopped_container_cannot_be_entered() {
    let bundle = Bundle::busybox();
    bundle.detached();
    bundle.until_status("stopped");
    bundle.exec(&["true"]).exits(255).complains("stopped");
}

#[test]
fn a_paused_container_cannot_be_entered_unless_asked_to_wait() {
    let bundle = running();
    bundle.berth(&["pause", &bundle.id]).ok();
    bundle.exec(&["true"]).exits(255).complains("paused");
    let mut waiting = bundle.cmd(&["exec", "--ignore-paused", &bundle.id, "echo", "thawed"]).spawn();
    assert!(stays(|| waiting.is_running()), "it waits: {}", waiting.stderr_now());
    bundle.berth(&["resume", &bundle.id]).ok();
    waiting.wait().ok().prints("thawed");
}

#[test]
fn cgroup_names_a_group_below_the_containers() {
    let bundle = running();
    let name = "pids";
    let Some(mount) = host::controller(name) else { skip!("the host has no controller {name}") };
    let below = mount.join(&bundle.id).join("deeper");
    fs::create_dir(&below).unwrap();
    let pid_file = bundle.place("pid");
    let option = if common::is_v2() { "/deeper".to_string() } else { format!("{name}:/deeper") };
    bundle.exec_with(&["--cgroup", &option, "-d", "--pid-file", &pid_file], &["sleep", "1011"]).ok();
    let pid: i32 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert!(host::proc(pid, "cgroup").contains(&format!("/{}/deeper", bundle.id)), "{}", host::proc(pid, "cgroup"));
}

#[test]
fn cgroup_cannot_leave_the_containers() {
    let bundle = running();
    for option in ["../..", "/../..", "pids:../..", "/no-such-group", "nocontroller:/"] {
        let output = bundle.exec_with(&["--cgroup", option], &["true"]);
        assert!(output.status == 255, "{option}: {output}");
    }
}

#[test]
fn killing_the_container_ends_its_execs() {
    let bundle = running();
    let waiting = bundle.cmd(&["exec", &bundle.id, "sleep", "1012"]).spawn();
    eventually("it sleeps", || {
        host::pids().into_iter().find(|pid| {
            host::proc(*pid, "cmdline") == "sleep\x001012\0" && host::proc(*pid, "cgroup").contains(&bundle.id)
        })
    });
    bundle.kill("KILL");
    waiting.wait().exits(137);
    bundle.until_status("stopped");
}

#[test]
fn a_failed_exec_leaves_no_process_behind() {
    let bundle = running();
    let count = || {
        let name = format!("/{}\n", bundle.id);
        host::pids().into_iter().filter(|pid| host::proc(*pid, "cgroup").contains(&name)).count()
    };
    eventually("the shell and its sleep run", || (count() == 2).then_some(()));
    for _ in 0..5 {
        bundle.exec(&["/no/such"]).exits(255);
    }
    assert_eq!(count(), 2);
    bundle.kill("KILL");
    bundle.until_status("stopped");
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let bundle = running();
    let words =
        |n: usize| vec!["exec".to_string(), bundle.id.clone(), "sh".into(), "-c".into(), format!("echo {n}; exit {n}")];
    let all: Vec<_> = (0..12).map(|n| (n, bundle.cmd(&words(n)).spawn())).collect();
    for (n, running) in all {
        running.wait().exits(n as i32).prints(&n.to_string());
    }
}

#[test]
fn signals_are_forwarded() {
    let bundle = running();
    let script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 1000 & wait $!; done";
    let running = bundle.cmd(&["exec", &bundle.id, "sh", "-c", script]).spawn();
    running.until_prints("ready");
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.wait().exits(5).prints("got");
}

#[test]
fn home_comes_from_the_containers_passwd() {
    let bundle = up(Bundle::busybox().file("/etc/passwd", "root:x:0:0::/my/root:/bin/sh\nu:x:1000:1000::/my/home:\n"));
    assert_eq!(bundle.inside("echo $HOME"), "/my/root");
    bundle.exec_with(&["-u", "1000"], &["sh", "-c", "echo $HOME"]).ok().prints("/my/home\n");
    bundle.exec_with(&["-u", "77"], &["sh", "-c", "echo $HOME"]).ok().prints("/\n");
    bundle.exec_with(&["-u", "77", "-e", "HOME=/x"], &["sh", "-c", "echo $HOME"]).ok().prints("/x\n");
}

#[test]
fn it_works_in_a_user_namespace() {
    let bundle = up(Bundle::busybox().userns());
    assert_eq!(bundle.inside("id -u; id -g; cat /proc/self/uid_map | tr -s ' '"), "0\n0\n 0 100000 65536");
    let pid_file = bundle.place("pid");
    bundle.exec_with(&["-u", "5:6", "-d", "--pid-file", &pid_file], &["sleep", "1013"]).ok();
    let pid: i32 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert_eq!(host::proc_status(pid, "Uid"), "100005 100005 100005 100005");
    assert_eq!(host::proc_status(pid, "Gid"), "200006 200006 200006 200006");
}

#[test]
fn the_pid_limit_of_the_container_counts() {
    if host::controller("pids").is_none() {
        skip!("the host has no pids controller");
    }
    let bundle = Bundle::busybox().limit("pids", json!({"limit": 1})).args(["sleep", "1014"]);
    bundle.detached();
    // On v1 the first process is moved in, which the kernel allows; it cannot fork, then.
    let output = bundle.exec(&["sh", "-c", "busybox true; busybox true; exit 0"]);
    assert!(output.status != 0 && !output.stderr.is_empty(), "{output}");
    assert_eq!(bundle.status(), "running");
}

#[test]
fn no_signal_is_blocked() {
    let bundle = running();
    let words = ["exec", &bundle.id, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"];
    let output = bundle.cmd(&words).output().ok();
    assert!(output.stdout.contains(&format!("SigBlk:\t{}", "0".repeat(16))), "{output}");
}
