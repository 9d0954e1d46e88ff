//! `config.json` as the runtime specification 1.3.0 defines it (config.md, config-linux.md).
//!
//! Only what concerns Linux is used; unknown properties are ignored, as the specification asks. `null` means absent.
//! Values are checked by [`super::validate`], not here: here only their types are.

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Makes structures accept JSON objects alone: serde would also take a list of the members' values.
macro_rules! objects {
    ($($name:ident),* $(,)?) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $name::deserialize(ObjectOnly(deserializer))
            }
        }
    )*};
}

struct ObjectOnly<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectOnly<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Reads `null` as the default value.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

objects! {
    Config, Process, ConsoleSize, Rlimit, User, Capabilities, Scheduler, IoPriority, ExecCpuAffinity, Root, Mount, Hooks,
    Hook, Linux, Namespace, IdMapping, TimeOffset, NetDevice, Device, MemoryPolicy, Personality, IntelRdt, Seccomp,
    SeccompSyscall, SeccompArg, Resources, DeviceRule, Memory, Cpu, Pids, BlockIo, WeightDevice, ThrottleDevice,
    HugepageLimit, Network, InterfacePriority, Rdma, Freebsd, Jail,
}

/// The whole configuration of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Config {
    pub oci_version: String,
    pub root: Option<Root>,
    #[serde(default, deserialize_with = "nullable")]
    pub mounts: Vec<Mount>,
    pub process: Option<Process>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub hooks: Hooks,
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nullable")]
    pub linux: Linux,
    pub freebsd: Option<Freebsd>,
}

/// config-freebsd.md: without effect here, but a configuration that is wrong anywhere is wrong here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Freebsd {
    pub jail: Option<Jail>,
}

/// config-freebsd.md "Jail": what the schema restricts to a few words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Jail {
    pub host: Option<Shared>,
    pub vnet: Option<Shared>,
    pub ip4: Option<Sharing>,
    pub ip6: Option<Sharing>,
    pub sysvmsg: Option<Sharing>,
    pub sysvsem: Option<Sharing>,
    pub sysvshm: Option<Sharing>,
}

/// Whether a jail has its own of something or its parent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the specification's words")]
pub enum Shared {
    New,
    Inherit,
}

/// The same, of what a jail can also be without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the specification's words")]
pub enum Sharing {
    New,
    Inherit,
    Disable,
}

/// config.md "Process".
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Process {
    #[serde(default, deserialize_with = "nullable")]
    pub terminal: bool,
    pub console_size: Option<ConsoleSize>,
    #[serde(default, deserialize_with = "nullable")]
    pub cwd: PathBuf,
    #[serde(default, deserialize_with = "nullable")]
    pub env: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub args: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub rlimits: Vec<Rlimit>,
    #[serde(default, deserialize_with = "nullable")]
    pub user: User,
    pub capabilities: Option<Capabilities>,
    #[serde(default, deserialize_with = "nullable")]
    pub no_new_privileges: bool,
    pub apparmor_profile: Option<String>,
    pub oom_score_adj: Option<i32>,
    pub selinux_label: Option<String>,
    pub scheduler: Option<Scheduler>,
    pub io_priority: Option<IoPriority>,
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<ExecCpuAffinity>,
}

/// Size of the terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct ConsoleSize {
    pub height: u16,
    pub width: u16,
}

/// A resource limit, setrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Rlimit {
    #[serde(rename = "type")]
    pub kind: String,
    pub soft: u64,
    pub hard: u64,
}

/// Who the program runs as, in the container's ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct User {
    #[serde(default, deserialize_with = "nullable")]
    pub uid: u32,
    #[serde(default, deserialize_with = "nullable")]
    pub gid: u32,
    pub umask: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    pub additional_gids: Vec<u32>,
}

/// The five capability sets, by name (`CAP_CHOWN`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Capabilities {
    #[serde(default, deserialize_with = "nullable")]
    pub effective: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub bounding: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub inheritable: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub permitted: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub ambient: Vec<String>,
}

