//! Values as bytes: the D-Bus specification, "Type System" and "Marshaling (Wire Format)".
//!
//! Little endian only, as everything on a machine that berth runs on. Every length of what was received is checked.

/// Containers in containers, as the specification's limit for arrays.
const MAX_DEPTH: usize = 32;

/// A value of one complete type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Value {
    Byte(u8),
    Bool(bool),
    Int16(i16),
    Uint16(u16),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    Str(String),
    Path(String),
    Signature(String),
    /// Elements with the signature of one.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    Variant(Box<Value>),
}

impl Value {
    /// A string.
    pub fn str(text: impl Into<String>) -> Self {
        Self::Str(text.into())
    }

    /// A structure of a name and a value of any type, `(sv)`: a property.
    pub fn property(name: &str, value: Value) -> Self {
        Self::Struct(vec![Self::str(name), Self::Variant(Box::new(value))])
    }

    /// The type code.
    pub fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".into(),
            Self::Bool(_) => "b".into(),
            Self::Int16(_) => "n".into(),
            Self::Uint16(_) => "q".into(),
            Self::Int32(_) => "i".into(),
            Self::Uint32(_) => "u".into(),
            Self::Int64(_) => "x".into(),
            Self::Uint64(_) => "t".into(),
            Self::Double(_) => "d".into(),
            Self::Str(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Struct(members) => format!("({})", members.iter().map(Self::signature).collect::<String>()),
            Self::Variant(_) => "v".into(),
        }
    }

    /// The text of a string or object path.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Path(text) => Some(text),
            _ => None,
        }
    }
}

fn alignment(code: u8) -> usize {
    match code {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

/// Adds the zeros before a value.
pub fn pad(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment), 0);
}

