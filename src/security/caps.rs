//! Capability sets (config.md "Linux Process"): from names to masks, and onto the calling thread.
//!
//! The specification wants a warning, not a failure, for a capability that is unknown or cannot be granted. Order in
//! init: [`apply_bounding`] while it still has CAP_SETPCAP, [`sys::keep`], change of the user, [`apply`].

use crate::bundle::config::Capabilities;
use crate::error::{Context, During, Error, Result};
use crate::sys::caps as sys;
use caps::Capability;
use nix::errno::Errno;
use serde::{Serialize, Serializer};
use std::str::FromStr;

/// The five sets; bit n is capability number n. Serialized as names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sets {
    /// Limits what programs can gain.
    #[serde(serialize_with = "as_names")]
    pub bounding: u64,
    /// What the program may use at once.
    #[serde(serialize_with = "as_names")]
    pub effective: u64,
    /// What it may make effective.
    #[serde(serialize_with = "as_names")]
    pub permitted: u64,
    /// What files with the same inheritable capability grant.
    #[serde(serialize_with = "as_names")]
    pub inheritable: u64,
    /// What a program without file capabilities keeps.
    #[serde(serialize_with = "as_names")]
    pub ambient: u64,
}

impl Sets {
    /// The sets of a configuration (none at all means no capability) and what a user should be warned of.
    ///
    /// # Errors
    /// When the kernel does not say which capabilities it has.
    pub fn from_config(config: Option<&Capabilities>) -> Result<(Sets, Vec<String>)> {
        let last = sys::last().during(|| "prctl PR_CAPBSET_READ")?;
        Ok(config.map_or_else(Default::default, |config| parse(config, last)))
    }

    /// Adds what `exec --cap` names to the bounding, effective and permitted sets, to the ambient set only what is
    /// inheritable already. Nothing becomes inheritable (CVE-2022-29162).
    ///
    /// # Errors
    /// When the kernel does not say which capabilities it has.
    pub fn add(&mut self, names: &[String]) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let last = sys::last().during(|| "prctl PR_CAPBSET_READ")?;
        let names: Vec<_> = names.iter().map(|name| caps::to_canonical(name)).collect();
        let mut warnings = Vec::new();
        let added = mask("--cap", &names, last, &mut warnings);
        self.bounding |= added;
        self.effective |= added;
        self.permitted |= added;
        self.ambient |= added & self.inheritable;
        Ok(warnings)
    }

    /// Removes what the runtime itself does not hold and so cannot grant; for containers without a new user namespace,
    /// which would hold all. One warning per set.
    pub fn limit(&mut self, held: &Sets) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut cut = |name, set: &mut u64, limit| remove(name, set, limit, "the runtime lacks them", &mut warnings);
        cut("bounding", &mut self.bounding, held.bounding);
        cut("effective", &mut self.effective, held.permitted);
        cut("permitted", &mut self.permitted, held.permitted);
        cut("inheritable", &mut self.inheritable, (held.inheritable | held.permitted) & held.bounding);
        cut("ambient", &mut self.ambient, held.permitted & held.bounding);
        warnings
    }

    /// Whether the program will have CAP_SYS_ADMIN.
    pub fn has_sys_admin(&self) -> bool {
        self.effective & SYS_ADMIN != 0
    }

    /// These sets with CAP_SYS_ADMIN, which loading a filter needs without no_new_privs, seccomp(2).
    #[must_use]
    pub fn with_sys_admin(mut self) -> Self {
        self.effective |= SYS_ADMIN;
        self.permitted |= SYS_ADMIN;
        self
    }

    /// The sets in a thread's `/proc/<pid>/status`, proc_pid_status(5).
    ///
    /// # Errors
    /// When it has none.
    pub fn of(status: &str) -> Result<Sets> {
        let set =
            |name| mask_in(status, name).ok_or_else(|| Error::new(format!("/proc/thread-self/status has no {name}")));
        Ok(Sets {
            bounding: set("CapBnd:")?,
            effective: set("CapEff:")?,
            permitted: set("CapPrm:")?,
            inheritable: set("CapInh:")?,
            ambient: set("CapAmb:")?,
        })
    }
}

