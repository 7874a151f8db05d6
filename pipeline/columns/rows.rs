use std::sync::Arc;

use arrow_array::{Array, FixedSizeListArray, Float32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field};

use crate::event::{Error, Fault};

/// Rows of equal width.
#[derive(Clone, Debug)]
pub struct Rows {
    width: usize,
    values: Vec<f32>,
}

impl Rows {
    /// `width`: numbers of a row, at least one.
    pub fn new(width: usize) -> Self {
        Self::with_capacity(width, 0)
    }

    /// Room for so many rows.
    pub fn with_capacity(width: usize, rows: usize) -> Self {
        let width = width.max(1);
        Self { width, values: Vec::with_capacity(width.saturating_mul(rows)) }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// False, and nothing appended, where the row has another width.
    pub fn push(&mut self, row: &[f32]) -> bool {
        let fits = row.len() == self.width;
        if fits {
            self.values.extend_from_slice(row);
        }
        fits
    }

    /// A batch as ONNX Runtime takes it: its values and its shape, rows × width. The memory is the array's own.
    pub fn tensor(array: &FixedSizeListArray) -> Option<(&[f32], [usize; 2])> {
        let values = array.values().as_any().downcast_ref::<Float32Array>()?;
        let width = usize::try_from(array.value_length()).ok()?;
        Some((values.values(), [array.len(), width]))
    }

    /// The rows as one Arrow array of fixed-size lists; their memory goes with them.
    pub fn into_array(self) -> Result<FixedSizeListArray, Error> {
        let field = Arc::new(Field::new("item", DataType::Float32, false));
        let width = i32::try_from(self.width).map_err(|_| broken("rows are too wide"))?;
        let values = Float32Array::new(ScalarBuffer::from(self.values), None);
        FixedSizeListArray::try_new(field, width, Arc::new(values), None).map_err(broken)
    }

    /// One column of all rows.
    pub(super) fn column(&self, place: usize) -> Float32Array {
        Float32Array::from_iter_values(self.values.iter().skip(place).step_by(self.width).copied())
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
    }
}

pub(super) fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Fault::Bug, format!("features do not make columns: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_reads_the_memory_that_rows_were_appended_to() {
        let mut rows = Rows::new(3);
        assert!(rows.push(&[1.0, 2.0, 3.0]) && rows.push(&[4.0, 5.0, 6.0]));
        assert!(!rows.push(&[7.0]), "another width");
        let at = rows.values.as_ptr();
        let array = rows.into_array().unwrap();
        let (values, shape) = Rows::tensor(&array).unwrap();
        assert_eq!((values, shape), (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], [2, 3]));
        assert_eq!(values.as_ptr(), at, "nothing was copied");
        assert_eq!(Rows::tensor(&array.slice(1, 1)), Some((&[4.0, 5.0, 6.0][..], [1, 3])));
    }
}
