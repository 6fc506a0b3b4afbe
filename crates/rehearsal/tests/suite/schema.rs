//! docs/evidence.schema.json describes what the files of evidence hold: each key, each type, nothing beside them.

use std::fs;

use certadm_rehearsal::{Keys, Wishes};
use serde_json::Value;

use crate::support::{Work, add};

/// What of JSON Schema the document uses. Anything else in it is a mistake here.
fn check(place: &str, schema: &Value, root: &Value, value: &Value) {
    if let Some(link) = schema.get("$ref").and_then(Value::as_str) {
        let definition = root.pointer(link.trim_start_matches('#')).unwrap_or_else(|| panic!("{link}"));
        return check(place, definition, root, value);
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let choice = choices.iter().find(|choice| {
            let is_null = choice.get("type") == Some(&Value::from("null"));
            is_null == value.is_null()
        });
        return check(place, choice.unwrap_or_else(|| panic!("{place}: {value}")), root, value);
    }
    for key in schema.as_object().unwrap().keys() {
        let known = [
            "type",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "enum",
            "const",
            "description",
            "pattern",
            "minimum",
            "$schema",
            "$id",
            "title",
            "$defs",
            "format",
        ];
        assert!(known.contains(&key.as_str()), "{place}: {key} is not understood here");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |name: &str| match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || name == "integer" && !number.is_f64(),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    };
    assert!(types.is_empty() || types.iter().any(|name| is(name)), "{place}: {value} is none of {types:?}");
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        assert!(allowed.contains(value), "{place}: {value}");
    }
    if let Some(only) = schema.get("const") {
        assert_eq!(only, value, "{place}");
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for item in list {
            check(&format!("{place}[]"), items, root, item);
        }
    }
    if let (Some(properties), Some(object)) = (schema.get("properties"), value.as_object()) {
        let required: Vec<&str> =
            schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut wanted = required.clone();
        wanted.sort_unstable();
        assert_eq!(wanted, keys, "{place}: every key is always there");
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{place}");
        for (key, value) in object {
            let inner = properties.get(key).unwrap_or_else(|| panic!("{place}.{key} is not described"));
            assert!(
                inner.get("description").is_some() || inner.get("$ref").is_some(),
                "{place}.{key} is not explained"
            );
            check(&format!("{place}.{key}"), inner, root, value);
        }
    }
}

#[test]
fn the_schema_describes_what_is_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evidence.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let work = Work::new();
    let full = work.full("full");
    let dir = work.path("evidence");
    let good = work.rehearse(&work.wishes(&[&full]));
    let none = work.rehearse(&work.wishes(&[&work.path("gone")]));
    let without = work.rehearse(&Wishes { keys: Keys::External, identity: None, ..work.wishes(&[&full]) });
    for shown in [&good, &none, &without] {
        let file = add(&dir, shown);
        let evidence: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        check("evidence", &schema, &schema, &evidence);
    }
}
