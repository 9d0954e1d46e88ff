//! Where a bus listens.

use crate::error::{During, Error, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The socket of a bus, or of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    name: OsString,
    is_abstract: bool,
    /// Whether systemd itself listens there.
    pub direct: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_abstract { "@" } else { "" };
        write!(out, "{mark}{}", self.name.to_string_lossy().escape_debug())
    }
}

impl Address {
    pub fn path(path: impl AsRef<OsStr>, direct: bool) -> Self {
        Self { name: path.as_ref().to_owned(), is_abstract: false, direct }
    }

    /// Connects without blocking; a listener whose queue is full may take until the deadline.
    pub fn connect(&self, until: Instant) -> Result<UnixStream> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).during(|| "socket")?;
        let address = match self.is_abstract {
            true => UnixAddr::new_abstract(self.name.as_bytes()),
            false => UnixAddr::new(Path::new(&self.name)),
        };
        let address = address.during(|| "the socket's name")?;
        loop {
            match connect(fd.as_raw_fd(), &address) {
                Ok(()) => return Ok(UnixStream::from(fd)),
                Err(Errno::EAGAIN) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::sys("connect", errno)),
            }
        }
    }
}

/// The sockets to try, in order.
pub(super) fn candidates(user: bool) -> Vec<Address> {
    let root = nix::unistd::geteuid().is_root();
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if user {
        let run = variable("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{}", nix::unistd::geteuid()).into());
        user_candidates(variable("DBUS_SESSION_BUS_ADDRESS").as_deref(), Path::new(&run))
    } else {
        system_candidates(variable("DBUS_SYSTEM_BUS_ADDRESS").as_deref(), root)
    }
}

fn user_candidates(bus: Option<&OsStr>, run: &Path) -> Vec<Address> {
    let mut list = bus.map(parse).unwrap_or_default();
    let default = Address::path(run.join("bus"), false);
    if !list.contains(&default) {
        list.push(default);
    }
    list.push(Address::path(run.join("systemd/private"), true));
    list
}

fn system_candidates(bus: Option<&OsStr>, root: bool) -> Vec<Address> {
    let mut list = bus.map_or_else(|| vec![Address::path("/run/dbus/system_bus_socket", false)], parse);
    if root {
        list.push(Address::path("/run/systemd/private", true));
    }
    list
}

/// The Unix sockets of a list such as `unix:path=/run/a,guid=1;unix:abstract=b`.
fn parse(list: &OsStr) -> Vec<Address> {
    let entry = |entry: &[u8]| {
        let pairs = entry.strip_prefix(b"unix:")?;
        pairs.split(|byte| *byte == b',').find_map(|pair| {
            let address = |value, is_abstract| Some(Address { name: decode(value)?, is_abstract, direct: false });
            match (pair.strip_prefix(b"path="), pair.strip_prefix(b"abstract=")) {
                (Some(path), _) => address(path, false),
                (_, Some(name)) => address(name, true),
                _ => None,
            }
        })
    };
    list.as_bytes().split(|byte| *byte == b';').filter_map(entry).collect()
}

/// Replaces `%2f` and the like.
fn decode(value: &[u8]) -> Option<OsString> {
    let mut decoded = Vec::new();
    let mut rest = value;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        decoded.push(match byte {
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            byte => *byte,
        });
    }
    Some(OsString::from_vec(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_forms_are_found() {
        let list = parse(OsStr::new("tcp:host=a;unix:guid=1,path=/a%20b;unix:abstract=c;unix:path=%"));
        let names = list.iter().map(Address::to_string).collect::<Vec<_>>();
        assert_eq!(names, ["/a b", "@c"]);
    }

    #[test]
    fn systemd_itself_is_asked_only_after_the_bus_and_by_those_who_may() {
        let names = |list: Vec<Address>| list.iter().map(Address::to_string).collect::<Vec<_>>();
        assert_eq!(names(system_candidates(None, false)), ["/run/dbus/system_bus_socket"]);
        assert_eq!(names(system_candidates(Some(OsStr::new("unix:path=/x")), true)), ["/x", "/run/systemd/private"]);
        let run = Path::new("/run/user/7");
        assert_eq!(
            names(user_candidates(Some(OsStr::new("unix:path=/run/user/7/bus")), run)),
            ["/run/user/7/bus", "/run/user/7/systemd/private"]
        );
    }
}
