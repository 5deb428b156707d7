//! What settings are read from, gathered before any is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::catalog;
use super::problem::{Problem, Problems};

/// What settings are read from. Made of plain values, so that reading them touches nothing else.
#[derive(Debug, Clone, Default)]
pub struct ConfigSource {
    /// Command-line flags, by the name of their setting: these win over everything.
    pub flags: BTreeMap<String, String>,
    /// Environment variables; of no interest unless they are settings or begin with `PAYOPS_`.
    pub environment: BTreeMap<String, String>,
    /// The configuration file.
    pub file: Option<ConfigFile>,
    /// Contents of the files that `…_FILE` settings name, or why there are none.
    pub secret_files: BTreeMap<PathBuf, Result<SecretString, String>>,
}

/// A configuration file that was read.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Where it is, for messages.
    pub path: PathBuf,
    /// Its text, TOML.
    pub text: String,
}

/// The file that is read when it exists and `PAYOPS_CONFIG` names no other.
const DEFAULT_FILE: &str = "payops.toml";

impl ConfigSource {
    /// Reads the process's environment, the configuration file (`PAYOPS_CONFIG` of flags or environment, or `payops.toml` in the
    /// working folder if there is one) and the files that hold secrets.
    pub fn gather(flags: BTreeMap<String, String>) -> Result<Self, Problems> {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named = flags.get("PAYOPS_CONFIG").or_else(|| environment.get("PAYOPS_CONFIG"));
        let named = named.filter(|path| !path.is_empty());
        let path = named.map_or_else(|| PathBuf::from(DEFAULT_FILE), PathBuf::from);
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some(ConfigFile { path, text }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => None,
            Err(error) => {
                let text = format!("the configuration file cannot be read: {error}");
                return Err(Problem::new("PAYOPS_CONFIG", format!("{}: {text}", path.display())).into());
            }
        };
        let mut source = Self { flags, environment, file, secret_files: BTreeMap::new() };
        source.read_secret_files();
        Ok(source)
    }

    pub(super) fn read_secret_files(&mut self) {
        let keys = self.file.as_ref().and_then(|file| flatten(file).ok()).unwrap_or_default();
        for setting in catalog::all().filter(|setting| setting.secret) {
            let in_environment = self.environment.get(&format!("{}_FILE", setting.name));
            let paths = [in_environment, keys.get(&format!("{}_file", setting.key()))];
            for path in paths.into_iter().flatten().filter(|path| !path.is_empty()) {
                self.secret_files.insert(path.into(), read_secret(Path::new(path)));
            }
        }
    }
}

/// A secret file may end in a line break, as editors leave it.
fn read_secret(path: &Path) -> Result<SecretString, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In the configuration file.
    File,
    /// Nowhere.
    Default,
}

impl Origin {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// A value as it was written.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) text: SecretString,
    pub(super) origin: Origin,
}

