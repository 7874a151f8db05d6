use std::sync::Arc;

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cache::Schemas;
use super::click_event;
use super::framing;
use super::json::{self, Straight};
use super::mapping::{Mapping, object};
use super::schema::OURS;
use super::text_event::TextEvent;
use crate::config::{Input, InputFormat, InputKind, Kind};
use crate::event::{Error, Fault, RawRecord, Reason, Rejection, v1};

/// What came of a record that was not refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded<T = TextEvent> {
    Event(T),
    /// The schema with this id is not in the cache: bring it there, and decode again.
    NeedsSchema(u32),
}

/// Decodes the records of one input of texts.
#[derive(Debug)]
pub struct Decoder {
    kind: Kind,
    reader: Reader,
}

/// Decodes the records of one input of clicks.
#[derive(Debug)]
pub struct ClickDecoder {
    reader: Reader,
}

/// Reads the records of one input as one message of `schemas/`.
#[derive(Debug)]
struct Reader {
    wire: Wire,
    mapping: Mapping,
    /// No field is mapped: our own form needs no detour.
    unmapped: bool,
}

/// An [`InputFormat`] with what it needs.
#[derive(Debug)]
enum Wire {
    Json,
    Protobuf,
    Framed(Arc<Schemas>),
}

/// What a payload holds before it is one of our events.
enum Found<T> {
    Ours(T),
    Tree(Value),
    NeedsSchema(u32),
}

/// A message of `schemas/` that an input may hold.
trait InputMessage: Message + Name + Default + Serialize + DeserializeOwned {
    fn attributes(&mut self) -> &mut Option<prost_types::Struct>;
}

impl Decoder {
    /// `schemas` is needed by [`InputFormat::ProtobufFramed`] alone.
    ///
    /// Fails where `inputs.<name>.fields` names what cannot be: a field that the kind has not, a pointer that is none, a
    /// constant of the wrong type.
    pub fn new(input: &Input, schemas: Option<Arc<Schemas>>) -> Result<Self, Error> {
        let (kind, name) = match input.kind {
            InputKind::Review => (Kind::Review, v1::Review::full_name()),
            InputKind::Chat => (Kind::Chat, v1::Chat::full_name()),
            InputKind::Click => {
                return Err(Error::new(Fault::Bug, format!("inputs.{}: clicks are no texts", input.name)));
            }
        };
        Ok(Self { kind, reader: Reader::new(input, &name, schemas)? })
    }

    /// Decodes, maps and completes one record. The same record, schemas given, always decodes to the same.
    pub fn decode(&self, record: &RawRecord) -> Result<Decoded, Rejection> {
        match self.kind {
            Kind::Review => self.decode_as(record, TextEvent::Review),
            Kind::Chat => self.decode_as(record, TextEvent::Chat),
        }
    }

    fn decode_as<T: InputMessage>(&self, record: &RawRecord, wrap: fn(T) -> TextEvent) -> Result<Decoded, Rejection> {
        match self.reader.read::<T>(record)? {
            Decoded::NeedsSchema(id) => Ok(Decoded::NeedsSchema(id)),
            Decoded::Event(event) => wrap(event).complete(record, || self.reader.place("text")).map(Decoded::Event),
        }
    }
}

impl ClickDecoder {
    /// As [`Decoder::new`].
    pub fn new(input: &Input, schemas: Option<Arc<Schemas>>) -> Result<Self, Error> {
        Ok(Self { reader: Reader::new(input, &v1::Click::full_name(), schemas)? })
    }

    /// Decodes, maps and completes one record: user, item, action, time and id are there, no name is too long to be
    /// remembered, and the price is one.
    pub fn decode(&self, record: &RawRecord) -> Result<Decoded<v1::Click>, Rejection> {
        match self.reader.read::<v1::Click>(record)? {
            Decoded::NeedsSchema(id) => Ok(Decoded::NeedsSchema(id)),
            Decoded::Event(click) => {
                click_event::complete(click, record, |field| self.reader.place(field)).map(Decoded::Event)
            }
        }
    }
}

impl Reader {
    fn new(input: &Input, message: &str, schemas: Option<Arc<Schemas>>) -> Result<Self, Error> {
        let wire = match (input.format, schemas) {
            (InputFormat::Json, _) => Wire::Json,
            (InputFormat::Protobuf, _) => Wire::Protobuf,
            (InputFormat::ProtobufFramed, Some(schemas)) => Wire::Framed(schemas),
            (InputFormat::ProtobufFramed, None) => {
                let message =
                    format!("inputs.{}: framed Protobuf needs a schema registry, and none is configured", input.name);
                return Err(Error::new(Fault::Config, message).hint("set registry.url"));
            }
        };
        let Some(message) = OURS.get_message_by_name(message) else {
            return Err(Error::new(Fault::Bug, format!("the compiled schemas lack {message}")));
        };
        Ok(Self { wire, mapping: Mapping::new(&message, input)?, unmapped: input.fields.is_empty() })
    }

