//! `berth spec`: a `config.json` to start from, which runs as it is.

use super::arguments::{Argument, Arguments};
use super::{Command, Global};
use crate::bundle::validate::OCI_VERSION;
use crate::cgroup::host;
use crate::error::{During, Error, Result};
use nix::unistd::{getegid, geteuid};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// `spec`
#[derive(Debug, Default)]
pub struct Spec {
    bundle: PathBuf,
    rootless: bool,
}

impl Arguments for Spec {
    const NAME: &'static str = "spec";
    const ABOUT: &'static str = "Write a config.json to begin with

The container that it describes runs a shell in a terminal, in the directory \"rootfs\" of the bundle. \
Change process.args for another program, and process.terminal to false for one without a terminal.";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::default("-b, --bundle <DIR>", ".", |it| &mut it.bundle, "Directory to put config.json into"),
        Argument::option(
            "--rootless",
            |it| &mut it.rootless,
            "Describe a container for a user without privileges: with a user namespace, without limits",
        ),
    ];
}

impl Command for Spec {
    fn run(self: Box<Self>, _global: &Global) -> Result<u8> {
        self.write()?;
        Ok(0)
    }
}

impl Spec {
    /// Writes `config.json`.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    fn write(&self) -> Result<()> {
        let mut document = default(host::is_unified().unwrap_or(false));
        if self.rootless {
            make_rootless(&mut document, geteuid().as_raw(), getegid().as_raw());
        }
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
        document.serialize(&mut serializer).map_err(|error| Error::new(error.to_string()))?;
        text.push(b'\n');

        let path = self.bundle.join("config.json");
        let mut file =
            File::options().write(true).create_new(true).open(&path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => Error::new("File config.json exists. Remove it first"),
                _ => Error::io(format!("create {}", path.display()), &error),
            })?;
        file.write_all(&text).during(|| format!("write {}", path.display()))
    }
}

/// runc's defaults. On a pure v2 host a container sees its own cgroup as the root.
fn default(cgroup_namespace: bool) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mut namespaces = vec!["pid", "network", "ipc", "uts", "mount"];
    if cgroup_namespace {
        namespaces.push("cgroup");
    }
    let namespaces: Vec<_> = namespaces.into_iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "berth",
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    let mut mount = json!({"destination": destination, "type": kind, "source": source});
    if let (Some(mount), false) = (mount.as_object_mut(), options.is_empty()) {
        mount.insert("options".to_owned(), json!(options));
    }
    mount
}

/// What a user may do: map the own ids to root, keep the host's network, and bind its /sys, because a new one needs a
/// network namespace of one's own; no devpts for a group that is not mapped; no limits, which need delegated cgroups.
fn make_rootless(document: &mut Value, uid: u32, gid: u32) {
    let linux = document.get_mut("linux").and_then(Value::as_object_mut);
    if let Some(linux) = linux {
        linux.remove("resources");
        let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
        linux.insert("uidMappings".to_owned(), map(uid));
        linux.insert("gidMappings".to_owned(), map(gid));
        if let Some(namespaces) = linux.get_mut("namespaces").and_then(Value::as_array_mut) {
            namespaces.retain(|namespace| namespace != &json!({"type": "network"}));
            namespaces.push(json!({"type": "user"}));
        }
    }
    let mounts = document.get_mut("mounts").and_then(Value::as_array_mut);
    for entry in mounts.into_iter().flatten() {
        match entry.get("destination").and_then(Value::as_str) {
            Some("/sys") => *entry = mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]),
            Some("/dev/pts") => {
                if let Some(options) = entry.get_mut("options").and_then(Value::as_array_mut) {
                    options.retain(|option| option != "gid=5");
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::config::Config;
    use crate::bundle::{Bundle, validate};
    use crate::cli::features::schema;
    use std::fs;

    fn spec(bundle: &std::path::Path, rootless: bool) -> Result<()> {
        Spec { bundle: bundle.to_owned(), rootless }.write()
    }

    #[test]
    fn the_file_is_a_bundle_s_configuration() {
        for rootless in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            spec(dir.path(), rootless).unwrap();
            let bundle = Bundle::load(dir.path(), "config.json").unwrap();
            let process = validate::runnable(&bundle.config).unwrap();
            assert!(process.terminal && process.args == ["sh"]);
            assert!(bundle.raw.starts_with(b"{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n"));
        }
    }

    #[test]
    fn both_forms_are_valid_for_the_specification_s_schema() {
        for namespace in [false, true] {
            let mut document = default(namespace);
            schema::check("config-schema.json", &document).unwrap();
            make_rootless(&mut document, 1000, 1000);
            schema::check("config-schema.json", &document).unwrap();
        }
    }

    #[test]
    fn a_rootless_container_maps_the_caller_and_limits_nothing() {
        let mut document = default(false);
        make_rootless(&mut document, 1000, 1001);
        let config: Config = serde_json::from_value(document).unwrap();
        let ids = (config.linux.uid_mappings[0].host_id, config.linux.gid_mappings[0].host_id);
        assert_eq!((ids, config.linux.resources), ((1000, 1001), None));
        let kinds: Vec<_> = config.linux.namespaces.iter().map(|namespace| namespace.kind.as_str()).collect();
        assert_eq!(kinds, ["pid", "ipc", "uts", "mount", "user"]);
        let sys = config.mounts.iter().find(|mount| mount.destination.as_os_str() == "/sys").unwrap();
        assert!(sys.options.contains(&"rbind".to_owned()));
        assert!(!config.mounts.iter().any(|mount| mount.options.contains(&"gid=5".to_owned())));
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), "mine").unwrap();
        assert_eq!(spec(dir.path(), false).unwrap_err().to_string(), "File config.json exists. Remove it first");
        assert_eq!(fs::read(dir.path().join("config.json")).unwrap(), b"mine");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let message = spec("/nonexistent/bundle".as_ref(), false).unwrap_err().to_string();
        assert!(message.contains("/nonexistent/bundle/config.json: no such file or directory"), "{message}");
    }
}
