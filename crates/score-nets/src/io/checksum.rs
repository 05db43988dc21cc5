//! CRC-32 as in zip (reflected polynomial 0xEDB88320).

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut c, mut bit) = (i as u32, 0);
        while bit < 8 {
            c = (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg());
            bit += 1;
        }
        table[i] = c;
        i += 1;
    }
    table
};

/// The checksum of pieces, one after the other.
pub(super) fn checksum<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(!0, |c, &b| (c >> 8) ^ TABLE[usize::from(c as u8 ^ b)])
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