    /// Where a field is looked for, for messages.
    fn place(&self, field: &str) -> String {
        self.mapping.place(field)
    }

    fn read<T: InputMessage>(&self, record: &RawRecord) -> Result<Decoded<T>, Rejection> {
        let Some(payload) = &record.payload else {
            return Err(Rejection::new(Reason::Tombstone, "the record has no payload"));
        };
        let found = match &self.wire {
            Wire::Json => self.read_json::<T>(payload)?,
            Wire::Protobuf => Found::Ours(decode_protobuf::<T>(payload)?),
            Wire::Framed(schemas) => read_framed::<T>(payload, schemas)?,
        };
        Ok(match found {
            Found::NeedsSchema(id) => Decoded::NeedsSchema(id),
            Found::Ours(event) if self.unmapped => Decoded::Event(event),
            Found::Ours(event) => Decoded::Event(self.map::<T>(tree_of(&event)?, record)?),
            Found::Tree(tree) => Decoded::Event(self.map::<T>(tree, record)?),
        })
    }

    fn read_json<T: InputMessage>(&self, payload: &[u8]) -> Result<Found<T>, Rejection> {
        let text = json::text(payload)?;
        if self.unmapped
            && let Straight::Read(mut event, rest) = json::read_straight::<T>(text)?
        {
            let attributes = event.attributes().get_or_insert_default();
            for (name, value) in rest.fields {
                attributes.fields.entry(name).or_insert(value);
            }
            return Ok(Found::Ours(event));
        }
        json::read_tree(text).map(Found::Tree)
    }

    fn map<T: InputMessage>(&self, tree: Value, record: &RawRecord) -> Result<T, Rejection> {
        let event = self.mapping.apply(object(tree)?, record)?;
        // Each field was brought into its own form; what serde could still say might quote a value.
        T::deserialize(Value::Object(event))
            .map_err(|_| Rejection::new(Reason::Invalid, "the fields found do not make an event"))
    }
}

/// Reads by the writer's schema. Where the writer's message is ours by name it is read as ours: fields that the writer
/// has not stay empty, fields that we have not are passed over, as Protobuf promises.
fn read_framed<T: InputMessage>(payload: &[u8], schemas: &Schemas) -> Result<Found<T>, Rejection> {
    let frame = framing::read(payload)?;
    let Some(schema) = schemas.get(frame.schema) else {
        return Ok(Found::NeedsSchema(frame.schema));
    };
    let Some(message) = schema.message(&frame.path) else {
        let text = format!("schema {} has no message at index {:?}", frame.schema, frame.path);
        return Err(Rejection::new(Reason::Malformed, text));
    };
    if message.full_name() == T::full_name() {
        return decode_protobuf(frame.payload).map(Found::Ours);
    }
    decode_foreign(message, frame.payload).map(Found::Tree)
}

fn decode_protobuf<T: InputMessage>(payload: &[u8]) -> Result<T, Rejection> {
    T::decode(payload).map_err(|error| not_protobuf(T::NAME, &error))
}

/// A writer's own message as JSON under its own field names, so that it is mapped as JSON is.
fn decode_foreign(message: MessageDescriptor, payload: &[u8]) -> Result<Value, Rejection> {
    let name = message.full_name().to_string();
    let decoded = DynamicMessage::decode(message, payload).map_err(|error| not_protobuf(&name, &error))?;
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    decoded
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|_| Rejection::new(Reason::Invalid, format!("{name} holds a value that JSON has no form for")))
}

/// Prost's message names the field and the wire type, and quotes no value.
fn not_protobuf(name: &str, error: &prost::DecodeError) -> Rejection {
    Rejection::new(Reason::Malformed, format!("not a {name}: {error}"))
}

fn tree_of<T: InputMessage>(event: &T) -> Result<Value, Rejection> {
    serde_json::to_value(event)
        .map_err(|_| Rejection::new(Reason::Invalid, format!("{} holds a value that JSON has no form for", T::NAME)))
}

impl InputMessage for v1::Review {
    fn attributes(&mut self) -> &mut Option<prost_types::Struct> {
        &mut self.attributes
    }
}

impl InputMessage for v1::Chat {
    fn attributes(&mut self) -> &mut Option<prost_types::Struct> {
        &mut self.attributes
    }
}

impl InputMessage for v1::Click {
    fn attributes(&mut self) -> &mut Option<prost_types::Struct> {
        &mut self.attributes
    }
}

#[cfg(test)]
mod tests;