/// The bit mask after `name` in a `/proc/<pid>/status`.
pub fn mask_in(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

const SYS_ADMIN: u64 = 1 << Capability::CAP_SYS_ADMIN as u8;

/// What the calling thread will have when it gives up CAP_SYS_ADMIN: for one last capset(2).
///
/// # Errors
/// When the kernel does not say what it has now.
pub fn without_sys_admin() -> Result<sys::Held> {
    let held = sys::get().during(|| "capget")?;
    Ok(sys::Held { effective: held.effective & !SYS_ADMIN, permitted: held.permitted & !SYS_ADMIN, ..held })
}

/// The names of a set, in the order of their numbers; a number without a name is `CAP_n`.
pub fn names(mask: u64) -> Vec<String> {
    let mut known = vec![None; 64];
    for capability in caps::all() {
        if let Some(place) = known.get_mut(usize::from(capability.index())) {
            *place = Some(capability.to_string());
        }
    }
    let numbered = known.into_iter().enumerate();
    numbered
        .filter(|(number, _)| mask >> number & 1 == 1)
        .map(|(number, name)| name.unwrap_or_else(|| format!("CAP_{number}")))
        .collect()
}

/// All capabilities that berth knows, whether or not this kernel has them.
pub fn known() -> u64 {
    caps::all().iter().fold(0, |mask, capability| mask | capability.bitmask())
}

/// Removes from the bounding set all that `sets` lacks. Needs CAP_SETPCAP, unless there is nothing to remove.
///
/// # Errors
/// When a capability cannot be removed.
pub fn apply_bounding(sets: &Sets) -> Result<()> {
    for number in (0..u64::BITS).filter(|number| sets.bounding >> number & 1 == 0) {
        let result = match sys::bounding_drop(number) {
            // Without CAP_SETPCAP even a capability that is not there cannot be dropped.
            Err(Errno::EPERM) => match sys::bounding_has(number) {
                Ok(true) => Err(Errno::EPERM),
                other => other.map(drop),
            },
            other => other,
        };
        match result {
            Ok(()) => {}
            // Beyond the kernel's last capability.
            Err(Errno::EINVAL) => break,
            Err(errno) => {
                let name = names(1 << number).concat();
                return Err(Error::sys(format!("drop {name}: prctl PR_CAPBSET_DROP"), errno)
                    .context("process.capabilities.bounding"));
            }
        }
    }
    Ok(())
}

/// Gives the calling thread its sets and returns those capabilities, [`names`], that it could not be given.
///
/// # Errors
/// When the kernel refuses what it should grant.
pub fn apply(sets: &Sets) -> Result<u64> {
    apply_held(sets).context(|| "process.capabilities")
}

fn apply_held(sets: &Sets) -> Result<u64> {
    let held = sys::get().during(|| "capget")?;
    let permitted = sets.permitted & held.permitted;
    let effective = sets.effective & permitted;
    let mut inheritable = sets.inheritable & (held.inheritable | held.permitted);
    for number in bits(inheritable & !held.inheritable) {
        if !sys::bounding_has(number).during(|| "prctl PR_CAPBSET_READ")? {
            inheritable &= !(1 << number);
        }
    }
    sys::ambient_clear().during(|| "prctl PR_CAP_AMBIENT_CLEAR_ALL")?;
    let wanted = sys::Held { effective, permitted, inheritable };
    if wanted != held {
        sys::set(&wanted).during(|| "capset")?;
    }
    let ambient = sets.ambient & permitted & inheritable;
    for number in bits(ambient) {
        sys::ambient_raise(number).during(|| "prctl PR_CAP_AMBIENT_RAISE")?;
    }
    let given = |wanted: u64, given: u64| wanted & !given;
    Ok(given(sets.permitted, permitted)
        | given(sets.effective, effective)
        | given(sets.inheritable, inheritable)
        | given(sets.ambient, ambient))
}

fn bits(mask: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |number| mask >> number & 1 == 1)
}

