use std::cell::RefCell;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use prost::{Message, Name};
use serde::Serialize;

use super::framing;
use super::schema::OURS;
use crate::config::OutputFormat;
use crate::event::{Error, Fault, v1};

/// Payloads are cut from blocks of this size: they are freed on another thread than the one that writes them, and one
/// block is cheaper to hand over than the hundred payloads in it.
const BLOCK_BYTES: usize = 64 * 1024;
/// What is kept free for the next payload; one that takes more makes its block grow.
const PAYLOAD_BYTES: usize = 1024;

thread_local! {
    /// JSON is written in pieces of a few bytes, which a vector takes faster than a block that may be shared.
    static JSON: RefCell<Vec<u8>> = RefCell::default();
}

/// Encodes events of one message of `schemas/`. The same event is always the same bytes: its maps are ordered.
#[derive(Debug)]
pub struct Encoder<T = v1::Scored> {
    wire: Wire,
    of: PhantomData<fn(&T)>,
}

#[derive(Debug)]
enum Wire {
    Json,
    /// What stands before every payload; empty where nothing is framed.
    Protobuf {
        prefix: Vec<u8>,
    },
}

impl<T: Message + Name + Serialize> Encoder<T> {
    /// `schema` is the id under which the registry holds the message's files, such as [`super::SCORED_FILES`];
    /// [`OutputFormat::ProtobufFramed`] alone needs it.
    pub fn new(format: OutputFormat, schema: Option<u32>) -> Result<Self, Error> {
        let wire = match (format, schema) {
            (OutputFormat::Json, _) => Wire::Json,
            (OutputFormat::Protobuf, _) => Wire::Protobuf { prefix: Vec::new() },
            (OutputFormat::ProtobufFramed, Some(schema)) => {
                Wire::Protobuf { prefix: framing::prefix(schema, &[position(&T::full_name())?]) }
            }
            (OutputFormat::ProtobufFramed, None) => {
                let message = "outputs.format: framed Protobuf needs the id of a registered schema, and none is known";
                return Err(Error::new(Fault::Config, message).hint("set registry.url"));
            }
        };
        Ok(Self { wire, of: PhantomData })
    }

    pub fn encode(&self, event: &T) -> Bytes {
        thread_local! {
            static BLOCK: RefCell<BytesMut> = RefCell::default();
        }
        BLOCK.with_borrow_mut(|block| {
            if block.capacity() < PAYLOAD_BYTES {
                *block = BytesMut::with_capacity(BLOCK_BYTES);
            }
            self.write(event, block);
            block.split().freeze()
        })
    }

    fn write(&self, event: &T, block: &mut BytesMut) {
        match &self.wire {
            Wire::Json => JSON.with_borrow_mut(|json| {
                json.clear();
                serde_json::to_writer(&mut *json, event).expect("names are strings, and no field's form can fail");
                block.extend_from_slice(json);
            }),
            Wire::Protobuf { prefix } => {
                block.extend_from_slice(prefix);
                event.encode_raw(block);
            }
        }
    }
}

/// The position of a message within its file.
fn position(name: &str) -> Result<usize, Error> {
    let found = OURS.get_message_by_name(name);
    let position = found.and_then(|found| found.parent_file().messages().position(|message| message == found));
    position.ok_or_else(|| Error::new(Fault::Bug, format!("the compiled schemas lack {name}")))
}
