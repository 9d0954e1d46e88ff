//! Who calls berth: root of the host, root of a user namespace, or a user.

use nix::unistd::Uid;
use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

/// Whether berth was called in the machine's first user namespace, whose inode has a fixed number (linux/nsfs.h).
pub fn in_initial_user_namespace() -> bool {
    const USER_NS_INIT_INO: u64 = 0xEFFF_FFFD;
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| nix::sys::stat::stat("/proc/self/ns/user").is_ok_and(|stat| stat.st_ino == USER_NS_INIT_INO))
}

/// The user whom berth works for; it never changes its own id but in processes of containers.
pub fn user() -> Uid {
    static USER: OnceLock<Uid> = OnceLock::new();
    *USER.get_or_init(nix::unistd::geteuid)
}

/// Whether the caller is root with all rights on the host.
pub fn is_root_of_the_host() -> bool {
    user().is_root() && in_initial_user_namespace()
}

/// Whether the caller is a user, with a runtime directory and a systemd of the user's own.
///
/// Rootless engines call from a user namespace in which the user is root: then the session that they pass on tells. Root
/// of a system container, which is in a user namespace too, has none.
pub fn is_a_user() -> bool {
    if !user().is_root() {
        return true;
    }
    // The system is asked last: a root of the host rarely gets that far.
    runtime_directory().is_some()
        && std::env::var_os("USER").as_deref() != Some(OsStr::new("root"))
        && !is_root_of_the_host()
}

/// `XDG_RUNTIME_DIR`, if it is set.
pub fn runtime_directory() -> Option<OsString> {
    std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty())
}
