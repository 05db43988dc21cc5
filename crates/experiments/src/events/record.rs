//! TFRecord: a length with its checksum, bytes with theirs.

use crc::{CRC_32_ISCSI, Crc};

/// CRC-32C.
static CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

fn checksum(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes)
}

/// A checksum as it is stored: rotated and shifted, so that one of bytes that hold checksums is none of them.
fn masked(bytes: &[u8]) -> u32 {
    checksum(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// Bytes as a record.
pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked(bytes).to_le_bytes());
    record
}

/// The records of a file; none where one is cut short or damaged.
#[cfg(test)]
pub(super) fn unframed(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(*bytes.first_chunk()?) as usize;
        let record = bytes.get(12..12 + length)?;
        let whole = framed(record);
        bytes = bytes.strip_prefix(whole.as_slice())?;
        records.push(record.to_vec());
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of CRC algorithms for CRC-32/ISCSI, and vectors of RFC 3720, B.4.
    #[test]
    fn the_check_values_are_right() {
        assert_eq!(checksum(b"123456789"), 0xE306_9283);
        assert_eq!(checksum(&[0; 32]), 0x8A91_36AA);
        assert_eq!(checksum(&[0xff; 32]), 0x62A8_AB43);
    }

    #[test]
    fn a_damaged_record_is_none() {
        let two = [framed(b"first"), framed(b"")].concat();
        assert_eq!(unframed(&two), Some(vec![b"first".to_vec(), Vec::new()]));
        for k in 0..two.len() {
            let mut bad = two.clone();
            bad[k] ^= 1;
            assert_eq!(unframed(&bad), None, "byte {k}");
        }
    }
}
