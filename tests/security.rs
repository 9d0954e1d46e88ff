//! What the program may do: capabilities, no_new_privs, seccomp, limits, scheduling, keyring.

mod common;

use common::{Bundle, Value, host, json, skip};
use std::fs;
use std::os::fd::AsRawFd;

/// The five sets of the program, as masks.
#[track_caller]
fn sets(bundle: &Bundle) -> [u64; 5] {
    let output = bundle.run_args(&["cat", "/proc/self/status"]).ok();
    ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|name| {
        let line = output.stdout.lines().find(|line| line.starts_with(&format!("Cap{name}:"))).unwrap();
        u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
    })
}

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const NET_RAW: u64 = 1 << 13;

fn capabilities(value: Value) -> Bundle {
    Bundle::busybox().set("/process/capabilities", value)
}

#[test]
fn each_capability_set_is_what_the_configuration_says() {
    let all = json!(["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]);
    let bundle = capabilities(json!({
        "bounding": all, "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL"], "ambient": []
    }));
    // Executing a program as root recomputes the sets: permitted = inheritable + bounding.
    let [inheritable, _, _, bounding, ambient] = sets(&bundle);
    assert_eq!((inheritable, bounding, ambient), (KILL, CHOWN | KILL | NET_RAW, 0));
}

#[test]
fn an_ordinary_user_keeps_ambient_capabilities_only() {
    let names = json!(["CAP_CHOWN", "CAP_NET_RAW"]);
    let bundle = capabilities(json!({
        "bounding": names, "permitted": names, "effective": names, "inheritable": names, "ambient": ["CAP_NET_RAW"]
    }))
    .set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let both = CHOWN | NET_RAW;
    assert_eq!(sets(&bundle), [both, NET_RAW, NET_RAW, both, NET_RAW]);
}

#[test]
fn without_capabilities_there_are_none() {
    let bundle = Bundle::busybox().without("/process/capabilities");
    assert_eq!(sets(&bundle), [0; 5]);
    let bundle = capabilities(json!({}));
    assert_eq!(sets(&bundle), [0; 5]);
}

#[test]
fn a_dropped_capability_cannot_be_used() {
    Bundle::busybox().caps(&["CAP_KILL"]).writable().run_sh("chown 5 /tmp").exits(1).complains("not permitted");
    Bundle::busybox().caps(&["CAP_CHOWN"]).writable().run_sh("chown 5 /tmp").ok();
}

#[test]
fn unknown_capabilities_and_those_the_caller_lacks_are_left_out() {
    // CAP_SYS_RESOURCE may be missing on the host; either way the container starts.
    let bundle = Bundle::busybox().caps(&["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_NEVER_HEARD_OF"]);
    let [_, permitted, _, bounding, _] = sets(&bundle);
    let expected = CHOWN | (1 << 24 & host::bounding());
    assert_eq!((permitted, bounding), (expected, expected));
}

#[test]
fn capabilities_in_a_user_namespace_are_those_of_the_configuration() {
    let bundle = Bundle::busybox().userns().caps(&["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    let [inheritable, permitted, effective, bounding, ambient] = sets(&bundle);
    let expected = CHOWN | 1 << 21;
    assert_eq!([permitted, effective, bounding], [expected; 3]);
    assert_eq!([inheritable, ambient], [0; 2]);
}

#[test]
fn no_new_privileges_stops_set_user_id_programs() {
    for on in [true, false] {
        let bundle = Bundle::busybox()
            .set("/process/noNewPrivileges", json!(on))
            .set("/process/user", json!({"uid": 1000, "gid": 1000}));
        let bin = bundle.place("bundle/rootfs/bin");
        bundle.host(&["cp", &format!("{bin}/busybox"), &format!("{bin}/suid")]);
        bundle.host(&["chmod", "4755", &format!("{bin}/suid")]);
        bundle.host(&["ln", "-sf", "suid", &format!("{bin}/su")]);
        // busybox keeps the privilege for su alone, and complains when it has none.
        let output = bundle.run_args(&["/bin/su", "-c", "true"]);
        assert_eq!(output.stderr.contains("must be suid"), on, "{output}");
    }
}

fn seccomp(value: Value) -> Bundle {
    Bundle::busybox().set("/linux/seccomp", value)
}

fn deny(names: &[&str], rule: Value) -> Bundle {
    let mut rule = rule;
    rule["names"] = json!(names);
    seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})).writable()
}

