//! `berth features`: what this runtime can do, for engines (features.md).

use super::arguments::Arguments;
use super::{Command, Global};
use crate::bundle::validate::{self, OCI_VERSION};
use crate::error::{During, Result};
use crate::security::{caps, seccomp};
use serde_json::{Value, json};
use std::io::Write;

#[cfg(test)]
pub mod schema;

/// The options of mounts that are not passed on to the file system.
pub const MOUNT_OPTIONS: [&str; 64] = [
    "acl",
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noacl",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

/// `features`
#[derive(Debug, Default)]
pub struct Features {}

impl Arguments for Features {
    const NAME: &'static str = "features";
    const ABOUT: &'static str = "Print what this runtime can do

It is a JSON document as the runtime specification's features.md describes it.";
}

impl Command for Features {
    fn run(self: Box<Self>, _global: &Global) -> Result<u8> {
        writeln!(std::io::stdout(), "{:#}", document()).during(|| "write to standard output")?;
        Ok(0)
    }
}

/// The features as JSON. They say what berth can do, not what this host can, with one exception: `supportedFlags`.
pub fn document() -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": MOUNT_OPTIONS.as_slice(),
        "linux": {
            "namespaces": validate::NAMESPACES,
            "capabilities": caps::names(caps::known()),
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": {
                "enabled": true,
                "actions": validate::seccomp::ACTIONS,
                "operators": validate::seccomp::OPERATORS,
                "archs": seccomp::supported_architectures(),
                "knownFlags": validate::seccomp::FLAGS,
                "supportedFlags": seccomp::supported_flags(),
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "memoryPolicy": {"modes": validate::MEMORY_MODES, "flags": validate::MEMORY_FLAGS},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": false},
        },
        "annotations": {
            "io.github.seccomp.libseccomp.version": seccomp::libseccomp_version(),
            "org.berth.version": env!("CARGO_PKG_VERSION"),
        },
        "potentiallyUnsafeConfigAnnotations": ["org.criu.config", "org.systemd.property."],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_valid_for_the_specification_s_schema() {
        schema::check("features-schema.json", &document()).unwrap();
    }

    #[test]
    fn the_schema_check_can_fail() {
        for (pointer, value) in [
            ("/linux/namespaces/0", json!("net")),
            ("/linux/seccomp/supportedFlags/0", json!("LOG")),
            ("/linux/cgroup/v1", json!("yes")),
            ("/linux/capabilities/0", json!("chown")),
            ("/mountOptions/0", json!(1)),
        ] {
            let mut document = document();
            *document.pointer_mut(pointer).unwrap() = value;
            assert!(schema::check("features-schema.json", &document).is_err(), "{pointer}");
        }
        assert!(schema::check("features-schema.json", &json!({"ociVersionMin": "1.0.0"})).is_err());
    }

    #[test]
    fn engines_find_what_they_look_for() {
        let document = document();
        assert!(MOUNT_OPTIONS.contains(&"rro") && MOUNT_OPTIONS.is_sorted());
        assert_eq!(document["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        assert_eq!(document["ociVersionMax"], "1.3.0");
        let archs = document["linux"]["seccomp"]["archs"].as_array().unwrap();
        assert!(archs.contains(&json!("SCMP_ARCH_X86_64")) && archs.contains(&json!("SCMP_ARCH_AARCH64")));
        assert!(document["annotations"]["io.github.seccomp.libseccomp.version"].as_str().unwrap().starts_with("2."));
    }

    #[test]
    fn the_typed_document_of_others_reads_it() {
        let features: oci_spec::runtime::Features = serde_json::from_value(document()).unwrap();
        assert_eq!(features.oci_version_max(), OCI_VERSION);
        assert_eq!(features.linux().as_ref().unwrap().capabilities().as_ref().unwrap().len(), 41);
    }
}
