//! Values in GVariant's text format, as annotations `org.systemd.property.*` have them: `'a'`, `uint64 5`, `['x', 'y']`,
//! `@as []`, `(1, true)`; <https://docs.gtk.org/glib/gvariant-text-format.html>.

use super::wire::{Value, complete};
use crate::error::{Error, Result};

/// Reads a value; a number without a type is an `int32`, with a point a `double`.
///
/// # Errors
/// When the text is not in the format, with the place.
pub fn parse(text: &str) -> Result<Value> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(None, 0);
    let rest = parser.peek();
    match (value, rest) {
        (Some(value), None) => Ok(value),
        _ => Err(Error::new(format!("not understood at character {} of {text:?}", parser.at + 1))
            .hint("Use D-Bus text: 'string', uint64 5, true, ['a', 'b'].")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        self.at = self.text.len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    fn accept(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        self.at += if found { character.len_utf8() } else { 0 };
        found
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let word = rest.get(..rest.find(|character| !belongs(character)).unwrap_or(rest.len())).unwrap_or_default();
        self.at += word.len();
        word
    }

    /// A value, of the type `expected` when that is known.
    fn value(&mut self, expected: Option<&str>, depth: usize) -> Option<Value> {
        // As deep as D-Bus allows and no deeper than our stack.
        (depth < 16).then_some(())?;
        match self.peek()? {
            '\'' | '"' => self.string().and_then(|text| typed_text(text, expected)),
            '[' => self.array(expected, depth),
            '(' => self.tuple(expected, depth),
            '<' if expected.is_none_or(|expected| expected == "v") => {
                self.accept('<');
                let value = self.value(None, depth + 1)?;
                self.accept('>').then(|| Value::Variant(Box::new(value)))
            }
            '@' => {
                self.accept('@');
                let signature = self.word(|character| !character.is_whitespace());
                (complete(signature.as_bytes(), 0)? == signature.len()).then_some(())?;
                self.value(Some(signature), depth + 1)
            }
            '0'..='9' | '+' | '-' | '.' => {
                let word = self.word(|character| character.is_ascii_alphanumeric() || "+-.".contains(character));
                number(word, expected)
            }
            _ => {
                let start = self.at;
                match self.word(|character| character.is_ascii_alphanumeric()) {
                    word @ ("true" | "false") => {
                        expected.is_none_or(|expected| expected == "b").then_some(Value::Bool(word == "true"))
                    }
                    word => {
                        let code = code(word);
                        if code.is_none() {
                            self.at = start;
                        }
                        self.value(Some(code?), depth + 1)
                    }
                }
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut characters = self.rest().char_indices();
        let quote = characters.next()?.1;
        let mut text = String::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    kind @ ('u' | 'U') => {
                        let digits = if kind == 'u' { 4 } else { 8 };
                        let digits = (0..digits).map(|_| characters.next().map(|(_, digit)| digit));
                        let number = u32::from_str_radix(&digits.collect::<Option<String>>()?, 16).ok()?;
                        text.push(char::from_u32(number)?);
                    }
                    other => text.push(other),
                },
                '\0' => return None,
                end if end == quote => {
                    self.at += at + 1;
                    return Some(text);
                }
                other => text.push(other),
            }
        }
        None
    }

    fn array(&mut self, expected: Option<&str>, depth: usize) -> Option<Value> {
        let mut element = match expected {
            Some(expected) => Some(expected.strip_prefix('a')?.to_owned()),
            None => None,
        };
        self.accept('[');
        let mut values = Vec::new();
        while !self.accept(']') {
            if !values.is_empty() && !self.accept(',') {
                return None;
            }
            let value = self.value(element.as_deref(), depth + 1)?;
            // The first element says what the others are.
            let signature = value.signature();
            (*element.get_or_insert_with(|| signature.clone()) == signature).then_some(())?;
            values.push(value);
        }
        Some(Value::Array(element?, values))
    }

    fn tuple(&mut self, expected: Option<&str>, depth: usize) -> Option<Value> {
        let mut types = match expected {
            Some(expected) => Some(expected.strip_prefix('(')?.strip_suffix(')')?),
            None => None,
        };
        self.accept('(');
        let mut members = Vec::new();
        while !self.accept(')') {
            // `(1,)` is a tuple of one.
            if !members.is_empty() && (!self.accept(',') || (members.len() == 1 && self.peek() == Some(')'))) {
                if self.peek() == Some(')') && members.len() == 1 {
                    continue;
                }
                return None;
            }
            let split = match types {
                Some(types) => Some(types.split_at_checked(complete(types.as_bytes(), 0)?)?),
                None => None,
            };
            members.push(self.value(split.map(|(own, _)| own), depth + 1)?);
            types = split.map(|(_, rest)| rest);
        }
        (!members.is_empty() && types.unwrap_or_default().is_empty()).then_some(Value::Struct(members))
    }
}

