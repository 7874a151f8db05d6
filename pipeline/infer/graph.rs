//! What an ONNX file says about its graph, read without its weights.
//!
//! The file is Protobuf. It is walked field by field, and tensors are skipped by seeking: a model of gigabytes costs
//! its names in memory and no more. So `check` can judge a model on a machine that has no ONNX Runtime.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::Path;

use crate::event::{Error, Fault};

/// Names longer than this are no names; the file is damaged.
const NAME_BYTES_MAX: u64 = 4096;
/// A dimension beyond this is a negative number.
const DIMENSION_MAX: u64 = i64::MAX as u64;
/// Graphs inside nodes (`If`, `Loop`) nest; deeper than this no exporter goes.
const DEPTH_MAX: u32 = 16;

/// The parts of a graph that decide how it can be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Every kind of operator, those of inner graphs and functions included.
    pub operators: BTreeSet<String>,
    /// What must be fed: graph inputs that have no initial value.
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// Files beside the model that hold its weights, by their names relative to it.
    pub external_files: BTreeSet<String>,
}

/// A graph's input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    /// ONNX's number for the element type: 1 is a 32-bit float, 6 and 7 are 32- and 64-bit integers, 10 a 16-bit float.
    pub element: u64,
    /// `None` where the file does not say; an inner `None` is a dimension that varies.
    pub dimensions: Option<Vec<Option<u64>>>,
}

impl Tensor {
    pub fn rank(&self) -> Option<usize> {
        self.dimensions.as_ref().map(Vec::len)
    }
}

impl Graph {
    /// Errors name the file, and say that it is no ONNX model or cannot be read.
    pub fn open(path: &Path) -> Result<Graph, Error> {
        let fault = |e: io::Error| {
            Error::new(Fault::Config, format!("{} cannot be read as an ONNX model: {e}", path.display()))
        };
        let file = File::open(path).map_err(fault)?;
        let length = file.metadata().map_err(fault)?.len();
        let graph = Graph::read(BufReader::new(file), length).map_err(fault)?;
        if graph.inputs.is_empty() || graph.outputs.is_empty() {
            return Err(fault(damaged("it has no inputs or no outputs")));
        }
        Ok(graph)
    }

    /// `ModelProto`: 7 is the graph, 25 are functions.
    fn read(reader: impl BufRead + Seek, length: u64) -> io::Result<Graph> {
        let mut walk = Walk { reader, position: 0 };
        let mut graph = Graph::default();
        let mut initial = BTreeSet::new();
        walk.fields(length, |walk, field| match field.number {
            7 => walk.graph(field.end, &mut graph, Some(&mut initial), 0),
            25 => walk.function(field.end, &mut graph),
            _ => Ok(()),
        })?;
        graph.inputs.retain(|input| !initial.contains(&input.name));
        Ok(graph)
    }
}

/// A field whose content starts where the reader stands.
struct Field {
    number: u64,
    /// The value of an integer field; 0 for others.
    integer: u64,
    /// Where the content ends.
    end: u64,
}

struct Walk<R> {
    reader: R,
    position: u64,
}

