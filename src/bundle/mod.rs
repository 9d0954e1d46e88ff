//! A bundle: the directory with `config.json` that describes a container (bundle.md).

pub mod config;
pub mod validate;

use crate::error::{Context, During, Error, Result};
use crate::sys::fs;
use config::{Config, Process, Resources};
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::fstat;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The largest JSON document that is read, in bytes; the largest real ones have some hundred KiB.
pub const DOCUMENT_LIMIT: u64 = 16 << 20;

/// A bundle whose configuration has been read and checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The directory, absolute and free of symbolic links.
    pub path: PathBuf,
    /// The configuration.
    pub config: Config,
    /// `config.json` as it was read, for the container's state directory.
    pub raw: Vec<u8>,
}

impl Bundle {
    /// Reads and checks the file `config_name` (`config.json`) of the bundle in the directory `path`.
    ///
    /// # Errors
    /// When the directory or the file cannot be read, the file is not a regular one or larger than
    /// [`DOCUMENT_LIMIT`], its text is not JSON of the specification's types, or [`validate::validate`] refuses it.
    pub fn load(path: &Path, config_name: &str) -> Result<Bundle> {
        let path = fs::directory_path(path)
            .during(|| format!("bundle {}", path.display()))
            .map_err(|error| error.hint("Name the bundle's directory with --bundle."))?;
        let file = path.join(config_name);
        let raw = read_regular(&file, DOCUMENT_LIMIT)
            .map_err(|error| error.hint("`berth spec` makes one; --bundle names the bundle's directory."))?;
        let config = parse(&raw, config_name)?;
        validate::validate(&config).context(|| config_name.to_owned())?;
        Ok(Bundle { path, config, raw })
    }
}

/// Reads and checks the process that `exec --process` describes; `origin` names the document in messages.
///
/// # Errors
/// When the text is not JSON of the specification's types or [`validate::process`] refuses it.
pub fn parse_process(bytes: &[u8], origin: &str) -> Result<Process> {
    let process = parse(bytes, origin)?;
    validate::process(&process).context(|| origin.to_owned())?;
    Ok(process)
}

/// Reads and checks the limits that `update --resources` describes; `origin` names the document in messages.
///
/// # Errors
/// When the text is not JSON of the specification's types or [`validate::resources`] refuses it.
pub fn parse_resources(bytes: &[u8], origin: &str) -> Result<Resources> {
    let resources = parse(bytes, origin)?;
    validate::resources(&resources).context(|| origin.to_owned())?;
    Ok(resources)
}

/// Reads a JSON document that the caller names: a file, or what comes out of a pipe.
///
/// # Errors
/// When it cannot be opened or read, or is larger than [`DOCUMENT_LIMIT`].
pub fn read_document(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let file = File::from(fs::open(path, OFlag::O_RDONLY).during(|| format!("open {name}"))?);
    let stat = fstat(&file).during(|| format!("stat {name}"))?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return read_bounded(file, DOCUMENT_LIMIT, &name.to_string());
    }
    let limit = DOCUMENT_LIMIT.saturating_add(1);
    let bytes = fs::read_regular(file.as_fd(), stat.st_size as u64, limit).during(|| format!("read {name}"))?;
    within(bytes, DOCUMENT_LIMIT, &name.to_string())
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be opened or read, is something else (a FIFO would wait for a writer) or larger.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = path.display();
    let file = fs::open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).during(|| format!("open {name}"))?;
    let stat = fstat(&file).during(|| format!("stat {name}"))?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Error::new(format!("{name} is not a regular file")));
    }
    let bytes = fs::read_regular(file.as_fd(), stat.st_size as u64, limit.saturating_add(1))
        .during(|| format!("read {name}"))?;
    within(bytes, limit, &name.to_string())
}

/// Reads `source` to its end; more than `limit` bytes are an error. `name` names it in messages.
///
/// # Errors
/// When reading fails or the source is longer.
pub fn read_bounded(source: impl Read, limit: u64, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes).during(|| format!("read {name}"))?;
    within(bytes, limit, name)
}

