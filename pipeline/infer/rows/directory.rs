use std::path::{Path, PathBuf};

use crate::event::{Error, Fault};
use crate::infer::directory::{batch_dependent, onnx_file, required, version};
use crate::infer::graph::{Graph, Tensor};
use crate::infer::json::{At, Json};

/// ONNX's number for 32-bit floats.
const FLOAT32: u64 = 1;

/// A model of rows: `model.onnx`, and `config.json` that names its features in their order, its input and its output.
/// One run takes `[rows, features]` and gives a probability a row, as `[rows]` or `[rows, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RowsDirectory {
    pub name: String,
    /// The first 12 hexadecimal digits of a SHA-256 over the model, its weights and `config.json`.
    pub version: String,
    pub onnx: PathBuf,
    pub input: String,
    pub output: String,
    /// In the order of the input's columns.
    pub features: Vec<String>,
    /// How long after the last click a session ended in what it learned from, in milliseconds; `None` where its
    /// `config.json` does not say.
    pub session_gap_ms: Option<u64>,
    /// Rows that one run may take; `None` is any number.
    pub rows_max: Option<usize>,
}

impl RowsDirectory {
    /// Errors name the file, the key and both values.
    pub fn open(name: &str, path: &Path) -> Result<RowsDirectory, Error> {
        open(name, path).map_err(|e| e.context(format_args!("model {name}")))
    }
}

fn open(name: &str, path: &Path) -> Result<RowsDirectory, Error> {
    let onnx = onnx_file(path)?;
    let config_file = required(path, "config.json")?;
    let config = Json::open(&config_file)?;
    let root = config.root();
    let graph = Graph::open(&onnx)?;
    let features = features(&root)?;
    let input = one(&onnx, &root, "input", &graph.inputs)?;
    let output = one(&onnx, &root, "output", &graph.outputs)?;
    let fixed = input_rows(&onnx, input, features.len())?;
    check_output(&onnx, output)?;
    if let [_, _, ..] = graph.inputs.as_slice() {
        let names: Vec<&str> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
        let message = format!("{} has the inputs {}, expected one alone", onnx.display(), names.join(", "));
        return Err(Error::new(Fault::Config, message));
    }
    Ok(RowsDirectory {
        name: name.to_owned(),
        version: version(&onnx, &graph, &[&config_file])?,
        input: input.name.clone(),
        output: output.name.clone(),
        features,
        session_gap_ms: root.get("session_gap_ms").map(|gap| gap.count()).transpose()?.map(|gap| gap as u64),
        rows_max: (fixed || batch_dependent(&graph)).then_some(1),
        onnx,
    })
}

fn features(root: &At<'_>) -> Result<Vec<String>, Error> {
    let Some(list) = root.get("features") else { return Err(root.fault("names no features")) };
    let names: Vec<String> =
        list.items()?.iter().map(|name| name.text().map(str::to_owned)).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(list.expected("at least one feature"));
    }
    Ok(names)
}

