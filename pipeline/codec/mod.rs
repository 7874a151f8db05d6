//! Bytes ↔ events: JSON, Protobuf, and Protobuf framed for a schema registry.
//!
//! Decoding and encoding are pure: no I/O, no clock. A framed record whose schema is not in [`Schemas`] decodes to
//! [`Decoded::NeedsSchema`]; whoever may do I/O then asks [`registry::Client::resolve`] and decodes the record again.
//! Only an id that the registry itself says it does not know makes a record a dead letter, never a registry that is down.
//!
//! A [`Rejection`](crate::event::Rejection) made here names fields, places and types, and quotes no value: nothing was
//! redacted yet.

mod cache;
mod click_event;
mod coerce;
mod decode;
mod encode;
mod framing;
mod json;
mod known;
mod mapping;
pub mod registry;
mod schema;
mod text_event;
mod written;

#[cfg(test)]
mod tests;

pub use cache::Schemas;
pub use decode::{ClickDecoder, Decoded, Decoder};
pub use encode::Encoder;
pub use schema::{
    ALERT_FILES, PROFILE_FILES, RECOMMENDATIONS_FILES, SCORED_CLICK_FILES, SCORED_FILES, SchemaFile, WriterSchema,
};
pub use text_event::TextEvent;
pub use written::read_written;
