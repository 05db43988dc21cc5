//! The part of Python's pickle format that `torch.save` uses. Nothing is ever called: classes and
//! functions are names, and only tensors and containers are understood.

/// A pickled value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Anything that does not matter here.
    Other,
    Int(i64),
    Str(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(String),
    /// An object with its state.
    Object(Box<Value>),
    Storage {
        kind: String,
        key: String,
    },
    Tensor(TensorRef),
    Mark,
}

/// A tensor as a view into a storage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorRef {
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<usize>,
}

type Result<T> = std::result::Result<T, String>;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.bytes.len());
        let end = end.ok_or("the pickle ends too early")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian unsigned number of `n` bytes.
    fn uint(&mut self, n: usize) -> Result<usize> {
        Ok(self.take(n)?.iter().rev().fold(0, |a, &b| (a << 8) | usize::from(b)))
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|&b| b == b'\n').ok_or("the pickle ends too early")?;
        let line = String::from_utf8_lossy(&rest[..n]).into_owned();
        self.at += n + 1;
        Ok(line)
    }

    fn text(&mut self, width: usize) -> Result<Value> {
        let n = self.uint(width)?;
        Ok(Value::Str(String::from_utf8_lossy(self.take(n)?).into_owned()))
    }
}

/// Values within values at most: modules in modules need a few dozen.
const DEEPEST: usize = 200;

/// Bytes of values that are looked at and copied at most; large networks need some ten million.
pub(super) const MOST: usize = 1 << 30;

/// What is said where that does not suffice.
pub(super) const TOO_MUCH: &str = "the pickle holds too much";

struct Machine {
    stack: Vec<Value>,
    memo: std::collections::HashMap<usize, Value>,
    /// What is left of [`MOST`]: copies of copies would grow without bound.
    left: usize,
}

impl Machine {
    /// Pushes a value that holds others or is a copy.
    fn push(&mut self, value: Value) -> Result<()> {
        self.left = weigh(&value, DEEPEST, self.left)?;
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().ok_or_else(|| "the pickle's stack runs empty".into())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        let at = self.stack.iter().rposition(|v| *v == Value::Mark);
        let at = at.ok_or("the pickle lacks a mark")?;
        let items = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(items)
    }

    fn remember(&mut self, id: usize) -> Result<()> {
        let top = self.stack.last().ok_or("the pickle's stack runs empty")?;
        self.left = weigh(top, DEEPEST, self.left)?;
        self.memo.insert(id, top.clone());
        Ok(())
    }

    fn recall(&mut self, id: usize) -> Result<()> {
        let value = self.memo.get(&id).ok_or("the pickle recalls what it never stored")?;
        self.left = weigh(value, DEEPEST, self.left)?;
        self.stack.push(value.clone());
        Ok(())
    }

    /// Puts keys and values into the dictionary below them, whose own depth they add to.
    fn set_items(&mut self, items: Vec<Value>) -> Result<()> {
        for item in &items {
            self.left = weigh(item, DEEPEST - 1, self.left)?;
        }
        if let Some(Value::Dict(entries)) = self.stack.last_mut() {
            let mut items = items.into_iter();
            while let (Some(k), Some(v)) = (items.next(), items.next()) {
                entries.push((k, v));
            }
        }
        Ok(())
    }

    /// Puts items at the end of the list below them, whose own depth they add to.
    fn append(&mut self, items: Vec<Value>) -> Result<()> {
        for item in &items {
            self.left = weigh(item, DEEPEST - 1, self.left)?;
        }
        if let Some(Value::List(list)) = self.stack.last_mut() {
            list.extend(items);
        }
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        let at = self.stack.len().checked_sub(n).ok_or("the pickle's stack runs empty")?;
        let items = self.stack.split_off(at);
        self.push(Value::Tuple(items))
    }
}

/// What is left of a budget after all values within `value`, at most `depth` deep.
fn weigh(value: &Value, depth: usize, left: usize) -> Result<usize> {
    let own = match value {
        Value::Str(text) | Value::Global(text) => text.len(),
        Value::Storage { kind, key } => kind.len() + key.len(),
        Value::Tensor(t) => t.kind.len() + t.key.len() + 8 * (t.shape.len() + t.stride.len()),
        _ => 0,
    };
    let left = left.checked_sub(size_of::<Value>() + own).ok_or(TOO_MUCH)?;
    let depth = depth.checked_sub(1).ok_or("the pickle is too deep")?;
    match value {
        Value::Tuple(items) | Value::List(items) => {
            items.iter().try_fold(left, |left, v| weigh(v, depth, left))
        }
        Value::Dict(entries) => {
            entries.iter().try_fold(left, |left, (k, v)| weigh(v, depth, weigh(k, depth, left)?))
        }
        Value::Object(state) => weigh(state, depth, left),
        _ => Ok(left),
    }
}