impl<R: BufRead + Seek> Walk<R> {
    /// `GraphProto`: 1 nodes, 5 initial values, 11 inputs, 12 outputs. Only the outermost graph's `initial` values,
    /// inputs and outputs matter.
    fn graph(
        &mut self,
        end: u64,
        graph: &mut Graph,
        mut initial: Option<&mut BTreeSet<String>>,
        depth: u32,
    ) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(damaged("its graphs nest too deeply"));
        }
        self.fields(end, |walk, field| match (field.number, initial.as_deref_mut()) {
            (1, _) => walk.node(field.end, graph, depth),
            (5, initial) => {
                let name = walk.initializer(field.end, &mut graph.external_files)?;
                if let Some(initial) = initial {
                    initial.insert(name);
                }
                Ok(())
            }
            (11, Some(_)) => walk.tensor(field.end).map(|t| graph.inputs.push(t)),
            (12, Some(_)) => walk.tensor(field.end).map(|t| graph.outputs.push(t)),
            _ => Ok(()),
        })
    }

    /// `NodeProto`: 4 is the operator, 5 are attributes, of which 6 and 11 hold graphs.
    fn node(&mut self, end: u64, graph: &mut Graph, depth: u32) -> io::Result<()> {
        self.fields(end, |walk, field| match field.number {
            4 => {
                graph.operators.insert(walk.name(field.end)?);
                Ok(())
            }
            5 => walk.fields(field.end, |walk, inner| match inner.number {
                6 | 11 => walk.graph(inner.end, graph, None, depth + 1),
                _ => Ok(()),
            }),
            _ => Ok(()),
        })
    }

    /// `FunctionProto`: 7 are nodes.
    fn function(&mut self, end: u64, graph: &mut Graph) -> io::Result<()> {
        self.fields(end, |walk, field| match field.number {
            7 => walk.node(field.end, graph, 0),
            _ => Ok(()),
        })
    }

    /// `TensorProto`: 8 is the name; 13 are pairs of key (1) and value (2), of which `location` names a file.
    fn initializer(&mut self, end: u64, files: &mut BTreeSet<String>) -> io::Result<String> {
        let mut name = String::new();
        self.fields(end, |walk, field| {
            match field.number {
                8 => name = walk.name(field.end)?,
                13 => {
                    let (key, value) = walk.pair(field.end)?;
                    if key == "location" {
                        files.insert(value);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(name)
    }

    fn pair(&mut self, end: u64) -> io::Result<(String, String)> {
        let mut pair = (String::new(), String::new());
        self.fields(end, |walk, field| {
            match field.number {
                1 => pair.0 = walk.name(field.end)?,
                2 => pair.1 = walk.name(field.end)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(pair)
    }

    /// `ValueInfoProto`: 1 is the name, 2 the type, of which 1 is a tensor: 1 the element type, 2 the shape.
    fn tensor(&mut self, end: u64) -> io::Result<Tensor> {
        let mut tensor = Tensor::default();
        self.fields(end, |walk, field| match field.number {
            1 => walk.name(field.end).map(|name| tensor.name = name),
            2 => walk.fields(field.end, |walk, kind| match kind.number {
                1 => walk.fields(kind.end, |walk, part| match part.number {
                    1 => {
                        tensor.element = part.integer;
                        Ok(())
                    }
                    2 => walk.shape(part.end).map(|shape| tensor.dimensions = Some(shape)),
                    _ => Ok(()),
                }),
                _ => Ok(()),
            }),
            _ => Ok(()),
        })?;
        Ok(tensor)
    }

    /// `TensorShapeProto`: 1 are dimensions, of which 1 is a fixed size.
    fn shape(&mut self, end: u64) -> io::Result<Vec<Option<u64>>> {
        let mut shape = Vec::new();
        self.fields(end, |walk, field| {
            if field.number != 1 {
                return Ok(());
            }
            let mut size = None;
            walk.fields(field.end, |_, dimension| {
                if dimension.number == 1 {
                    // Some exporters write 0 or -1 for a size that varies.
                    size = (1..=DIMENSION_MAX).contains(&dimension.integer).then_some(dimension.integer);
                }
                Ok(())
            })?;
            shape.push(size);
            Ok(())
        })?;
        Ok(shape)
    }

    /// Hands each field up to `end` to `visit` and skips what it leaves unread.
    fn fields(&mut self, end: u64, mut visit: impl FnMut(&mut Self, &Field) -> io::Result<()>) -> io::Result<()> {
        while self.position < end {
            let field = self.field(end)?;
            visit(self, &field)?;
            self.reader.seek_relative((field.end - self.position) as i64)?;
            self.position = field.end;
        }
        Ok(())
    }

    fn field(&mut self, end: u64) -> io::Result<Field> {
        let key = self.varint()?;
        let mut integer = 0;
        let length = match key & 7 {
            0 => {
                integer = self.varint()?;
                0
            }
            1 => 8,
            2 => self.varint()?,
            5 => 4,
            wire => return Err(damaged(&format!("wire type {wire} at byte {}", self.position))),
        };
        match self.position.checked_add(length).filter(|&field_end| field_end <= end) {
            Some(end) => Ok(Field { number: key >> 3, integer, end }),
            None => Err(damaged(&format!("a field at byte {} is longer than what holds it", self.position))),
        }
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            self.position += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged(&format!("a number at byte {} has no end", self.position)))
    }

    fn name(&mut self, end: u64) -> io::Result<String> {
        let length = end - self.position;
        if length > NAME_BYTES_MAX {
            return Err(damaged(&format!("a name of {length} bytes at byte {}", self.position)));
        }
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes)?;
        self.position = end;
        String::from_utf8(bytes).map_err(|_| damaged("a name is not UTF-8"))
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn message(number: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 0x4000);
        let mut bytes = vec![(number << 3) | 2];
        if content.len() >= 0x80 {
            bytes.push(content.len() as u8 | 0x80);
            bytes.push((content.len() >> 7) as u8);
        } else {
            bytes.push(content.len() as u8);
        }
        bytes.extend(content);
        bytes
    }

    fn value(name: &str, element: u8, dimensions: &[Option<u8>]) -> Vec<u8> {
        let shape = dimensions.iter().flat_map(|d| match d {
            Some(size) => message(1, &[8, *size]),
            None => message(1, &message(2, b"batch")),
        });
        let tensor = [vec![8, element], message(2, &shape.collect::<Vec<_>>())].concat();
        [message(1, name.as_bytes()), message(2, &message(1, &tensor))].concat()
    }

    fn model(nodes: &[Vec<u8>]) -> Vec<u8> {
        let weight = [message(8, b"weight"), message(9, &[7; 300])].concat();
        let external =
            [message(8, b"table"), message(13, &[message(1, b"location"), message(2, b"model.onnx_data")].concat())]
                .concat();
        let graph = [
            nodes.iter().flat_map(|n| message(1, n)).collect(),
            message(5, &weight),
            message(5, &external),
            message(11, &value("input_ids", 7, &[None, None])),
            message(11, &value("weight", 1, &[Some(3)])),
            message(12, &value("logits", 1, &[None, Some(2)])),
        ]
        .concat();
        [vec![8, 8], message(7, &graph)].concat()
    }

    fn read(bytes: &[u8]) -> io::Result<Graph> {
        Graph::read(Cursor::new(bytes), bytes.len() as u64)
    }

    #[test]
    fn names_operators_inputs_outputs_and_files() {
        let inner = message(1, &message(4, b"DynamicQuantizeLinear"));
        let branch = [message(4, b"If"), message(5, &message(6, &inner))].concat();
        let graph = read(&model(&[message(4, b"MatMul"), branch])).unwrap();
        let operators: Vec<_> = graph.operators.iter().map(String::as_str).collect();
        assert_eq!(operators, ["DynamicQuantizeLinear", "If", "MatMul"]);
        let ids = Tensor { name: "input_ids".into(), element: 7, dimensions: Some(vec![None, None]) };
        assert_eq!(graph.inputs, [ids], "an input with an initial value need not be fed");
        let logits = Tensor { name: "logits".into(), element: 1, dimensions: Some(vec![None, Some(2)]) };
        assert_eq!(graph.outputs, [logits]);
        assert!(graph.external_files.contains("model.onnx_data"));
    }

    #[test]
    fn damage_is_an_error() {
        let whole = model(&[message(4, b"MatMul")]);
        for cut in 3..whole.len() {
            read(&whole[..cut]).expect_err("a cut file");
        }
        read(b"<!DOCTYPE html>").expect_err("a page");
        read(&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).expect_err("an endless number");
    }

    #[test]
    fn nesting_is_bounded() {
        let mut node = message(4, b"Loop");
        for _ in 0..=DEPTH_MAX {
            node = message(5, &message(6, &message(1, &node)));
        }
        assert!(read(&model(&[node])).unwrap_err().to_string().contains("nest"));
    }
}
