//! A small blocking D-Bus client for the few things that systemd is asked.
//!
//! It costs nothing unless used: no thread, no library. Every call has a deadline, because a bus that is flooded or a
//! manager that hangs must not hang containers' commands; the D-Bus specification, "Authentication Protocol" and
//! "Server Addresses".

mod address;
mod message;
#[cfg(test)]
pub mod peer;
#[cfg(test)]
mod tests;
mod text;
mod wire;

pub use message::Message;
#[cfg(test)]
pub use message::{ERROR, METHOD_RETURN, SIGNAL};
pub use text::parse;
pub use wire::Value;

use crate::error::{Context, During, Error, Result};
use address::Address;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a call may take. systemd answers nobody while it reloads, which on a busy host takes tens of seconds.
const DEADLINE: Duration = Duration::from_secs(60);
/// Longest answer of the authentication.
const MAX_LINE: usize = 16 * 1024;

/// Why a call has no result.
#[derive(Debug)]
pub enum Failure {
    /// The peer answered with an error: its name and its words.
    Refused(String, String),
    /// There was no answer that makes sense.
    Broken(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(name, words) => Error::new(format!("systemd refuses: {words} ({name})")),
            Failure::Broken(error) => error,
        }
    }
}

/// An authenticated connection to a bus or to systemd itself.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    /// Whether the peer is systemd rather than a bus.
    direct: bool,
    patience: Duration,
    serial: u32,
    /// Bytes to be sent with the next call.
    outgoing: Vec<u8>,
    received: Vec<u8>,
    signals: VecDeque<Message>,
}

impl Connection {
    /// Connects to the manager of the system, or of the user.
    ///
    /// # Errors
    /// When no bus and no private socket of systemd answers; names each one tried.
    pub fn systemd(user: bool) -> Result<Self> {
        let mut tried = Vec::new();
        for address in address::candidates(user) {
            match Self::open(&address, DEADLINE) {
                Ok(connection) => return Ok(connection),
                Err(error) => tried.push(error.to_string()),
            }
        }
        let whose = if user { "user's" } else { "system's" };
        let error = Error::new(format!("cannot reach the {whose} systemd: {}", tried.join("; ")));
        Err(if user {
            error.hint("A user needs a session with a bus: set XDG_RUNTIME_DIR or DBUS_SESSION_BUS_ADDRESS.")
        } else {
            error.hint("Start the system bus, or run without --systemd-cgroup.")
        })
    }

    /// Connects to the socket of a test.
    #[cfg(test)]
    pub fn to<T>(peer: &peer::Peer<T>) -> Result<Self> {
        Self::open(&peer.address, Duration::from_millis(200))
    }

    fn open(address: &Address, patience: Duration) -> Result<Self> {
        let until = Instant::now() + patience;
        let connect = || -> Result<Self> {
            let stream = address.connect(until)?;
            let mut connection = Self {
                stream,
                direct: address.direct,
                patience,
                serial: 0,
                outgoing: Vec::new(),
                received: Vec::new(),
                signals: VecDeque::new(),
            };
            connection.authenticate(until)?;
            if !connection.direct {
                connection.post(bus_call("Hello", Vec::new()));
            }
            Ok(connection)
        };
        connect().context(|| address.to_string())
    }

    /// Says who we are by the socket's credentials: the empty DATA asks the peer to look itself, so that the uid is right
    /// in a user namespace too.
    fn authenticate(&mut self, until: Instant) -> Result<()> {
        self.outgoing.extend(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
        self.flush(until)?;
        loop {
            let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") else {
                if self.received.len() > MAX_LINE {
                    return Err(Error::new("the answer to the authentication is no line of D-Bus"));
                }
                self.receive(until)?;
                continue;
            };
            let line = self.received.drain(..end + 2).collect::<Vec<_>>();
            match line.split(|byte| byte.is_ascii_whitespace()).next() {
                Some(b"OK") => return Ok(()),
                Some(b"DATA") => {}
                _ => {
                    let line = String::from_utf8_lossy(&line);
                    return Err(Error::new(format!("authentication failed: {}", line.trim_end().escape_default())));
                }
            }
        }
    }

