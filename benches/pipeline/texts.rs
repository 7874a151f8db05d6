//! Real texts to measure with.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use super::Outcome;

/// The first so many texts of a file of JSON lines with a field `text`.
pub fn read(file: &str, most: usize) -> Outcome<Vec<String>> {
    let mut texts = Vec::with_capacity(most);
    for line in open(file)?.lines() {
        let value: Value = serde_json::from_str(&line?)?;
        if let Some(text) = value["text"].as_str() {
            texts.push(text.to_owned());
        }
        if texts.len() == most {
            return Ok(texts);
        }
    }
    Err(format!("{file} has {} texts, {most} are needed", texts.len()).into())
}

fn open(file: &str) -> Outcome<Box<dyn BufRead>> {
    let plain = File::open(file).map_err(|error| format!("{file}: {error}"))?;
    let reader: Box<dyn Read> =
        if file.ends_with(".gz") { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };
    Ok(Box::new(BufReader::new(reader)))
}

pub fn mean_chars(texts: &[String]) -> usize {
    texts.iter().map(|text| text.chars().count()).sum::<usize>() / texts.len().max(1)
}

/// The record that a shop would send.
pub fn review(number: usize, text: &str) -> Vec<u8> {
    json!({ "event_id": format!("r-{number}"), "text": text, "product": format!("p-{}", number % 500) })
        .to_string()
        .into_bytes()
}
