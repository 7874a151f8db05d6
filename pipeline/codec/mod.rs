//! Bytes ↔ events: JSON, Protobuf, and Protobuf framed for a schema registry.