#[test]
fn seccomp_returns_the_chosen_error() {
    let errno = |rule: Value| deny(&["mkdir", "mkdirat"], rule).run_sh("mkdir /x").exits(1);
    errno(json!({"action": "SCMP_ACT_ERRNO"})).complains("operation not permitted");
    errno(json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 28})).complains("no space left");
    let default = seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}));
    default.writable().run_sh("mkdir /x; touch /y").ok().complains("not supported");
}

#[test]
fn a_compiled_profile_is_kept_beside_the_containers_and_taken_from_there() {
    let bundle = deny(&["mkdir", "mkdirat"], json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 28}));
    let kept = || fs::read_dir(bundle.root().join(".cache/seccomp")).unwrap().map(|entry| entry.unwrap().path());
    bundle.run_sh("mkdir /x").exits(1).complains("no space left");
    let files: Vec<_> = kept().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let before = fs::metadata(&files[0]).unwrap().modified().unwrap();
    bundle.run_sh("mkdir /x").exits(1).complains("no space left");
    assert_eq!(kept().collect::<Vec<_>>(), files);
    assert_eq!(fs::metadata(&files[0]).unwrap().modified().unwrap(), before, "compiled once more");
    // A damaged file is no filter and no failure: it is made anew.
    let whole = fs::read(&files[0]).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&files[0], &damaged).unwrap();
    bundle.run_sh("mkdir /x").exits(1).complains("no space left");
    assert_eq!(fs::read(&files[0]).unwrap(), whole);
}

#[test]
fn seccomp_kills_the_process() {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"] {
        let bundle = deny(&["mkdir", "mkdirat"], json!({"action": action}));
        // SIGSYS, 31.
        bundle.run_sh("mkdir /x; echo $?").ok().prints("159");
    }
}

#[test]
fn seccomp_log_and_allow_let_a_call_pass() {
    for action in ["SCMP_ACT_LOG", "SCMP_ACT_ALLOW"] {
        deny(&["mkdir", "mkdirat"], json!({"action": action})).run_sh("mkdir /x").ok();
    }
}

#[test]
fn seccomp_compares_arguments() {
    // The second argument of mkdir and the third of mkdirat is the mode, 0777 here.
    for (op, value, two, blocked) in [
        ("SCMP_CMP_EQ", 0o777, 0, true),
        ("SCMP_CMP_NE", 0o777, 0, false),
        ("SCMP_CMP_LT", 0o1000, 0, true),
        ("SCMP_CMP_LE", 0o777, 0, true),
        ("SCMP_CMP_LE", 0o776, 0, false),
        ("SCMP_CMP_GT", 0o776, 0, true),
        ("SCMP_CMP_GE", 0o1000, 0, false),
        ("SCMP_CMP_MASKED_EQ", 0o070, 0o070, true),
        ("SCMP_CMP_MASKED_EQ", 0o1000, 0o1000, false),
    ] {
        let rule = |name: &str, index: u32| {
            json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 95,
                   "args": [{"index": index, "value": value, "valueTwo": two, "op": op}]})
        };
        let bundle = seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [rule("mkdir", 1), rule("mkdirat", 2)]}))
        .writable();
        let output = bundle.run_sh("mkdir /x; test -d /x && echo made");
        assert_eq!(!output.stdout.contains("made"), blocked, "{op} {value:o}: {output}");
    }
}

#[test]
fn seccomp_conditions_on_the_same_argument_are_alternatives_for_runc() {
    let bundle = seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95, "args": [
            {"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 12, "op": "SCMP_CMP_EQ"}]}]}));
    let output = bundle.run_sh("for s in 10 12 0; do kill -$s $$ 2> /dev/null && echo sent $s; done; true").ok();
    assert_eq!(output.stdout, "sent 0\n");
}

#[test]
fn a_default_of_errno_with_an_allow_list_works() {
    let calls = "arch_prctl brk access clone clone3 close dup dup2 dup3 execve execveat exit exit_group faccessat faccessat2 fcntl \
        fstat futex getcwd getdents64 getegid geteuid getgid getpid getppid getrandom getuid ioctl lseek lstat mmap \
        mprotect mremap munmap newfstatat open openat pipe pipe2 poll prctl pread64 prlimit64 read readlink readlinkat \
        rseq rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list set_tid_address setgid setuid sigaltstack stat \
        statx sysinfo tgkill time umask uname unlink vfork wait4 write writev";
    let names: Vec<_> = calls.split_whitespace().collect();
    let bundle = seccomp(json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 95,
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]}))
    .writable();
    bundle.run_sh("echo fine; mkdir /x").exits(1).prints("fine").complains("not supported");
}

