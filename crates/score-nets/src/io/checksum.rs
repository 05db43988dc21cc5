//! CRC-32 as in zip.

/// The checksum of pieces, one after the other.
pub(super) fn checksum<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    pieces.into_iter().for_each(|piece| hasher.update(piece));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::checksum;

    /// The check value of the catalogue of CRC algorithms for CRC-32/ISO-HDLC.
    #[test]
    fn the_check_value_is_right() {
        assert_eq!(checksum([&b"1234"[..], b"", b"56789"]), 0xCBF4_3926);
    }
}
