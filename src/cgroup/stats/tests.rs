use super::*;

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
    dir
}

fn read_as(controllers: &[&str], dir: &tempfile::TempDir) -> serde_json::Value {
    let paths = controllers.iter().map(|name| ((*name).to_owned(), dir.path().to_owned())).collect();
    serde_json::to_value(read(&paths)).unwrap()
}

#[test]
fn nothing_readable_still_has_the_shape_that_engines_parse() {
    let stats = read_as(&[], &dir(&[]));
    assert_eq!(stats["cpu"], serde_json::json!({"usage": {"kernel": 0, "user": 0}, "throttling": {}}));
    assert_eq!(stats["memory"]["usage"], serde_json::json!({"limit": 0, "failcnt": 0}));
    assert_eq!(stats["network_interfaces"], serde_json::Value::Null);
    assert_eq!((&stats["pids"], &stats["hugetlb"]), (&serde_json::json!({}), &serde_json::json!({})));
}

#[test]
fn v2_is_told_in_the_words_of_v1() {
    let dir = dir(&[
        ("cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 3\nnr_throttled 2\nthrottled_usec 7\n"),
        ("memory.current", "4096\n"),
        ("memory.max", "8192\n"),
        ("memory.peak", "5000\n"),
        ("memory.stat", "anon 1\nfile 2\n"),
        ("memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n"),
        ("memory.swap.current", "100\n"),
        ("memory.swap.max", "max\n"),
        ("pids.current", "3\n"),
        ("pids.max", "max\n"),
        ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"),
        (
            "memory.pressure",
            "some avg10=1.50 avg60=0.00 avg300=0.25 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
        ),
        ("hugetlb.2MB.current", "0\n"),
        ("hugetlb.2MB.rsvd.current", "2097152\n"),
        ("hugetlb.2MB.events", "max 4\n"),
    ]);
    let stats = read_as(&[""], &dir);
    assert_eq!(stats["cpu"]["usage"], serde_json::json!({"total": 30_000, "kernel": 10_000, "user": 20_000}));
    assert_eq!(stats["cpu"]["throttling"]["throttledTime"], 7_000);
    assert_eq!(stats["memory"]["usage"], serde_json::json!({"limit": 8192, "usage": 4096, "max": 5000, "failcnt": 9}));
    assert_eq!(stats["memory"]["swap"]["usage"], 4196);
    assert_eq!(stats["memory"]["swap"]["limit"], u64::MAX);
    assert_eq!(stats["memory"]["cache"], 2);
    assert_eq!(stats["memory"]["psi"]["some"]["avg10"], 1.5);
    assert_eq!(stats["memory"]["psi"]["full"]["total"], 5);
    assert_eq!(stats["pids"], serde_json::json!({"current": 3}));
    assert_eq!(stats["blkio"]["ioServicedRecursive"][1], serde_json::json!({"major": 8, "op": "Write", "value": 4}));
    assert_eq!(stats["hugetlb"]["2MB"], serde_json::json!({"usage": 2_097_152, "failcnt": 4}));
}

#[test]
fn v1_counts_per_cpu_and_both_kinds_of_kernel_memory() {
    let dir = dir(&[
        ("cpuacct.usage", "100\n"),
        ("cpuacct.usage_percpu", "60 40 \n"),
        ("cpuacct.stat", "user 2\nsystem 3\n"),
        ("cpuset.cpus", "0-1,3\n"),
        ("cpuset.sched_relax_domain_level", "-1\n"),
        ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
        ("memory.kmem.tcp.usage_in_bytes", "5\n"),
        ("blkio.throttle.io_service_bytes_recursive", "8:16 Read 10\n8:16 Total 10\nTotal 10\n"),
    ]);
    let stats = read_as(&["cpu", "cpuacct", "cpuset", "memory", "blkio"], &dir);
    assert_eq!(
        stats["cpu"]["usage"],
        serde_json::json!({"total": 100, "percpu": [60, 40], "kernel": 30_000_000, "user": 20_000_000})
    );
    assert_eq!(stats["cpuset"]["cpus"], serde_json::json!([0, 1, 3]));
    assert_eq!(stats["cpuset"]["sched_relax_domain_level"], -1);
    assert_eq!(stats["memory"]["swap"]["limit"], 9_223_372_036_854_771_712u64);
    assert_eq!(stats["memory"]["kernelTCP"]["usage"], 5);
    assert_eq!(stats["blkio"]["ioServiceBytesRecursive"].as_array().unwrap().len(), 2);
}

#[test]
fn lists_of_cpus_are_counted_out() {
    assert_eq!(v1::numbers("0-2,5"), [0, 1, 2, 5]);
    assert_eq!(v1::numbers(""), [0u16; 0]);
}

#[test]
fn damaged_pressure_is_no_pressure() {
    assert_eq!(v2::parse_psi("some avg10=x total=1\n"), None);
    assert_eq!(v1::parse_blkio("garbage\n8:x Read 1\n"), []);
    assert_eq!(v2::parse_io("a:b rbytes=1\n").0, []);
}
