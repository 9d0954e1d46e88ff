//! Messages as bytes: the D-Bus specification, "Message Protocol".

use super::wire::{Reader, Value, length, pad, write};
use crate::error::{Error, Result};

/// Longest message that is accepted; systemd's answers to us have a few hundred bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// Kind of a message.
pub const METHOD_CALL: u8 = 1;
/// The answer to a call.
pub const METHOD_RETURN: u8 = 2;
/// The answer to a call that failed.
#[cfg(test)]
pub const ERROR: u8 = 3;
/// A broadcast.
pub const SIGNAL: u8 = 4;

/// The sender does not want an answer.
pub const NO_REPLY: u8 = 1;

const FIELD_PATH: u8 = 1;
const FIELD_INTERFACE: u8 = 2;
const FIELD_MEMBER: u8 = 3;
const FIELD_ERROR: u8 = 4;
const FIELD_REPLY: u8 = 5;
const FIELD_DESTINATION: u8 = 6;
const FIELD_SIGNATURE: u8 = 8;

/// A message with the header fields that matter to us.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Message {
    pub kind: u8,
    pub flags: u8,
    pub serial: u32,
    pub path: String,
    pub interface: String,
    pub member: String,
    pub error: String,
    pub reply_to: u32,
    pub destination: String,
    pub body: Vec<Value>,
}

impl Message {
    /// The bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.body.iter().for_each(|value| write(&mut body, value));
        let signature = self.body.iter().map(Value::signature).collect::<String>();
        let text = |code, text: &str| (!text.is_empty()).then(|| (code, Value::str(text)));
        let fields = [
            (!self.path.is_empty()).then(|| (FIELD_PATH, Value::Path(self.path.clone()))),
            text(FIELD_INTERFACE, &self.interface),
            text(FIELD_MEMBER, &self.member),
            text(FIELD_ERROR, &self.error),
            (self.reply_to != 0).then_some((FIELD_REPLY, Value::Uint32(self.reply_to))),
            text(FIELD_DESTINATION, &self.destination),
            (!signature.is_empty()).then_some((FIELD_SIGNATURE, Value::Signature(signature))),
        ];
        let field = |(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
        let fields = fields.into_iter().flatten().map(field).collect();
        let mut bytes = vec![b'l', self.kind, self.flags, 1];
        bytes.extend(length(body.len()));
        bytes.extend(self.serial.to_le_bytes());
        write(&mut bytes, &Value::Array("(yv)".into(), fields));
        pad(&mut bytes, 8);
        bytes.extend(body);
        bytes
    }

