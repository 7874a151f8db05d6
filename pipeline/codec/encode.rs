use std::marker::PhantomData;

use bytes::Bytes;
use prost::{Message, Name};
use serde::Serialize;

use super::framing;
use super::schema::OURS;
use crate::config::OutputFormat;
use crate::event::{Error, Fault, v1};

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
        match &self.wire {
            Wire::Json => serde_json::to_vec(event).expect("names are strings, and no field's form can fail").into(),
            Wire::Protobuf { prefix } => {
                let mut bytes = Vec::with_capacity(prefix.len() + event.encoded_len());
                bytes.extend_from_slice(prefix);
                event.encode_raw(&mut bytes);
                bytes.into()
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
