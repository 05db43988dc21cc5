//! The part of Python's pickle format that `torch.save` uses. Nothing is ever called: classes and
//! functions are names, and only tensors and containers are understood.

/// A pickled value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Anything that does not matter here.
    Other,
    Int(i64),
    Str(String),
    Tuple(Vec<Value>),
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
pub(super) struct TensorRef {
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

#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    memo: std::collections::HashMap<usize, Value>,
}

impl Machine {
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
        let top = self.stack.last().ok_or("the pickle's stack runs empty")?.clone();
        self.memo.insert(id, top);
        Ok(())
    }

    fn recall(&mut self, id: usize) -> Result<()> {
        let value = self.memo.get(&id).ok_or("the pickle recalls what it never stored")?.clone();
        self.stack.push(value);
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) {
        if let Some(Value::Dict(entries)) = self.stack.last_mut() {
            let mut items = items.into_iter();
            while let (Some(k), Some(v)) = (items.next(), items.next()) {
                entries.push((k, v));
            }
        }
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        let at = self.stack.len().checked_sub(n).ok_or("the pickle's stack runs empty")?;
        let items = self.stack.split_off(at);
        self.stack.push(Value::Tuple(items));
        Ok(())
    }
}

/// Reads a pickle.
pub(super) fn parse(bytes: &[u8]) -> Result<Value> {
    let mut r = Reader { bytes, at: 0 };
    let mut m = Machine::default();
    loop {
        let op = r.take(1)?[0];
        match op {
            b'.' => return m.pop(),
            0x80 => drop(r.take(1)?),
            0x95 => drop(r.take(8)?),
            b'(' => m.stack.push(Value::Mark),
            b'0' => drop(m.pop()?),
            b'2' => m.stack.push(m.stack.last().cloned().ok_or("the pickle's stack runs empty")?),
            b'N' | 0x88 | 0x89 => m.stack.push(Value::Other),
            b']' | 0x8f => m.stack.push(Value::Other),
            b'a' => drop(m.pop()?),
            b'e' | 0x90 => drop(m.pop_to_mark()?),
            b'K' => push_int(&mut r, &mut m, 1)?,
            b'M' => push_int(&mut r, &mut m, 2)?,
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
            b')' => m.stack.push(Value::Tuple(vec![])),
            0x85 => m.tuple(1)?,
            0x86 => m.tuple(2)?,
            0x87 => m.tuple(3)?,
            b't' => {
                let items = m.pop_to_mark()?;
                m.stack.push(Value::Tuple(items));
            }
            b'}' => m.stack.push(Value::Dict(vec![])),
            b's' => {
                let (v, k) = (m.pop()?, m.pop()?);
                m.set_items(vec![k, v]);
            }
            b'u' => {
                let items = m.pop_to_mark()?;
                m.set_items(items);
            }
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
            b'R' | 0x81 => {
                let (args, callee) = (m.pop()?, m.pop()?);
                m.stack.push(reduce(&callee, args)?);
            }
            b'b' => {
                let state = m.pop()?;
                if let Some(Value::Object(o)) = m.stack.last_mut() {
                    **o = state;
                }
            }
            b'Q' => {
                let id = m.pop()?;
                m.stack.push(storage(id)?);
            }
            other => return Err(format!("the pickle uses the unknown instruction {other:#04x}")),
        }
    }
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
        Value::Tuple(items) => {
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