    /// Takes the first message from `bytes`, with the number of its bytes; `None` when more are needed.
    ///
    /// # Errors
    /// When this cannot become a message.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let Some(fixed) = bytes.first_chunk::<16>() else { return Ok(None) };
        let word = |at: usize| {
            fixed.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
        };
        let [order, kind, flags, version, ..] = *fixed;
        if (order, version) != (b'l', 1) {
            return Err(Error::new(format!("byte order {order:#x}, protocol version {version}")));
        }
        let start = word(12).checked_add(16).map(|end| end.next_multiple_of(8));
        let end = start.and_then(|start| start.checked_add(word(4))).filter(|end| *end <= MAX_MESSAGE);
        let (Some(start), Some(end)) = (start, end) else { return Err(Error::new("a message of more than 1 MiB")) };
        let (Some(header), Some(body)) = (bytes.get(..start), bytes.get(start..end)) else { return Ok(None) };
        let mut message = Self { kind, flags, serial: word(8) as u32, ..Self::default() };
        let mut reader = Reader::new(header, 12);
        let mut signature = String::new();
        let Some(Value::Array(_, fields)) = reader.value(b"a(yv)", 0).map(|(value, _)| value) else {
            return Err(Error::new("damaged header fields"));
        };
        for field in fields {
            message.field(field, &mut signature);
        }
        let mut reader = Reader::new(body, 0);
        let mut types = signature.as_bytes();
        while !types.is_empty() {
            let value = reader.value(types, 0).ok_or_else(|| Error::new(format!("damaged body of type {signature}")));
            let (value, rest) = value?;
            message.body.push(value);
            types = rest;
        }
        Ok(Some((message, end)))
    }

    fn field(&mut self, field: Value, signature: &mut String) {
        let Value::Struct(members) = field else { return };
        let [Value::Byte(code), Value::Variant(value)] = members.as_slice() else { return };
        match (*code, value.as_ref()) {
            (FIELD_PATH, Value::Path(text)) => self.path.clone_from(text),
            (FIELD_INTERFACE, Value::Str(text)) => self.interface.clone_from(text),
            (FIELD_MEMBER, Value::Str(text)) => self.member.clone_from(text),
            (FIELD_ERROR, Value::Str(text)) => self.error.clone_from(text),
            (FIELD_REPLY, Value::Uint32(serial)) => self.reply_to = *serial,
            (FIELD_DESTINATION, Value::Str(text)) => self.destination.clone_from(text),
            (FIELD_SIGNATURE, Value::Signature(text)) => signature.clone_from(text),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_method_call_has_the_bytes_of_the_specification() {
        let message = Message {
            kind: METHOD_CALL,
            serial: 1,
            path: "/a".into(),
            member: "M".into(),
            body: vec![Value::str("x"), Value::Array("u".into(), vec![Value::Uint32(7)])],
            ..Message::default()
        };
        let expected: &[u8] = &[
            b'l', 1, 0, 1, 16, 0, 0, 0, 1, 0, 0, 0, 41, 0, 0, 0, // fixed part: body of 16, serial 1, fields of 41
            1, 1, b'o', 0, 2, 0, 0, 0, b'/', b'a', 0, 0, 0, 0, 0, 0, // path
            3, 1, b's', 0, 1, 0, 0, 0, b'M', 0, 0, 0, 0, 0, 0, 0, // member
            8, 1, b'g', 0, 3, b's', b'a', b'u', 0, 0, 0, 0, 0, 0, 0, 0, // signature
            1, 0, 0, 0, b'x', 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, // body
        ];
        assert_eq!(message.encode(), expected);
    }

    #[test]
    fn padding_before_the_first_element_is_not_counted() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Value::Array("t".into(), vec![Value::Uint64(1)]));
        assert_eq!(bytes, [8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.clear();
        write(&mut bytes, &Value::Array("(sv)".into(), Vec::new()));
        assert_eq!(bytes, [0; 8]);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = "[a-z/]{0,9}";
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::Byte),
            any::<bool>().prop_map(Value::Bool),
            any::<i16>().prop_map(Value::Int16),
            any::<u32>().prop_map(Value::Uint32),
            any::<i64>().prop_map(Value::Int64),
            any::<u64>().prop_map(Value::Uint64),
            text.prop_map(Value::Str),
            text.prop_map(Value::Path),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
                inner.clone().prop_map(|value| Value::Variant(Box::new(value))),
                (inner, 0_usize..4).prop_map(|(value, count)| Value::Array(value.signature(), vec![value; count])),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_again(body in proptest::collection::vec(values(), 0..4), cut: proptest::sample::Index) {
            let message = Message { kind: SIGNAL, serial: 9, member: "M".into(), body, ..Message::default() };
            let bytes = message.encode();
            let (read, length) = Message::decode(&bytes).unwrap().unwrap();
            prop_assert_eq!(&read, &message);
            prop_assert_eq!(length, bytes.len());
            prop_assert_eq!(Message::decode(&bytes[..cut.index(bytes.len())]).unwrap(), None);
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(
            body in proptest::collection::vec(values(), 0..3),
            at: proptest::sample::Index,
            byte: u8,
            tail in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = Message { kind: SIGNAL, serial: 9, body, ..Message::default() }.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.extend(tail);
            let _ = Message::decode(&bytes);
        }
    }
}
