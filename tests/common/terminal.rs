//! Pseudo-terminals of our own, so that no test needs one from its surroundings.

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

/// The master side of a terminal: what appears on it is collected in the background.
pub struct Screen {
    master: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Screen {
    /// Collects what appears on a terminal with this master.
    pub fn new(master: OwnedFd) -> Self {
        let master = File::from(master);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, sink) = (master.try_clone().expect("a second handle"), shown.clone());
        // Ends when the other side has closed the terminal (EIO).
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                sink.lock().expect("no reader panics").extend(&buffer[..length]);
            }
        });
        Self { master, shown }
    }

    /// A new terminal of 24 rows and 80 columns: its screen and its other side.
    pub fn open() -> (Self, OwnedFd) {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).expect("a pseudo-terminal");
        (Self::new(master), slave)
    }

    /// Everything that was shown so far, without carriage returns.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("no reader panics")).replace('\r', "")
    }

    /// Waits until `words` were shown.
    #[track_caller]
    pub fn until_shows(&self, words: &str) {
        let shown = |this: &Self| this.shown().contains(words);
        let deadline = std::time::Instant::now() + super::host::limit();
        while !shown(self) {
            assert!(std::time::Instant::now() < deadline, "the terminal never showed {words:?}: {:?}", self.shown());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Types something.
    #[track_caller]
    pub fn types(&self, text: &str) {
        (&self.master).write_all(text.as_bytes()).expect("the terminal takes input");
    }

    /// Changes the size, as a window manager would.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = nix::libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let status = std::process::Command::new("stty")
            .args(["rows", &size.ws_row.to_string(), "cols", &size.ws_col.to_string()])
            .stdin(self.master.try_clone().expect("a second handle"))
            .status();
        assert!(status.is_ok_and(|status| status.success()), "stty sets the size");
    }

    /// The settings of the terminal that programs change: its modes and its control characters. The rest of the C
    /// library's structure is padding that the kernel does not fill.
    pub fn settings(&self) -> (String, LocalFlags, Vec<u8>) {
        let all = tcgetattr(self.master.as_fd()).expect("a terminal has settings");
        let modes = format!("{:?} {:?} {:?}", all.input_flags, all.output_flags, all.control_flags);
        (modes, all.local_flags, all.control_chars[..=SpecialCharacterIndices::VEOL2 as usize].to_vec())
    }
}
