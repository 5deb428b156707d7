//! The language of what people read. Machines read `--json`, the files and the exit code.

use std::env;

use payops_platform::error::Language;
use payops_recon::report::Words;

/// Chinese where the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set asks for it, else English.
pub(super) fn of_environment() -> Words {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let set = names.iter().filter_map(env::var_os).find(|value| !value.is_empty());
    let is_chinese = set.is_some_and(|value| value.to_string_lossy().to_ascii_lowercase().starts_with("zh"));
    Words(if is_chinese { Language::Chinese } else { Language::English })
}
