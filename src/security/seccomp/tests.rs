//! Filters are judged by what they answer: a small interpreter runs them on system calls.

use super::compact::rewrite;
use super::compile::translate;
use super::{Filter, cache, compile};
use crate::bundle::config::Seccomp;
use nix::libc::{self, sock_filter};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_THREAD;

fn errno(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

fn profile(json: Value) -> Seccomp {
    serde_json::from_value(json).unwrap()
}

fn filter(json: Value) -> Filter {
    compile(&profile(json), None).unwrap()
}

/// Runs the program as the kernel does: the instructions that seccomp allows and libseccomp uses.
fn run(program: &[sock_filter], audit_arch: u32, number: u32, args: [u64; 6]) -> u32 {
    trace(program, audit_arch, number, args).0
}

/// The answer and the number of instructions that it took.
fn trace(program: &[sock_filter], audit_arch: u32, number: u32, args: [u64; 6]) -> (u32, usize) {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(audit_arch.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
    let (mut at, mut accumulator, mut steps) = (0, 0u32, 0);
    loop {
        steps += 1;
        let one = program[at];
        let jump = |taken: bool| usize::from(if taken { one.jt } else { one.jf }) + 1;
        at += match one.code {
            0x20 => {
                let offset = one.k as usize;
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                1
            }
            0x54 => {
                accumulator &= one.k;
                1
            }
            0x05 => one.k as usize + 1,
            0x15 => jump(accumulator == one.k),
            0x25 => jump(accumulator > one.k),
            0x35 => jump(accumulator >= one.k),
            0x45 => jump(accumulator & one.k != 0),
            0x06 => return (one.k, steps),
            code => panic!("unexpected instruction {code:#x}"),
        };
    }
}

/// Tests that name numbers and architectures of x86_64; elsewhere only the portable ones run.
#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::*;

    const X86_64: u32 = 0xc000_003e;
    const X86: u32 = 0x4000_0003;
    const AARCH64: u32 = 0xc000_00b7;

    fn native(filter: &Filter, number: libc::c_long, args: [u64; 6]) -> u32 {
        run(&filter.program, X86_64, number as u32, args)
    }

    /// What a rule for mkdir answers when all else is allowed.
    fn answer(action: &str, errno_ret: Option<u32>) -> u32 {
        let rule = json!({"names": ["mkdir"], "action": action, "errnoRet": errno_ret});
        let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        assert_eq!(native(&filter, libc::SYS_read, [0; 6]), ALLOW);
        native(&filter, libc::SYS_mkdir, [0; 6])
    }

    #[test]
    fn each_action_is_the_kernel_s() {
        assert_eq!(answer("SCMP_ACT_KILL", None), libc::SECCOMP_RET_KILL_THREAD);
        assert_eq!(answer("SCMP_ACT_KILL_THREAD", None), libc::SECCOMP_RET_KILL_THREAD);
        assert_eq!(answer("SCMP_ACT_KILL_PROCESS", None), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(answer("SCMP_ACT_TRAP", None), libc::SECCOMP_RET_TRAP);
        assert_eq!(answer("SCMP_ACT_ERRNO", None), errno(libc::EPERM));
        assert_eq!(answer("SCMP_ACT_ERRNO", Some(38)), errno(38));
        assert_eq!(answer("SCMP_ACT_TRACE", Some(7)), libc::SECCOMP_RET_TRACE | 7);
        assert_eq!(answer("SCMP_ACT_LOG", None), libc::SECCOMP_RET_LOG);
        assert_eq!(answer("SCMP_ACT_NOTIFY", None), libc::SECCOMP_RET_USER_NOTIF);
    }

    /// Whether a rule with these conditions on read applies to these arguments.
    fn applies(args: Value, values: [u64; 6]) -> bool {
        let rule = json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": args});
        let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        native(&filter, libc::SYS_read, values) != ALLOW
    }

    #[test]
    fn each_operator_compares_all_64_bits() {
        let high = 1 << 40;
        let cases = [
            ("SCMP_CMP_NE", [true, false, true]),
            ("SCMP_CMP_LT", [true, false, false]),
            ("SCMP_CMP_LE", [true, true, false]),
            ("SCMP_CMP_EQ", [false, true, false]),
            ("SCMP_CMP_GE", [false, true, true]),
            ("SCMP_CMP_GT", [false, false, true]),
        ];
        for (op, wanted) in cases {
            for (value, wanted) in [high + 4, high + 5, 2 * high].into_iter().zip(wanted) {
                let args = json!([{"index": 2, "value": high + 5, "op": op}]);
                assert_eq!(applies(args, [0, 0, value, 0, 0, 0]), wanted, "{value} {op}");
            }
        }
        let masked = json!([{"index": 0, "value": 0xff, "valueTwo": 0x12, "op": "SCMP_CMP_MASKED_EQ"}]);
        assert!(applies(masked.clone(), [0xab12, 0, 0, 0, 0, 0]));
        assert!(!applies(masked, [0xab13, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn conditions_on_different_arguments_must_all_hold() {
        let args =
            json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]);
        assert!(applies(args.clone(), [1, 2, 0, 0, 0, 0]));
        assert!(!applies(args, [1, 3, 0, 0, 0, 0]));
    }

    #[test]
    fn conditions_on_the_same_argument_are_alternatives() {
        let args =
            json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]);
        assert!(applies(args.clone(), [1, 0, 0, 0, 0, 0]) && applies(args.clone(), [2, 0, 0, 0, 0, 0]));
        assert!(!applies(args, [3, 0, 0, 0, 0, 0]));
    }

    /// The shape of the engines' default profile: a long list, architectures, conditions, errno of its own.
    fn engine_profile() -> Value {
        json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [
                {"names": ["accept", "read", "write", "openat", "close", "socket", "socketcall", "execve", "exit_group",
                    "mkdir", "mkdir", "fadvise64_64", "arm_fadvise64_64", "clock_gettime64", "openat2", "faccessat2",
                    "no_such_call", "another_one"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
                {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
            ]
        })
    }

    #[test]
    fn an_engine_s_profile_answers_as_written() {
        let filter = filter(engine_profile());
        let eperm = errno(libc::EPERM);
        for (number, arg, wanted) in [
            (libc::SYS_read, 0, ALLOW),
            (libc::SYS_openat2, 0, ALLOW),
            (libc::SYS_mount, 0, eperm),
            (libc::SYS_ptrace, 0, eperm),
            (libc::SYS_personality, 0, ALLOW),
            (libc::SYS_personality, 8, ALLOW),
            (libc::SYS_personality, 1, eperm),
            (libc::SYS_clone, libc::SIGCHLD as u64, ALLOW),
            (libc::SYS_clone, libc::CLONE_NEWUSER as u64, eperm),
            (libc::SYS_clone3, 0, errno(libc::ENOSYS)),
        ] {
            assert_eq!(native(&filter, number, [arg, 0, 0, 0, 0, 0]), wanted, "{number}({arg})");
        }
        assert_eq!(run(&filter.program, AARCH64, 0, [0; 6]), KILL, "an architecture that is not listed");
    }

    #[test]
    fn a_call_of_32_bit_x86_is_judged_by_its_own_number() {
        let filter = filter(engine_profile());
        let (read, mkdir, mount, socketcall) = (3, 39, 21, 102);
        for (number, wanted) in [(read, ALLOW), (mkdir, ALLOW), (mount, errno(libc::EPERM)), (socketcall, ALLOW)] {
            assert_eq!(run(&filter.program, X86, number, [1, 0, 0, 0, 0, 0]), wanted, "{number}");
        }
    }

    #[test]
    fn what_is_newer_than_the_profile_does_not_exist() {
        let filter = filter(engine_profile());
        let enosys = errno(libc::ENOSYS);
        // faccessat2, 439, is the newest call of the profile on both.
        for arch in [X86_64, X86] {
            assert_eq!(run(&filter.program, arch, 439, [0; 6]), ALLOW);
            assert_eq!(run(&filter.program, arch, 440, [0; 6]), enosys);
            assert_eq!(run(&filter.program, arch, 100_000, [0; 6]), enosys);
        }
        let x32 = 0x4000_0000;
        assert_eq!(run(&filter.program, X86_64, x32, [0; 6]), ALLOW, "x32 read");
        assert_eq!(run(&filter.program, X86_64, x32 + 165, [0; 6]), errno(libc::EPERM), "x32 mount");
        assert_eq!(run(&filter.program, X86_64, x32 + 100_000, [0; 6]), enosys);
        let newest: Vec<_> = filter.architectures.iter().map(|one| one.newest.map(|number| number & !x32)).collect();
        // openat of x32 and its kin have numbers of their own above 512.
        assert_eq!((newest[0], newest[1]), (Some(439), Some(439)));
    }

    #[test]
    fn an_x32_call_is_no_call_when_the_profile_has_no_x32() {
        let filter = filter(json!({"defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}));
        assert_eq!(run(&filter.program, X86_64, 0x4000_0000, [0; 6]), errno(libc::ENOSYS));
        assert_eq!(native(&filter, 0, [0; 6]), ALLOW);
        assert_eq!(native(&filter, 1, [0; 6]), errno(libc::ENOSYS));
    }

    #[test]
    fn a_default_that_answers_new_calls_itself_has_no_stub() {
        for (action, errno_ret, wanted) in [
            ("SCMP_ACT_ALLOW", None, ALLOW),
            ("SCMP_ACT_LOG", None, libc::SECCOMP_RET_LOG),
            ("SCMP_ACT_TRACE", None, libc::SECCOMP_RET_TRACE | libc::EPERM as u32),
            ("SCMP_ACT_ERRNO", Some(libc::ENOSYS), errno(libc::ENOSYS)),
        ] {
            let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_KILL"});
            let filter = filter(json!({"defaultAction": action, "defaultErrnoRet": errno_ret, "syscalls": [rule]}));
            assert_eq!(filter.architectures[0].newest, None);
            assert_eq!(native(&filter, 100_000, [0; 6]), wanted, "{action}");
        }
    }

    #[test]
    fn a_profile_without_rules_has_its_default_for_all() {
        let filter = filter(json!({"defaultAction": "SCMP_ACT_ERRNO"}));
        assert_eq!(native(&filter, libc::SYS_read, [0; 6]), errno(libc::EPERM));
    }

    #[test]
    fn multiplexed_calls_follow_the_rules_of_single_ones() {
        let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
            "syscalls": [{"names": ["listen"], "action": "SCMP_ACT_ERRNO"}]}));
        let (socketcall, sys_listen, sys_bind) = (102, 4, 2);
        assert_eq!(run(&filter.program, X86, socketcall, [sys_listen, 0, 0, 0, 0, 0]), errno(libc::EPERM));
        assert_eq!(run(&filter.program, X86, socketcall, [sys_bind, 0, 0, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn a_long_profile_is_exact_and_takes_few_steps() {
        let allowed = |number: i32| number % 7 != 3;
        let name = |number: i32| libseccomp::ScmpSyscall::from_raw_syscall(number).get_name().ok();
        let known: Vec<_> = (0..430).filter_map(|number| name(number).map(|name| (number, name))).collect();
        let names: Vec<_> = known.iter().filter(|(number, _)| allowed(*number)).map(|(_, name)| name).collect();
        let filter = filter(json!({"defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]}));
        assert!(filter.rules > 250, "{}", filter.rules);
        for (number, name) in known.iter().filter(|(number, _)| *number < 429) {
            let (answer, steps) = trace(&filter.program, X86_64, *number as u32, [0; 6]);
            assert_eq!(answer, if allowed(*number) { ALLOW } else { errno(libc::EPERM) }, "{name}");
            assert!(steps < 40, "{name}: {steps}");
        }
    }

    /// Both programs on calls around every number that either asks for, with arguments that conditions look at.
    fn assert_same_answers(profile: &Seccomp) -> (usize, usize) {
        let long = translate(profile).unwrap().program;
        let short = rewrite(&long).unwrap();
        let constants = long.iter().flat_map(|one| [one.k.wrapping_sub(1), one.k, one.k.wrapping_add(1)]);
        let numbers: BTreeSet<u32> = constants.chain([0, 1 << 29, 1 << 30, u32::MAX]).collect();
        for arch in [X86_64, X86, AARCH64, 0] {
            for number in &numbers {
                for first in [0, 1, 8, 4, 0x20000, 0x7e02_0000, u64::MAX, 1 << 32] {
                    let args = [first, 0, 3, 0, 0, 0];
                    let (one, other) = (run(&long, arch, *number, args), run(&short, arch, *number, args));
                    assert_eq!(one, other, "{arch:#x} {number}({first})");
                }
            }
        }
        (long.len(), short.len())
    }

    #[test]
    fn a_short_program_answers_as_the_long_one() {
        assert_same_answers(&profile(engine_profile()));
        let docker: Value =
            serde_json::from_str(include_str!("../../../tests/data/docker/default/config.json")).unwrap();
        let (long, short) = assert_same_answers(&profile(docker["linux"]["seccomp"].clone()));
        assert!(short * 2 < long, "{short} of {long}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_profile_s_short_program_answers_as_the_long_one(
            chosen in prop::collection::vec((0i32..450, 0usize..4, prop::option::of(0u64..9)), 60..200),
            default in 0usize..2,
        ) {
            let actions = ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL"];
            let rule = |(number, action, first): &(i32, usize, Option<u64>)| {
                let name = libseccomp::ScmpSyscall::from_raw_syscall(*number).get_name().ok()?;
                let args: Vec<_> = first.iter().map(|value| json!({"index": 0, "value": value, "op": "SCMP_CMP_EQ"})).collect();
                Some(json!({"names": [name], "action": actions[*action], "args": args}))
            };
            // One rule for each call: libseccomp refuses those that contradict others.
            let mut seen = BTreeSet::new();
            let rules: Vec<_> = chosen.iter().filter(|(number, _, _)| seen.insert(*number)).filter_map(rule).collect();
            assert_same_answers(&profile(json!({"defaultAction": actions[default],
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules})));
        }
    }

    #[test]
    fn warnings_name_each_unknown_call_once_from_the_cache_too() {
        let dir = cache_dir();
        let profile = profile(engine_profile());
        let wanted = ["linux.seccomp.syscalls: unknown system calls ignored: no_such_call, another_one"];
        for cached in [false, true] {
            let filter = compile(&profile, Some(dir.path())).unwrap();
            assert_eq!((filter.cached, filter.warnings), (cached, wanted.map(str::to_owned).to_vec()));
        }
    }

    #[test]
    fn numbers_are_shown_instead_of_the_program() {
        let filter = filter(engine_profile());
        let shown = serde_json::to_value(&filter).unwrap();
        assert_eq!(shown["instructions"], filter.program.len());
        assert_eq!(shown["redundant"], 1, "ptrace has the default action");
        assert_eq!(shown["flags"], json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]));
        assert_eq!(shown["architectures"][0], json!({"name": "SCMP_ARCH_X86_64", "newest": 439}));
    }
}

#[test]
fn the_kernel_accepts_a_compiled_filter() {
    let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}));
    let tried = std::thread::spawn(move || {
        nix::sys::prctl::set_no_new_privs().unwrap();
        assert!(crate::sys::seccomp::load(&filter.program, filter.flags).unwrap().is_none());
        nix::unistd::sethostname("")
    });
    assert_eq!(tried.join().unwrap().unwrap_err() as i32, 99);
}

#[test]
fn flags_absent_mean_spec_allow_and_an_empty_list_none() {
    let flags = |flags: Value| filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags})).flags;
    assert_eq!(flags(Value::Null), libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32);
    assert_eq!(flags(json!([])), 0);
    assert_eq!(
        flags(json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"])),
        libc::SECCOMP_FILTER_FLAG_LOG as u32
    );
}

#[test]
fn a_notify_filter_asks_for_a_listener() {
    let rules = json!([{"names": ["mkdirat"], "action": "SCMP_ACT_NOTIFY"}]);
    let filter = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules,
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}));
    let wanted = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    assert_eq!((filter.notify, filter.flags), (true, wanted as u32));
}

