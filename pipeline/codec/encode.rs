use std::cell::RefCell;

use bytes::{BufMut, Bytes, BytesMut};
use prost::{Message, Name};

use super::framing;
use super::schema::OURS;
use crate::config::OutputFormat;
use crate::event::{Error, Fault, v1};

/// Payloads are cut from blocks of this size: they are freed on another thread than the one that writes them, and one
/// block is cheaper to hand over than the hundred payloads in it.
const BLOCK_BYTES: usize = 64 * 1024;
/// What is kept free for the next payload; one that takes more makes its block grow.
const PAYLOAD_BYTES: usize = 1024;

/// Encodes scored events. The same event is always the same bytes: its maps are ordered.
#[derive(Debug)]
pub struct Encoder {
    wire: Wire,
}

#[derive(Debug)]
enum Wire {
    Json,
    /// What stands before every payload; empty where nothing is framed.
    Protobuf {
        prefix: Vec<u8>,
    },
}

impl Encoder {
    /// `schema` is the id under which the registry holds [`super::SCORED_FILES`]; [`OutputFormat::ProtobufFramed`] alone
    /// needs it.
    pub fn new(format: OutputFormat, schema: Option<u32>) -> Result<Self, Error> {
        let wire = match (format, schema) {
            (OutputFormat::Json, _) => Wire::Json,
            (OutputFormat::Protobuf, _) => Wire::Protobuf { prefix: Vec::new() },
            (OutputFormat::ProtobufFramed, Some(schema)) => {
                Wire::Protobuf { prefix: framing::prefix(schema, &[position()?]) }
            }
            (OutputFormat::ProtobufFramed, None) => {
                let message = "outputs.format: framed Protobuf needs the id of a registered schema, and none is known";
                return Err(Error::new(Fault::Config, message).hint("set registry.url"));
            }
        };
        Ok(Self { wire })
    }

    pub fn encode(&self, scored: &v1::Scored) -> Bytes {
        thread_local! {
            static BLOCK: RefCell<BytesMut> = RefCell::default();
        }
        BLOCK.with_borrow_mut(|block| {
            if block.capacity() < PAYLOAD_BYTES {
                *block = BytesMut::with_capacity(BLOCK_BYTES);
            }
            self.write(scored, block);
            block.split().freeze()
        })
    }

    fn write(&self, scored: &v1::Scored, block: &mut BytesMut) {
        match &self.wire {
            Wire::Json => {
                serde_json::to_writer(block.writer(), scored).expect("names are strings, and no field's form can fail")
            }
            Wire::Protobuf { prefix } => {
                block.extend_from_slice(prefix);
                scored.encode_raw(block);
            }
        }
    }
}

/// The position of `Scored` within its file.
fn position() -> Result<usize, Error> {
    let name = v1::Scored::full_name();
    let scored = OURS.get_message_by_name(&name);
    let position = scored.and_then(|scored| scored.parent_file().messages().position(|message| message == scored));
    position.ok_or_else(|| Error::new(Fault::Bug, format!("the compiled schemas lack {name}")))
}
