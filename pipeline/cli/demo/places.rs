//! Where the files that come with the program are: below the working directory in a clone, beside the executable where
//! it is installed, or some folders above it after a build.

use std::path::{Path, PathBuf};

/// `target/release/groundswell` is two folders below the clone; `bin/groundswell` one below where it is installed.
const FOLDERS_UP: usize = 3;

/// The file or folder at this relative path, in the first place that has it.
pub fn find(relative: &str) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok();
    let working = std::env::current_dir().unwrap_or_default();
    let folders = executable.iter().flat_map(|path| path.ancestors().skip(1).take(FOLDERS_UP));
    first(relative, std::iter::once(working.as_path()).chain(folders), Path::exists)
}

fn first<'a>(
    relative: &str,
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
            let found = first("models/text", folders(), |path| there.iter().any(|t| Path::new(t) == path));
            assert_eq!(found.as_deref(), expected.map(Path::new));
        };
        check(&["/here/models/text", "/opt/gw/models/text"], Some("/here/models/text"));
        check(&["/opt/gw/models/text"], Some("/opt/gw/models/text"));
        check(&[], None);
    }
}