#[test]
fn our_own_calls_come_before_the_filter() {
    // A profile that denies what berth itself needs to get there.
    let bundle = deny(
        &[
            "close_range",
            "openat2",
            "mount_setattr",
            "personality",
            "getcwd",
            "setns",
            "unshare",
            "mount",
            "umount2",
            "pivot_root",
            "sethostname",
            "fsopen",
            "fsmount",
            "move_mount",
            "open_tree",
            "capset",
            "setgroups",
            "keyctl",
        ],
        json!({"action": "SCMP_ACT_KILL_PROCESS"}),
    );
    for no_new_privileges in [true, false] {
        let bundle = Bundle::busybox()
            .set("/linux/seccomp", bundle.config["linux"]["seccomp"].clone())
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .caps(&["CAP_SYS_ADMIN"]);
        if no_new_privileges {
            bundle.run_args(&["echo", "fine"]).ok().prints("fine");
        }
    }
    let bundle = bundle.set("/process/cwd", json!("/tmp"));
    bundle.run_args(&["echo", "fine"]).ok().prints("fine");
}

#[test]
fn a_call_newer_than_the_profile_is_not_implemented() {
    // 999 is no system call of any architecture yet; glibc falls back on ENOSYS, not on EPERM.
    let bundle = seccomp(json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "syscalls": [{"names": ["read", "write", "execve", "exit_group", "brk", "mmap"], "action": "SCMP_ACT_ALLOW"}]}));
    let bundle = allow_all_but(bundle, "mkdir");
    let output = bundle.run_args(&["/caller"]);
    if !bundle.rootfs().join("caller").exists() {
        skip!("no C compiler to make a program that calls an unknown system call");
    }
    output.ok().prints("ENOSYS");
}

/// Replaces the rules by: everything that libseccomp can name in this list is allowed.
fn allow_all_but(bundle: Bundle, _denied: &str) -> Bundle {
    let calls = "arch_prctl brk access close dup execve exit_group fcntl fstat futex getrandom ioctl mmap mprotect munmap \
        newfstatat openat prctl prlimit64 read readlink readlinkat rseq rt_sigaction rt_sigprocmask set_robust_list \
        set_tid_address write writev getpid uname";
    let names: Vec<_> = calls.split_whitespace().collect();
    let source = bundle.path("caller.c");
    let program = "#include <errno.h>\n#include <stdio.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n
        int main(void) { long r = syscall(999); puts(r == -1 && errno == ENOSYS ? \"ENOSYS\" : \"other\"); return 0; }";
    fs::write(&source, program).unwrap();
    let target = bundle.rootfs().join("caller");
    let _ = std::process::Command::new("cc").arg("-static").arg("-o").arg(&target).arg(&source).status();
    bundle.set("/linux/seccomp/syscalls", json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]))
}

#[test]
fn several_architectures_are_accepted() {
    let list = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
    let bundle = seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": list,
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}));
    bundle.writable().run_sh("mkdir /x").exits(1).complains("not supported");
}

#[test]
fn every_flag_is_accepted() {
    for flags in [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_LOG"]),
        json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
        json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"]),
    ] {
        let bundle = seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags,
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}));
        bundle.run_sh("mkdir /x").exits(1);
    }
}

#[test]
fn the_filter_holds_for_exec_and_children() {
    let bundle = deny(&["mkdir", "mkdirat"], json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 95})).sleeping();
    bundle.detached();
    bundle.exec(&["sh", "-c", "sh -c 'mkdir /x'"]).exits(1).complains("not supported");
}

