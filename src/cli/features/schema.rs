//! The part of JSON Schema that the specification's schemas use; an unknown keyword fails, so that nothing is passed
//! over.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// Checks a document against a schema file of `tests/data/schema`.
pub fn check(file: &str, document: &Value) -> Result<(), String> {
    let schema = load(file);
    evaluate(file, &schema, document, "")
}

fn load(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema").join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn evaluate(file: &str, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let valid = match keyword.as_str() {
            "$schema" | "description" | "definitions" => true,
            "$ref" => reference(file, rule.as_str().unwrap(), value, at)?,
            "type" => is_type(rule, value),
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "minItems" => value.as_array().is_none_or(|list| list.len() as u64 >= rule.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    evaluate(file, rule, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        evaluate(file, rule, member, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "patternProperties" | "additionalProperties" if rule.is_object() => {
                let rule =
                    if keyword == "patternProperties" { rule.as_object().unwrap().values().next() } else { Some(rule) };
                for (name, member) in value.as_object().into_iter().flatten() {
                    evaluate(file, rule.unwrap(), member, &format!("{at}.{name}"))?;
                }
                true
            }
            "allOf" => {
                rule.as_array().unwrap().iter().try_for_each(|rule| evaluate(file, rule, value, at))?;
                true
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|rule| evaluate(file, rule, value, at).is_ok()),
            other => return Err(format!("{at}: unknown keyword {other}")),
        };
        if !valid {
            return Err(format!("{at}: {value} violates {keyword} {rule}"));
        }
    }
    Ok(())
}

fn reference(file: &str, target: &str, value: &Value, at: &str) -> Result<bool, String> {
    let (other, pointer) = target.split_once('#').unwrap();
    let other = if other.is_empty() { file } else { other };
    let pointer = format!("/{}", pointer.trim_start_matches('/'));
    let document = load(other);
    evaluate(other, document.pointer(&pointer).ok_or(format!("{target} is missing"))?, value, at)?;
    Ok(true)
}

fn is_type(rule: &Value, value: &Value) -> bool {
    match rule.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        _ => false,
    }
}

/// The patterns of the schemas, spelled out.
fn matches(pattern: &str, text: &str) -> bool {
    let upper = |text: Option<&str>| {
        text.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase()))
    };
    match pattern {
        "^CAP_[A-Z_]+$" => upper(text.strip_prefix("CAP_")),
        "^RLIMIT_[A-Z]+$" => upper(text.strip_prefix("RLIMIT_")),
        "^[0-9, -]*$" => text.bytes().all(|byte| byte.is_ascii_digit() || b", -".contains(&byte)),
        "^[1-9][0-9]*[KMG]B$" => text
            .strip_suffix("B")
            .and_then(|text| text.strip_suffix(['K', 'M', 'G']))
            .is_some_and(|digits| !digits.starts_with('0') && digits.parse::<u64>().is_ok()),
        "^MB:[^\\n]*$" => text.starts_with("MB:") && !text.contains('\n'),
        "^[cbup]$" => matches!(text, "c" | "b" | "u" | "p"),
        other => panic!("the pattern {other} is new"),
    }
}

/// The schema's own examples: its judgement of each, by this check.
#[test]
fn the_specification_s_examples_are_judged_as_they_are_filed() {
    let (mut good, mut bad) = (0, 0);
    for (schema, kind) in
        [("state-schema.json", "state"), ("features-schema.json", "features"), ("config-schema.json", "config")]
    {
        for (verdict, count) in [("good", &mut good), ("bad", &mut bad)] {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema").join(kind).join(verdict);
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let document = serde_json::from_slice(&fs::read(&path).unwrap()).map_err(|error| error.to_string());
                let judged = document.and_then(|document| check(schema, &document));
                assert_eq!(judged.is_ok(), verdict == "good", "{}: {judged:?}", path.display());
                *count += 1;
            }
        }
    }
    assert_eq!((good, bad), (12, 7));
}
