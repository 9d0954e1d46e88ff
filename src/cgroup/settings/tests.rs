use super::*;
use proptest::prelude::*;

const V1: [&str; 6] = ["cpu", "cpuset", "memory", "pids", "blkio", "devices"];
const V2: [&str; 7] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma"];

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn v1() -> Layout {
    Layout { v1: set(&V1), ..Layout::default() }
}

fn v2() -> Layout {
    Layout { v2: Some(set(&V2)), ..Layout::default() }
}

fn hybrid() -> Layout {
    Layout { v1: set(&V1), v2: Some(set(&["hugetlb"])), ..Layout::default() }
}

/// `file=value`, in order.
fn written(layout: &Layout, resources: &str) -> Vec<String> {
    let settings = settings(layout, &serde_json::from_str(resources).unwrap()).unwrap();
    settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
}

fn refused(layout: &Layout, resources: &str) -> String {
    settings(layout, &serde_json::from_str(resources).unwrap()).unwrap_err().to_string()
}

#[test]
fn what_engines_send_for_no_limits_is_no_setting() {
    let resources = r#"{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":0,"swap":0,"reservation":0,"kernel":0,
        "kernelTCP":0,"disableOOMKiller":false},"cpu":{"shares":0,"quota":0,"period":0,"realtimePeriod":0,
        "realtimeRuntime":0,"cpus":"","mems":""},"pids":null,"blockIO":{"weight":0,"leafWeight":0},"hugepageLimits":null,
        "network":{"classID":0,"priorities":null}}"#;
    for layout in [v1(), v2(), hybrid(), Layout::default()] {
        assert_eq!(written(&layout, resources), [""; 0]);
    }
}

#[test]
fn one_configuration_speaks_to_both_versions() {
    let resources = r#"{"memory":{"limit":1000,"swap":3000,"reservation":-1},"pids":{"limit":-1},
        "cpu":{"shares":1024,"quota":20000,"period":50000,"burst":10000,"cpus":"0-1","mems":"0"},
        "blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
                   "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":0}]}}"#;
    assert_eq!(
        written(&v1(), resources),
        [
            "cpu.shares=1024",
            "cpu.cfs_period_us=50000",
            "cpu.cfs_quota_us=20000",
            "cpu.cfs_burst_us=10000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "memory.limit_in_bytes=1000",
            "memory.memsw.limit_in_bytes=3000",
            "memory.soft_limit_in_bytes=-1",
            "pids.max=max",
            "blkio.weight=10",
            "blkio.throttle.read_bps_device=8:0 600",
            "blkio.throttle.write_iops_device=8:0 0",
        ]
    );
    assert_eq!(
        written(&v2(), resources),
        [
            "cpu.weight=100",
            "cpu.max=20000 50000",
            "cpu.max.burst=10000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "memory.max=1000",
            "memory.swap.max=2000",
            "memory.low=max",
            "pids.max=max",
            "io.bfq.weight=10",
            "io.max=8:0 rbps=600",
            "io.max=8:0 wiops=max",
        ]
    );
}

#[test]
fn a_limit_of_no_tasks_is_a_limit() {
    assert_eq!(written(&v2(), r#"{"pids":{"limit":0}}"#), ["pids.max=0"]);
}

#[test]
fn an_idle_cgroup_gets_no_shares() {
    assert_eq!(written(&v2(), r#"{"cpu":{"idle":1,"shares":512}}"#), ["cpu.idle=1"]);
    assert_eq!(written(&v1(), r#"{"cpu":{"idle":0,"shares":512}}"#), ["cpu.idle=0", "cpu.shares=512"]);
}

#[test]
fn a_hybrid_host_limits_huge_pages_on_its_v2_side() {
    let resources = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4}],"unified":{"hugetlb.1GB.max":"0"}}"#;
    assert_eq!(written(&hybrid(), resources), ["hugetlb.2MB.max=4", "hugetlb.2MB.rsvd.max=4", "hugetlb.1GB.max=0"]);
}

#[test]
fn what_test_machines_rarely_have_is_written_in_the_kernels_words() {
    let rdma = r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"mlx4_0":{"hcaObjects":0}}}"#;
    let network =
        r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5},{"name":"lo","priority":0}]}}"#;
    let rare = Layout { v1: set(&["net_cls", "net_prio", "rdma"]), ..Layout::default() };
    for layout in [&rare, &v2()] {
        assert_eq!(
            written(layout, rdma),
            ["rdma.max=mlx4_0 hca_object=0", "rdma.max=mlx5_1 hca_handle=3 hca_object=10000"]
        );
    }
    let packets = ["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5", "net_prio.ifpriomap=lo 0"];
    assert_eq!(written(&rare, network), packets);
    // A hybrid host has them on v1 beside whatever is on v2.
    assert_eq!(written(&Layout { v2: Some(set(&V2)), ..rare }, network), packets);
}

