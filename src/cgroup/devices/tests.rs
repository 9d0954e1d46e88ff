use super::*;
use crate::sys::bpf::{self, Insn};
use proptest::prelude::*;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

fn rule(allow: bool, kind: &str, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
    DeviceRule { allow, kind: Some(kind.into()), major, minor, access: Some(access.into()) }
}

/// The specification's words, directly: each way of access is decided by the last rule that matches.
fn evaluate(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
    let matches = |rule: &Rule| {
        rule.kind.is_none_or(|own| own == kind)
            && rule.major.is_none_or(|own| own == major)
            && rule.minor.is_none_or(|own| own == minor)
    };
    [MKNOD, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
        let last = rules.iter().rev().find(|rule| rule.access & bit != 0 && matches(rule));
        last.is_some_and(|rule| rule.allow)
    })
}

/// A machine for the instructions that we use; `None` when the program misbehaves.
fn run(program: &[Insn], kind: Kind, major: u32, minor: u32, access: u8) -> Option<bool> {
    let kind = if kind == Kind::Block { 1 } else { 2 };
    let context = [u32::from(access) << 16 | kind, major, minor];
    let mut registers = [None::<u64>; 11];
    let mut at = 0_usize;
    loop {
        let insn = program.get(at)?;
        let (to, from) = (usize::from(insn.registers & 15), usize::from(insn.registers >> 4));
        at += 1;
        let immediate = insn.immediate.cast_unsigned();
        let jump = match insn.code {
            0x61 => {
                assert_eq!(from, 1, "only the context can be read");
                registers[to] = Some(u64::from(*context.get(usize::try_from(insn.offset).ok()? / 4)?));
                false
            }
            0x05 => true,
            0x16 => registers[to]? as u32 == immediate,
            0x56 => registers[to]? as u32 != immediate,
            0x46 => registers[to]? as u32 & immediate != 0,
            0xb7 => {
                registers[to] = Some(i64::from(insn.immediate).cast_unsigned());
                false
            }
            0x95 => return Some(registers[0]? == 1),
            code => panic!("unknown instruction {code:#x}"),
        };
        if jump {
            at += usize::try_from(insn.offset).ok()?;
        }
    }
}

/// Every instruction can be reached, as the verifier demands.
fn all_reachable(program: &[Insn]) -> bool {
    let mut reached = vec![false; program.len()];
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        let insn = program[at];
        let target = at + 1 + usize::try_from(insn.offset).unwrap();
        match insn.code {
            0x95 => {}
            0x05 => open.push(target),
            0x16 | 0x56 | 0x46 => open.extend([at + 1, target]),
            _ => open.push(at + 1),
        }
    }
    reached.into_iter().all(|reached| reached)
}

fn numbers() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![Just(None), (0_u32..4).prop_map(Some), Just(Some(u32::MAX))]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Char), Just(Kind::Block)]
}

prop_compose! {
    fn any_rule()(
        allow: bool,
        kind in proptest::option::of(kinds()),
        major in numbers(),
        minor in numbers(),
        access in 1_u8..8,
    ) -> Rule {
        Rule { allow, kind, major, minor, access }
    }
}

/// Requests as the kernel makes them: mknod alone, or an open for reading, writing or both.
const REQUESTS: [u8; 4] = [MKNOD, READ, WRITE, READ | WRITE];

fn everywhere() -> impl Iterator<Item = (Kind, u32, u32, u8)> {
    let numbers = [0, 1, 2, 3, 4, u32::MAX];
    let pairs = numbers.into_iter().flat_map(move |major| numbers.into_iter().map(move |minor| (major, minor)));
    let kinds = [Kind::Char, Kind::Block].into_iter();
    kinds.flat_map(move |kind| {
        pairs.clone().flat_map(move |(major, minor)| REQUESTS.map(|access| (kind, major, minor, access)))
    })
}

