//! A bus for tests.

use super::address::Address;
use super::message::Message;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

/// A peer that lives in a thread and follows a script on its first connection.
pub struct Peer<T = ()> {
    pub(super) address: Address,
    thread: JoinHandle<T>,
    _dir: tempfile::TempDir,
}

impl<T: Send + 'static> Peer<T> {
    /// Starts to listen; `direct` as systemd itself rather than as a bus.
    pub fn new(direct: bool, script: impl FnOnce(&mut UnixStream) -> T + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let thread = std::thread::spawn(move || script(&mut listener.accept().unwrap().0));
        Self { address: Address::path(path, direct), thread, _dir: dir }
    }

    /// What the script has returned.
    pub fn join(self) -> T {
        self.thread.join().unwrap()
    }
}

/// Does the peer's part of the authentication.
pub fn welcome(stream: &mut UnixStream) {
    let mut bytes = [0; 29];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
    stream.write_all(b"DATA\r\nOK 0123456789abcdef\r\n").unwrap();
}

/// The next message.
pub fn read(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Message {
    loop {
        if let Some((message, length)) = Message::decode(buffer).unwrap() {
            buffer.drain(..length);
            return message;
        }
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).unwrap();
        assert_ne!(length, 0, "the client hung up");
        buffer.extend(&bytes[..length]);
    }
}
