//! Confluent's framing of a Protobuf payload: magic byte 0, the schema's id as four bytes in network order, and the path
//! to the message within its file as zig-zag varints: how many, then each. A single 0 stands for the path `[0]`.

use crate::event::{Reason, Rejection};

const MAGIC: u8 = 0;
/// Messages nested deeper than this are not written by anybody; the bound keeps a hostile count from being believed.
const PATH_LENGTH_MAX: i64 = 32;

/// A framed payload taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub schema: u32,
    /// Position of the top-level message in the file, then of each nested one in its parent.
    pub path: Vec<usize>,
    pub payload: &'a [u8],
}

pub(super) fn read(bytes: &[u8]) -> Result<Frame<'_>, Rejection> {
    let Some((&magic, rest)) = bytes.split_first() else {
        return Err(malformed("expected a framed message, found no bytes"));
    };
    if magic != MAGIC {
        return Err(malformed(format!("expected magic byte {MAGIC}, found {magic}")));
    }
    let Some((id, mut rest)) = rest.split_first_chunk::<4>() else {
        return Err(malformed(format!("expected a schema id of 4 bytes, found {}", rest.len())));
    };
    let path = read_path(&mut rest)?;
    Ok(Frame { schema: u32::from_be_bytes(*id), path, payload: rest })
}

fn read_path(bytes: &mut &[u8]) -> Result<Vec<usize>, Rejection> {
    let length = read_varint(bytes)?;
    if length == 0 {
        return Ok(vec![0]);
    }
    if !(1..=PATH_LENGTH_MAX).contains(&length) {
        return Err(malformed(format!("expected a message index of 1 to {PATH_LENGTH_MAX} steps, found {length}")));
    }
    (0..length)
        .map(|_| {
            let step = read_varint(bytes)?;
            usize::try_from(step).map_err(|_| malformed(format!("expected a message index from 0, found {step}")))
        })
        .collect()
}

fn read_varint(bytes: &mut &[u8]) -> Result<i64, Rejection> {
    let raw = prost::encoding::decode_varint(bytes)
        .map_err(|_| malformed("expected a message index, found a number that is cut off or too long"))?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// What stands before every payload of one schema and message.
pub(super) fn prefix(schema: u32, path: &[usize]) -> Vec<u8> {
    let mut bytes = vec![MAGIC];
    bytes.extend(schema.to_be_bytes());
    if path == [0] {
        bytes.push(0);
        return bytes;
    }
    for number in std::iter::once(path.len()).chain(path.iter().copied()) {
        prost::encoding::encode_varint((number as u64) << 1, &mut bytes);
    }
    bytes
}

fn malformed(message: impl Into<String>) -> Rejection {
    Rejection::new(Reason::Malformed, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_read_or_refused() {
        let check = |bytes: &[u8], expected: Result<(u32, Vec<usize>, &[u8]), &str>| {
            let read = read(bytes).map(|frame| (frame.schema, frame.path, frame.payload));
            let read = read.map_err(|rejection| {
                assert_eq!(rejection.reason, Reason::Malformed);
                rejection.message
            });
            assert_eq!(read, expected.map_err(str::to_string), "{bytes:?}");
        };
        check(&[0, 0, 0, 0, 7, 0, 9], Ok((7, vec![0], &[9])));
        check(&[0, 0, 0, 1, 0, 2, 0], Ok((256, vec![0], &[])));
        check(&[0, 255, 255, 255, 255, 4, 2, 6, 1], Ok((u32::MAX, vec![1, 3], &[1])));
        check(&[], Err("expected a framed message, found no bytes"));
        check(b"{\"text\"", Err("expected magic byte 0, found 123"));
        check(&[0, 0, 0, 1], Err("expected a schema id of 4 bytes, found 3"));
        let cut = "expected a message index, found a number that is cut off or too long";
        check(&[0, 0, 0, 0, 1], Err(cut));
        check(&[0, 0, 0, 0, 1, 4, 2], Err(cut));
        check(&[0, 0, 0, 0, 1, 128], Err(cut));
        check(&[0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Err(cut));
        check(&[0, 0, 0, 0, 1, 1], Err("expected a message index of 1 to 32 steps, found -1"));
        check(&[0, 0, 0, 0, 1, 66], Err("expected a message index of 1 to 32 steps, found 33"));
        check(&[0, 0, 0, 0, 1, 2, 3], Err("expected a message index from 0, found -2"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(schema: u32, path in prop::collection::vec(0..100_000_usize, 1..32), payload: Vec<u8>) {
            let mut bytes = prefix(schema, &path);
            bytes.extend(&payload);
            prop_assert_eq!(read(&bytes), Ok(Frame { schema, path, payload: &payload }));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