/// What the kernel's v1 controller answers with a default and exceptions (security/device_cgroup.c).
fn v1_answer(open: bool, exceptions: &[(Pattern, u8)], request: (Kind, u32, u32, u8)) -> bool {
    let (kind, major, minor, access) = request;
    let device = Pattern::new(kind, Some(major), Some(minor));
    let mut matching = exceptions.iter().filter(|(pattern, _)| pattern.covers(device));
    if open {
        !matching.any(|(_, denied)| denied & access != 0)
    } else {
        matching.any(|(_, allowed)| access & !allowed == 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_program_does_what_the_rules_say(rules in proptest::collection::vec(any_rule(), 0..12)) {
        let program = program::generate(&Table::new(&rules)).unwrap();
        if let Some(program) = &program {
            prop_assert!(all_reachable(program));
        }
        for (kind, major, minor, access) in everywhere() {
            let decided = match &program {
                Some(program) => run(program, kind, major, minor, access),
                None => Some(true),
            };
            prop_assert_eq!(decided, Some(evaluate(&rules, kind, major, minor, access)),
                "{:?} {}:{} {}", kind, major, minor, access);
        }
    }

    #[test]
    fn v1_exceptions_do_what_the_rules_say_or_are_refused(rules in proptest::collection::vec(any_rule(), 0..6)) {
        let table = Table::new(&rules);
        if let Ok(exceptions) = v1::exceptions(&table) {
            for request in everywhere() {
                let (kind, major, minor, access) = request;
                prop_assert_eq!(
                    v1_answer(table.allows_by_default(), &exceptions, request),
                    evaluate(&rules, kind, major, minor, access),
                    "{:?} in {:?}", request, exceptions
                );
            }
        }
    }

    #[test]
    fn systemd_is_never_asked_for_less_than_the_rules_allow(rules in proptest::collection::vec(any_rule(), 0..8)) {
        let Policy { policy, allow } = systemd::policy(&Table::new(&rules));
        for (kind, major, minor, access) in everywhere() {
            if policy == "strict" && evaluate(&rules, kind, major, minor, access) {
                let word = if kind == Kind::Char { "char" } else { "block" };
                let names = [format!("/dev/{word}/{major}:{minor}"), format!("{word}-{major}"), format!("{word}-*")];
                let granted = allow.iter().filter(|(name, _)| names.contains(name));
                let granted = granted.fold(0, |bits, (_, letters)| bits | super::access(letters).unwrap());
                prop_assert_eq!(access & !granted, 0);
            }
        }
    }
}

#[test]
fn no_rules_at_all_leave_the_default_devices() {
    let rules = Rules::new(&[]).unwrap();
    assert_eq!(rules, Rules::default());
    let allowed = |major, minor, access| evaluate(&rules.rules, Kind::Char, major, minor, access);
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, 77)] {
        assert!(allowed(major, minor, ALL), "{major}:{minor}");
    }
    assert!(!allowed(1, 1, READ), "memory");
    assert!(!allowed(10, 200, READ), "tun is not a default device");
    assert!(allowed(10, 200, MKNOD));
    assert!(!evaluate(&rules.rules, Kind::Block, 8, 0, READ));
}

#[test]
fn the_program_for_the_usual_rules_is_short() {
    let rules = Rules::new(&[rule(false, "a", None, None, "rwm")]).unwrap();
    let program = program::generate(&rules.table()).unwrap().unwrap();
    assert_eq!(program.len(), 20, "{program:#x?}");
}

#[test]
fn everything_allowed_needs_no_program() {
    let rules = Rules::new(&[rule(false, "a", None, None, "rwm"), rule(true, "a", None, None, "rwm")]).unwrap();
    assert_eq!(program::generate(&rules.table()).unwrap(), None);
    assert_eq!(rules.systemd(), Policy { policy: "auto", allow: Vec::new() });
}

#[test]
fn errors_name_the_field() {
    let message = |bad: DeviceRule| Rules::new(&[rule(true, "c", None, None, "r"), bad]).unwrap_err().to_string();
    assert_eq!(
        message(rule(true, "p", None, None, "r")),
        "linux.resources.devices[1].type: \"p\" is a FIFO, not a device. Remove the rule."
    );
    assert!(message(rule(true, "x", None, None, "r")).starts_with("linux.resources.devices[1].type: unknown \"x\""));
    assert!(message(rule(true, "c", None, None, "")).starts_with("linux.resources.devices[1].access: is empty"));
    assert!(message(rule(true, "c", None, None, "rx")).contains("devices[1].access: unknown letter 'x'"));
    assert!(message(rule(true, "c", Some(-2), None, "r")).contains("devices[1].major: -2 is no device number"));
    assert!(message(rule(true, "c", None, Some(1 << 32), "r")).contains("devices[1].minor"));
}

#[test]
fn unset_members_mean_all() {
    let rules = Rules::new(&[DeviceRule { allow: true, ..DeviceRule::default() }]).unwrap();
    assert!(rules.rules.first().unwrap().is_reset());
}

#[test]
fn systemd_gets_the_rules_in_its_words() {
    let rules = Rules::new(&[rule(true, "b", Some(8), Some(-1), "r"), rule(true, "c", Some(10), Some(229), "rw")]);
    let policy = rules.unwrap().systemd();
    assert_eq!(policy.policy, "strict");
    let has = |name: &str, access: &str| policy.allow.contains(&(name.to_owned(), access.to_owned()));
    assert!(has("block-8", "r") && has("/dev/char/10:229", "rw") && has("char-136", "rwm") && has("char-*", "m"));
}

#[test]
fn what_v1_cannot_say_is_refused() {
    let rules = [rule(true, "c", Some(10), None, "rw"), rule(false, "c", Some(10), Some(200), "rw")];
    let error = v1::exceptions(&Rules::new(&rules).unwrap().table()).unwrap_err().to_string();
    assert_eq!(
        error,
        "linux.resources.devices: cgroup v1 cannot give other rights to devices c 10:200 than to c 10:*. \
         Name the devices one by one."
    );
}

