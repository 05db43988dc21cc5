//! The zip files that PyTorch writes: members stored as they are, with a checksum each.

use std::collections::BTreeMap;

use super::checksum::checksum;

type Result<T> = std::result::Result<T, String>;

/// Names and contents of an archive.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    members: BTreeMap<String, Member>,
}

struct Member {
    /// Where the local header starts.
    header: usize,
    size: usize,
    checksum: u32,
}

const BROKEN: &str = "not a complete PyTorch archive";

impl<'a> Archive<'a> {
    /// Reads the table of contents.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        // The end record is 22 bytes and a comment of at most 64 KiB.
        let from = bytes.len().saturating_sub(22 + 0xffff);
        let end = bytes[from..].windows(4).rposition(|w| w == b"PK\x05\x06");
        let end = from + end.ok_or(format!("{BROKEN}: no end record"))?;
        let mut count = uint(bytes, end + 10, 2)?;
        let mut at = uint(bytes, end + 16, 4)?;
        // In large archives, or by habit, the wide record says it; its locator stands before.
        let locator = end.saturating_sub(20);
        if bytes.get(locator..locator + 4) == Some(b"PK\x06\x07") {
            let wide = uint(bytes, locator + 8, 8)?;
            if bytes.get(wide..wide.saturating_add(4)) != Some(b"PK\x06\x06") {
                return Err(format!("{BROKEN}: its wide end record is not where it should be"));
            }
            (count, at) = (uint(bytes, wide + 32, 8)?, uint(bytes, wide + 48, 8)?);
        }
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let (name, member, next) = entry(bytes, at)?;
            members.entry(name).or_insert(member);
            at = next;
        }
        Ok(Self { bytes, members })
    }

    /// The name of a member that ends in `suffix`.
    pub(super) fn find(&self, suffix: &str) -> Option<&str> {
        self.members.keys().map(String::as_str).find(|n| n.ends_with(suffix))
    }

    /// The content of a member.
    pub(super) fn read(&self, name: &str) -> Result<&'a [u8]> {
        let member = self.members.get(name).ok_or(format!("member `{name}` is missing"))?;
        let header = member.header;
        let cut = |e| format!("member `{name}`: {e}");
        if self.bytes.get(header..header.saturating_add(4)) != Some(b"PK\x03\x04") {
            return Err(format!("member `{name}`: its header is not where it should be"));
        }
        let name_size = uint(self.bytes, header + 26, 2).map_err(cut)?;
        let extra_size = uint(self.bytes, header + 28, 2).map_err(cut)?;
        let start = header + 30 + name_size + extra_size;
        let content = start.checked_add(member.size).and_then(|end| self.bytes.get(start..end));
        let content =
            content.ok_or(format!("member `{name}` reaches beyond the end of the file"))?;
        if checksum([content]) != member.checksum {
            return Err(format!("member `{name}`: its checksum is wrong"));
        }
        Ok(content)
    }
}

/// The entry of the table of contents at `at`, its name first, and where the next one starts.
fn entry(bytes: &[u8], at: usize) -> Result<(String, Member, usize)> {
    if bytes.get(at..at.saturating_add(4)) != Some(b"PK\x01\x02") {
        return Err(format!("{BROKEN}: its table of contents is broken"));
    }
    let field = |offset, n| uint(bytes, at + offset, n);
    let (name_size, extra_size, comment_size) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
    let slice = |from: usize, n: usize| {
        let end = from.checked_add(n).filter(|&e| e <= bytes.len());
        end.map(|end| &bytes[from..end]).ok_or(format!("{BROKEN}: its table of contents is cut"))
    };
    let name = String::from_utf8_lossy(slice(at + 46, name_size)?).into_owned();
    let extra = slice(at + 46 + name_size, extra_size)?;
    if field(10, 2)? != 0 {
        return Err(format!("member `{name}` is compressed, which PyTorch never does"));
    }
    let (mut stored, mut size, mut header) = (field(20, 4)?, field(24, 4)?, field(42, 4)?);
    // Fields that do not fit are all ones and stand, in this order, in the extra field 1.
    let mut rest = extra;
    while rest.len() >= 4 {
        let (id, n) = (uint(rest, 0, 2)?, uint(rest, 2, 2)?);
        if id == 1 {
            let mut from = 4;
            for value in [&mut size, &mut stored, &mut header] {
                if *value == 0xffff_ffff {
                    *value = uint(rest, from, 8)?;
                    from += 8;
                }
            }
        }
        rest = rest.get(4 + n..).unwrap_or(&[]);
    }
    if stored != size {
        return Err(format!("member `{name}` has the sizes {stored} and {size}"));
    }
    let checksum = field(16, 4)? as u32;
    let next = at + 46 + name_size + extra_size + comment_size;
    Ok((name, Member { header, size, checksum }, next))
}

/// A little-endian number of `n` bytes.
fn uint(bytes: &[u8], at: usize, n: usize) -> Result<usize> {
    let field = at.checked_add(n).and_then(|end| bytes.get(at..end));
    let field = field.ok_or(format!("{BROKEN}: it ends too early"))?;
    Ok(field.iter().rev().fold(0, |a, &b| (a << 8) | usize::from(b)))
}