/// Reads a pickle.
pub(super) fn parse(bytes: &[u8]) -> Result<Value> {
    let mut r = Reader { bytes, at: 0 };
    let mut m = Machine { stack: Vec::new(), memo: Default::default(), left: MOST };
    loop {
        let op = r.take(1)?[0];
        if op == b'.' {
            return m.pop();
        }
        let known = scalar(op, &mut r, &mut m)?
            || container(op, &mut m)?
            || memo(op, &mut r, &mut m)?
            || object(op, &mut r, &mut m)?;
        if !known {
            return Err(format!("the pickle uses the unknown instruction {op:#04x}"));
        }
    }
}

/// Instructions that frame the file and push numbers and texts; whether it is one of them.
fn scalar(op: u8, r: &mut Reader<'_>, m: &mut Machine) -> Result<bool> {
    match op {
        0x80 => drop(r.take(1)?),
        0x95 => drop(r.take(8)?),
        b'N' | 0x88 | 0x89 => m.stack.push(Value::Other),
        b'K' => push_int(r, m, 1)?,
        b'M' => push_int(r, m, 2)?,
        b'J' => {
            let v = r.uint(4)? as u32 as i32;
            m.stack.push(Value::Int(v.into()));
        }
        0x8a => {
            let n = r.uint(1)?;
            if n > 8 {
                return Err("the pickle holds a number beyond 64 bits".into());
            }
            let bytes = r.take(n)?;
            let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
            let mut wide = [fill; 8];
            wide[..n].copy_from_slice(bytes);
            m.stack.push(Value::Int(i64::from_le_bytes(wide)));
        }
        b'G' => {
            r.take(8)?;
            m.stack.push(Value::Other);
        }
        b'X' => m.stack.push(r.text(4)?),
        0x8c => m.stack.push(r.text(1)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Instructions of the stack, lists, tuples, sets and dictionaries.
fn container(op: u8, m: &mut Machine) -> Result<bool> {
    match op {
        b'(' => m.stack.push(Value::Mark),
        b'0' => drop(m.pop()?),
        b'2' => m.push(m.stack.last().cloned().ok_or("the pickle's stack runs empty")?)?,
        b']' => m.stack.push(Value::List(vec![])),
        0x8f => m.stack.push(Value::Other),
        b'a' => {
            let item = m.pop()?;
            m.append(vec![item])?;
        }
        b'e' => {
            let items = m.pop_to_mark()?;
            m.append(items)?;
        }
        b'l' => {
            let items = m.pop_to_mark()?;
            m.push(Value::List(items))?;
        }
        0x90 => drop(m.pop_to_mark()?),
        b')' => m.stack.push(Value::Tuple(vec![])),
        0x85 => m.tuple(1)?,
        0x86 => m.tuple(2)?,
        0x87 => m.tuple(3)?,
        b't' => {
            let items = m.pop_to_mark()?;
            m.push(Value::Tuple(items))?;
        }
        b'}' => m.stack.push(Value::Dict(vec![])),
        b's' => {
            let (v, k) = (m.pop()?, m.pop()?);
            m.set_items(vec![k, v])?;
        }
        b'u' => {
            let items = m.pop_to_mark()?;
            m.set_items(items)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Instructions that remember values and recall them.
fn memo(op: u8, r: &mut Reader<'_>, m: &mut Machine) -> Result<bool> {
    match op {
        b'q' => {
            let id = r.uint(1)?;
            m.remember(id)?;
        }
        b'r' => {
            let id = r.uint(4)?;
            m.remember(id)?;
        }
        0x94 => m.remember(m.memo.len())?,
        b'h' => {
            let id = r.uint(1)?;
            m.recall(id)?;
        }
        b'j' => {
            let id = r.uint(4)?;
            m.recall(id)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Instructions of names, objects and storages.
fn object(op: u8, r: &mut Reader<'_>, m: &mut Machine) -> Result<bool> {
    match op {
        b'c' => {
            let (module, name) = (r.line()?, r.line()?);
            m.stack.push(Value::Global(format!("{module}.{name}")));
        }
        0x93 => {
            let (name, module) = (m.pop()?, m.pop()?);
            let global = match (module, name) {
                (Value::Str(a), Value::Str(b)) => Value::Global(format!("{a}.{b}")),
                _ => Value::Other,
            };
            m.stack.push(global);
        }
        b'R' | 0x81 => {
            let (args, callee) = (m.pop()?, m.pop()?);
            m.stack.push(reduce(&callee, args)?);
        }
        b'b' => {
            let state = m.pop()?;
            m.left = weigh(&state, DEEPEST - 1, m.left)?;
            if let Some(Value::Object(o)) = m.stack.last_mut() {
                **o = state;
            }
        }
        b'Q' => {
            let id = m.pop()?;
            m.stack.push(storage(id)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn push_int(r: &mut Reader<'_>, m: &mut Machine, n: usize) -> Result<()> {
    let v = r.uint(n)? as i64;
    m.stack.push(Value::Int(v));
    Ok(())
}

fn reduce(callee: &Value, args: Value) -> Result<Value> {
    let (Value::Global(name), Value::Tuple(mut args)) = (callee, args) else {
        return Ok(Value::Other);
    };
    match name.as_str() {
        "collections.OrderedDict" => Ok(Value::Dict(vec![])),
        "torch._utils._rebuild_tensor_v2" => tensor(&args),
        "torch._utils._rebuild_parameter" if !args.is_empty() => Ok(args.swap_remove(0)),
        n if n.starts_with("__builtin__.") || n.starts_with("builtins.") => Ok(Value::Other),
        _ => Ok(Value::Object(Box::new(Value::Other))),
    }
}

fn storage(id: Value) -> Result<Value> {
    match id {
        Value::Tuple(items) => match items.as_slice() {
            [Value::Str(tag), Value::Global(kind), Value::Str(key), ..] if tag == "storage" => {
                Ok(Value::Storage { kind: kind.clone(), key: key.clone() })
            }
            _ => Err("the pickle refers to something other than a tensor storage".into()),
        },
        _ => Err("the pickle refers to something other than a tensor storage".into()),
    }
}

fn tensor(args: &[Value]) -> Result<Value> {
    let sizes = |v: &Value| match v {
        Value::Tuple(items) | Value::List(items) => {
            items.iter().map(|i| index(i).ok_or("a tensor with a bad size".to_string())).collect()
        }
        _ => Err("a tensor without sizes".to_string()),
    };
    match args {
        [Value::Storage { kind, key }, offset, shape, stride, ..] => Ok(Value::Tensor(TensorRef {
            kind: kind.clone(),
            key: key.clone(),
            offset: index(offset).ok_or("a tensor with a bad offset")?,
            shape: sizes(shape)?,
            stride: sizes(stride)?,
        })),
        _ => Err("a tensor without a storage".into()),
    }
}

fn index(v: &Value) -> Option<usize> {
    match v {
        Value::Int(i) => usize::try_from(*i).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_that_grow_without_bound_are_refused() {
        // None, then forty times: twice the top, as a pair.
        let mut doubled = b"N".to_vec();
        doubled.extend(b"2\x86".repeat(40));
        doubled.push(b'.');
        assert!(parse(&doubled).is_err_and(|e| e.contains("too much")));
        // A text of a megabyte, remembered once and recalled ten thousand times.
        let mut recalled = b"X\x00\x00\x10\x00".to_vec();
        recalled.extend([b'a'; 1 << 20]);
        recalled.extend(b"q\x00");
        recalled.extend(b"h\x00".repeat(10_000));
        recalled.push(b'.');
        assert!(parse(&recalled).is_err_and(|e| e.contains("too much")));
        for nest in [&b"\x85"[..], b"(t", b"}q\x00"] {
            let mut deep = b"N".to_vec();
            deep.extend(nest.repeat(1_000_000));
            deep.push(b'.');
            let _ = parse(&deep);
        }
        let mut deep = b"N".to_vec();
        deep.extend(b"\x85".repeat(1_000_000));
        assert!(parse(&deep).is_err_and(|e| e.contains("too deep")));
        // Dictionaries in dictionaries: {None: {None: ...}}.
        let mut deep = b"}".repeat(100_000);
        deep.extend(b"N\x86".repeat(3));
        deep.extend(b"Ns".repeat(99_990));
        let _ = parse(&deep);
    }
}
