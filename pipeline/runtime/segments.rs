use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::event::{Error, Fault};
use crate::stages::clicks::profile::{Scale, Segment, Segments};

/// What the model is called in profiles and metrics.
const NAME: &str = "segments";
const FILE: &str = "segments.json";
/// Centres take kilobytes; a larger file is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// As the recipe writes it; what else it says is for people.
#[derive(Debug, Deserialize)]
struct Written {
    features: Vec<String>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
    segments: Vec<WrittenSegment>,
}

#[derive(Debug, Deserialize)]
struct WrittenSegment {
    name: String,
    share: f64,
    centre: Vec<f64>,
}

/// Reads the centres of a directory. The version is the first 12 hexadecimal digits of the file's SHA-256.
pub fn load(directory: &Path) -> Result<Segments, Error> {
    let path = directory.join(FILE);
    let fault = |why: &dyn std::fmt::Display| {
        Error::new(Fault::Config, format!("model {NAME}: {} cannot be read: {why}", path.display()))
    };
    let bytes = std::fs::metadata(&path).map_err(|e| fault(&e))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(fault(&format_args!("it has {bytes} bytes, more than {FILE_BYTES_MAX}")));
    }
    let text = std::fs::read(&path).map_err(|e| fault(&e))?;
    let written: Written = serde_json::from_slice(&text).map_err(|e| fault(&e))?;
    let version = hex::encode(&Sha256::digest(&text)[..6]);
    let scales = written.mean.iter().zip(&written.deviation);
    let scales = scales.map(|(mean, deviation)| Scale { mean: *mean, deviation: *deviation }).collect();
    let segments =
        written.segments.into_iter().map(|WrittenSegment { name, share, centre }| Segment { name, share, centre });
    Segments::new(NAME, &version, &written.features, scales, segments.collect())
}
