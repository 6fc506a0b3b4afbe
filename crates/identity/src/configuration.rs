//! The configuration of a CA: the values of its registry keys, whatever way they came.

use certadm_rules::{hex, names};
use certadm_wire::csra::Variant;
use serde_json::{Value as Json, json};

/// A value of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A 32-bit number (REG_DWORD).
    Number(u32),
    /// A string (REG_SZ, REG_EXPAND_SZ).
    Text(String),
    /// Strings (REG_MULTI_SZ).
    List(Vec<String>),
    /// Bytes (REG_BINARY).
    Bytes(Vec<u8>),
}

impl Value {
    /// The value that an answer carries; nothing for an empty one and for kinds that no configuration has.
    #[must_use]
    pub fn of_variant(variant: Variant) -> Option<Self> {
        Some(match variant {
            Variant::Long(number) => Self::Number(number.cast_unsigned()),
            Variant::Text(text) => Self::Text(text.unwrap_or_default()),
            Variant::Texts(texts) => Self::List(texts),
            Variant::Bytes(bytes) => Self::Bytes(bytes),
            _ => return None,
        })
    }

    /// The answer that carries it.
    #[must_use]
    pub fn to_variant(&self) -> Variant {
        match self {
            Self::Number(number) => Variant::Long(number.cast_signed()),
            Self::Text(text) => Variant::Text(Some(text.clone())),
            Self::List(texts) => Variant::Texts(texts.clone()),
            Self::Bytes(bytes) => Variant::Bytes(bytes.clone()),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Number(number) => json!({ "type": "dword", "value": number }),
            Self::Text(text) => json!({ "type": "string", "value": text }),
            Self::List(texts) => json!({ "type": "list", "value": texts }),
            Self::Bytes(bytes) => json!({ "type": "binary", "value": hex::encode(bytes) }),
        }
    }

    fn of_json(json: &Json) -> Option<Self> {
        let value = &json["value"];
        Some(match json["type"].as_str()? {
            "dword" => Self::Number(u32::try_from(value.as_u64()?).ok()?),
            "string" => Self::Text(value.as_str()?.to_owned()),
            "list" => {
                let texts = value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
                Self::List(texts.collect::<Option<_>>()?)
            }
            "binary" => Self::Bytes(hex::decode(value.as_str()?)?),
            _ => return None,
        })
    }
}

/// A key: its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Where it is below `Configuration`, with `\` between the names; empty for `Configuration` itself.
    pub path: String,
    /// Its values by name, in the order in which they came.
    pub values: Vec<(String, Value)>,
}

/// The keys of a CA's configuration. Names of keys and values are compared without regard to case, as Windows does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The keys, in the order in which they came.
    pub keys: Vec<Key>,
}

impl Configuration {
    /// Sets a value; the key at `path` is made if it is not there.
    pub fn set(&mut self, path: &str, name: &str, value: Value) {
        let key = self.key_mut(path);
        match key.values.iter_mut().find(|(known, _)| names::same_ignoring_case(known, name)) {
            Some((_, known)) => *known = value,
            None => key.values.push((name.to_owned(), value)),
        }
    }

    /// The key at `path`, made if it is not there.
    pub fn key_mut(&mut self, path: &str) -> &mut Key {
        let place = self.keys.iter().position(|key| names::same_ignoring_case(&key.path, path));
        let place = place.unwrap_or_else(|| {
            self.keys.push(Key { path: path.to_owned(), values: Vec::new() });
            self.keys.len() - 1
        });
        &mut self.keys[place]
    }

    /// A value.
    #[must_use]
    pub fn get(&self, path: &str, name: &str) -> Option<&Value> {
        let key = self.keys.iter().find(|key| names::same_ignoring_case(&key.path, path))?;
        key.values.iter().find(|(known, _)| names::same_ignoring_case(known, name)).map(|(_, value)| value)
    }

    /// A string among the values.
    #[must_use]
    pub fn text(&self, path: &str, name: &str) -> Option<&str> {
        match self.get(path, name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name of the CA's own key: what `Active` says, or else the first key that has a `CommonName`.
    #[must_use]
    pub fn ca_key(&self) -> Option<&str> {
        let named = self.text("", "Active").filter(|name| self.keys.iter().any(|key| key.path == **name));
        named.or_else(|| {
            let has_name = |key: &&Key| self.get(&key.path, "CommonName").is_some();
            self.keys.iter().find(has_name).map(|key| key.path.as_str())
        })
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.iter().map(|key| key.values.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As JSON, for `config.json`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let keys = self.keys.iter().map(|key| {
            let values = key.values.iter().map(|(name, value)| {
                let mut json = value.to_json();
                json["name"] = json!(name);
                json
            });
            json!({ "key": key.path, "values": values.collect::<Vec<_>>() })
        });
        json!({ "format": 1, "keys": keys.collect::<Vec<_>>() })
    }

    /// What [`Configuration::to_json`] wrote.
    #[must_use]
    pub fn of_json(json: &Json) -> Option<Self> {
        let mut configuration = Self::default();
        for key in json["keys"].as_array()? {
            let path = key["key"].as_str()?;
            configuration.key_mut(path);
            for value in key["values"].as_array()? {
                configuration.set(path, value["name"].as_str()?, Value::of_json(value)?);
            }
        }
        Some(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_from_json_and_names_have_no_case() {
        let mut configuration = Configuration::default();
        configuration.set("", "Active", Value::Text("Example CA".into()));
        configuration.set("Example CA", "CommonName", Value::Text("Example CA".into()));
        configuration.set("Example CA", "CRLPeriodUnits", Value::Number(u32::MAX));
        configuration.set("Example CA", "URLs", Value::List(vec!["a".into(), String::new()]));
        configuration.set("Example CA\\CSP", "Blob", Value::Bytes(vec![0, 255]));
        configuration.key_mut("Example CA\\ExitModules");
        assert_eq!(Configuration::of_json(&configuration.to_json()).as_ref(), Some(&configuration));
        configuration.set("example ca", "crlperiodunits", Value::Number(2));
        assert_eq!(configuration.get("Example CA", "CRLPeriodUnits"), Some(&Value::Number(2)));
        assert_eq!((configuration.len(), configuration.ca_key()), (5, Some("Example CA")));
        for value in configuration.keys.iter().flat_map(|key| &key.values).map(|(_, value)| value) {
            assert_eq!(Value::of_variant(value.to_variant()).as_ref(), Some(value));
        }
        assert_eq!(Value::of_variant(Variant::Empty), None);
        for bad in [json!(1), json!({ "keys": [{ "key": "", "values": [{ "name": "x", "type": "y" }] }] })] {
            assert_eq!(Configuration::of_json(&bad), None);
        }
    }
}
