//! Options of a mount entry: mount(8) and config.md "Linux mount options".

use crate::sys::mount::{
    ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME,
};
use nix::libc;
use serde::{Serialize, Serializer};

/// Attributes of a mount to set and to clear, for mount_setattr(2); printed as the names of the options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `ATTR_*` to set.
    pub set: u64,
    /// `ATTR_*` to clear.
    pub clear: u64,
}

const SIMPLE: [(u64, &str, &str); 6] = [
    (ATTR_RDONLY, "ro", "rw"),
    (ATTR_NOSUID, "nosuid", "suid"),
    (ATTR_NODEV, "nodev", "dev"),
    (ATTR_NOEXEC, "noexec", "exec"),
    (ATTR_NODIRATIME, "nodiratime", "diratime"),
    (ATTR_NOSYMFOLLOW, "nosymfollow", "symfollow"),
];

impl Attributes {
    /// Takes an option by its name; false when it is not the name of an attribute. A later option wins.
    pub fn take(&mut self, option: &str) -> bool {
        for (flag, set, clear) in SIMPLE {
            if option == set {
                (self.set, self.clear) = (self.set | flag, self.clear & !flag);
                return true;
            }
            if option == clear {
                (self.set, self.clear) = (self.set & !flag, self.clear | flag);
                return true;
            }
        }
        // The access time policy is one value, relatime being 0: the kernel wants all its bits cleared before.
        self.set = match option {
            "noatime" => self.set & !ATTR_ATIME | ATTR_NOATIME,
            "strictatime" => self.set & !ATTR_ATIME | ATTR_STRICTATIME,
            "relatime" => self.set & !ATTR_ATIME,
            "atime" => self.set & !ATTR_NOATIME,
            "nostrictatime" => self.set & !ATTR_STRICTATIME,
            "norelatime" => return true,
            _ => return false,
        };
        self.clear |= ATTR_ATIME;
        true
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of the options.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (flag, set, clear) in SIMPLE {
            names.extend((self.set & flag != 0).then_some(set));
            names.extend((self.clear & flag != 0).then_some(clear));
        }
        match self.set & ATTR_ATIME {
            0 => names.extend((self.clear & ATTR_ATIME != 0).then_some("relatime")),
            ATTR_NOATIME => names.push("noatime"),
            _ => names.push("strictatime"),
        }
        names
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

/// How mount events travel, mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`.
    pub kind: u64,
    /// Whether all mounts below follow.
    pub recursive: bool,
}

impl Propagation {
    /// Reads `shared`, `rshared` and so on.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, recursive) = match text.strip_prefix('r') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let kind = match name {
            "shared" => libc::MS_SHARED,
            "slave" => libc::MS_SLAVE,
            "private" => libc::MS_PRIVATE,
            "unbindable" => libc::MS_UNBINDABLE,
            _ => return None,
        };
        Some(Self { kind, recursive })
    }
}

impl Serialize for Propagation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self.kind {
            libc::MS_SHARED => "shared",
            libc::MS_SLAVE => "slave",
            libc::MS_PRIVATE => "private",
            _ => "unbindable",
        };
        serializer.collect_str(&format_args!("{}{name}", if self.recursive { "r" } else { "" }))
    }
}

/// An option for the file system itself, `size=64k` or `index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Its name.
    pub key: String,
    /// Its value, unquoted; `None` for a flag.
    pub value: Option<String>,
}

impl Data {
    /// Reads `key` or `key=value`; the quotes around a value that holds commas are taken off.
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((key, value)) => {
                let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                Self { key: key.to_owned(), value: Some(bare.to_owned()) }
            }
            None => Self { key: text.to_owned(), value: None },
        }
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(out, "{}={value}", self.key),
            None => write!(out, "{}", self.key),
        }
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The options of one entry of `mounts`, sorted by what they act on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `bind` or `rbind`.
    pub bind: bool,
    /// `rbind`.
    pub recursive_bind: bool,
    /// `remount`.
    pub remount: bool,
    /// `idmap` or `ridmap`.
    pub idmap: bool,
    /// `ridmap`.
    pub recursive_idmap: bool,
    /// `tmpcopyup`.
    pub copy_up: bool,
    /// Attributes of the mount itself.
    pub attributes: Attributes,
    /// Attributes of it and of all mounts below: the options with an `r` in front.
    pub recursive: Attributes,
    /// Propagation types, to be applied in this order.
    pub propagation: Vec<Propagation>,
    /// The rest: options of the file system, which a bind mount does not look at.
    pub data: Vec<Data>,
}

