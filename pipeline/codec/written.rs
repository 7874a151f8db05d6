//! What the program itself has written to one topic and reads from it in another stage.

use prost::Message;
use serde::de::DeserializeOwned;

use super::{framing, json};
use crate::config::OutputFormat;
use crate::event::{Reason, Rejection};

/// Reads a message in the form in which [`super::Encoder`] writes it. A framed one is read by field number whatever its
/// schema's id: the topic is the program's own, and fields only come to the schema.
pub fn read_written<T: Message + Default + DeserializeOwned>(
    format: OutputFormat,
    payload: &[u8],
) -> Result<T, Rejection> {
    let binary = |bytes: &[u8]| {
        T::decode(bytes)
            .map_err(|error| Rejection::new(Reason::Malformed, format!("not the message expected: {error}")))
    };
    match format {
        OutputFormat::Json => {
            let text = json::text(payload)?;
            serde_json::from_str(text).map_err(|error| {
                // An error about a value would quote it.
                let place = format!("not the message expected: at line {} column {}", error.line(), error.column());
                Rejection::new(Reason::Malformed, place)
            })
        }
        OutputFormat::Protobuf => binary(payload),
        OutputFormat::ProtobufFramed => binary(framing::read(payload)?.payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoder;
    use crate::event::v1;

    #[test]
    fn what_is_written_is_read() {
        let scored: v1::Scored =
            serde_json::from_str(include_str!("../../schemas/samples/scored.json")).expect("a sample");
        for format in [OutputFormat::Json, OutputFormat::Protobuf, OutputFormat::ProtobufFramed] {
            let written = Encoder::new(format, Some(7)).expect("an encoder").encode(&scored);
            assert_eq!(read_written::<v1::Scored>(format, &written).as_ref(), Ok(&scored));
        }
    }

    #[test]
    fn what_is_something_else_is_refused_and_not_quoted() {
        let refused = read_written::<v1::Scored>(OutputFormat::Json, br#"{"product": 13800138000}"#).unwrap_err();
        assert_eq!(refused.reason, Reason::Malformed);
        assert!(!refused.message.contains("138"), "{}", refused.message);
        assert!(read_written::<v1::Scored>(OutputFormat::Protobuf, b"\xff\xff").is_err());
        assert!(read_written::<v1::Scored>(OutputFormat::ProtobufFramed, b"").is_err());
    }
}