#[test]
fn waiting_for_a_listener_that_is_not_there_is_a_warning() {
    let filter =
        filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}));
    assert_eq!((filter.flags, filter.warnings.len()), (0, 1));
}

#[test]
fn an_architecture_that_libseccomp_lacks_is_named() {
    let json = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_NONE"]});
    let message = compile(&profile(json), None).unwrap_err().to_string();
    assert!(message.starts_with("linux.seccomp.architectures[1]: SCMP_ARCH_NONE is not supported"), "{message}");
}

#[test]
fn a_rule_that_says_what_the_default_says_is_left_out() {
    let rules = json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2}]);
    let filter = filter(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}));
    assert_eq!((filter.rules, filter.redundant), (1, 1));
}

fn cache_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn simple(errno_ret: u32) -> Seccomp {
    profile(json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno_ret}]}))
}

fn same(a: &Filter, b: &Filter) -> bool {
    let bytes = |filter: &Filter| super::compile::to_bytes(&filter.program);
    bytes(a) == bytes(b) && a.architectures == b.architectures && (a.rules, a.flags) == (b.rules, b.flags)
}

#[test]
fn the_second_time_the_same_program_comes_from_the_cache() {
    let dir = cache_dir();
    let path = dir.path().join("made-by-need");
    let [first, second] = [0, 1].map(|_| compile(&simple(5), Some(&path)).unwrap());
    assert_eq!((first.cached, second.cached), (false, true));
    assert!(same(&first, &second));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn another_profile_is_not_found() {
    let dir = cache_dir();
    compile(&simple(5), Some(dir.path())).unwrap();
    assert!(!compile(&simple(6), Some(dir.path())).unwrap().cached);
    assert!(!compile(&simple(6), None).unwrap().cached);
}

#[test]
fn every_member_of_a_profile_counts() {
    let base = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]});
    let key = |json: &Value| cache::key(&profile(json.clone()));
    for (pointer, value) in [
        ("/defaultAction", json!("SCMP_ACT_KILL")),
        ("/defaultErrnoRet", json!(0)),
        ("/architectures", json!(["SCMP_ARCH_X86"])),
        ("/syscalls/0/names", json!(["b"])),
        ("/syscalls/0/names", json!(["a", "b"])),
        ("/syscalls/0/action", json!("SCMP_ACT_LOG")),
        ("/syscalls/0/errnoRet", json!(0)),
        ("/syscalls/0/args", json!([])),
        ("/syscalls/0/args/0/index", json!(1)),
        ("/syscalls/0/args/0/value", json!(2)),
        ("/syscalls/0/args/0/valueTwo", json!(1)),
        ("/syscalls/0/args/0/op", json!("SCMP_CMP_NE")),
    ] {
        let mut changed = base.clone();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[member] = value;
        assert_ne!(key(&changed), key(&base), "{pointer}");
    }
}

