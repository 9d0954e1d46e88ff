//! File descriptors that come over a socket.

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

/// A listening socket whose `accept` has a time limit.
pub struct Listener(UnixListener);

impl Listener {
    /// Listens at `path`.
    #[track_caller]
    pub fn bind(path: impl AsRef<std::path::Path>) -> Self {
        let path = path.as_ref();
        let listener = UnixListener::bind(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        Self(listener)
    }

    /// Waits for a connection.
    #[track_caller]
    pub fn accept(&self) -> UnixStream {
        let (stream, _) = super::eventually("a connection to the socket", || self.0.accept().ok());
        stream.set_nonblocking(false).expect("a socket can be made blocking");
        stream.set_read_timeout(Some(super::host::limit())).expect("a socket has a time limit");
        stream
    }
}

/// Receives one message: its bytes and the file descriptors with it.
#[track_caller]
pub fn receive(stream: &UnixStream) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut bytes = vec![0; 64 * 1024];
    let mut space = cmsg_space!([RawFd; 16]);
    let (length, fds) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
            .expect("a message from the socket");
        let mut fds = Vec::new();
        for control in message.cmsgs().expect("control messages that fit") {
            if let ControlMessageOwned::ScmRights(received) = control {
                fds.extend(received);
            }
        }
        (message.bytes, fds)
    };
    bytes.truncate(length);
    #[expect(unsafe_code, reason = "the only way from a received number to an owner")]
    // SAFETY: the kernel has just installed these descriptors for this message; nobody else knows them.
    let fds = fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
    (bytes, fds)
}