#[test]
fn unified_has_the_last_word_and_takes_several_lines() {
    let resources = r#"{"pids":{"limit":5},"unified":{"pids.max":"7","io.max":"8:0 rbps=1\n8:16 rbps=2\n",
        "cgroup.max.depth":"1"}}"#;
    assert_eq!(
        written(&v2(), resources),
        ["pids.max=5", "cgroup.max.depth=1", "io.max=8:0 rbps=1", "io.max=8:16 rbps=2", "pids.max=7"]
    );
}

#[test]
fn what_cannot_be_applied_names_its_field() {
    let cases = [
        (v1(), r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#, "hugepageLimits[0]: the hugetlb controller"),
        (v2(), r#"{"network":{"classID":1}}"#, "network.classID: the net_cls controller"),
        (v2(), r#"{"memory":{"swappiness":60}}"#, "memory.swappiness: cgroup v2"),
        (v1(), r#"{"memory":{"swappiness":101}}"#, "memory.swappiness: 101"),
        (v2(), r#"{"memory":{"disableOOMKiller":true}}"#, "memory.disableOOMKiller: "),
        (v2(), r#"{"memory":{"limit":10,"swap":5}}"#, "memory.swap: 5 is below"),
        (v1(), r#"{"memory":{"limit":-2}}"#, "memory.limit: -2"),
        (v2(), r#"{"cpu":{"realtimeRuntime":1000}}"#, "cpu.realtimeRuntime: cgroup v2"),
        (v2(), r#"{"cpu":{"quota":999}}"#, "cpu.quota: 999 µs is below"),
        (v1(), r#"{"cpu":{"period":2000000}}"#, "cpu.period: 2000000"),
        (v2(), r#"{"cpu":{"quota":5000,"burst":6000}}"#, "cpu.burst: 6000"),
        (v1(), r#"{"cpu":{"shares":1}}"#, "cpu.shares: 1 "),
        (v2(), r#"{"blockIO":{"weight":5}}"#, "blockIO.weight: 5 "),
        (v2(), r#"{"blockIO":{"leafWeight":50}}"#, "blockIO.leafWeight: needs the CFQ"),
        (v2(), r#"{"unified":{"../x":"1"}}"#, "unified.../x: is no file"),
        (v2(), r#"{"unified":{"misc.max":"1"}}"#, "unified.misc.max: the misc controller"),
        (hybrid(), r#"{"unified":{"memory.high":"1"}}"#, "unified.memory.high: the memory controller is mounted as"),
        (Layout::default(), r#"{"pids":{"limit":1}}"#, "pids.limit: the pids controller"),
    ];
    for (layout, resources, expected) in cases {
        let error = refused(&layout, resources);
        assert!(error.starts_with(&format!("linux.resources.{expected}")), "{error}");
    }
}

#[test]
fn missing_rights_are_told_from_missing_controllers() {
    let layout = Layout { denied: set(&["memory"]), ..Layout::default() };
    assert!(refused(&layout, r#"{"memory":{"limit":1}}"#).contains("no rights to the memory controller"));
}

proptest! {
    #[test]
    fn v1_swap_is_written_after_its_limit_and_never_below(limit in any::<Option<i64>>(), swap in any::<Option<i64>>()) {
        let memory = serde_json::json!({"memory": {"limit": limit, "swap": swap}}).to_string();
        let resources: Resources = serde_json::from_str(&memory).unwrap();
        let Ok(settings) = settings(&v1(), &resources) else { return Ok(()) };
        let value = |file: &str| settings.iter().find(|setting| setting.file == file).map(|setting| setting.value.clone());
        let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
        let (limit, swap) = (number(value("memory.limit_in_bytes")), number(value("memory.memsw.limit_in_bytes")));
        if let (Some(limit), Some(swap)) = (limit, swap) {
            prop_assert!(swap == -1 || (limit >= 0 && limit <= swap));
        }
        prop_assert!(!(limit == Some(-1) && swap.is_none()));
    }
}