#[test]
fn a_damaged_file_is_compiled_again() {
    let dir = cache_dir();
    let fresh = compile(&simple(5), Some(dir.path())).unwrap();
    let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&file, &bad).unwrap();
        let again = compile(&simple(5), Some(dir.path())).unwrap();
        assert!(!again.cached && same(&fresh, &again), "byte {at}");
        fs::write(&file, &good[..at]).unwrap();
        assert!(!compile(&simple(5), Some(dir.path())).unwrap().cached, "cut at {at}");
    }
    assert!(compile(&simple(5), Some(dir.path())).unwrap().cached, "it was written anew");
}

#[test]
fn a_directory_open_to_others_is_not_used() {
    let dir = cache_dir();
    compile(&simple(5), Some(dir.path())).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    assert!(!compile(&simple(5), Some(dir.path())).unwrap().cached);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    assert!(cache::Cache::open(&link).is_none());
}

#[test]
fn a_fifo_in_the_cache_neither_hangs_nor_fails() {
    let dir = cache_dir();
    compile(&simple(5), Some(dir.path())).unwrap();
    let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(!compile(&simple(5), Some(dir.path())).unwrap().cached);
}

#[test]
fn the_cache_keeps_the_latest_64_programs() {
    let dir = cache_dir();
    compile(&simple(1), Some(dir.path())).unwrap();
    let oldest = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    fs::File::options().write(true).open(oldest).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    for errno_ret in 2..=70 {
        compile(&simple(errno_ret), Some(dir.path())).unwrap();
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 64);
    assert!(compile(&simple(70), Some(dir.path())).unwrap().cached);
    assert!(!compile(&simple(1), Some(dir.path())).unwrap().cached);
}
