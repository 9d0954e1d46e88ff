//! Kernel parameters: only those of namespaces that the container has.

use super::{has_namespace, no_nul_in, require};
use crate::bundle::config::Config;
use crate::error::{Error, Result};

/// The parameters of an IPC namespace, ipc_namespaces(7), beside those below `fs/mqueue`.
const IPC: [&str; 12] = [
    "kernel/auto_msgmni",
    "kernel/msg_next_id",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/sem_next_id",
    "kernel/shm_next_id",
    "kernel/shm_rmid_forced",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
];

pub(super) fn sysctls(config: &Config) -> Result<()> {
    for (name, value) in &config.linux.sysctl {
        let field = || format!("linux.sysctl[{name:?}]");
        no_nul_in(field, value)?;
        let Some(path) = path(name) else {
            return Err(Error::new("is no name of a kernel parameter")
                .context(field())
                .hint("Write it like \"net.ipv4.ip_forward\"."));
        };
        require!(
            path != "kernel/hostname",
            field(),
            "conflicts with the field hostname",
            "Set the name with \"hostname\"."
        );
        let namespace = if IPC.contains(&path.as_str()) || path.starts_with("fs/mqueue/") {
            "ipc"
        } else if path.starts_with("net/") {
            "network"
        } else if path == "kernel/domainname" {
            "uts"
        } else {
            return Err(Error::new("is not in a separate kernel namespace: it would change the host")
                .context(field())
                .hint("Set it on the host, or remove it."));
        };
        require!(
            has_namespace(config, namespace),
            field(),
            format!("needs a private {namespace} namespace"),
            format!("Add {{\"type\": \"{namespace}\"}} to linux.namespaces.")
        );
    }
    Ok(())
}

/// The file below `/proc/sys` of a parameter in either form, `net.ipv4.ip_forward` or `net/ipv4/ip_forward`.
///
/// As in sysctl.d(5) the first separator decides: after a slash, dots belong to names (`net/ipv4/conf/eth0.1/…`), after
/// a dot, slashes in names stand for dots. `None` when a component is empty, `.` or `..`: nothing leaves `/proc/sys`.
pub fn path(name: &str) -> Option<String> {
    let separator = name.find(['.', '/']).and_then(|index| name.as_bytes().get(index));
    let path = match separator? {
        b'/' => name.to_owned(),
        _ => name
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
    };
    let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    path.split('/').all(sound).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn both_forms_name_the_same_file() {
        assert_eq!(path("net.ipv4.ip_forward").as_deref(), Some("net/ipv4/ip_forward"));
        assert_eq!(path("net/ipv4/ip_forward").as_deref(), Some("net/ipv4/ip_forward"));
    }

    #[test]
    fn the_name_of_an_interface_may_have_a_dot() {
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding").as_deref(), Some("net/ipv4/conf/eth0.1/forwarding"));
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding").as_deref(), Some("net/ipv4/conf/eth0.1/forwarding"));
    }

    #[test]
    fn no_name_leads_out_of_its_tree() {
        for name in ["", "net", "net/../kernel/core_pattern", "net..x", "net/", "/net/x", "net.//.kernel", "net/./x"] {
            assert_eq!(path(name), None, "{name}");
        }
    }
}