/// Every setting that was given anywhere, after the order of precedence; what is unknown or given twice is a
/// problem.
pub(super) fn collect(source: &ConfigSource, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Found> {
    let file = source.file.as_ref().map(flatten).transpose();
    let file = file.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let file = file.unwrap_or_default();
    refuse_unknown(source, &file, problems);
    let mut found = BTreeMap::new();
    for setting in catalog::all() {
        let layers = [
            (Origin::Flag, source.flags.get(setting.name), None),
            (
                Origin::Environment,
                source.environment.get(setting.name),
                source.environment.get(&format!("{}_FILE", setting.name)),
            ),
            (Origin::File, file.get(&setting.key()), file.get(&format!("{}_file", setting.key()))),
        ];
        for (origin, value, path) in layers {
            let path = path.filter(|path| setting.secret && !path.is_empty());
            let value = value.filter(|value| !value.is_empty());
            let text: SecretString = match (value, path) {
                (Some(_), Some(_)) => {
                    let text = format!("{0} and {0}_FILE are both given ({1})", setting.name, origin.name());
                    problems.push(Problem::new(setting.name, text));
                    break;
                }
                (Some(value), None) => value.clone().into(),
                (None, Some(path)) => match source.secret_files.get(Path::new(path)) {
                    Some(Ok(secret)) => secret.clone(),
                    unread => {
                        let why =
                            unread.and_then(|read| read.as_ref().err()).map_or("it was not read", |why| why);
                        problems.push(Problem::new(
                            setting.name,
                            format!("{}_FILE: {path}: {why}", setting.name),
                        ));
                        break;
                    }
                },
                (None, None) => continue,
            };
            found.insert(setting.name, Found { text, origin });
            break;
        }
    }
    found
}

fn refuse_unknown(source: &ConfigSource, file: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    let names: BTreeSet<String> = catalog::all()
        .flat_map(|setting| {
            let path = setting.secret.then(|| format!("{}_FILE", setting.name));
            [Some(setting.name.to_owned()), path].into_iter().flatten()
        })
        .chain(catalog::READ_ELSEWHERE.map(str::to_owned))
        .collect();
    let payops = source.environment.keys().filter(|name| name.starts_with("PAYOPS_"));
    for name in payops.filter(|name| !name.starts_with(catalog::TEST_PREFIX)).chain(source.flags.keys()) {
        if !names.contains(name) {
            problems.push(Problem::unknown(name, "there is no such setting", &names));
        }
    }
    let keys: BTreeSet<String> = catalog::all()
        .flat_map(|setting| {
            let path = setting.secret.then(|| format!("{}_file", setting.key()));
            [Some(setting.key()), path].into_iter().flatten()
        })
        .collect();
    for key in file.keys().filter(|key| !keys.contains(*key)) {
        let shown = without_secret(key);
        if shown == *key {
            problems.push(Problem::unknown(key, "there is no such key in the configuration file", &keys));
        } else {
            problems.push(Problem::new(shown, "is a text, or a list of texts, and no table"));
        }
    }
}

/// A key of the file as it may be shown: one that goes on behind the key of a secret may hold a part of it.
fn without_secret(key: &str) -> String {
    let mut secrets = catalog::all().filter(|setting| setting.secret).map(catalog::Setting::key);
    let within = |secret: &String| {
        let rest = key.strip_prefix(secret.as_str()).and_then(|rest| rest.strip_prefix('_'));
        rest.is_some_and(|rest| rest != "file")
    };
    secrets.find(within).unwrap_or_else(|| key.to_owned())
}

/// The file as key and text. A table is a prefix: `[db] host = "x"` is `db_host = "x"`; a list is its items
/// with commas between them.
fn flatten(file: &ConfigFile) -> Result<BTreeMap<String, String>, Problem> {
    let table: toml::Table = file.text.parse().map_err(|error: toml::de::Error| {
        let (line, _) = line_of(&file.text, error.span().map_or(0, |span| span.start));
        Problem::new(
            file.path.display().to_string(),
            format!("line {line}: this is not TOML: {}", error.message()),
        )
    })?;
    let mut flat = BTreeMap::new();
    flatten_table("", &table, &mut flat)
        .map_err(|text| Problem::new(file.path.display().to_string(), text))?;
    Ok(flat)
}

fn line_of(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    (before.matches('\n').count() + 1, before.len())
}

fn flatten_table(
    prefix: &str,
    table: &toml::Table,
    flat: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}_{key}") };
        if let toml::Value::Table(inner) = value {
            flatten_table(&key, inner, flat)?;
            continue;
        }
        let text = scalar(value).ok_or_else(|| {
            format!("{}: a text, a number or a list of them is expected", without_secret(&key))
        })?;
        if flat.insert(key.clone(), text).is_some() {
            let shown = without_secret(&key);
            return Err(format!("{shown} is given twice, once by a table and once by its whole name"));
        }
    }
    Ok(())
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            items.iter().map(scalar).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