impl Options {
    /// Sorts the options of a mount entry. None is an error: what is not known belongs to the file system.
    pub fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sorted = Self::default();
        options.into_iter().flat_map(split).for_each(|option| sorted.take(option));
        sorted
    }

    fn take(&mut self, option: &str) {
        if self.attributes.take(option) {
            return;
        }
        if let Some(propagation) = Propagation::parse(option) {
            return self.propagation.push(propagation);
        }
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive_bind) = (true, true),
            "remount" => self.remount = true,
            "idmap" => self.idmap = true,
            "ridmap" => (self.idmap, self.recursive_idmap) = (true, true),
            "tmpcopyup" => self.copy_up = true,
            // Only a message less in the kernel's log; inode versions are the file system's own affair since 2018.
            "" | "defaults" | "silent" | "loud" | "iversion" | "noiversion" => {}
            "async" => self.drop_data("sync"),
            "nomand" => self.drop_data("mand"),
            "nolazytime" => self.drop_data("lazytime"),
            _ if option.strip_prefix('r').is_some_and(|option| self.recursive.take(option)) => {}
            _ => self.data.push(Data::parse(option)),
        }
    }

    fn drop_data(&mut self, key: &str) {
        self.data.retain(|data| data.key != key);
    }
}

/// The parts of an option between commas that are neither quoted nor escaped: engines pass `mode=755,size=1m` as one.
fn split(options: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    options.split(move |letter| {
        let separates = letter == ',' && !quoted && !escaped;
        quoted ^= letter == '"';
        escaped = letter == '\\' && !escaped;
        separates
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &[&str]) -> (Vec<&'static str>, Vec<&'static str>) {
        let options = Options::parse(options.iter().copied());
        (options.attributes.names(), options.recursive.names())
    }

    #[test]
    fn a_later_option_wins() {
        assert_eq!(names(&["ro", "rw", "suid", "nosuid"]).0, ["rw", "nosuid"]);
        assert_eq!(names(&["noatime", "strictatime"]).0, ["strictatime"]);
        assert_eq!(names(&["noatime", "relatime"]).0, ["relatime"]);
        assert_eq!(names(&["noatime", "atime"]).0, ["relatime"]);
    }

    #[test]
    fn recursive_attributes_are_not_those_of_the_mount() {
        let (top, below) = names(&["nodev", "rro", "rnosuid", "rexec", "rnosymfollow", "rrelatime", "rdev"]);
        assert_eq!(top, ["nodev"]);
        assert_eq!(below, ["ro", "nosuid", "dev", "exec", "nosymfollow", "relatime"]);
    }

    #[test]
    fn a_new_access_time_policy_clears_the_old_one() {
        for option in ["noatime", "strictatime", "relatime", "atime", "nostrictatime"] {
            assert_eq!(Options::parse([option]).attributes.clear, ATTR_ATIME, "{option}");
        }
    }

    #[test]
    fn every_option_of_the_specification_is_known() {
        let table = "async atime bind defaults dev diratime exec iversion lazytime loud noatime nodev nodiratime \
            noexec noiversion nolazytime norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev \
            rdiratime relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid \
            rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw \
            shared silent slave strictatime suid symfollow unbindable tmpcopyup idmap ridmap nomand rnodev";
        for option in table.split_whitespace().filter(|option| *option != "lazytime") {
            assert_eq!(Options::parse([option]).data, [], "{option}");
        }
    }

    #[test]
    fn unknown_options_belong_to_the_file_system() {
        let options = Options::parse(["mode=755,size=1m", "sync", "context=\"a:b,c\"", "lowerdir=a\\,b", "async"]);
        let data: Vec<_> = options.data.iter().map(ToString::to_string).collect();
        assert_eq!(data, ["mode=755", "size=1m", "context=a:b,c", "lowerdir=a\\,b"]);
    }

    #[test]
    fn propagation_keeps_its_order() {
        let options = Options::parse(["private", "rslave", "ro"]);
        assert_eq!(serde_json::to_string(&options.propagation).unwrap(), r#"["private","rslave"]"#);
    }
}
