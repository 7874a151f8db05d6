use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::Rows;
use super::rows::broken;
use crate::event::{Error, Fault};

/// Rows held before they are written: some megabytes, and long enough for columns to pack well.
const BATCH_ROWS: usize = 16_384;

/// What a row of the file tells beside its features.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    pub event_id: String,
    pub user: String,
    pub item: String,
    pub category: Option<String>,
    pub session: String,
    pub revision: u32,
    /// Milliseconds since 1970.
    pub event_ms: i64,
    pub purchase_follows: bool,
}

/// A Parquet file of features under way: one row a click, one column a feature.
pub struct FeatureFile {
    path: PathBuf,
    writer: ArrowWriter<File>,
    schema: Arc<Schema>,
    labelled: Vec<Labelled>,
    rows: Rows,
}

impl FeatureFile {
    /// An old file of that name is replaced.
    pub fn create(path: &Path, features: &[String]) -> Result<Self, Error> {
        let schema = Arc::new(schema(features));
        let file = File::create(path).map_err(|error| cannot_write(path, error))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties));
        let writer = writer.map_err(|error| cannot_write(path, error))?;
        let rows = Rows::new(features.len());
        Ok(Self { path: path.to_owned(), writer, schema, labelled: Vec::new(), rows })
    }

    pub fn push(&mut self, labelled: Labelled, features: &[f32]) -> Result<(), Error> {
        if !self.rows.push(features) {
            return Err(broken(format!("a row of {} where {} are named", features.len(), self.rows.width())));
        }
        self.labelled.push(labelled);
        if self.rows.len() >= BATCH_ROWS { self.write() } else { Ok(()) }
    }

    /// Writes the rest and the file's end; without it the file cannot be read.
    pub fn finish(mut self) -> Result<(), Error> {
        self.write()?;
        let path = self.path;
        self.writer.close().map(drop).map_err(|error| cannot_write(&path, error))
    }

    fn write(&mut self) -> Result<(), Error> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let features = (0..self.rows.width()).map(|place| Arc::new(self.rows.column(place)) as ArrayRef);
        let columns = labels(&self.labelled).into_iter().chain(features).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(broken)?;
        self.labelled.clear();
        self.rows.clear();
        self.writer.write(&batch).map_err(|error| cannot_write(&self.path, error))
    }
}

fn schema(features: &[String]) -> Schema {
    let labels = [
        ("event_id", DataType::Utf8, false),
        ("user", DataType::Utf8, false),
        ("item", DataType::Utf8, false),
        ("category", DataType::Utf8, true),
        ("session", DataType::Utf8, false),
        ("revision", DataType::UInt32, false),
        ("event_ms", DataType::Int64, false),
        ("purchase_follows", DataType::Boolean, false),
    ];
    let labels = labels.into_iter().map(|(name, kind, nullable)| Field::new(name, kind, nullable));
    let features = features.iter().map(|name| Field::new(name, DataType::Float32, false));
    Schema::new(labels.chain(features).collect::<Vec<_>>())
}

/// In the order of [`schema`].
fn labels(rows: &[Labelled]) -> Vec<ArrayRef> {
    vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.event_id))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.user))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.item))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.category.as_deref()))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.session))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.revision))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.event_ms))),
        Arc::new(BooleanArray::from(rows.iter().map(|row| row.purchase_follows).collect::<Vec<_>>())),
    ]
}

fn cannot_write(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(Fault::Config, format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn a_file_reads_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.parquet");
        let mut file = FeatureFile::create(&path, &["clicks".to_owned(), "gap".to_owned()]).unwrap();
        for click in 0..BATCH_ROWS + 1 {
            let user = "u".to_owned();
            let labelled = Labelled { user, purchase_follows: click % 2 == 0, ..Labelled::default() };
            file.push(labelled, &[click as f32, -1.0]).unwrap();
        }
        assert!(file.push(Labelled::default(), &[1.0]).is_err(), "too short a row");
        file.finish().unwrap();

        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap().build().unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let clicks: Vec<f32> =
            batches.iter().flat_map(|batch| batch["clicks"].as_primitive::<Float32Type>().values().to_vec()).collect();
        assert_eq!(clicks, (0..BATCH_ROWS + 1).map(|click| click as f32).collect::<Vec<_>>());
        let follows = batches[0]["purchase_follows"].as_boolean();
        assert_eq!([follows.value(0), follows.value(1)], [true, false]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let error = FeatureFile::create(Path::new("/nowhere/f.parquet"), &[]).err().unwrap();
        assert!(error.message.starts_with("cannot write /nowhere/f.parquet: "), "{}", error.message);
    }
}
