//! The one conversation between berth and the process that becomes the container.
//!
//! A pair of sequenced-packet sockets: a message is whole or absent, file descriptors travel with it, and the death of
//! either side ends every wait of the other.

use crate::error::{During, Error, Result};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg, sendmsg,
    setsockopt, socket, socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What one side tells the other.
#[derive(Debug)]
pub enum Message {
    /// To init: what you waited for is done. Carries what init needs next, empty but for the last one.
    Proceed(Vec<u8>),
    /// To init: its network namespace.
    Network(OwnedFd),
    /// From an intermediate process: the pid of init.
    Born(i32),
    /// From init: the container is there but not yet entered; time for the hooks of the runtime's namespaces.
    BeforePivot,
    /// From init: the other end of its terminal.
    Terminal(OwnedFd),
    /// From init: all that can fail before the program's start has been done.
    Ready,
    /// From init: it gives up.
    Failed(Error),
}

/// One end of the conversation.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    /// What init said before the intermediate process told its pid.
    early: RefCell<VecDeque<Message>>,
    /// The packets so far of a message whose last one has not come yet.
    partial: RefCell<Vec<u8>>,
}

/// Largest packet in bytes; a longer message travels in several.
const LARGEST: usize = 4 << 10;
/// Tag of [`Message::Born`].
const BORN: u8 = 1;
/// Tag of a packet that the next one continues.
const MORE: u8 = 255;

impl Channel {
    /// Both ends, close-on-exec.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn pair() -> Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .during(|| "socketpair")?;
        Ok((Self::new(one), Self::new(other)))
    }

    fn new(socket: OwnedFd) -> Self {
        Self { socket, early: RefCell::default(), partial: RefCell::default() }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send(&self, message: &Message) -> Result<()> {
        let (tag, payload, fd): (u8, Vec<u8>, Option<BorrowedFd>) = match message {
            Message::Proceed(payload) => (0, payload.clone(), None),
            Message::Born(pid) => (BORN, pid.to_le_bytes().to_vec(), None),
            Message::BeforePivot => (2, Vec::new(), None),
            Message::Terminal(fd) => (3, Vec::new(), Some(fd.as_fd())),
            Message::Ready => (4, Vec::new(), None),
            Message::Failed(error) => (5, error.encode(), None),
            Message::Network(fd) => (6, Vec::new(), Some(fd.as_fd())),
        };
        let send = |tag: u8, part: &[u8], fds: &[BorrowedFd]| {
            send_with_fds(self.socket.as_fd(), &[&[tag], part], fds).during(|| "send to the other side of create")
        };
        let mut rest = payload.as_slice();
        while let Some((part, tail)) = rest.split_at_checked(LARGEST - 1).filter(|(_, tail)| !tail.is_empty()) {
            send(MORE, part, &[])?;
            rest = tail;
        }
        send(tag, rest, fd.as_slice())
    }

    /// Waits for a message; `None` when the other side is gone.
    ///
    /// # Errors
    /// For a message that the other side would not send.
    pub fn receive(&self) -> Result<Option<Message>> {
        match self.early.borrow_mut().pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.take(MsgFlags::empty()),
        }
    }

    /// A message that has come already; `None` when there is none.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn try_receive(&self) -> Result<Option<Message>> {
        match self.early.borrow_mut().pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.take(MsgFlags::MSG_DONTWAIT),
        }
    }

    /// The pid that an intermediate process, which has ended, told. Init may have been faster: what it said comes next.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn born(&self) -> Result<Option<i32>> {
        while let Some(message) = self.take(MsgFlags::MSG_DONTWAIT)? {
            match message {
                Message::Born(pid) => return Ok(Some(pid)),
                message => self.early.borrow_mut().push_back(message),
            }
        }
        Ok(None)
    }

    /// Why the other side has failed, if it said so: nearer to the cause than what its end makes fail here.
    pub fn last_words(&self) -> Option<Error> {
        while let Ok(Some(message)) = self.try_receive() {
            if let Message::Failed(error) = message {
                return Some(error);
            }
        }
        None
    }

    fn take(&self, flags: MsgFlags) -> Result<Option<Message>> {
        let mut bytes = [0u8; LARGEST];
        let mut payload = self.partial.take();
        let (tag, fd) = loop {
            let (length, fd) = match receive_with_fd(self.socket.as_fd(), &mut bytes, flags) {
                Err(Errno::EAGAIN) => {
                    self.partial.replace(payload);
                    return Ok(None);
                }
                result => result.during(|| "receive")?,
            };
            let Some((tag, part)) = bytes[..length].split_first() else {
                return Ok(None);
            };
            if *tag == BORN {
                // Another sender's, maybe between two packets of init's.
                self.partial.replace(payload);
                return match part.try_into() {
                    Ok(pid) => Ok(Some(Message::Born(i32::from_le_bytes(pid)))),
                    Err(_) => Err(Error::new("malformed message")),
                };
            }
            payload.extend_from_slice(part);
            if *tag != MORE {
                break (*tag, fd);
            }
        };
        let message = match (tag, fd) {
            (0, None) => Message::Proceed(payload),
            (2, None) => Message::BeforePivot,
            (3, Some(fd)) => Message::Terminal(fd),
            (4, None) => Message::Ready,
            (5, None) => Message::Failed(Error::decode(&payload)),
            (6, Some(fd)) => Message::Network(fd),
            _ => return Err(Error::new("unexpected message")),
        };
        Ok(Some(message))
    }

    /// Init's wait for its parent.
    ///
    /// # Errors
    /// When the parent is gone: nobody wants this container any more.
    pub fn wait_to_proceed(&self) -> Result<Vec<u8>> {
        match self.receive()? {
            Some(Message::Proceed(payload)) => Ok(payload),
            _ => Err(parent_is_gone()),
        }
    }

    /// Init's wait for its network namespace.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn wait_for_network(&self) -> Result<OwnedFd> {
        match self.receive()? {
            Some(Message::Network(namespace)) => Ok(namespace),
            _ => Err(parent_is_gone()),
        }
    }
}

