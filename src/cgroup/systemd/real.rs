//! With the systemd of a machine that was booted by it: as root with the system's, as anybody else with the user's.

use super::super::{self as cgroup, Driver};
use super::*;
use crate::bundle::config::{Cpu, DeviceRule, Memory, Pids};
use crate::sys::bpf;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::{Child, Command};

const MIB: i64 = 1 << 20;

fn here() -> bool {
    let here = Path::new("/run/systemd/system").is_dir();
    if !here {
        eprintln!("skipped: systemd is not the init system here");
    }
    here
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A container's cgroup with a process in it.
struct Running {
    cgroup: Box<dyn Cgroup>,
    record: cgroup::Record,
    child: Child,
}

fn prepare(id: &str, resources: &Resources) -> (Box<dyn Cgroup>, cgroup::Record) {
    let annotations = BTreeMap::from([("org.systemd.property.RuntimeMaxSec".to_owned(), "600".to_owned())]);
    let host = Host::detect().unwrap();
    let request = Request {
        id,
        cgroups_path: None,
        resources,
        driver: Driver::Systemd,
        rootless: !is_root(),
        owner: None,
        annotations: &annotations,
    };
    let plan = cgroup::plan(&host, &request).unwrap();
    let record = plan.record();
    (cgroup::prepare(plan).unwrap(), record)
}

fn run(id: &str, resources: &Resources) -> Running {
    let (mut cgroup, record) = prepare(id, resources);
    cgroup.create().unwrap();
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    cgroup.enter(Pid::from_raw(i32::try_from(child.id()).unwrap())).unwrap();
    cgroup.apply_limits().unwrap();
    cgroup.apply_devices().unwrap();
    Running { cgroup, record, child }
}

impl Running {
    fn unit(&self) -> &UnitRecord {
        self.record.unit.as_ref().unwrap()
    }

    fn dir(&self) -> &Path {
        &self.record.paths[""]
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir().join(name)).unwrap().trim().to_owned()
    }

    /// systemd's word on a property.
    fn show(&self, property: &str) -> String {
        let mut command = systemctl();
        let output = command.args(["show", "--value", "-p", property, &self.unit().name]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn can_read(&self, device: &str) -> bool {
        let script = format!("echo $$ > {}/cgroup.procs && exec 3< {device}", self.dir().display());
        Command::new("sh").arg("-c").arg(script).status().unwrap().success()
    }

    fn end(mut self) {
        self.cgroup.kill().unwrap();
        self.child.wait().unwrap();
        cgroup::open(&self.record).unwrap().destroy().unwrap();
        assert!(!self.dir().exists());
    }
}

fn systemctl() -> Command {
    let mut command = Command::new("systemctl");
    if !is_root() {
        command.arg("--user");
    }
    command
}

fn limited() -> Resources {
    Resources {
        memory: Some(Memory { limit: Some(64 * MIB), swap: Some(64 * MIB), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(512), quota: Some(33_333), period: Some(100_000), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(20) }),
        unified: BTreeMap::from([("memory.high".to_owned(), (32 * MIB).to_string())]),
        ..Resources::default()
    }
}

#[test]
fn systemd_and_the_files_agree_on_limits() {
    if !here() {
        return;
    }
    let running = run("real-limits", &limited());
    let agree = |running: &Running, limit: i64| {
        assert_eq!(running.file("memory.max"), (limit * MIB).to_string());
        assert_eq!(running.show("MemoryMax"), (limit * MIB).to_string());
        assert_eq!(running.show("MemorySwapMax"), "0");
        assert_eq!(running.show("MemoryHigh"), (32 * MIB).to_string());
        assert_eq!((running.file("pids.max"), running.show("TasksMax")), ("20".into(), "20".into()));
        assert_eq!((running.file("cpu.weight"), running.show("CPUWeight")), ("59".into(), "59".into()));
    };
    assert_eq!(running.show("CPUQuotaPerSecUSec"), "340ms");
    assert_eq!(running.show("RuntimeMaxUSec"), "10min");
    agree(&running, 64);
    // Exact, where systemd knows percents only; a reload, of another test too, rounds it.
    let quota = running.file("cpu.max");
    assert!(quota == "33333 100000" || quota == "34000 100000", "{quota}");
    assert!(systemctl().arg("daemon-reload").status().unwrap().success());
    agree(&running, 64);

    let memory = Memory { limit: Some(48 * MIB), swap: Some(48 * MIB), ..Memory::default() };
    let change = Resources { memory: Some(memory), ..Resources::default() };
    cgroup::open(&running.record).unwrap().update(&change).unwrap();
    agree(&running, 48);
    running.end();
}

#[test]
fn device_rules_survive_a_reload_of_systemd() {
    if !here() {
        return;
    }
    if !is_root() {
        return eprintln!("skipped: only root has device rules");
    }
    let rule = |allow, kind: &str, major, minor, access: &str| DeviceRule {
        allow,
        kind: Some(kind.into()),
        major,
        minor,
        access: Some(access.into()),
    };
    let rules = vec![
        rule(false, "a", None, None, "rwm"),
        rule(true, "c", Some(1), Some(11), "r"),
        rule(true, "c", Some(10), None, "rw"),
        rule(true, "c", Some(99), None, "r"),
    ];
    let running = run("real-devices", &Resources { devices: rules, ..Resources::default() });
    let check = |running: &Running| {
        assert!(running.can_read("/dev/kmsg") && running.can_read("/dev/null"));
        assert!(!running.can_read("/dev/mem") && !running.can_read("/dev/vda"));
        let dir = std::fs::File::open(running.dir()).unwrap();
        // Ours and systemd's.
        assert_eq!(bpf::device_programs(dir.as_fd()).unwrap().len(), 2);
    };
    check(&running);
    eprintln!("DeviceAllow: {}", running.show("DeviceAllow"));
    assert_eq!(running.show("DevicePolicy"), "strict");
    for _ in 0..3 {
        assert!(systemctl().arg("daemon-reload").status().unwrap().success());
        check(&running);
    }
    // systemd alone keeps the rules too: it knows every one of them.
    let dir = std::fs::File::open(running.dir()).unwrap();
    for id in bpf::device_programs(dir.as_fd()).unwrap() {
        let program = bpf::program_by_id(id).unwrap();
        if bpf::program_has_name(program.as_fd(), c"berth_devices").unwrap() {
            bpf::detach_device_program(dir.as_fd(), program.as_fd()).unwrap();
        }
    }
    assert!(running.can_read("/dev/kmsg") && running.can_read("/dev/ptmx") && !running.can_read("/dev/mem"));
    running.cgroup.apply_devices().unwrap();
    check(&running);
    running.end();
}

#[test]
fn a_name_is_free_again_after_the_end() {
    if !here() {
        return;
    }
    for _ in 0..10 {
        let running = run("real-again", &Resources::default());
        assert!(prepare("real-again", &Resources::default()).0.create().is_err());
        let name = running.unit().name.clone();
        running.end();
        let output = systemctl().args(["show", "--value", "-p", "LoadState", &name]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "not-found");
    }
}

#[test]
fn a_refused_unit_leaves_nothing_behind() {
    if !here() {
        return;
    }
    let (mut cgroup, record) = prepare("real-refused", &Resources::default());
    let error = cgroup.enter(Pid::from_raw(i32::MAX)).unwrap_err().to_string();
    assert!(error.starts_with("systemd unit berth-real-refused.scope: "), "{error}");
    assert!(!record.paths[""].exists());
}
