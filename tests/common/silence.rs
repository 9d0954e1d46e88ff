//! A file system whose server accepts requests and answers none: FUSE, fuse(4) and Documentation/filesystems/fuse.

use nix::mount::{MntFlags, MsFlags, mount as mount_at, umount2};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

const INIT: u32 = 26;
const LOOKUP: u32 = 1;

/// The server. When it goes, its requests fail and the mount is gone.
pub struct Server {
    device: File,
    directory: PathBuf,
}

/// Mounts it at `directory`.
#[track_caller]
pub fn mount(directory: &Path) -> Server {
    let device = File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse can be opened");
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount_at(Some("silent"), directory, Some("fuse"), flags, Some(data.as_str())).expect("FUSE can be mounted");
    let mut server = Server { device, directory: directory.to_owned() };
    server.begin();
    server
}

impl Server {
    /// The operation and the number of the next request.
    fn request(&self) -> (u32, u64) {
        let mut bytes = vec![0; 128 * 1024];
        let length = (&self.device).read(&mut bytes).expect("a request");
        assert!(length >= 40, "a request has a header");
        (u32::from_ne_bytes(bytes[4..8].try_into().unwrap()), u64::from_ne_bytes(bytes[8..16].try_into().unwrap()))
    }

    /// Without this the kernel sends no other request.
    fn begin(&mut self) {
        let (operation, unique) = self.request();
        assert_eq!(operation, INIT);
        // fuse_out_header and the old, short fuse_init_out of the protocol 7.8.
        let mut answer = Vec::new();
        answer.extend(40_u32.to_ne_bytes());
        answer.extend(0_i32.to_ne_bytes());
        answer.extend(unique.to_ne_bytes());
        for word in [7_u32, 8, 4096, 0, 0, 4096] {
            answer.extend(word.to_ne_bytes());
        }
        self.device.write_all(&answer).expect("the kernel takes the answer");
    }

    /// Waits until somebody asks for a file, and therefore waits too.
    pub fn asked(&self) {
        while self.request().0 != LOOKUP {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Aborts: the requests end with an error.
        let _ = umount2(&self.directory, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH);
    }
}
