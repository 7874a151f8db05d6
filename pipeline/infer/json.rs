//! Values of a JSON file that know where they stand, so that an error can say so.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::event::{Error, Fault};

/// A model's JSON file is small; a larger one is not what it should be. Tokenizers of a quarter of a million entries
/// take 20 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;

pub(super) struct Json {
    file: PathBuf,
    value: Value,
}

impl Json {
    pub fn open(file: &Path) -> Result<Json, Error> {
        let fault = |e: &dyn fmt::Display| Error::new(Fault::Config, format!("{} cannot be read: {e}", file.display()));
        let bytes = fs::metadata(file).map_err(|e| fault(&e))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(fault(&format_args!("it has {bytes} bytes, more than {FILE_BYTES_MAX}")));
        }
        let text = fs::read_to_string(file).map_err(|e| fault(&e))?;
        let value = serde_json::from_str(&text).map_err(|e| fault(&e))?;
        Ok(Json { file: file.to_owned(), value })
    }

    #[cfg(test)]
    pub fn of(file: &str, text: &str) -> Json {
        Json { file: file.into(), value: serde_json::from_str(text).unwrap() }
    }

    /// The file's whole value.
    pub fn root(&self) -> At<'_> {
        At { file: &self.file, key: String::new(), value: &self.value }
    }
}

/// A value and its place, such as `groundswell.heads.topic.threshold`.
#[derive(Clone)]
pub(super) struct At<'a> {
    file: &'a Path,
    key: String,
    value: &'a Value,
}

impl<'a> At<'a> {
    /// The value under `key`; `null` counts as absent.
    pub fn get(&self, key: &str) -> Option<At<'a>> {
        let value = self.value.get(key).filter(|v| !v.is_null())?;
        Some(self.below(key, value))
    }

    pub fn entries(&self) -> Result<Vec<(&'a str, At<'a>)>, Error> {
        let object = self.value.as_object().ok_or_else(|| self.expected("an object"))?;
        Ok(object.iter().map(|(key, value)| (key.as_str(), self.below(key, value))).collect())
    }

    pub fn items(&self) -> Result<Vec<At<'a>>, Error> {
        let list = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        Ok(list.iter().enumerate().map(|(i, value)| self.below(&i.to_string(), value)).collect())
    }

    pub fn text(&self) -> Result<&'a str, Error> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub fn whole(&self) -> Result<usize, Error> {
        self.value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.expected("a whole number, zero or more"))
    }

    /// A number of at least 1, such as a count or a length.
    pub fn count(&self) -> Result<usize, Error> {
        self.whole().ok().filter(|&n| n > 0).ok_or_else(|| self.expected("a whole number, one or more"))
    }

    pub fn number(&self) -> Result<f64, Error> {
        self.value.as_f64().ok_or_else(|| self.expected("a number"))
    }

    /// A number from 0 to 1.
    pub fn share(&self) -> Result<f32, Error> {
        let number = self.value.as_f64().filter(|n| (0.0..=1.0).contains(n));
        number.map(|n| n as f32).ok_or_else(|| self.expected("a number from 0 to 1"))
    }

    /// `FILE: KEY is VALUE, expected WHAT`.
    pub fn expected(&self, what: &str) -> Error {
        let mut value = self.value.to_string();
        if value.chars().count() > 80 {
            value = value.chars().take(77).chain("...".chars()).collect();
        }
        self.fault(format_args!("is {value}, expected {what}"))
    }

    /// `FILE: KEY WHAT`.
    pub fn fault(&self, what: impl fmt::Display) -> Error {
        let key = if self.key.is_empty() { "the file" } else { &self.key };
        Error::new(Fault::Config, format!("{}: {key} {what}", self.file.display()))
    }

    fn below(&self, key: &str, value: &'a Value) -> At<'a> {
        let key = if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) };
        At { file: self.file, key, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, read: impl Fn(At<'_>) -> Result<(), Error>, message: &str) {
        let json = Json::of("config.json", text);
        assert_eq!(read(json.root()).unwrap_err().message, message);
    }

    #[test]
    fn errors_name_the_file_the_key_and_the_value() {
        check(
            r#"{"a": {"b": "x"}}"#,
            |at| at.get("a").unwrap().get("b").unwrap().count().map(drop),
            r#"config.json: a.b is "x", expected a whole number, one or more"#,
        );
        check(
            r#"{"a": [0.5, 2]}"#,
            |at| at.get("a").unwrap().items().unwrap()[1].share().map(drop),
            "config.json: a.1 is 2, expected a number from 0 to 1",
        );
        check("[]", |at| at.entries().map(drop), "config.json: the file is [], expected an object");
        check("-1", |at| at.whole().map(drop), "config.json: the file is -1, expected a whole number, zero or more");
    }

    #[test]
    fn null_is_absent() {
        let json = Json::of("config.json", r#"{"a": null}"#);
        assert!(json.root().get("a").is_none());
    }
}