fn parse(config: &Capabilities, last: u32) -> (Sets, Vec<String>) {
    let mut warnings = Vec::new();
    let mut set = |name, names| mask(name, names, last, &mut warnings);
    let mut sets = Sets {
        bounding: set("bounding", &config.bounding),
        effective: set("effective", &config.effective),
        permitted: set("permitted", &config.permitted),
        inheritable: set("inheritable", &config.inheritable),
        ambient: set("ambient", &config.ambient),
    };
    // What the kernel would refuse with a bare EPERM, capabilities(7).
    let mut cut = |name, set: &mut u64, limit, why| remove(name, set, limit, why, &mut warnings);
    cut("effective", &mut sets.effective, sets.permitted, "they are not in the permitted set");
    cut("inheritable", &mut sets.inheritable, sets.bounding, "they are not in the bounding set");
    cut("ambient", &mut sets.ambient, sets.permitted, "they are not in the permitted set");
    cut("ambient", &mut sets.ambient, sets.inheritable, "they are not in the inheritable set");
    (sets, warnings)
}

fn remove(name: &str, set: &mut u64, limit: u64, why: &str, warnings: &mut Vec<String>) {
    let lost = *set & !limit;
    if lost != 0 {
        warnings.push(format!("process.capabilities.{name}: {} ignored: {why}", names(lost).join(", ")));
    }
    *set &= limit;
}

fn mask(set: &str, names: &[String], last: u32, warnings: &mut Vec<String>) -> u64 {
    let field = if set.starts_with('-') { set.to_owned() } else { format!("process.capabilities.{set}") };
    names.iter().fold(0, |mask, name| match Capability::from_str(name) {
        Ok(capability) if u32::from(capability.index()) <= last => mask | capability.bitmask(),
        Ok(_) => {
            warnings.push(format!("{field}: {name} ignored: this kernel does not have it"));
            mask
        }
        Err(_) => {
            warnings.push(format!("{field}: {name:?} ignored: unknown capability"));
            mask
        }
    })
}