fn parent_is_gone() -> Error {
    Error::new("the process that creates the container is gone")
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Connects to a Unix socket of the caller.
///
/// # Errors
/// When nobody listens, or who listens does not accept in time.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    /// Seconds. Only a full backlog makes it wait.
    const PATIENCE: i64 = 10;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).during(|| "socket")?;
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::new(PATIENCE, 0)).during(|| "setsockopt(SO_SNDTIMEO)")?;
    let address = UnixAddr::new(path).during(|| "address")?;
    nix::sys::socket::connect(socket.as_raw_fd(), &address).during(|| "connect")?;
    Ok(socket)
}

/// Sends bytes and file descriptors as one message; never raises SIGPIPE.
///
/// # Errors
/// As sendmsg(2).
pub fn send_with_fds(socket: BorrowedFd, parts: &[&[u8]], fds: &[BorrowedFd]) -> Result<(), Errno> {
    let parts: Vec<IoSlice> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &control[..0] } else { &control[..] };
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

fn receive_with_fd(socket: BorrowedFd, bytes: &mut [u8], flags: MsgFlags) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = cmsg_space!([std::os::fd::RawFd; 1]);
    let mut parts = [IoSliceMut::new(bytes)];
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags | MsgFlags::MSG_CMSG_CLOEXEC) {
            // The other side ended with messages of ours unread, which is told once; what it sent comes now.
            Err(Errno::EINTR | Errno::ECONNRESET) => {}
            result => break result?,
        }
    };
    let mut fd = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            fd = fds.into_iter().map(crate::sys::process::received_fd).next_back();
        }
    }
    Ok((message.bytes, fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&Message::Proceed(b"pid".to_vec())).unwrap();
        one.send(&Message::Failed(Error::new("no").context("step").code(3))).unwrap();
        assert_eq!(other.wait_to_proceed().unwrap(), b"pid");
        match other.receive().unwrap() {
            Some(Message::Failed(error)) => assert_eq!(error, Error::new("no").context("step").code(3)),
            message => panic!("{message:?}"),
        }
    }

    #[test]
    fn descriptors_travel() {
        let (one, other) = Channel::pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        one.send(&Message::Terminal(writer.into())).unwrap();
        let Some(Message::Terminal(fd)) = other.receive().unwrap() else { panic!("no terminal") };
        nix::unistd::write(&fd, b"x").unwrap();
        assert_eq!(nix::unistd::read(&reader, &mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn the_end_of_one_side_ends_the_wait_of_the_other() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&Message::Ready).unwrap();
        other.send(&Message::Ready).unwrap();
        drop(one);
        assert!(matches!(other.receive().unwrap(), Some(Message::Ready)));
        assert!(other.receive().unwrap().is_none());
        assert!(other.wait_to_proceed().is_err());
    }

    #[test]
    fn a_huge_message_arrives_whole() {
        let (one, other) = Channel::pair().unwrap();
        let text = vec![b'x'; 1 << 20];
        let sent = text.clone();
        let sender = std::thread::spawn(move || one.send(&Message::Proceed(sent)));
        assert_eq!(other.wait_to_proceed().unwrap(), text);
        sender.join().unwrap().unwrap();
    }

    #[test]
    fn a_pid_is_found_whatever_init_said_before() {
        let (inits, parents) = Channel::pair().unwrap();
        inits.send(&Message::Ready).unwrap();
        inits.send(&Message::Born(7)).unwrap();
        assert_eq!(parents.born().unwrap(), Some(7));
        assert!(matches!(parents.receive().unwrap(), Some(Message::Ready)));

        // Between the packets of a long message.
        send_with_fds(inits.as_fd(), &[&[MORE], b"ab"], &[]).unwrap();
        inits.send(&Message::Born(8)).unwrap();
        assert_eq!(parents.born().unwrap(), Some(8));
        assert!(parents.try_receive().unwrap().is_none());
        inits.send(&Message::Proceed(b"c".to_vec())).unwrap();
        assert_eq!(parents.wait_to_proceed().unwrap(), b"abc");

        inits.send(&Message::Failed(Error::new("no"))).unwrap();
        assert_eq!(parents.born().unwrap(), None);
        assert_eq!(parents.last_words(), Some(Error::new("no")));
    }
}
