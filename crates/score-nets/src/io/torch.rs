//! PyTorch archives: a zip with a pickled description and the raw storages beside it.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Device, Tensor};

use super::{
    archive::Archive,
    pickle::{MOST, TOO_MUCH, TensorRef, Value, parse},
};

type Result<T> = std::result::Result<T, String>;

/// A PyTorch archive: what it describes, and the numbers beside it.
pub(crate) struct Torch<'a> {
    archive: Archive<'a>,
    folder: String,
    pub(crate) root: Value,
    storages: HashMap<String, &'a [u8]>,
    /// Tensors may share a storage, but not so many that a small file fills the memory.
    left: usize,
}

impl<'a> Torch<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self> {
        let archive = Archive::open(bytes)?;
        let description = archive.find("/data.pkl");
        let description = description.ok_or("not a PyTorch archive: no member `data.pkl`")?;
        let folder = description.trim_end_matches("data.pkl").to_string();
        if let Ok(order) = archive.read(&format!("{folder}byteorder"))
            && order != b"little"
        {
            return Err("the archive's numbers are not little-endian".into());
        }
        let root = parse(archive.read(description)?)?;
        Ok(Self { archive, folder, root, storages: HashMap::new(), left: bytes.len() })
    }

    /// The numbers of a tensor; those of two bytes widened to f32, integers to f64.
    pub(crate) fn tensor(&mut self, name: &str, r: &TensorRef) -> Result<Tensor> {
        let raw = match self.storages.get(&r.key) {
            Some(raw) => *raw,
            None => self.archive.read(&format!("{}data/{}", self.folder, r.key))?,
        };
        self.storages.insert(r.key.clone(), raw);
        let half = |b| half::f16::from_le_bytes(b).to_f32();
        let brain = |b| half::bf16::from_le_bytes(b).to_f32();
        let tensor = match r.kind.as_str() {
            "torch.FloatStorage" => view(name, r, raw, f32::from_le_bytes)?,
            "torch.DoubleStorage" => view(name, r, raw, f64::from_le_bytes)?,
            "torch.HalfStorage" => view(name, r, raw, half)?,
            "torch.BFloat16Storage" => view(name, r, raw, brain)?,
            "torch.LongStorage" => view(name, r, raw, |b| i64::from_le_bytes(b) as f64)?,
            "torch.IntStorage" => view(name, r, raw, |b| f64::from(i32::from_le_bytes(b)))?,
            "torch.ByteStorage" | "torch.BoolStorage" => {
                view(name, r, raw, |[b]: [u8; 1]| f64::from(b))?
            }
            kind => return Err(format!("tensor `{name}` is a {kind}, not f32 or f64")),
        };
        self.left = self.left.checked_sub(tensor.elem_count()).ok_or_else(|| {
            format!("the tensors up to `{name}` hold more values than the archive has bytes")
        })?;
        Ok(tensor)
    }
}

