use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;

use crate::event::{Error, Fault, Origin, RawRecord};

/// Records come from this topic as far as a stage can tell.
pub const TOPIC: &str = "input";

/// Lines as records; the line's number, from 0, is the offset. Holds one line at a time, and of a line that is longer
/// than the bound no more than shows that it is.
pub struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    bytes_max: usize,
    offset: i64,
    /// The event time of lines that have none.
    started_ms: i64,
    read: Arc<AtomicU64>,
    file_bytes: Option<u64>,
}

impl Lines {
    pub fn open(file: Option<&Path>, bytes_max: usize) -> Result<Lines, Error> {
        let read = Arc::new(AtomicU64::new(0));
        let started_ms = Timestamp::now().as_millisecond();
        let from = |reader, name, file_bytes| {
            let read = read.clone();
            Lines { reader, name, bytes_max, offset: 0, started_ms, read, file_bytes }
        };
        match file {
            Some(path) if path != Path::new("-") => {
                let (reader, file_bytes) = open(path, &read)?;
                Ok(from(reader, path.display().to_string(), file_bytes))
            }
            _ => Ok(from(Box::new(BufReader::new(io::stdin())), "standard input".into(), None)),
        }
    }

    /// Lines from here on are cut off behind this many bytes.
    pub fn bound(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Bytes read of the file, as it is packed.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The same for somebody who looks on while another one reads.
    pub fn read_bytes_shared(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// The file's size; `None` where it has none, as a pipe.
    pub fn file_bytes(&self) -> Option<u64> {
        self.file_bytes
    }

    /// The next line without its end, cut off behind the bound; `None` at the end of the input.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut any = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(any.then_some(line));
            }
            any = true;
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = (self.bytes_max + 1).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<RawRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.line() {
            Ok(line) => line?,
            Err(error) => {
                let message = format!("cannot read {} behind line {}: {error}", self.name, self.offset);
                return Some(Err(Error::new(Fault::Input, message)));
            }
        };
        let origin = Origin { topic: TOPIC.into(), partition: 0, offset: self.offset };
        self.offset += 1;
        let timestamp_ms = Some(self.started_ms);
        Some(Ok(RawRecord { origin, key: None, headers: Vec::new(), timestamp_ms, payload: Some(Bytes::from(line)) }))
    }
}

/// A file, unpacked on the way where its name ends in `.gz`, and its size.
fn open(path: &Path, read: &Arc<AtomicU64>) -> Result<(Box<dyn BufRead>, Option<u64>), Error> {
    let cannot = |e: io::Error| Error::new(Fault::Config, format!("cannot open {}: {e}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(Error::new(Fault::Config, format!("{} is a directory, expected a file of lines", path.display())));
    }
    let file_bytes = metadata.is_file().then_some(metadata.len());
    let counted = Counted { file, read: read.clone() };
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn BufRead> = match packed {
        true => Box::new(BufReader::new(MultiGzDecoder::new(counted))),
        false => Box::new(BufReader::new(counted)),
    };
    Ok((reader, file_bytes))
}

/// A file that tells how far it was read.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn lines(name: &str, content: &[u8], bytes_max: usize) -> Vec<Vec<u8>> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        let mut lines = Lines::open(Some(&path), bytes_max).expect("opens");
        let read = lines.by_ref().map(|record| record.expect("reads").payload.expect("a line").to_vec()).collect();
        assert_eq!(Some(lines.read_bytes()), lines.file_bytes(), "all of it was read");
        read
    }

    #[test]
    fn lines_are_cut_off_behind_the_bound_and_the_last_needs_no_end() {
        assert_eq!(lines("a.jsonl", b"one\n\nthree hundred\nfour", 5), [&b"one"[..], b"", b"three ", b"four"]);
    }

    #[test]
    fn packed_files_are_unpacked_member_by_member() {
        let pack = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).expect("packs");
            encoder.finish().expect("packs")
        };
        assert_eq!(lines("a.jsonl.gz", &[pack("one\n"), pack("two\n")].concat(), 100), [b"one", b"two"]);
    }

    #[test]
    fn what_is_no_file_is_named() {
        let fault = Lines::open(Some(Path::new("/nowhere/a.jsonl")), 10).err().expect("fails");
        assert!(fault.message.starts_with("cannot open /nowhere/a.jsonl: "), "{}", fault.message);
        let fault = Lines::open(Some(Path::new("/")), 10).err().expect("fails");
        assert_eq!(fault.message, "/ is a directory, expected a file of lines");
    }
}