#[test]
fn a_listener_answers_notified_calls() {
    let socket_directory = Bundle::empty();
    let socket = socket_directory.path("listener.sock");
    let listener = common::fds::Listener::bind(&socket);
    let bundle = seccomp(json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "the metadata",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]
    }))
    .writable()
    .sh("mkdir /x; echo status $?; mkdir /y");
    let running = bundle.cmd(&["run", &bundle.id]).spawn();
    let (message, fds) = common::fds::receive(&listener.accept());
    let state: Value = serde_json::from_slice(&message).expect("the state is JSON");
    assert_eq!(state["metadata"], "the metadata");
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["state"]["id"], bundle.id.as_str());
    // The filter is loaded as late as possible; the container may be started by then.
    let status = state["state"]["status"].as_str().unwrap();
    assert!(["creating", "created", "running"].contains(&status), "{status}");
    assert_eq!(state["state"]["bundle"], bundle.dir().to_str().unwrap());
    assert!(state["pid"].as_i64().unwrap() > 0);
    assert!(state["ociVersion"].is_string());
    let notify = fds[0].as_raw_fd();
    for errno in [17, 95] {
        let request = libseccomp::ScmpNotifReq::receive(notify).expect("a notification");
        let response =
            libseccomp::ScmpNotifResp::new_error(request.id, -errno, libseccomp::ScmpNotifRespFlags::empty());
        response.respond(notify).expect("a response");
    }
    running.wait().exits(1).prints("status 1").complains("file exists").complains("not supported");
}

#[test]
fn a_listener_may_notify_what_berth_itself_needs() {
    let socket_directory = Bundle::empty();
    let socket = socket_directory.path("listener.sock");
    let listener = common::fds::Listener::bind(&socket);
    let bundle = seccomp(json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket,
        "syscalls": [{"names": ["execve", "openat", "close", "fcntl", "sendmsg"], "action": "SCMP_ACT_NOTIFY"}]
    }))
    .args(["echo", "fine"]);
    let mut running = bundle.cmd(&["run", &bundle.id]).spawn();
    let (_, fds) = common::fds::receive(&listener.accept());
    let notify = fds[0].as_raw_fd();
    let shared = std::sync::Arc::new(fds);
    let keep = shared.clone();
    std::thread::spawn(move || {
        while let Ok(request) = libseccomp::ScmpNotifReq::receive(notify) {
            let go_on = libseccomp::ScmpNotifResp::new_continue(request.id, libseccomp::ScmpNotifRespFlags::empty());
            let _ = go_on.respond(notify);
        }
        drop(keep);
    });
    common::eventually("the program ends", || (!running.is_running()).then_some(()));
    running.wait().ok().prints("fine");
    drop(shared);
}

#[test]
fn exec_hands_its_filter_to_the_listener_too() {
    let socket_directory = Bundle::empty();
    let socket = socket_directory.path("listener.sock");
    let listener = common::fds::Listener::bind(&socket);
    let bundle = seccomp(json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket,
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]
    }))
    .sleeping();
    let running = bundle.cmd(&["run", "-d", &bundle.id]).spawn();
    let (_, _fds_of_init) = common::fds::receive(&listener.accept());
    running.wait().ok();
    let exec = bundle.cmd(&["exec", &bundle.id, "mkdir", "/x"]).spawn();
    let (message, fds) = common::fds::receive(&listener.accept());
    let state: Value = serde_json::from_slice(&message).expect("the state is JSON");
    assert_eq!(state["state"]["status"], "running");
    let notify = fds[0].as_raw_fd();
    let request = libseccomp::ScmpNotifReq::receive(notify).expect("a notification");
    libseccomp::ScmpNotifResp::new_error(request.id, -28, libseccomp::ScmpNotifRespFlags::empty())
        .respond(notify)
        .unwrap();
    exec.wait().exits(1).complains("no space left");
}

#[test]
fn rlimits_are_set() {
    let bundle = Bundle::busybox().set(
        "/process/rlimits",
        json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_CPU", "soft": 1000, "hard": 2000}, {"type": "RLIMIT_FSIZE", "soft": 4096, "hard": 8192},
            {"type": "RLIMIT_NPROC", "soft": 500, "hard": 600}, {"type": "RLIMIT_STACK", "soft": 4194304, "hard": 8388608}
        ]),
    );
    let output = bundle.run_args(&["cat", "/proc/self/limits"]).ok();
    for (name, soft, hard) in [
        ("Max open files", "100", "200"),
        ("Max core file size", "0", "0"),
        ("Max cpu time", "1000", "2000"),
        ("Max file size", "4096", "8192"),
        ("Max processes", "500", "600"),
        ("Max stack size", "4194304", "8388608"),
    ] {
        let line = output.stdout.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<_> = line[name.len()..].split_whitespace().collect();
        assert_eq!(words[..2], [soft, hard], "{line}");
    }
}