/// Type code of a keyword.
fn code(word: &str) -> Option<&'static str> {
    Some(match word {
        "boolean" => "b",
        "byte" => "y",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "double" => "d",
        "string" => "s",
        "objectpath" => "o",
        "signature" => "g",
        _ => return None,
    })
}

fn typed_text(text: String, expected: Option<&str>) -> Option<Value> {
    match expected.unwrap_or("s") {
        "s" => Some(Value::Str(text)),
        "o" => text.starts_with('/').then_some(Value::Path(text)),
        "g" => Some(Value::Signature(text)),
        _ => None,
    }
}

fn number(word: &str, expected: Option<&str>) -> Option<Value> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    digits.starts_with(|first: char| first.is_ascii_digit() || first == '.').then_some(())?;
    let (radix, digits) = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(hexadecimal), _) => (16, hexadecimal),
        (None, Some(octal)) if !octal.is_empty() && !digits.contains('.') => (8, octal),
        _ => (10, digits),
    };
    let default = if radix == 10 && word.contains(['.', 'e', 'E']) { "d" } else { "i" };
    let integer = || {
        let sign = if word.starts_with('-') { -1 } else { 1 };
        u64::from_str_radix(digits, radix).ok().map(|number| i128::from(number) * sign)
    };
    Some(match expected.unwrap_or(default) {
        "y" => Value::Byte(integer()?.try_into().ok()?),
        "n" => Value::Int16(integer()?.try_into().ok()?),
        "q" => Value::Uint16(integer()?.try_into().ok()?),
        "i" => Value::Int32(integer()?.try_into().ok()?),
        "u" => Value::Uint32(integer()?.try_into().ok()?),
        "x" => Value::Int64(integer()?.try_into().ok()?),
        "t" => Value::Uint64(integer()?.try_into().ok()?),
        "d" => Value::Double(word.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_their_types() {
        let strings = |texts: &[&str]| Value::Array("s".into(), texts.iter().map(|text| Value::str(*text)).collect());
        for (text, value) in [
            ("'a b'", Value::str("a b")),
            (r#""it's""#, Value::str("it's")),
            (r"'\'\n\u00e4'", Value::str("'\nä")),
            ("true", Value::Bool(true)),
            ("5", Value::Int32(5)),
            ("-0x10", Value::Int32(-16)),
            ("uint64 5", Value::Uint64(5)),
            (" int64  -5 ", Value::Int64(-5)),
            ("byte 0x1f", Value::Byte(31)),
            ("010", Value::Int32(8)),
            ("1.5", Value::Double(1.5)),
            ("double 0.5", Value::Double(0.5)),
            ("objectpath '/a'", Value::Path("/a".into())),
            ("['a', 'b']", strings(&["a", "b"])),
            ("@as []", strings(&[])),
            ("[uint32 1, 2]", Value::Array("u".into(), vec![Value::Uint32(1), Value::Uint32(2)])),
            ("('a', uint64 1)", Value::Struct(vec![Value::str("a"), Value::Uint64(1)])),
            ("(1,)", Value::Struct(vec![Value::Int32(1)])),
            ("<'a'>", Value::Variant(Box::new(Value::str("a")))),
            (
                "@a(st) [('/a', 1)]",
                Value::Array("(st)".into(), vec![Value::Struct(vec![Value::str("/a"), Value::Uint64(1)])]),
            ),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn other_text_is_refused_with_its_place() {
        for text in [
            "",
            "a",
            "'a",
            "[]",
            "['a', 1]",
            "uint64 -1",
            "uint32 4294967296",
            "5 6",
            "@x",
            "@aas 'a'",
            "()",
            "('a' 'b')",
            "objectpath 'a'",
            "byte 'a'",
            "true false",
            "<1",
            "0x",
            "--5",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(
            parse("uint64 'a'").unwrap_err().to_string(),
            "not understood at character 11 of \"uint64 'a'\". Use D-Bus text: 'string', uint64 5, true, ['a', 'b']."
        );
        assert!(parse(&"[".repeat(10_000)).is_err());
    }
}