/// The tensor that `config.json` names under `key`; without a name, the only one there is.
fn one<'g>(onnx: &Path, root: &At<'_>, key: &str, tensors: &'g [Tensor]) -> Result<&'g Tensor, Error> {
    let names = || tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>().join(", ");
    match (root.get(key), tensors) {
        (Some(name), _) => {
            let wanted = name.text()?;
            let found = tensors.iter().find(|tensor| tensor.name == wanted);
            found.ok_or_else(|| name.expected(&format!("one of {}, which {} has", names(), onnx.display())))
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(root.fault(format_args!("names no {key}; {} has {}", onnx.display(), names()))),
    }
}

/// True where the export fixed the batch at one row.
fn input_rows(onnx: &Path, input: &Tensor, features: usize) -> Result<bool, Error> {
    let fault =
        |what: String| Error::new(Fault::Config, format!("{}: the input {} {what}", onnx.display(), input.name));
    if input.element != FLOAT32 {
        return Err(fault(format!("has the type {}, expected {FLOAT32} (floats of 32 bits)", input.element)));
    }
    match input.dimensions.as_deref() {
        None => Ok(false),
        Some([_, Some(width)]) if *width != features as u64 => {
            Err(fault(format!("takes rows of {width} numbers, and config.json names {features} features")))
        }
        Some([None, _]) => Ok(false),
        Some([Some(1), _]) => Ok(true),
        Some([Some(rows), _]) => {
            Err(fault(format!("takes batches of exactly {rows} rows; export it with a dynamic batch size")))
        }
        Some(others) => Err(fault(format!("has {} dimensions, expected 2 (rows and features)", others.len()))),
    }
}

fn check_output(onnx: &Path, output: &Tensor) -> Result<(), Error> {
    let fault =
        |what: String| Err(Error::new(Fault::Config, format!("{}: the output {} {what}", onnx.display(), output.name)));
    if output.element != FLOAT32 {
        return fault(format!("has the type {}, expected {FLOAT32} (floats of 32 bits)", output.element));
    }
    match output.dimensions.as_deref() {
        None | Some([_] | [_, None | Some(1)]) => Ok(()),
        Some([_, Some(width)]) => fault(format!("gives {width} numbers a row, expected 1")),
        Some(others) => fault(format!("has {} dimensions, expected 1 or 2 (rows, and one number each)", others.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, element: u64, dimensions: &[Option<u64>]) -> Tensor {
        Tensor { name: name.into(), element, dimensions: Some(dimensions.to_vec()) }
    }

    #[test]
    fn the_model_that_ships_can_be_opened() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/purchase");
        let directory = RowsDirectory::open("purchase", &path).unwrap();
        assert_eq!((directory.input.as_str(), directory.output.as_str()), ("features", "purchase_probability"));
        assert_eq!((directory.features[0].as_str(), directory.rows_max), ("is_view", None));
        assert_eq!(directory.session_gap_ms, Some(1_800_000));
        assert_eq!(directory.version.len(), 12);
    }

    #[test]
    fn inputs_that_can_be_fed() {
        let check = |element, dimensions: &[Option<u64>]| {
            input_rows(Path::new("model.onnx"), &tensor("features", element, dimensions), 3).map_err(|e| e.message)
        };
        assert_eq!(check(1, &[None, Some(3)]), Ok(false));
        assert_eq!(check(1, &[Some(1), Some(3)]), Ok(true));
        let refused = [
            (check(11, &[None, Some(3)]), "has the type 11, expected 1"),
            (check(1, &[None, Some(4)]), "takes rows of 4 numbers, and config.json names 3 features"),
            (check(1, &[Some(8), Some(3)]), "exactly 8 rows"),
            (check(1, &[None]), "1 dimensions, expected 2"),
        ];
        for (refusal, part) in refused {
            let message = refusal.unwrap_err();
            assert!(message.starts_with("model.onnx: the input features") && message.contains(part), "{message}");
        }
    }

    #[test]
    fn outputs_that_can_be_read() {
        let check = |element, dimensions: &[Option<u64>]| {
            check_output(Path::new("model.onnx"), &tensor("p", element, dimensions)).map_err(|e| e.message)
        };
        for readable in [&[None][..], &[None, Some(1)], &[None, None]] {
            assert_eq!(check(1, readable), Ok(()), "{readable:?}");
        }
        assert_eq!(
            check(1, &[None, Some(2)]).unwrap_err(),
            "model.onnx: the output p gives 2 numbers a row, expected 1"
        );
        assert!(check(10, &[None]).unwrap_err().contains("has the type 10"));
    }

    #[test]
    fn what_config_json_lacks_is_named() {
        let tensors = [tensor("a", 1, &[None]), tensor("b", 1, &[None])];
        let check = |config: &str| {
            let json = Json::of("config.json", config);
            one(Path::new("model.onnx"), &json.root(), "output", &tensors)
                .map(|t| t.name.clone())
                .map_err(|e| e.message)
        };
        assert_eq!(check(r#"{"output": "b"}"#), Ok("b".to_owned()));
        assert_eq!(check("{}").unwrap_err(), "config.json: the file names no output; model.onnx has a, b");
        let unknown = check(r#"{"output": "c"}"#).unwrap_err();
        assert_eq!(unknown, r#"config.json: output is "c", expected one of a, b, which model.onnx has"#);
        let names = features(&Json::of("config.json", r#"{"features": []}"#).root()).unwrap_err();
        assert_eq!(names.message, "config.json: features is [], expected at least one feature");
    }
}