fn within(bytes: Vec<u8>, limit: u64, name: &str) -> Result<Vec<u8>> {
    if bytes.len() as u64 > limit {
        return Err(Error::new(format!("{name} is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Parses quickly; only when that fails once more, to learn the name of the field.
pub(crate) fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8], origin: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error).context(origin.to_owned()))
}

fn explain<'de, T: Deserialize<'de>>(bytes: &'de [u8], error: &serde_json::Error) -> Error {
    use serde_json::error::Category;
    let hint = match error.classify() {
        Category::Eof => "The document ends too early.",
        Category::Syntax | Category::Io => "This is not JSON.",
        Category::Data => "The runtime specification's config.md has the type of each field.",
    };
    let field = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(bytes))
        .err()
        .map(|error| error.path().to_string())
        .filter(|path| path != ".");
    let what = Error::new(error.to_string()).hint(hint);
    match field {
        Some(field) => what.context(field),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use std::fs;

    const MINIMAL: &str = r#"{"ociVersion":"1.0.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["sh"]}}"#;

    fn bundle(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), text).unwrap();
        dir
    }

    fn refusal(text: &str) -> String {
        Bundle::load(bundle(text).path(), "config.json").unwrap_err().to_string()
    }

    #[test]
    fn a_bundle_has_its_canonical_path_and_the_bytes_of_its_configuration() {
        let dir = bundle(MINIMAL);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let bundle = Bundle::load(&link, "config.json").unwrap();
        assert_eq!(bundle.path, dir.path().canonicalize().unwrap());
        assert_eq!(bundle.raw, MINIMAL.as_bytes());
        assert_eq!(bundle.config.process.unwrap().args, ["sh"]);
    }

    #[test]
    fn a_wrong_type_names_field_and_position() {
        let text = "{\"ociVersion\":\"1.0.0\",\n\"linux\":{\"resources\":{\"memory\":{\n\"limit\":\"x\"}}}}";
        let message = refusal(text);
        let wanted = "config.json: linux.resources.memory.limit: invalid type: string \"x\", expected i64 at line 3";
        assert!(message.starts_with(wanted), "{message}");
    }

    #[test]
    fn an_element_of_a_list_is_named_by_its_index() {
        let message = refusal(r#"{"ociVersion":"1.0.0","mounts":[{"destination":"/a"},{"destination":7}]}"#);
        assert!(message.starts_with("config.json: mounts[1].destination: invalid type"), "{message}");
    }

    #[test]
    fn a_missing_property_is_named() {
        let message = refusal(r#"{"ociVersion":"1.0.0","root":{}}"#);
        assert!(message.contains("root: missing field `path`"), "{message}");
    }

    #[test]
    fn what_is_no_json_has_its_position() {
        assert!(refusal("{]").contains("at line 1 column 2"));
        assert!(refusal("").contains("ends too early"));
        assert!(refusal(&format!("{MINIMAL} x")).contains("trailing characters"));
        assert!(refusal(&"[".repeat(100_000)).contains("line 1"));
    }

    #[test]
    fn a_missing_file_says_how_to_make_one() {
        let dir = tempfile::tempdir().unwrap();
        let message = Bundle::load(dir.path(), "config.json").unwrap_err().to_string();
        assert!(message.contains("config.json: no such file or directory") && message.contains("berth spec"));
        let message = Bundle::load(&dir.path().join("none"), "config.json").unwrap_err().to_string();
        assert!(message.contains("/none: no such file or directory"), "{message}");
    }

    #[test]
    fn a_fifo_or_a_directory_neither_hangs_nor_is_read() {
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&dir.path().join("config.json"), Mode::from_bits_truncate(0o600)).unwrap();
        let message = Bundle::load(dir.path(), "config.json").unwrap_err().to_string();
        assert!(message.contains("is not a regular file"), "{message}");
        fs::create_dir(dir.path().join("dir")).unwrap();
        let message = Bundle::load(dir.path(), "dir").unwrap_err().to_string();
        assert!(message.contains("is not a regular file"), "{message}");
    }

    #[test]
    fn a_document_that_never_ends_is_refused() {
        let message = read_bounded(std::io::repeat(b' '), 10, "standard input").unwrap_err().to_string();
        assert_eq!(message, "standard input is larger than 10 bytes");
        assert_eq!(read_bounded(&b"0123456789"[..], 10, "x").unwrap(), b"0123456789");
    }

    #[test]
    fn processes_and_resources_are_checked_too() {
        let message = parse_process(br#"{"cwd":"x","args":["sh"]}"#, "p.json").unwrap_err().to_string();
        assert!(message.starts_with("p.json: process.cwd: "), "{message}");
        let message = parse_resources(br#"{"cpu":{"period":1}}"#, "-").unwrap_err().to_string();
        assert!(message.starts_with("-: linux.resources.cpu.period: "), "{message}");
        assert_eq!(parse_resources(br#"{"pids":{"limit":5}}"#, "-").unwrap().pids.unwrap().limit, Some(5));
    }
}