/// A cgroup of this test alone, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    /// `None`, with the reason on standard error, where the hierarchy is not mounted or not ours.
    fn new(mounts: &[&str], marker: &str, name: &str) -> Option<Self> {
        let root = mounts.iter().map(std::path::Path::new).find(|root| root.join(marker).exists());
        let path = root.map(|root| root.join(format!("berth-test-{name}-{}", std::process::id())));
        match path.as_ref().map(std::fs::create_dir) {
            Some(Ok(())) => path.map(Self),
            result => {
                eprintln!("skipped: no cgroup below {mounts:?}: {result:?}");
                None
            }
        }
    }

    /// Whether a process in the cgroup can open this device for reading.
    fn can_read(&self, device: &str) -> bool {
        let script = format!("echo $$ > {}/cgroup.procs && exec 3< {device}", self.0.display());
        let status =
            std::process::Command::new("sh").arg("-c").arg(script).stderr(std::process::Stdio::null()).status();
        status.unwrap().success()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).unwrap();
    }
}

const V2: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

#[test]
fn devices_are_denied_and_allowed_on_v2() {
    let Some(scratch) = Scratch::new(&V2, "cgroup.subtree_control", "devices") else { return };
    let cgroup = File::open(&scratch.0).unwrap();
    assert!(scratch.can_read("/dev/kmsg"));
    match apply_v2(cgroup.as_fd(), &Rules::default()) {
        Err(error) if error.errno() == Some(nix::errno::Errno::EPERM) => return eprintln!("skipped: {error}"),
        result => result.unwrap(),
    }
    assert!(scratch.can_read("/dev/null"));
    assert!(!scratch.can_read("/dev/kmsg"));

    let kmsg = Rules::new(&[rule(true, "c", Some(1), Some(11), "r")]).unwrap();
    for _ in 0..500 {
        apply_v2(cgroup.as_fd(), &kmsg).unwrap();
        apply_v2(cgroup.as_fd(), &Rules::default()).unwrap();
    }
    assert_eq!(bpf::device_programs(cgroup.as_fd()).unwrap().len(), 1);
    apply_v2(cgroup.as_fd(), &kmsg).unwrap();
    assert!(scratch.can_read("/dev/kmsg"));

    let everything = Rules::new(&[rule(true, "a", None, None, "rwm")]).unwrap();
    apply_v2(cgroup.as_fd(), &everything).unwrap();
    assert!(bpf::device_programs(cgroup.as_fd()).unwrap().is_empty());
}

#[test]
fn a_program_that_is_not_ours_stays() {
    let Some(scratch) = Scratch::new(&V2, "cgroup.subtree_control", "foreign") else { return };
    let cgroup = File::open(&scratch.0).unwrap();
    let code = program::generate(&Rules::default().table()).unwrap().unwrap();
    let foreign = match bpf::load_device_program(&code, c"sd_devices", None) {
        Err(error) => return eprintln!("skipped: {error}"),
        Ok(program) => program,
    };
    bpf::attach_device_program(cgroup.as_fd(), foreign.as_fd(), None).unwrap();
    apply_v2(cgroup.as_fd(), &Rules::default()).unwrap();
    apply_v2(cgroup.as_fd(), &Rules::default()).unwrap();
    assert_eq!(bpf::device_programs(cgroup.as_fd()).unwrap().len(), 2);
}

#[test]
fn devices_are_denied_and_allowed_on_v1() {
    let Some(scratch) = Scratch::new(&["/sys/fs/cgroup/devices"], "devices.list", "devices") else { return };
    let list = || std::fs::read_to_string(scratch.0.join("devices.list")).unwrap();
    let first = [rule(false, "a", None, None, "rwm"), rule(true, "c", Some(10), Some(229), "rw")];
    apply_v1(&scratch.0, &Rules::new(&first).unwrap()).unwrap();
    assert!(list().starts_with("c 10:229 rw\nc *:* m\nb *:* m\nc 1:3 rwm\n"), "{}", list());
    assert!(!scratch.can_read("/dev/kmsg"));

    apply_v1(&scratch.0, &Rules::new(&[rule(true, "c", Some(1), Some(11), "r")]).unwrap()).unwrap();
    assert!(list().ends_with("c 1:11 r\n") && !list().contains("10:229"), "{}", list());
    assert!(scratch.can_read("/dev/kmsg") && scratch.can_read("/dev/null"));

    let most = [rule(true, "a", None, None, "rwm"), rule(false, "c", Some(1), Some(11), "r")];
    apply_v1(&scratch.0, &Rules::new(&most).unwrap()).unwrap();
    assert_eq!(list(), "a *:* rwm\n");
    assert!(!scratch.can_read("/dev/kmsg") && scratch.can_read("/dev/null"));
}

#[test]
fn the_verifier_explains_itself() {
    let broken = [Insn { code: 0x95, registers: 0, offset: 0, immediate: 0 }];
    let error = attach::load(&broken).unwrap_err();
    match error.errno() {
        Some(nix::errno::Errno::EPERM) => eprintln!("skipped: {error}"),
        _ => assert!(error.to_string().contains("R0 !read_ok"), "{error}"),
    }
}