fn as_names<S: Serializer>(mask: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    names(*mask).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOWN: u64 = 1;
    const KILL: u64 = 1 << 5;
    const NET_RAW: u64 = 1 << 13;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn config(bounding: &[&str], effective: &[&str], permitted: &[&str], rest: [&[&str]; 2]) -> Capabilities {
        Capabilities {
            bounding: list(bounding),
            effective: list(effective),
            permitted: list(permitted),
            inheritable: list(rest[0]),
            ambient: list(rest[1]),
        }
    }

    #[test]
    fn names_become_masks_and_names_again() {
        let both = &["CAP_CHOWN", "CAP_NET_RAW"][..];
        let (sets, warnings) = parse(&config(both, &["CAP_CHOWN"], both, [both, &["CAP_CHOWN"]]), 40);
        let both = CHOWN | NET_RAW;
        let wanted = Sets { bounding: both, effective: CHOWN, permitted: both, inheritable: both, ambient: CHOWN };
        assert_eq!((sets, warnings), (wanted, vec![]));
        let json = serde_json::to_value(sets).unwrap();
        assert_eq!(json["permitted"], serde_json::json!(["CAP_CHOWN", "CAP_NET_RAW"]));
        assert_eq!(names(1 << 40 | 1 << 63), ["CAP_CHECKPOINT_RESTORE", "CAP_63"]);
        assert_eq!(known().count_ones(), 41);
    }

    #[test]
    fn an_unknown_capability_is_a_warning() {
        let (sets, warnings) = parse(&config(&["CAP_CHOWN", "CAP_FLY"], &[], &[], [&[], &[]]), 40);
        assert_eq!(sets.bounding, CHOWN);
        assert_eq!(warnings, ["process.capabilities.bounding: \"CAP_FLY\" ignored: unknown capability"]);
    }

    #[test]
    fn a_capability_newer_than_the_kernel_is_a_warning() {
        let (sets, warnings) = parse(&config(&["CAP_BPF"], &[], &[], [&[], &[]]), 37);
        assert_eq!(sets.bounding, 0);
        assert!(warnings[0].contains("this kernel does not have it"), "{warnings:?}");
    }

    #[test]
    fn sets_that_contradict_each_other_are_cut_with_a_warning() {
        let config = config(&[], &["CAP_KILL"], &["CAP_CHOWN"], [&["CAP_CHOWN"], &["CAP_CHOWN", "CAP_KILL"]]);
        let (sets, warnings) = parse(&config, 40);
        assert_eq!(sets, Sets { permitted: CHOWN, ..Sets::default() });
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(warnings[0].starts_with("process.capabilities.effective: CAP_KILL ignored"), "{warnings:?}");
    }

    #[test]
    fn no_capabilities_in_the_configuration_means_none() {
        assert_eq!(Sets::from_config(None).unwrap(), (Sets::default(), vec![]));
    }

    #[test]
    fn exec_adds_to_three_sets_and_to_ambient_only_what_is_inheritable() {
        let mut sets = Sets { inheritable: KILL, ..Sets::default() };
        let warnings = sets.add(&list(&["CAP_KILL", "net_raw", "CAP_X"])).unwrap();
        let added = KILL | NET_RAW;
        let wanted = Sets { bounding: added, effective: added, permitted: added, inheritable: KILL, ambient: KILL };
        assert_eq!(sets, wanted);
        assert_eq!(warnings, ["--cap: \"CAP_X\" ignored: unknown capability"]);
    }

    #[test]
    fn what_the_runtime_lacks_is_not_promised() {
        let all = Sets { bounding: KILL, effective: KILL, permitted: KILL | CHOWN, inheritable: 0, ambient: 0 };
        let mut sets = all;
        let held = Sets { bounding: KILL, permitted: CHOWN, ..Sets::default() };
        let warnings = sets.limit(&held);
        assert_eq!(sets, Sets { bounding: KILL, permitted: CHOWN, ..Sets::default() });
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }

    /// Capabilities belong to threads: each test changes its own and looks at it.
    fn on_a_thread(sets: Sets) -> Option<(Sets, u64)> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root to change capabilities");
            return None;
        }
        let run = move || {
            apply_bounding(&sets).unwrap();
            let lost = apply(&sets).unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            (Sets::of(&status).unwrap(), lost)
        };
        Some(std::thread::spawn(run).join().unwrap())
    }

    #[test]
    fn the_thread_gets_exactly_its_sets() {
        let sets = Sets {
            bounding: CHOWN | KILL | NET_RAW,
            effective: CHOWN,
            permitted: CHOWN | KILL,
            inheritable: CHOWN | NET_RAW,
            ambient: CHOWN,
        };
        if let Some(result) = on_a_thread(sets) {
            assert_eq!(result, (sets, 0));
        }
    }

    #[test]
    fn no_capability_remains_when_none_is_wanted() {
        if let Some(result) = on_a_thread(Sets::default()) {
            assert_eq!(result, (Sets::default(), 0));
        }
    }

    #[test]
    fn a_capability_that_cannot_be_granted_is_reported_and_left_out() {
        let beyond = 1 << 62;
        let sets = Sets { bounding: KILL, effective: KILL | beyond, permitted: KILL | beyond, ..Sets::default() };
        if let Some((now, lost)) = on_a_thread(sets) {
            assert_eq!((now.permitted, now.effective, lost), (KILL, KILL, beyond));
        }
    }

    #[test]
    fn dropping_what_is_not_there_needs_no_privilege() {
        let run = || {
            let none = Sets::default();
            if apply_bounding(&none).is_ok() {
                apply(&none).unwrap();
                apply_bounding(&none).unwrap();
            }
        };
        std::thread::spawn(run).join().unwrap();
    }
}
