//! From `linux.cgroupsPath` to a unit, its slice and its cgroup.

use crate::error::{Error, Result};

/// Prefix of a scope when `linux.cgroupsPath` is absent.
const PREFIX: &str = "berth";
/// Longest name of a unit, systemd.unit(5).
const MAX_NAME: usize = 255;

/// A unit and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// `prefix-name.scope` or `name.slice`.
    pub unit: String,
    /// `system.slice`.
    pub slice: String,
    /// The unit's cgroup below the manager's, `/system.slice/prefix-name.scope`.
    pub path: String,
}

impl Place {
    /// Reads `slice:prefix:name`; an empty slice is `default`, a missing path `default:berth:id`.
    ///
    /// # Errors
    /// For other forms, and for names that systemd would not accept.
    pub fn new(cgroups_path: Option<&str>, id: &str, default: &str) -> Result<Self> {
        let given = cgroups_path.filter(|path| !path.is_empty());
        let parts = given.map_or_else(|| vec!["", PREFIX, id], |path| path.split(':').collect());
        let [slice, prefix, name] = parts.as_slice() else {
            let given = given.unwrap_or_default();
            return Err(Error::new(format!("expected \"slice:prefix:name\" for systemd, got {given:?}"))
                .hint("Use the systemd form, or run without --systemd-cgroup."));
        };
        let slice = if slice.is_empty() { default } else { slice };
        let above = expand(slice)?;
        let unit = match (name.ends_with(".slice"), prefix.is_empty()) {
            (true, _) => (*name).to_owned(),
            (false, true) => format!("{name}.scope"),
            (false, false) => format!("{prefix}-{name}.scope"),
        };
        check(&unit)?;
        if name.is_empty() {
            return Err(Error::new("the name after the last colon is empty"));
        }
        // The place of a slice follows from its own name.
        let path = if name.ends_with(".slice") { expand(&unit)? } else { format!("{above}/{unit}") };
        Ok(Self { unit, slice: slice.to_owned(), path })
    }

    /// Whether the unit is a slice, which cannot have processes from its start.
    pub fn is_slice(&self) -> bool {
        self.unit.ends_with(".slice")
    }
}

/// systemd.unit(5): letters, digits and `:-_.\@`.
fn check(unit: &str) -> Result<()> {
    let strange = |character: char| !character.is_ascii_alphanumeric() && !":-_.\\@".contains(character);
    if let Some(character) = unit.chars().find(|character| strange(*character)) {
        return Err(Error::new(format!("{unit:?} is no name of a unit: it has {character:?}")));
    }
    match unit.len() {
        0..=MAX_NAME => Ok(()),
        length => {
            Err(Error::new(format!("the name of the unit has {length} characters, at most {MAX_NAME} are possible")))
        }
    }
}

/// The cgroup of a slice, systemd.slice(5): `a-b.slice` is `/a.slice/a-b.slice`, `-.slice` the root.
fn expand(slice: &str) -> Result<String> {
    let wrong = |why: &str| Err(Error::new(format!("{slice:?} is no name of a slice: {why}")));
    check(slice)?;
    match slice.strip_suffix(".slice") {
        None => wrong("it must end in \".slice\""),
        Some("-") => Ok(String::new()),
        Some(name) if name.split('-').any(str::is_empty) => wrong("a part between its dashes is empty"),
        Some(name) => {
            let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
            Ok(ends.filter_map(|end| name.get(..end)).map(|part| format!("/{part}.slice")).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Result<Place> {
        Place::new(Some(path), "c1", "system.slice")
    }

    #[test]
    fn the_default_is_a_scope_in_the_system_slice() {
        for path in [None, Some("")] {
            let place = Place::new(path, "c1", "system.slice").unwrap();
            assert_eq!(place.unit, "berth-c1.scope");
            assert_eq!(place.slice, "system.slice");
            assert_eq!(place.path, "/system.slice/berth-c1.scope");
        }
    }

    #[test]
    fn slices_are_expanded_by_their_dashes() {
        assert_eq!(place("a-b-c.slice:p:n").unwrap().path, "/a.slice/a-b.slice/a-b-c.slice/p-n.scope");
        assert_eq!(place("-.slice:p:n").unwrap().path, "/p-n.scope");
        assert_eq!(place("::n").unwrap().path, "/system.slice/n.scope");
    }

    #[test]
    fn a_slice_is_where_its_name_says() {
        let place = place("a.slice:ignored:a-n.slice").unwrap();
        assert!(place.is_slice());
        assert_eq!(place.path, "/a.slice/a-n.slice");
    }

    #[test]
    fn other_forms_are_explained() {
        let error = |path| place(path).unwrap_err().to_string();
        assert!(error("/sys/x").starts_with("expected \"slice:prefix:name\" for systemd, got \"/sys/x\""));
        assert!(error("a:b:c:d").starts_with("expected"));
        assert!(error("a:b:c").contains("must end in \".slice\""));
        assert!(error("a--b.slice:b:c").contains("a part between its dashes is empty"));
        assert!(error(".slice:b:c").contains("is empty"));
        assert!(error("a/b.slice:b:c").contains("'/'"));
        assert!(error("a.slice:b:c/../d").contains("'/'"));
        assert!(error("a.slice:b:").contains("is empty"));
        assert!(error(&format!("a.slice:b:{}", "c".repeat(300))).contains("at most 255"));
    }
}
