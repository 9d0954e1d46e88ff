//! Callers that were written for Go's flag package.

use std::ffi::OsString;

/// Long options with one dash, which Go programs take as well (`-no-subreaper`, go-runc), get their second one. What
/// comes after the name of an `exec`'s container belongs to the container.
pub fn normalize(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const LONG: [&str; 12] = [
        "-root",
        "-log",
        "-log-format",
        "-debug",
        "-systemd-cgroup",
        "-rootless",
        "-bundle",
        "-pid-file",
        "-console-socket",
        "-no-pivot",
        "-no-subreaper",
        "-no-new-keyring",
    ];
    let mut exec = false;
    args.map(|arg| {
        exec |= arg == "exec";
        let name = arg.to_str().and_then(|text| text.split('=').next()).unwrap_or_default();
        if exec || !LONG.contains(&name) {
            return arg;
        }
        let mut long = OsString::from("-");
        long.push(&arg);
        long
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_will_do() {
        let normalized = |args: &[&str]| normalize(args.iter().map(OsString::from));
        assert_eq!(
            normalized(&["berth", "-root=/x", "run", "-no-subreaper"]),
            ["berth", "--root=/x", "run", "--no-subreaper"]
        );
        assert_eq!(normalized(&["berth", "exec", "c", "ls", "-log"]), ["berth", "exec", "c", "ls", "-log"]);
        assert_eq!(normalized(&["berth", "delete", "-f", "c"]), ["berth", "delete", "-f", "c"]);
    }
}
