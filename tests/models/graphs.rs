//! Small ONNX graphs, written operator by operator, each for one question.

use std::fs;

use prost::Message;
use tempfile::TempDir;

pub const FLOAT: i32 = 1;
pub const INT32: i32 = 6;
pub const INT64: i32 = 7;
const ATTRIBUTE_INT: i32 = 2;
const ATTRIBUTE_INTS: i32 = 7;

#[derive(Clone, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    operators: Vec<OperatorSet>,
}

#[derive(Clone, Message)]
struct OperatorSet {
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    constants: Vec<Constant>,
    #[prost(message, repeated, tag = "11")]
    inputs: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    outputs: Vec<Value>,
}

#[derive(Clone, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    outputs: Vec<String>,
    #[prost(string, tag = "4")]
    operator: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "3")]
    integer: i64,
    #[prost(int64, repeated, tag = "8")]
    integers: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, Message)]
struct Constant {
    #[prost(int64, repeated, tag = "1")]
    dimensions: Vec<i64>,
    #[prost(int32, tag = "2")]
    element: i32,
    #[prost(float, repeated, tag = "4")]
    floats: Vec<f32>,
    #[prost(int64, repeated, tag = "7")]
    integers: Vec<i64>,
    #[prost(string, tag = "8")]
    name: String,
}

#[derive(Clone, Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Kind>,
}

#[derive(Clone, Message)]
struct Kind {
    #[prost(message, optional, tag = "1")]
    tensor: Option<Tensor>,
}

#[derive(Clone, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dimensions: Vec<Dimension>,
}

#[derive(Clone, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    size: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

impl Graph {
    pub fn new() -> Graph {
        Graph { name: "test".to_owned(), ..Graph::default() }
    }

    /// `None` is a dimension that varies.
    pub fn input(mut self, name: &str, element: i32, shape: &[Option<i64>]) -> Graph {
        self.inputs.push(value(name, element, shape));
        self
    }

    pub fn output(mut self, name: &str, shape: &[Option<i64>]) -> Graph {
        self.outputs.push(value(name, FLOAT, shape));
        self
    }

    pub fn floats(mut self, name: &str, dimensions: &[i64], floats: &[f32]) -> Graph {
        let (name, dimensions, floats) = (name.to_owned(), dimensions.to_vec(), floats.to_vec());
        self.constants.push(Constant { dimensions, element: FLOAT, floats, integers: Vec::new(), name });
        self
    }

    pub fn integers(mut self, name: &str, integers: &[i64]) -> Graph {
        let (name, dimensions, integers) = (name.to_owned(), vec![integers.len() as i64], integers.to_vec());
        self.constants.push(Constant { dimensions, element: INT64, floats: Vec::new(), integers, name });
        self
    }

    pub fn node(mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, i64)]) -> Graph {
        let attributes = attributes.iter().map(|&(name, integer)| Attribute {
            name: name.to_owned(),
            integer,
            integers: Vec::new(),
            kind: ATTRIBUTE_INT,
        });
        self.nodes.push(Node {
            inputs: inputs.iter().map(|&i| i.to_owned()).collect(),
            outputs: vec![output.to_owned()],
            operator: operator.to_owned(),
            attributes: attributes.collect(),
        });
        self
    }

    /// Gives the last node a list of axes.
    pub fn axes(mut self, axes: &[i64]) -> Graph {
        let integers = axes.to_vec();
        let attribute = Attribute { name: "axes".to_owned(), integer: 0, integers, kind: ATTRIBUTE_INTS };
        self.nodes.last_mut().unwrap().attributes.push(attribute);
        self
    }

    /// A model directory that holds the graph; `config` is its `config.json`.
    pub fn directory(&self, config: &str) -> TempDir {
        let model = Model { ir_version: 8, graph: Some(self.clone()), operators: vec![OperatorSet { version: 17 }] };
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
        write("model.onnx", &model.encode_to_vec());
        write("config.json", config.as_bytes());
        write("tokenizer.json", b"{}");
        directory
    }
}

fn value(name: &str, element: i32, shape: &[Option<i64>]) -> Value {
    let dimension = |(i, size): (usize, &Option<i64>)| Dimension {
        size: *size,
        name: size.is_none().then(|| format!("dimension_{i}")),
    };
    let shape = Shape { dimensions: shape.iter().enumerate().map(dimension).collect() };
    Value { name: name.to_owned(), kind: Some(Kind { tensor: Some(Tensor { element, shape: Some(shape) }) }) }
}
