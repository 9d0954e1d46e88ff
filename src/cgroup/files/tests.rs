//! Against this host's kernel, as root; each test has a cgroup of its own.

use super::*;
use crate::cgroup::{Driver, Host, Request, oom::Event, plan};
use nix::poll::{PollFd, PollFlags, poll};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A planned cgroup, removed at the end.
struct Scratch {
    files: Files,
    children: Vec<Child>,
}

impl Scratch {
    fn new(resources: &str) -> Option<Self> {
        Self::at(&unique(), resources)
    }

    /// `None`, with a word why, where the kernel cannot be asked.
    fn at(path: &str, resources: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let host = Host::detect().unwrap();
        match plan(&host, &request(path, &serde_json::from_str(resources).unwrap(), &BTreeMap::new())) {
            Ok(plan) => Some(Self { files: Files::planned(plan), children: Vec::new() }),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    fn create(mut self) -> Self {
        self.files.create().unwrap();
        self
    }

    /// Runs a command in the cgroup and gives its pid.
    fn run(&mut self, command: &str) -> Pid {
        let ready = "read line; exec ";
        let mut child =
            Command::new("sh").args(["-c", &format!("{ready}{command}")]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        self.files.enter_all(pid).unwrap();
        drop(child.stdin.take());
        self.children.push(child);
        pid
    }

    fn file(&self, controller: &str, v1: &str, v2: &str) -> String {
        match self.files.paths().get(controller) {
            Some(dir) => tree::value(dir, v1).unwrap(),
            None => tree::value(self.files.v2().unwrap(), v2).unwrap(),
        }
    }

    fn update(&self, resources: &str) -> Result<()> {
        Files::open(&self.files.record).update(&serde_json::from_str(resources).unwrap())
    }

    fn reap(&mut self) {
        for mut child in self.children.drain(..) {
            child.wait().unwrap();
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.files.kill();
        self.reap();
        let parents: Vec<PathBuf> =
            self.files.paths().values().filter_map(|dir| dir.parent()).map(Path::to_owned).collect();
        let _ = self.files.destroy();
        parents.iter().filter(|dir| dir.to_string_lossy().contains("berth-test-")).for_each(|dir| {
            let _ = tree::remove(dir, Duration::from_secs(1));
        });
    }
}

fn request<'a>(path: &'a str, resources: &'a Resources, annotations: &'a BTreeMap<String, String>) -> Request<'a> {
    let driver = Driver::Cgroupfs;
    Request { id: "c1", cgroups_path: Some(path), resources, driver, rootless: false, owner: None, annotations }
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/berth-test-{}-{}/c", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

const MIB: u64 = 1 << 20;

#[test]
fn limits_are_the_kernels_and_partial_updates_keep_the_rest() {
    let resources =
        r#"{"memory":{"limit":67108864},"pids":{"limit":10},"cpu":{"shares":512,"quota":50000,"period":100000}}"#;
    let Some(scratch) = Scratch::new(resources) else { return };
    let mut scratch = scratch.create();
    scratch.run("sleep 60");
    scratch.files.apply_limits().unwrap();
    let memory = |scratch: &Scratch| scratch.file("memory", "memory.limit_in_bytes", "memory.max");
    assert_eq!(memory(&scratch), (64 * MIB).to_string());
    assert_eq!(scratch.file("pids", "pids.max", "pids.max"), "10");
    assert_eq!(
        scratch.file("cpu", "cpu.shares", "cpu.weight"),
        if scratch.files.v1().is_empty() { "59" } else { "512" }
    );

    scratch.update(r#"{"memory":{"limit":134217728}}"#).unwrap();
    assert_eq!(memory(&scratch), (128 * MIB).to_string());
    assert_eq!(scratch.file("pids", "pids.max", "pids.max"), "10");

    scratch.update(r#"{"cpu":{"period":50000}}"#).unwrap();
    assert_eq!(scratch.file("cpu", "cpu.cfs_quota_us", "cpu.max").split(' ').next(), Some("50000"));
}

#[test]
fn memory_and_swap_rise_and_fall_together() {
    let Some(scratch) = Scratch::new(r#"{"memory":{"limit":67108864,"swap":134217728}}"#) else { return };
    let scratch = scratch.create();
    if let Err(error) = scratch.files.apply_limits() {
        return eprintln!("skipped: {error}");
    }
    let v1 = scratch.files.paths().contains_key("memory");
    for (limit, swap) in [(256, 512), (32, 48), (48, 48), (16, 1024)] {
        let (limit, swap) = (limit * MIB, swap * MIB);
        scratch.update(&format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#)).unwrap();
        let expected = if v1 { swap } else { swap - limit };
        assert_eq!(scratch.file("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"), expected.to_string());
    }
    // The limit that is set counts when only swap is given.
    let error = scratch.update(r#"{"memory":{"swap":4096}}"#).unwrap_err().to_string();
    assert!(error.starts_with("linux.resources.memory.swap: 4096 is below memory.limit"), "{error}");
    scratch.update(r#"{"memory":{"swap":33554432}}"#).unwrap();
    scratch.update(r#"{"memory":{"limit":-1}}"#).unwrap();
}

#[test]
fn a_frozen_container_with_frozen_sub_cgroups_is_killed_and_removed() {
    let Some(scratch) = Scratch::new("{}") else { return };
    let mut scratch = scratch.create();
    let first = scratch.run("sleep 60");
    let second = scratch.run("sleep 60");
    for dir in scratch.files.paths().clone().values() {
        let sub = dir.join("sub");
        tree::make(&sub, &mut Vec::new()).unwrap();
        let _ = create::create(Wanted {
            paths: &BTreeMap::from([("cpuset".to_owned(), sub.clone())]),
            layout: &Layout::default(),
            settings: &[],
            empty: false,
        });
        enter(&sub, second).unwrap();
    }
    let mut pids = vec![first, second];
    pids.sort();
    assert_eq!(scratch.files.pids().unwrap(), pids);

    let sub: BTreeMap<String, PathBuf> =
        scratch.files.paths().iter().map(|(name, dir)| (name.clone(), dir.join("sub"))).collect();
    assert!(!scratch.files.is_frozen().unwrap());
    scratch.files.freeze().unwrap();
    Freezer::find(&sub).unwrap().freeze().unwrap();
    assert!(scratch.files.is_frozen().unwrap());

    scratch.files.kill().unwrap();
    scratch.reap();
    scratch.files.destroy().unwrap();
    assert!(!scratch.files.exists());
    scratch.files.destroy().unwrap();
    assert_eq!(scratch.files.pids().unwrap(), []);
}

#[test]
fn thawed_processes_run_again() {
    let Some(scratch) = Scratch::new("{}") else { return };
    let mut scratch = scratch.create();
    scratch.run("sleep 60");
    scratch.files.freeze().unwrap();
    scratch.files.thaw().unwrap();
    assert!(!scratch.files.is_frozen().unwrap());
    scratch.files.kill().unwrap();
    scratch.reap();
}

#[test]
fn a_cgroup_with_processes_is_refused_and_nothing_else_is_made() {
    let path = unique();
    let Some(first) = Scratch::at(&path, "{}") else { return };
    let mut first = first.create();
    first.run("sleep 60");
    let mut second = Files::open(&first.files.record);
    let error = second.create().unwrap_err().to_string();
    assert!(error.contains("container's cgroup is not empty: 1 process(es) found"), "{error}");
    assert!(first.files.exists());

    // Another container's path whose last hierarchy only is occupied: what the attempt made is gone again.
    let mut record = first.files.record.clone();
    let free = record.paths.keys().next().cloned().unwrap();
    if record.paths.len() > 1 {
        let fresh = first.files.paths()[&free].with_file_name("fresh");
        record.paths.insert(free, fresh.clone());
        Files::open(&record).create().unwrap_err();
        assert!(!fresh.exists());
    }
}

#[test]
fn a_frozen_cgroup_is_refused() {
    let path = unique();
    let Some(first) = Scratch::at(&path, "{}") else { return };
    let first = first.create();
    first.files.freeze().unwrap();
    let error = Files::open(&first.files.record).create().unwrap_err().to_string();
    assert!(error.contains("container's cgroup unexpectedly frozen"), "{error}");
    first.files.thaw().unwrap();
    Files::open(&first.files.record).create().unwrap();
}

#[test]
fn the_oom_killer_is_noticed_and_counted() {
    let Some(scratch) = Scratch::new(r#"{"memory":{"limit":8388608}}"#) else { return };
    let mut scratch = scratch.create();
    scratch.files.apply_limits().unwrap();
    let _ = scratch.update(r#"{"memory":{"limit":8388608,"swap":8388608}}"#);
    let mut watch = scratch.files.oom_watch().unwrap();
    assert_eq!(watch.read().unwrap(), Event::Nothing);
    assert_eq!(scratch.files.oom_kills(), Some(0));
    scratch.run("tail /dev/zero");
    let event = loop {
        assert_eq!(poll(&mut [PollFd::new(watch.as_fd(), PollFlags::POLLIN)], 20_000u16), Ok(1), "no event came");
        match watch.read().unwrap() {
            Event::Nothing => {}
            event => break event,
        }
    };
    assert_eq!(event, Event::Oom);
    scratch.reap();
    assert_eq!(scratch.files.oom_kills(), Some(1));
}

#[test]
fn statistics_are_the_kernels() {
    let Some(scratch) = Scratch::new(r#"{"memory":{"limit":67108864},"pids":{"limit":9}}"#) else { return };
    let mut scratch = scratch.create();
    scratch.files.apply_limits().unwrap();
    scratch.run("sh -c 'while :; do :; done'");
    let mut attempts = 1000;
    let stats = loop {
        let stats = scratch.files.stats().unwrap();
        if stats.cpu.usage.total > 0 || attempts == 0 {
            break stats;
        }
        attempts -= 1;
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(stats.cpu.usage.total > 0);
    assert_eq!((stats.pids.current, stats.pids.limit), (1, 9));
    assert_eq!(stats.memory.usage.limit, 64 * MIB);
    assert!(!stats.memory.raw.is_empty());
}

#[test]
fn huge_pages_are_limited_where_the_controller_is() {
    let Some(scratch) = Scratch::new(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#) else { return };
    let scratch = scratch.create();
    scratch.files.apply_limits().unwrap();
    assert_eq!(scratch.file("hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"), "4194304");
    let error = scratch.update(r#"{"hugepageLimits":[{"pageSize":"3MB","limit":1}]}"#).unwrap_err().to_string();
    assert!(
        error.starts_with("linux.resources.hugepageLimits[0]: hugetlb controller") && error.contains("2MB"),
        "{error}"
    );
}

#[test]
fn a_refused_value_is_explained_by_its_field() {
    let Some(scratch) = Scratch::new(r#"{"cpu":{"cpus":"0"}}"#) else { return };
    let scratch = scratch.create();
    scratch.files.apply_limits().unwrap();
    assert_eq!(scratch.files.effective_cpus().as_deref(), Some("0"));
    let error = scratch.update(r#"{"cpu":{"cpus":"5000"}}"#).unwrap_err().to_string();
    assert!(error.starts_with("linux.resources.cpu.cpus: cpuset controller: write \"5000\""), "{error}");
    assert!(error.contains("in the parent cgroup, which has 0"), "{error}");
}

#[test]
fn a_sub_cgroup_must_exist_and_be_below() {
    let Some(scratch) = Scratch::new("{}") else { return };
    let scratch = scratch.create();
    for path in ["../x", "missing", "a/../../b"] {
        assert!(scratch.files.sub(path).is_err(), "{path}");
    }
    assert!(scratch.files.sub("/").unwrap().exists());
}

#[test]
fn the_state_file_is_enough_to_reach_the_cgroup() {
    let Some(scratch) = Scratch::new("{}") else { return };
    let mut scratch = scratch.create();
    let pid = scratch.run("sleep 60");
    let text = serde_json::to_string(&scratch.files.record).unwrap();
    let again = crate::cgroup::open(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(again.pids().unwrap(), [pid]);
    assert_eq!(again.entry().unwrap().is_some(), scratch.files.v2().is_some());
    assert_eq!(again.beside(pid).unwrap().pids().unwrap(), [pid]);
}

/// The parent of a scratch cgroup on a host that has nothing but v2.
fn pure_v2(path: &str) -> Option<PathBuf> {
    let host = Host::detect().unwrap();
    if !host.is_pure_v2() || !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root on a host with cgroup v2 alone");
        return None;
    }
    let parent = host.v2.unwrap().join(path).parent().unwrap().to_owned();
    tree::make(&parent, &mut Vec::new()).unwrap();
    Some(parent)
}

#[test]
fn an_inner_node_with_processes_is_explained() {
    let path = unique();
    let Some(parent) = pure_v2(&path) else { return };
    let mut scratch = Scratch::at(&path, r#"{"memory":{"limit":67108864}}"#).unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    enter(&parent, Pid::from_raw(child.id() as i32)).unwrap();
    let error = scratch.files.create().unwrap_err().to_string();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(error.starts_with("linux.resources.memory.limit: write \"+memory\" to "), "{error}");
    assert!(error.contains("has processes of its own"), "{error}");
    assert!(!scratch.files.exists());
}

#[test]
fn a_threaded_place_takes_what_works_on_threads_and_refuses_the_rest() {
    let path = unique();
    let Some(parent) = pure_v2(&path) else { return };
    let sibling = parent.join("threads");
    tree::make(&sibling, &mut Vec::new()).unwrap();
    tree::write(&sibling, "cgroup.type", "threaded").unwrap();
    let mut scratch = Scratch::at(&path, r#"{"memory":{"limit":67108864}}"#).unwrap();
    let error = scratch.files.create().unwrap_err().to_string();
    assert!(error.contains("memory controller does not work in") && error.contains("domain invalid"), "{error}");

    let scratch = Scratch::at(&path, r#"{"pids":{"limit":5}}"#).unwrap().create();
    scratch.files.apply_limits().unwrap();
    assert_eq!(scratch.file("pids", "", "pids.max"), "5");
    tree::remove(&sibling, Duration::ZERO).unwrap();
}

#[test]
fn a_delegated_cgroup_is_the_containers_without_its_limits() {
    use std::os::unix::fs::MetadataExt;
    let path = unique();
    let Some(_) = pure_v2(&path) else { return };
    let mut scratch = Scratch::at(&path, "{}").unwrap();
    scratch.files.owner = Some((12_345, 54_321));
    let scratch = scratch.create();
    let owner = |file: &str| {
        let stat = std::fs::metadata(scratch.files.v2().unwrap().join(file)).unwrap();
        (stat.uid(), stat.gid())
    };
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        assert_eq!(owner(file), (12_345, 54_321), "{file}");
    }
    assert_eq!((owner("pids.max"), owner("cgroup.freeze")), ((0, 0), (0, 0)));
}

#[test]
fn a_limit_below_the_usage_is_refused_when_asked_to_check() {
    let path = unique();
    let Some(_) = pure_v2(&path) else { return };
    let mut scratch = Scratch::at(&path, "{}").unwrap().create();
    scratch.run("sleep 60");
    while tree::number(scratch.files.v2().unwrap(), "memory.current").unwrap() < 8192 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let error = scratch.update(r#"{"memory":{"limit":4096,"checkBeforeUpdate":true}}"#).unwrap_err().to_string();
    assert!(error.starts_with("linux.resources.memory.limit: 4096 is below the current usage"), "{error}");
    assert_eq!(scratch.file("memory", "", "memory.max"), "max");
}