/// Scheduling policy, sched_setattr(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Scheduler {
    pub policy: String,
    #[serde(default, deserialize_with = "nullable")]
    pub nice: i32,
    #[serde(default, deserialize_with = "nullable")]
    pub priority: i32,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub runtime: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub deadline: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub period: u64,
}

/// I/O priority, ioprio_set(2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct IoPriority {
    pub class: String,
    #[serde(default, deserialize_with = "nullable")]
    pub priority: i32,
}

/// CPUs of a process that `exec` starts, as lists (`0-3,7`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct ExecCpuAffinity {
    pub initial: Option<String>,
    #[serde(rename = "final")]
    pub last: Option<String>,
}

/// The root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Root {
    pub path: PathBuf,
    #[serde(default, deserialize_with = "nullable")]
    pub readonly: bool,
}

/// config.md "Mounts".
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Mount {
    pub destination: PathBuf,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub source: Option<PathBuf>,
    #[serde(default, deserialize_with = "nullable")]
    pub options: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(default, deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
}

/// config.md "POSIX-platform Hooks".
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Hooks {
    #[serde(default, deserialize_with = "nullable")]
    pub prestart: Vec<Hook>,
    #[serde(default, deserialize_with = "nullable")]
    pub create_runtime: Vec<Hook>,
    #[serde(default, deserialize_with = "nullable")]
    pub create_container: Vec<Hook>,
    #[serde(default, deserialize_with = "nullable")]
    pub start_container: Vec<Hook>,
    #[serde(default, deserialize_with = "nullable")]
    pub poststart: Vec<Hook>,
    #[serde(default, deserialize_with = "nullable")]
    pub poststop: Vec<Hook>,
}

/// A program to run at a point of the lifecycle; `timeout` is in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Hook {
    pub path: PathBuf,
    #[serde(default, deserialize_with = "nullable")]
    pub args: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub env: Vec<String>,
    pub timeout: Option<i64>,
}

/// config-linux.md.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Linux {
    #[serde(default, deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(default, deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
    #[serde(default, deserialize_with = "nullable")]
    pub sysctl: BTreeMap<String, String>,
    pub resources: Option<Resources>,
    pub cgroups_path: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub namespaces: Vec<Namespace>,
    #[serde(default, deserialize_with = "nullable")]
    pub devices: Vec<Device>,
    #[serde(default, deserialize_with = "nullable")]
    pub net_devices: BTreeMap<String, NetDevice>,
    pub seccomp: Option<Seccomp>,
    pub rootfs_propagation: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub masked_paths: Vec<PathBuf>,
    #[serde(default, deserialize_with = "nullable")]
    pub readonly_paths: Vec<PathBuf>,
    pub mount_label: Option<String>,
    pub intel_rdt: Option<IntelRdt>,
    pub personality: Option<Personality>,
    #[serde(default, deserialize_with = "nullable")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
    pub memory_policy: Option<MemoryPolicy>,
}

/// A namespace to make, or to join when it has a path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Namespace {
    #[serde(rename = "type")]
    pub kind: String,
    pub path: Option<PathBuf>,
}

/// A range of ids of a user namespace, user_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct IdMapping {
    #[serde(rename = "containerID")]
    pub container_id: u32,
    #[serde(rename = "hostID")]
    pub host_id: u32,
    pub size: u32,
}

/// Offset of a clock, time_namespaces(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct TimeOffset {
    #[serde(default, deserialize_with = "nullable")]
    pub secs: i64,
    #[serde(default, deserialize_with = "nullable")]
    pub nanosecs: u32,
}

/// A network device to move into the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct NetDevice {
    pub name: Option<String>,
}

/// A device node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Device {
    #[serde(rename = "type")]
    pub kind: String,
    pub path: PathBuf,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    pub file_mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// NUMA memory policy, set_mempolicy(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct MemoryPolicy {
    pub mode: String,
    #[serde(default, deserialize_with = "nullable")]
    pub nodes: String,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
}

