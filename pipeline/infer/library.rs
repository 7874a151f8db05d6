//! The ONNX Runtime shared library: found once, loaded once for the process.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::event::{Error, Fault};

/// Where the library is looked for below the working directory; `make fetch` puts it there.
const FETCHED: &str = ".local/onnxruntime";
const VARIABLE: &str = "ORT_DYLIB_PATH";

struct Loaded {
    path: PathBuf,
    environment: Environment,
}

/// The runtime keeps one environment for the whole process, so this is the one piece of global state that the models
/// need. A failed attempt leaves it empty, and the next one may succeed.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Loads the library on the first call. Later calls that ask for another library are refused, since a process can hold
/// only one.
pub(super) fn environment(configured: Option<&Path>) -> Result<Environment, Error> {
    let path = choose(&Places::here(configured), |p| p.is_file())?;
    let path = path.canonicalize().unwrap_or(path);
    let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(loaded) = loaded.as_ref() {
        return match loaded.path == path {
            true => Ok(loaded.environment.clone()),
            false => Err(Error::new(
                Fault::Config,
                format!("{} is asked for, but {} is loaded already", path.display(), loaded.path.display()),
            )),
        };
    }
    let environment = load(&path)?;
    *loaded = Some(Loaded { path, environment: environment.clone() });
    Ok(environment)
}

fn load(path: &Path) -> Result<Environment, Error> {
    let fault = |e: &dyn std::fmt::Display| {
        Error::new(Fault::Config, format!("the ONNX Runtime library {} cannot be loaded: {e}", path.display()))
    };
    let builder = ort::init_from(path).map_err(|e| fault(&e))?;
    let environment = builder.with_name("groundswell").with_telemetry(false).build().map_err(|e| fault(&e))?;
    // Otherwise the runtime writes out every step of its optimisers, only for the log's filter to drop it.
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// Where a library may be, the most explicit first.
struct Places {
    configured: Option<PathBuf>,
    variable: Option<PathBuf>,
    working_directory: PathBuf,
    executable_directory: Option<PathBuf>,
}

impl Places {
    fn here(configured: Option<&Path>) -> Places {
        Places {
            configured: configured.map(Path::to_owned),
            variable: env::var_os(VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from),
            working_directory: env::current_dir().unwrap_or_default(),
            executable_directory: env::current_exe().ok().and_then(|e| e.parent().map(Path::to_owned)),
        }
    }
}

/// What was asked for by name must be there; only without such a wish are the usual places tried.
fn choose(places: &Places, is_file: impl Fn(&Path) -> bool) -> Result<PathBuf, Error> {
    let named = [("inference.library", &places.configured), (VARIABLE, &places.variable)];
    for (name, path) in named {
        if let Some(path) = path {
            return match is_file(path) {
                true => Ok(path.clone()),
                false => Err(Error::new(Fault::Config, format!("{name} names {}, which is no file", path.display()))),
            };
        }
    }
    let file = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    let mut usual = vec![places.working_directory.join(FETCHED).join(&file)];
    usual.extend(places.executable_directory.as_ref().map(|d| d.join(&file)));
    if let Some(path) = usual.iter().find(|path| is_file(path)) {
        return Ok(path.clone());
    }
    let looked = usual.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(Error::new(
        Fault::Config,
        format!("the ONNX Runtime library is not found: inference.library and {VARIABLE} are not set, and there is no {looked}"),
    )
    .hint("fetch it with `make fetch`, or set inference.library"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(configured: Option<&str>, variable: Option<&str>) -> Places {
        Places {
            configured: configured.map(PathBuf::from),
            variable: variable.map(PathBuf::from),
            working_directory: "/app".into(),
            executable_directory: Some("/bin".into()),
        }
    }

    fn check(places: Places, there: &[&str], expected: Result<&str, &str>) {
        let chosen = choose(&places, |p| there.iter().any(|t| Path::new(t) == p));
        match (chosen, expected) {
            (Ok(path), Ok(expected)) => assert_eq!(path, Path::new(expected)),
            (Err(e), Err(part)) => assert!(e.to_string().contains(part), "{e}"),
            (chosen, _) => panic!("{chosen:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_most_explicit_place_wins() {
        let file = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
        let (fetched, beside) = (format!("/app/.local/onnxruntime/{file}"), format!("/bin/{file}"));
        let all = ["/a", "/b", fetched.as_str(), beside.as_str()];
        check(places(Some("/a"), Some("/b")), &all, Ok("/a"));
        check(places(None, Some("/b")), &all, Ok("/b"));
        check(places(None, None), &all, Ok(&fetched));
        check(places(None, None), &[&beside], Ok(&beside));
    }

    #[test]
    fn what_is_named_and_missing_is_not_replaced() {
        let file = format!("/app/.local/onnxruntime/{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
        check(places(Some("/a"), Some("/b")), &["/b", &file], Err("inference.library names /a, which is no file"));
        check(places(None, Some("/b")), &[&file], Err("ORT_DYLIB_PATH names /b, which is no file"));
        check(places(None, None), &[], Err("make fetch"));
        check(places(None, None), &[], Err(&file));
    }
}
