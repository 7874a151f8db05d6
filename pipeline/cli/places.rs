//! Where the files that come with the program are: below the working directory in a clone, beside the executable where
//! it is installed, or some folders above it after a build.

use std::path::{Path, PathBuf};

use crate::config::Settings;

/// Where `make fetch` puts the library.
const LIBRARY_FOLDER: &str = ".local/onnxruntime";
/// `target/release/groundswell` is two folders below the clone; `bin/groundswell` one below where it is installed.
const FOLDERS_UP: usize = 3;

/// Model directories and the ONNX Runtime library, as written where they are there; where a relative path leads
/// nowhere, found beside the executable.
pub fn locate(mut settings: Settings) -> Settings {
    let texts = settings.models.iter_mut().map(|model| &mut model.path);
    for path in texts.chain(&mut settings.clicks.purchase_model).chain(&mut settings.clicks.segment_model) {
        if let Some(found) = elsewhere(path) {
            *path = found;
        }
    }
    let library = Path::new(LIBRARY_FOLDER).join(library_name());
    if settings.inference.library.is_none() && std::env::var_os("ORT_DYLIB_PATH").is_none() {
        settings.inference.library = elsewhere(&library);
    }
    settings
}

fn elsewhere(path: &Path) -> Option<PathBuf> {
    if path.is_absolute() || path.exists() { None } else { find(path) }
}

/// `libonnxruntime.so` and the like.
fn library_name() -> String {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The file or folder at this relative path, in the first place that has it.
fn find(relative: &Path) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok();
    let working = std::env::current_dir().unwrap_or_default();
    let folders = executable.iter().flat_map(|path| path.ancestors().skip(1).take(FOLDERS_UP));
    first(relative, std::iter::once(working.as_path()).chain(folders), Path::exists)
}

fn first<'a>(
    relative: &Path,
    folders: impl Iterator<Item = &'a Path>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    folders.map(|folder| folder.join(relative)).find(|path| exists(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_wins() {
        let folders = || ["/here", "/opt/gw/bin", "/opt/gw"].map(Path::new).into_iter();
        let check = |there: &[&str], expected: Option<&str>| {
            let found = first(Path::new("models/text"), folders(), |path| there.iter().any(|t| Path::new(t) == path));
            assert_eq!(found.as_deref(), expected.map(Path::new));
        };
        check(&["/here/models/text", "/opt/gw/models/text"], Some("/here/models/text"));
        check(&["/opt/gw/models/text"], Some("/opt/gw/models/text"));
        check(&[], None);
    }
}