/// The parameters of a pickled module, or the tensors of a `state_dict`, by dotted name.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let mut file = Torch::open(bytes)?;
    let root = std::mem::replace(&mut file.root, Value::Other);
    let mut refs = Vec::new();
    collect(&root, "", &mut { MOST }, &mut refs)?;
    if refs.is_empty() {
        return Err("the archive describes no tensors".into());
    }
    let mut tensors = BTreeMap::new();
    for (name, r) in refs {
        let tensor = file.tensor(&name, r)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// The number of tensors that a pickle describes.
pub(super) fn count(pickle: &[u8]) -> Result<usize> {
    let (value, mut refs) = (parse(pickle)?, Vec::new());
    collect(&value, "", &mut { MOST }, &mut refs)?;
    Ok(refs.len())
}

/// The tensors within a value by dotted name, while `left` bytes suffice for the names.
fn collect<'a>(
    value: &'a Value,
    prefix: &str,
    left: &mut usize,
    found: &mut Vec<(String, &'a TensorRef)>,
) -> Result<()> {
    let entries = match value {
        Value::Object(state) => match state.as_ref() {
            Value::Dict(entries) => entries,
            _ => return Ok(()),
        },
        Value::Dict(entries) => entries,
        _ => return Ok(()),
    };
    for (key, value) in entries {
        let Value::Str(key) = key else { continue };
        *left = left.checked_sub(prefix.len() + key.len()).ok_or(TOO_MUCH)?;
        match value {
            Value::Tensor(t) => found.push((format!("{prefix}{key}"), t)),
            // A module keeps its own tensors and its children under these names.
            Value::Dict(_) if key == "_parameters" || key == "_modules" => {
                collect(value, prefix, left, found)?;
            }
            Value::Object(_) => collect(value, &format!("{prefix}{key}."), left, found)?,
            _ => {}
        }
    }
    Ok(())
}

/// Dimensions of a tensor at most; networks here need two.
const MOST_DIMENSIONS: usize = 8;

fn view<T: candle_core::WithDType, const N: usize>(
    name: &str,
    r: &TensorRef,
    storage: &[u8],
    read: impl Fn([u8; N]) -> T,
) -> Result<Tensor> {
    let storage = storage.as_chunks::<N>().0;
    let fail = |what: &str| format!("tensor `{name}` {what}");
    if r.shape.len() > MOST_DIMENSIONS {
        let n = r.shape.len();
        return Err(fail(&format!("has {n} dimensions, expected at most {MOST_DIMENSIONS}")));
    }
    if r.shape.len() != r.stride.len() {
        return Err(fail("has sizes and strides of different length"));
    }
    let count = super::count(&r.shape).filter(|&n| n <= storage.len());
    let count = count.ok_or_else(|| {
        fail(&format!("of shape {:?} does not fit its {} stored values", r.shape, storage.len()))
    })?;
    let mut values = Vec::with_capacity(count);
    for i in 0..count {
        let (mut rest, mut at) = (i, r.offset);
        for (&size, &stride) in r.shape.iter().zip(&r.stride).rev() {
            at = (rest % size)
                .checked_mul(stride)
                .and_then(|s| at.checked_add(s))
                .unwrap_or(usize::MAX);
            rest /= size;
        }
        values.push(read(*storage.get(at).ok_or_else(|| fail("reaches beyond its storage"))?));
    }
    Tensor::from_vec(values, r.shape.as_slice(), &Device::Cpu).map_err(|e| fail(&e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of stored members.
    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut file, mut table) = (Vec::new(), Vec::new());
        for (name, content) in members {
            let size = (content.len() as u32).to_le_bytes();
            let checksum = super::super::checksum::checksum([*content]).to_le_bytes();
            let lengths = [name.len() as u8, 0, 0, 0];
            let both = [&[0; 10][..], &checksum, &size, &size, &lengths].concat();
            let header = (file.len() as u32).to_le_bytes();
            table.extend(
                [b"PK\x01\x02\0\0", &both[..], &[0; 10], &header, name.as_bytes()].concat(),
            );
            file.extend([b"PK\x03\x04", &both[..], name.as_bytes(), content].concat());
        }
        let (n, at) = ([members.len() as u8, 0], (file.len() as u32).to_le_bytes());
        file.extend(table);
        file.extend([b"PK\x05\x06\0\0\0\0", &n[..], &n, &[0; 4], &at, &[0; 2]].concat());
        file
    }

    fn text(text: &str) -> Vec<u8> {
        [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    /// A tensor over the storage `0`: its sizes as instructions, all strides 1; kept under number 0.
    fn tensor(sizes: &[u8], dims: usize) -> Vec<u8> {
        let storage = [b"((", &text("storage")[..], b"ctorch\nFloatStorage\n", &text("0"), b"tQ"];
        let strides = b"K\x01".repeat(dims);
        let rest = [b"K\0(", sizes, b"t(", &strides, b"ttRq\0"];
        [b"ctorch._utils\n_rebuild_tensor_v2\n", &storage.concat()[..], &rest.concat()].concat()
    }

    /// The tensors of a dictionary with these entries, beside a storage of so many numbers.
    fn opened(entries: &[u8], n: usize) -> Result<BTreeMap<String, Tensor>> {
        let storage: Vec<u8> = (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let pickle = [b"}(", entries, b"u."].concat();
        read(&zip(&[("a/data.pkl", &pickle), ("a/data/0", &storage)]))
    }

    #[test]
    fn small_archives_that_describe_much_are_refused() {
        let refused = |entries: &[u8], part: &str| {
            let error = opened(entries, 1000).expect_err(part);
            assert!(error.contains(part), "{error}");
        };
        let thousand = tensor(b"M\xe8\x03", 1);
        let one = [text("w"), thousand.clone()].concat();
        let w = opened(&one, 1000).map(|t| t["w"].to_vec1::<f32>().unwrap());
        assert_eq!(w, Ok((0..1000).map(|i| i as f32).collect()));
        // The same thousand numbers a thousand times.
        let again = [text("w"), b"h\0".to_vec()].concat();
        refused(&[one, again.repeat(999)].concat(), "more values than the archive has bytes");
        let flat = [text("w"), tensor(&b"K\x01".repeat(9), 9)].concat();
        refused(&flat, "`w` has 9 dimensions, expected at most 8");
        // Two thousand tensors of a module whose name has a megabyte.
        let child =
            [b"cm\nC\n)R}(", &text("w")[..], &thousand, &again.repeat(2000), b"ub"].concat();
        refused(&[text(&"m".repeat(1 << 20)), child].concat(), "the pickle holds too much");
    }
}