#[test]
fn limits_that_are_not_named_are_inherited() {
    let bundle = Bundle::busybox().without("/process/rlimits").sh("ulimit -n; ulimit -c");
    let words = ["run", &bundle.id];
    let output = bundle.wrapped(&["sh", "-c", "ulimit -n 321; ulimit -c 0; exec \"$@\"", "sh"], &words).output().ok();
    assert_eq!(output.stdout, "321\n0\n");
}

#[test]
fn the_umask_is_set() {
    Bundle::busybox().set("/process/user/umask", json!(0o027)).run_sh("umask").ok().prints("0027");
    Bundle::busybox().set("/process/user/umask", json!(0)).run_sh("umask").ok().prints("0000");
}

#[test]
fn user_and_groups_are_exactly_those_of_the_configuration() {
    let bundle =
        Bundle::busybox().set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 77, 1001]}));
    let bundle = bundle.sh("id -u; id -g; id -G; ls -ln /proc/self/fd/0 > /dev/null");
    if !host::has("setpriv") {
        skip!("the host has no setpriv");
    }
    let output = bundle.wrapped(&["setpriv", "--groups", "3,4"], &["run", &bundle.id]).output().ok();
    assert_eq!(output.stdout, "1000\n1001\n1001 5 77\n");
    let bundle = Bundle::busybox().sh("id -G");
    let output = bundle.wrapped(&["setpriv", "--groups", "3,4"], &["run", &bundle.id]).output().ok();
    assert_eq!(output.text(), "0", "the caller's groups do not get in");
}

#[test]
fn numeric_ids_up_to_32_bits_work() {
    let bundle = Bundle::busybox().set("/process/user", json!({"uid": 4_294_967_294_u32, "gid": 4_000_000_000_u32}));
    assert_eq!(bundle.run_sh("id -u; id -g").ok().stdout, "4294967294\n4000000000\n");
}

#[test]
fn home_is_set_when_it_is_missing_or_empty() {
    let bundle = Bundle::busybox().set("/process/user", json!({"uid": 1000, "gid": 1001}));
    bundle.run_sh("echo $HOME").ok().prints("/home/sailor\n");
    Bundle::busybox().run_sh("echo $HOME").ok().prints("/root\n");
    Bundle::busybox().env("HOME=").run_sh("echo $HOME").ok().prints("/root\n");
    Bundle::busybox().env("HOME=/own").run_sh("echo $HOME").ok().prints("/own\n");
    Bundle::busybox().set("/process/user/uid", json!(4242)).run_sh("echo $HOME").ok().prints("/\n");
}

#[test]
fn the_last_of_duplicate_variables_wins() {
    let bundle = Bundle::busybox().env("TWICE=first").env("TWICE=second");
    let output = bundle.run_args(&["env"]).ok();
    assert_eq!(output.stdout.lines().filter(|line| line.starts_with("TWICE=")).collect::<Vec<_>>(), ["TWICE=second"]);
}

#[test]
fn the_environment_is_that_of_the_configuration_alone() {
    let bundle = Bundle::busybox().set("/process/env", json!(["PATH=/bin", "A=1", "EMPTY="])).args(["env"]);
    let output = bundle.cmd(&["run", &bundle.id]).env("SECRET_OF_THE_HOST", "1").output().ok();
    let mut lines: Vec<_> = output.stdout.lines().collect();
    lines.sort();
    assert_eq!(lines, ["A=1", "EMPTY=", "HOME=/root", "PATH=/bin"]);
}

#[test]
fn oom_score_adj_is_set_or_left() {
    let bundle = Bundle::busybox().set("/process/oomScoreAdj", json!(321));
    bundle.run_sh("cat /proc/self/oom_score_adj").ok().prints("321\n");
    let bundle = Bundle::busybox().sh("cat /proc/self/oom_score_adj");
    let words = ["run", &bundle.id];
    let script = "echo 123 > /proc/self/oom_score_adj; exec \"$@\"";
    bundle.wrapped(&["sh", "-c", script, "sh"], &words).output().ok().prints("123\n");
}

