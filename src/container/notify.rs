//! `NOTIFY_SOCKET`: a container that tells systemd when it is ready, sd_notify(3).
//!
//! The container gets a socket of ours, bind-mounted as a directory so that it can be made when the container is
//! started; what it says there is passed on to the socket that the caller named.

use crate::bundle::config::{Config, Mount};
use crate::error::{Context, During, Error, Result};
use crate::sys::fs::open;
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

/// Name of the directory in the container's own.
const DIRECTORY: &str = "notify";
const SOCKET: &str = "notify.sock";
/// Where the container sees it, as with runc.
const INSIDE: &str = "/run/notify";

/// Adds the mount and the variable to a configuration when the caller has a socket.
pub fn add_to(config: &mut Config, container: &Path) {
    if socket_of_caller().is_none() {
        return;
    }
    let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(String::from).to_vec();
    config.mounts.push(Mount {
        destination: INSIDE.into(),
        kind: Some("bind".into()),
        source: Some(container.join(DIRECTORY)),
        options,
        ..Mount::default()
    });
    if let Some(process) = &mut config.process {
        process.env.retain(|entry| !entry.starts_with("NOTIFY_SOCKET="));
        process.env.push(format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}"));
    }
}

/// Makes the directory for the socket, if one is wanted.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(container: &Path) -> Result<()> {
    if socket_of_caller().is_none() {
        return Ok(());
    }
    let path = container.join(DIRECTORY);
    let make = || {
        std::fs::create_dir(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
    };
    make().during(|| format!("mkdir {}", path.display()))
}

/// Whether the caller wants to be told.
pub fn socket_of_caller() -> Option<PathBuf> {
    std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The container's socket, and where its messages go.
#[derive(Debug)]
pub struct NotifySocket {
    inside: UnixDatagram,
    caller: PathBuf,
}

impl NotifySocket {
    /// Makes the socket in the directory of a container that has a place for it, if the caller wants to be told.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn of(container: &Path) -> Result<Option<Self>> {
        let directory = container.join(DIRECTORY);
        let Some(caller) = socket_of_caller().filter(|_| directory.exists()) else { return Ok(None) };
        let name = || directory.join(SOCKET).display().to_string();
        // An address has 107 bytes: the path of a directory may be longer than that.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let place = open(&directory, flags).during(|| "open").context(name)?;
        let path = format!("/proc/self/fd/{}/{SOCKET}", place.as_raw_fd());
        let inside = UnixDatagram::bind(&path).during(|| "bind").context(name)?;
        // The container's user need not be root.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).during(|| "chmod").context(name)?;
        Ok(Some(Self { inside, caller }))
    }

    /// Passes messages on until the container says that it is ready, or ends.
    ///
    /// # Errors
    /// When the caller's socket is gone.
    pub fn forward(&self, init: &OwnedFd, pid: i32) -> Result<()> {
        let name = || format!("NOTIFY_SOCKET {}", self.caller.display());
        let address = address(&self.caller).during(|| "address").context(name)?;
        let outside = UnixDatagram::unbound().during(|| "socket")?;
        let send = |text: &[u8]| outside.send_to_addr(text, &address).map(drop).during(|| "send").context(name);
        let mut buffer = [0; 4096];
        loop {
            let mut fds =
                [PollFd::new(self.inside.as_fd(), PollFlags::POLLIN), PollFd::new(init.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::sys("poll", errno)),
            }
            if !fds[0].any().unwrap_or(false) {
                match fds[1].any() {
                    Some(true) => return Ok(()),
                    _ => continue,
                }
            }
            let count = self.inside.recv(&mut buffer).during(|| "receive")?;
            // Only readiness concerns the caller, and only the runtime knows the pid outside.
            if buffer[..count].split(|&byte| byte == b'\n').any(|line| line == b"READY=1") {
                send(format!("MAINPID={pid}\n").as_bytes())?;
                return send(b"READY=1\n");
            }
        }
    }
}

fn address(path: &Path) -> std::io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}

/// `LISTEN_FDS`: the sockets that systemd gives to the caller pass through to the container, sd_listen_fds(3). Returns
/// how many fds are to be preserved.
///
/// # Errors
/// When one of them is not open.
pub fn pass_listen_fds(process: &mut crate::bundle::config::Process, preserve: u32) -> Result<u32> {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let total = preserve.saturating_add(count);
    for number in 3..total.saturating_add(3).min(1 << 16) {
        if !process::is_open(number as i32) {
            let error = Error::new(format!("fd {number} is not open"));
            return Err(error.context(if number - 3 < preserve { "--preserve-fds" } else { "LISTEN_FDS" }));
        }
    }
    if count > 0 {
        process.env.push(format!("LISTEN_FDS={count}"));
        process.env.push("LISTEN_PID=1".into());
    }
    Ok(total)
}
