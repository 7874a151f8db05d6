//! One hash of names, the same for ever: what is stored and what goes from partition to partition must be found again.

/// FNV-1a over the bytes, then the last mixing steps of MurmurHash3 (Austin Appleby, public domain), which let every bit of
/// the name move every bit of the number.
pub fn of(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mixed(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_stays_what_it_was() {
        assert_eq!(super::of(b"p-7"), 0x32c3_6c3c_0120_1648);
        assert_ne!(super::of(b"a"), super::of(b"b"));
    }
}