/// Execution domain, personality(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Personality {
    pub domain: String,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
}

/// Intel Resource Director Technology.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct IntelRdt {
    #[serde(rename = "closID")]
    pub clos_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub schemata: Vec<String>,
    pub l3_cache_schema: Option<String>,
    pub mem_bw_schema: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub enable_monitoring: bool,
}

/// System call filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Seccomp {
    pub default_action: String,
    pub default_errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    pub architectures: Vec<String>,
    /// Absent means the default flags, an empty list means none.
    pub flags: Option<Vec<String>>,
    pub listener_path: Option<PathBuf>,
    pub listener_metadata: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub syscalls: Vec<SeccompSyscall>,
}

/// One rule of a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct SeccompSyscall {
    pub names: Vec<String>,
    pub action: String,
    pub errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    pub args: Vec<SeccompArg>,
}

/// A condition on an argument of a system call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct SeccompArg {
    pub index: u32,
    pub value: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub value_two: u64,
    pub op: String,
}

/// config-linux.md "Control groups"; what `update` changes too.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Resources {
    #[serde(default, deserialize_with = "nullable")]
    pub devices: Vec<DeviceRule>,
    pub memory: Option<Memory>,
    pub cpu: Option<Cpu>,
    pub pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    pub block_io: Option<BlockIo>,
    #[serde(default, deserialize_with = "nullable")]
    pub hugepage_limits: Vec<HugepageLimit>,
    pub network: Option<Network>,
    #[serde(default, deserialize_with = "nullable")]
    pub rdma: BTreeMap<String, Rdma>,
    #[serde(default, deserialize_with = "nullable")]
    pub unified: BTreeMap<String, String>,
}

/// A rule of the device allow list; −1 or absent numbers match all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct DeviceRule {
    pub allow: bool,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    pub access: Option<String>,
}

/// Memory limits in bytes; −1 means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Memory {
    pub limit: Option<i64>,
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    pub kernel: Option<i64>,
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Option<i64>,
    pub swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller")]
    pub disable_oom_killer: Option<bool>,
    pub use_hierarchy: Option<bool>,
    pub check_before_update: Option<bool>,
}

/// CPU limits; times in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Cpu {
    pub shares: Option<u64>,
    pub quota: Option<i64>,
    pub burst: Option<u64>,
    pub period: Option<u64>,
    pub realtime_runtime: Option<i64>,
    pub realtime_period: Option<u64>,
    pub cpus: Option<String>,
    pub mems: Option<String>,
    pub idle: Option<i64>,
}

/// Number of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Pids {
    pub limit: Option<i64>,
}

/// Block I/O; rates per second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct BlockIo {
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    #[serde(default, deserialize_with = "nullable")]
    pub weight_device: Vec<WeightDevice>,
    #[serde(default, deserialize_with = "nullable")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    #[serde(default, deserialize_with = "nullable")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    #[serde(default, deserialize_with = "nullable", rename = "throttleReadIOPSDevice")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    #[serde(default, deserialize_with = "nullable", rename = "throttleWriteIOPSDevice")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// Weight of a block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct WeightDevice {
    pub major: i64,
    pub minor: i64,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// Rate limit of a block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct ThrottleDevice {
    pub major: i64,
    pub minor: i64,
    pub rate: u64,
}

/// Limit in bytes of huge pages of one size (`2MB`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct HugepageLimit {
    pub page_size: String,
    pub limit: u64,
}

/// net_cls and net_prio of cgroup v1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Network {
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    pub priorities: Vec<InterfacePriority>,
}

/// Priority of a network interface's traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct InterfacePriority {
    pub name: String,
    pub priority: u32,
}

/// Limits of an RDMA device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the members are the specification's, explained there")]
pub struct Rdma {
    pub hca_handles: Option<u32>,
    pub hca_objects: Option<u32>,
}