/// A length as bytes.
pub fn length(length: usize) -> [u8; 4] {
    // Our own messages are made of a configuration that was read into memory as a whole.
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// Appends a value; `bytes` begins where alignment counts from.
pub fn write(bytes: &mut Vec<u8>, value: &Value) {
    let signature = value.signature();
    pad(bytes, signature.bytes().next().map_or(1, alignment));
    match value {
        Value::Byte(byte) => bytes.push(*byte),
        Value::Bool(value) => bytes.extend(u32::from(*value).to_le_bytes()),
        Value::Int16(value) => bytes.extend(value.to_le_bytes()),
        Value::Uint16(value) => bytes.extend(value.to_le_bytes()),
        Value::Int32(value) => bytes.extend(value.to_le_bytes()),
        Value::Uint32(value) => bytes.extend(value.to_le_bytes()),
        Value::Int64(value) => bytes.extend(value.to_le_bytes()),
        Value::Uint64(value) => bytes.extend(value.to_le_bytes()),
        Value::Double(value) => bytes.extend(value.to_le_bytes()),
        Value::Str(text) | Value::Path(text) => {
            bytes.extend(length(text.len()));
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
        Value::Signature(text) => write_signature(bytes, text),
        Value::Array(element, values) => {
            let at = bytes.len();
            bytes.extend([0; 4]);
            // The padding before the first element does not count as length.
            pad(bytes, element.bytes().next().map_or(1, alignment));
            let start = bytes.len();
            values.iter().for_each(|value| write(bytes, value));
            let size = length(bytes.len() - start);
            bytes.splice(at..at + 4, size);
        }
        Value::Struct(members) => members.iter().for_each(|member| write(bytes, member)),
        Value::Variant(value) => {
            write_signature(bytes, &value.signature());
            write(bytes, value);
        }
    }
}

fn write_signature(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

/// Reads values; alignment counts from the beginning of the bytes.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from `at` on.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.at.checked_add(N)?;
        let taken = self.bytes.get(self.at..end)?.try_into().ok();
        self.at = end;
        taken
    }

    fn align(&mut self, alignment: usize) -> Option<()> {
        let at = self.at.checked_next_multiple_of(alignment)?;
        // Padding must be there and be zero.
        self.bytes.get(self.at..at)?.iter().all(|byte| *byte == 0).then(|| self.at = at)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let end = self.at.checked_add(length)?;
        let text = self.bytes.get(self.at..end)?.to_vec();
        self.at = end;
        let terminated = self.take::<1>()? == [0] && !text.contains(&0);
        String::from_utf8(text).ok().filter(|_| terminated)
    }

    fn string(&mut self) -> Option<String> {
        let length = u32::from_le_bytes(self.take()?);
        self.text(length as usize)
    }

    fn signature(&mut self) -> Option<String> {
        let [length] = self.take()?;
        self.text(usize::from(length))
    }

    /// Reads one value of the first complete type of `types`; gives the types that follow.
    pub fn value<'t>(&mut self, types: &'t [u8], depth: usize) -> Option<(Value, &'t [u8])> {
        let (code, rest) = types.split_first()?;
        if depth > MAX_DEPTH {
            return None;
        }
        self.align(alignment(*code))?;
        let value = match code {
            b'y' => Value::Byte(u8::from_le_bytes(self.take()?)),
            b'b' => match u32::from_le_bytes(self.take()?) {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return None,
            },
            b'n' => Value::Int16(i16::from_le_bytes(self.take()?)),
            b'q' => Value::Uint16(u16::from_le_bytes(self.take()?)),
            b'i' => Value::Int32(i32::from_le_bytes(self.take()?)),
            b'u' | b'h' => Value::Uint32(u32::from_le_bytes(self.take()?)),
            b'x' => Value::Int64(i64::from_le_bytes(self.take()?)),
            b't' => Value::Uint64(u64::from_le_bytes(self.take()?)),
            b'd' => Value::Double(f64::from_le_bytes(self.take()?)),
            b's' => Value::Str(self.string()?),
            b'o' => Value::Path(self.string()?),
            b'g' => Value::Signature(self.signature()?),
            b'v' => {
                let signature = self.signature()?;
                let (value, rest) = self.value(signature.as_bytes(), depth + 1)?;
                Value::Variant(Box::new(rest.is_empty().then_some(value)?))
            }
            b'a' => return self.array(rest, depth),
            b'(' | b'{' => return self.members(rest, if *code == b'(' { b')' } else { b'}' }, depth),
            _ => return None,
        };
        Some((value, rest))
    }

    fn members<'t>(&mut self, mut types: &'t [u8], end: u8, depth: usize) -> Option<(Value, &'t [u8])> {
        let mut members = Vec::new();
        loop {
            match types.split_first()? {
                (code, rest) if *code == end => return Some((Value::Struct(members), rest)),
                _ => {
                    let (value, rest) = self.value(types, depth + 1)?;
                    members.push(value);
                    types = rest;
                }
            }
        }
    }

    fn array<'t>(&mut self, types: &'t [u8], depth: usize) -> Option<(Value, &'t [u8])> {
        let element = complete(types, depth)?;
        let (element, rest) = types.split_at_checked(element)?;
        let length = u32::from_le_bytes(self.take()?) as usize;
        self.align(alignment(*element.first()?))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let mut values = Vec::new();
        while self.at < end {
            let before = self.at;
            values.push(self.value(element, depth + 1)?.0);
            // An empty structure would be read for ever.
            (self.at > before).then_some(())?;
        }
        let element = String::from_utf8(element.to_vec()).ok()?;
        (self.at == end).then_some((Value::Array(element, values), rest))
    }
}

/// Number of bytes of the first complete type.
pub fn complete(types: &[u8], depth: usize) -> Option<usize> {
    let (code, rest) = types.split_first()?;
    match code {
        _ if depth > MAX_DEPTH => None,
        b'a' => complete(rest, depth + 1).map(|length| length + 1),
        b'(' | b'{' => {
            let end = if *code == b'(' { b')' } else { b'}' };
            let mut at = 0;
            while *rest.get(at)? != end {
                at += complete(rest.get(at..)?, depth + 1)?;
            }
            Some(at + 2)
        }
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'h' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' => Some(1),
        _ => None,
    }
}