    /// Asks for signals that match `rule`. A direct connection gets all of them anyway.
    pub fn subscribe(&mut self, rule: &str) {
        if !self.direct {
            self.post(bus_call("AddMatch", vec![Value::str(rule)]));
        }
    }

    /// Queues a message without an answer; it goes out together with the next call.
    fn post(&mut self, message: Message) {
        self.queue(Message { flags: message::NO_REPLY, ..message });
    }

    fn queue(&mut self, message: Message) -> u32 {
        self.serial += 1;
        let message = Message { kind: message::METHOD_CALL, serial: self.serial, ..message };
        self.outgoing.extend(message.encode());
        self.serial
    }

    /// Calls a method and waits for the answer's values.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn call(&mut self, message: Message) -> Result<Vec<Value>, Failure> {
        let member = message.member.clone();
        let until = Instant::now() + self.patience;
        let serial = self.queue(message);
        let answer = self.flush(until).and_then(|()| {
            loop {
                match self.next(until)? {
                    answer if answer.reply_to == serial && answer.kind != message::SIGNAL => return Ok(answer),
                    signal if signal.kind == message::SIGNAL => self.signals.push_back(signal),
                    _ => {}
                }
            }
        });
        match answer.context(|| format!("D-Bus call {member}")) {
            Ok(answer) if answer.kind == message::METHOD_RETURN => Ok(answer.body),
            Ok(answer) => {
                let words = answer.body.first().and_then(Value::text).unwrap_or("no reason given").to_owned();
                Err(Failure::Refused(answer.error, words))
            }
            Err(error) => Err(Failure::Broken(error)),
        }
    }

    /// Waits for the signal that `pick` accepts.
    ///
    /// # Errors
    /// When it does not come in time or the connection ends.
    pub fn signal<T>(&mut self, mut pick: impl FnMut(&Message) -> Option<T>) -> Result<T> {
        let until = Instant::now() + self.patience;
        loop {
            let message = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.next(until)?,
            };
            if let Some(found) = Some(&message).filter(|message| message.kind == message::SIGNAL).and_then(&mut pick) {
                return Ok(found);
            }
        }
    }

    fn next(&mut self, until: Instant) -> Result<Message> {
        loop {
            let decoded = Message::decode(&self.received).context(|| "a damaged D-Bus message")?;
            if let Some((message, length)) = decoded {
                self.received.drain(..length);
                return Ok(message);
            }
            self.receive(until)?;
        }
    }

    fn receive(&mut self, until: Instant) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Error::new("the peer closed the connection")),
                Ok(length) => {
                    self.received.extend(buffer.iter().take(length));
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::POLLIN, until)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result.map(drop).during(|| "read"),
            }
        }
    }

    fn flush(&mut self, until: Instant) -> Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::POLLOUT, until)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the peer said before it hung up is still to be read, and says why.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.outgoing.clear(),
                result => return result.map(drop).during(|| "write"),
            }
        }
        Ok(())
    }

    fn wait(&self, event: PollFlags, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seconds = self.patience.as_secs_f32();
            return Err(
                Error::new(format!("no answer within {seconds} s")).hint("The bus or systemd is overloaded or hangs.")
            );
        }
        // Rounded up, not to spin in the last millisecond.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.stream.as_fd(), event)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::sys("poll", errno)),
        }
    }
}

fn bus_call(member: &str, body: Vec<Value>) -> Message {
    Message {
        destination: "org.freedesktop.DBus".into(),
        path: "/org/freedesktop/DBus".into(),
        interface: "org.freedesktop.DBus".into(),
        member: member.into(),
        body,
        ..Message::default()
    }
}