#[test]
fn a_new_session_keyring_is_made_unless_told_otherwise() {
    if !std::path::Path::new("/proc/keys").exists() {
        skip!("the kernel has no keyrings");
    }
    let session = |bundle: &Bundle, options: &[&str]| {
        let words: Vec<&str> =
            ["run", "--detach"].iter().chain(options).chain(&[bundle.id.as_str()]).copied().collect();
        bundle.berth(&words).ok();
        let keys = fs::read_to_string("/proc/keys").unwrap();
        bundle.delete_force();
        keys.contains(&format!("_ses.{}", bundle.id))
    };
    let bundle = Bundle::busybox().sleeping();
    if !session(&bundle, &[]) {
        // Keys of other users' sessions may be invisible; then only the option itself can be tried.
        bundle.berth(&["run", "--no-new-keyring", "-d", &bundle.id]).ok();
        skip!("the session keyring of a container cannot be seen from here");
    }
    let other = Bundle::busybox().sleeping();
    assert!(!session(&other, &["--no-new-keyring"]));
}

#[test]
fn the_scheduler_is_set() {
    let bundle =
        Bundle::busybox().set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 7})).args(["sleep", "100"]);
    bundle.detached();
    let stat = host::proc(bundle.pid(), "stat");
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Fields 19 (nice) and 41 (policy) of proc(5), counted from field 3.
    assert_eq!((fields[16], fields[38]), ("7", "3"), "{stat}");
}

#[test]
fn the_io_priority_is_set() {
    let bundle = Bundle::busybox()
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}))
        .run_args(&["ionice", "-p", "1"]);
    bundle.ok().prints("best-effort: prio 6");
    let idle = Bundle::busybox().set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}));
    idle.run_args(&["ionice", "-p", "1"]).ok().prints("idle");
}

#[test]
fn the_memory_policy_is_set() {
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        skip!("a kernel without NUMA has no memory policies");
    }
    for (policy, shown) in [
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}), "interleave=static:0"),
    ] {
        let bundle = Bundle::busybox().set("/linux/memoryPolicy", policy);
        let maps = bundle.run_args(&["cat", "/proc/self/numa_maps"]).ok().stdout;
        assert!(maps.lines().all(|line| line.split(' ').nth(1) == Some(shown)), "{shown}: {maps}");
    }
}

#[test]
fn the_personality_is_set() {
    if cfg!(not(target_arch = "x86_64")) {
        skip!("only 64-bit machines with a 32-bit personality show it in uname");
    }
    Bundle::busybox().set("/linux/personality", json!({"domain": "LINUX32"})).run_sh("uname -m").ok().prints("i686");
    Bundle::busybox().set("/linux/personality", json!({"domain": "LINUX"})).run_sh("uname -m").ok().prints("x86_64");
}

#[test]
fn the_callers_cpu_affinity_is_reset() {
    if !host::has("taskset") || std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        skip!("taskset and two CPUs are needed");
    }
    let bundle = Bundle::busybox().sh("grep Cpus_allowed_list /proc/self/status");
    let free = bundle.run().ok().stdout;
    let pinned = bundle.wrapped(&["taskset", "-c", "0"], &["run", &bundle.id]).output().ok().stdout;
    assert_eq!(free, pinned);
}

#[test]
fn signals_are_neither_blocked_nor_ignored() {
    let bundle = Bundle::busybox().args(["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]);
    let words = ["run", &bundle.id];
    let script = "trap '' TERM HUP USR1; exec \"$@\"";
    let output = bundle.wrapped(&["sh", "-c", script, "sh"], &words).output().ok();
    for line in output.stdout.lines() {
        let mask = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(mask & 0x7fff_ffff, 0, "the signals below the real-time ones: {output}");
    }
}

#[test]
fn the_program_leads_a_session_of_its_own() {
    let output = Bundle::busybox().run_sh("cut -d' ' -f5,6 /proc/self/stat; cut -d' ' -f6 /proc/1/stat").ok();
    assert!(output.stdout.ends_with("1\n"), "PID 1 is the leader of its session: {output}");
}

#[test]
fn init_is_named_and_parented_as_expected() {
    let output = Bundle::busybox().run_sh("grep PPid /proc/1/status").ok();
    assert_eq!(output.stdout, "PPid:\t0\n");
}
