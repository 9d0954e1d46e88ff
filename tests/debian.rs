//! A whole Debian in a container: a shell, apt and interpreters, as root and in a user namespace.
//!
//! The root file system is made once by mmdebstrap or debootstrap and kept in `~/.cache/berth/debian-rootfs`.

mod common;

use common::{Bundle, host, json, skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The archive of the root file system, or why there is none.
fn archive() -> &'static Result<PathBuf, String> {
    static ARCHIVE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home.map(|home| home.join(".cache")));
        let cache = cache.ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("berth/debian-rootfs");
        let target = cache.join("bookworm.tar");
        if target.exists() {
            return Ok(target);
        }
        if !host::has("mmdebstrap") {
            return Err("the host has no mmdebstrap".into());
        }
        fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
        let fresh = cache.join(format!("new-{}.tar", std::process::id()));
        let output = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=apt", "--mode=root", "--include=python3-minimal,perl-base", "bookworm"])
            .arg(&fresh)
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|error| format!("mmdebstrap: {error}"))?;
        if !output.status.success() {
            let _ = fs::remove_file(&fresh);
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(format!("mmdebstrap cannot run here: {}", words.lines().last().unwrap_or_default()));
        }
        fs::rename(&fresh, &target).map_err(|error| error.to_string())?;
        Ok(target)
    })
}

/// A bundle with Debian as its root file system.
fn debian(archive: &Path) -> Bundle {
    let bundle = Bundle::empty().writable().caps(&[
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_SETFCAP",
        "CAP_FSETID",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
    ]);
    bundle.host(&["tar", "-C", &bundle.place("bundle/rootfs"), "--numeric-owner", "-xf", archive.to_str().unwrap()]);
    bundle
}

macro_rules! debian {
    () => {
        match archive() {
            Ok(archive) => debian(archive),
            Err(reason) => skip!("{reason}"),
        }
    };
}

const SCRIPT: &str = "set -e
    . /etc/os-release; echo $ID
    python3 -c 'import os; print(sum(range(10)), os.getuid())'
    perl -e 'print 6*7, \"\\n\"'
    dpkg --status bash | grep Status
    apt-get --version | head -1 | cut -d' ' -f1
    apt-cache policy bash > /dev/null
    getent passwd root | cut -d: -f1,6
    bash -c 'echo ${BASH_VERSINFO[0]} | grep -c .'
    find /usr -type f | wc -l | grep -q '[0-9][0-9][0-9]' && echo many files";

const EXPECTED: &str = "debian\n45 0\n42\nStatus: install ok installed\napt\nroot:/root\n1\nmany files\n";

#[test]
fn debian_runs_as_root() {
    let bundle = debian!();
    assert_eq!(bundle.run_sh(SCRIPT).ok().stdout, EXPECTED);
}

#[test]
fn debian_runs_in_a_user_namespace() {
    let bundle = debian!().userns();
    assert_eq!(bundle.run_sh(SCRIPT).ok().stdout, EXPECTED);
}

#[test]
fn dpkg_installs_and_removes_a_package() {
    for userns in [false, true] {
        let bundle = debian!();
        let bundle = if userns { bundle.userns() } else { bundle };
        let script = "set -e; mkdir -p /tmp/p/DEBIAN /tmp/p/opt; echo hello > /tmp/p/opt/hello
            printf 'Package: hello-berth\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody <n@example.org>\\nDescription: test\\n' > /tmp/p/DEBIAN/control
            dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null; dpkg -i /tmp/p.deb > /dev/null; cat /opt/hello
            dpkg -r hello-berth > /dev/null; test ! -e /opt/hello && echo removed";
        assert_eq!(bundle.run_sh(script).ok().stdout, "hello\nremoved\n", "user namespace: {userns}");
    }
}

#[test]
fn an_ordinary_user_of_debian_can_work() {
    let bundle = debian!().set("/process/user", json!({"uid": 65534, "gid": 65534})).set("/process/cwd", json!("/tmp"));
    let output = bundle.run_sh("id -un; echo x > file; python3 -c 'print(open(\"file\").read())'; touch /root/x");
    assert!(output.stdout.starts_with("nobody\nx\n") && output.status != 0, "{output}");
}

#[test]
fn exec_finds_programs_and_users_of_debian() {
    let bundle = debian!().args(["sleep", "infinity"]);
    bundle.detached();
    bundle.exec(&["python3", "-c", "print('from exec')"]).ok().prints("from exec");
    bundle.exec_with(&["-u", "1:1"], &["sh", "-c", "id -un; echo $HOME"]).ok().prints("daemon\n/usr/sbin");
}
