//! The files of the workspace, as a fresh clone has them.

use std::path::{Path, PathBuf};

/// A text file and its path from the workspace's root.
pub(crate) struct TextFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// What a build or a run leaves behind, and what is not ours.
const NOT_OURS: &[&str] = &["target", ".git", "data", "artifacts", "corpus", "coverage"];

pub(crate) fn root() -> PathBuf {
    let own_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    own_folder.parent().unwrap().to_path_buf()
}

/// All files with one of these extensions, sorted by path.
pub(crate) fn with_extension(extensions: &[&str]) -> Vec<TextFile> {
    let root = root();
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.retain(|path| {
        path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
    });
    paths.sort();
    paths
        .into_iter()
        .map(|path| TextFile {
            text: std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            path: path.strip_prefix(&root).unwrap().to_path_buf(),
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_symlink() || NOT_OURS.contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(path);
        }
    }
}
