//! From a graph's output to the values of a head.

use ort::value::{DynValue, TensorElementType};

use super::head::Activation;

/// An output's numbers, copied as 32-bit floats into `values`, and its shape. `Err` says what it is instead.
pub(super) fn read(output: &DynValue, values: &mut Vec<f32>) -> Result<Vec<usize>, String> {
    let shape = output.dtype().tensor_shape().ok_or("no tensor")?.iter().map(|&d| d.max(0) as usize).collect();
    values.clear();
    let fault = |e: ort::Error| e.to_string();
    match output.dtype().tensor_type() {
        Some(TensorElementType::Float32) => {
            values.extend_from_slice(output.try_extract_tensor::<f32>().map_err(fault)?.1);
        }
        Some(TensorElementType::Float16) => {
            values.extend(output.try_extract_tensor::<half::f16>().map_err(fault)?.1.iter().map(|v| v.to_f32()));
        }
        Some(TensorElementType::Bfloat16) => {
            values.extend(output.try_extract_tensor::<half::bf16>().map_err(fault)?.1.iter().map(|v| v.to_f32()));
        }
        other => return Err(format!("{other:?}")),
    }
    Ok(shape)
}

impl Activation {
    /// Turns a text's values into probabilities, in place.
    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Activation::Softmax => softmax(values),
            Activation::Sigmoid => values.iter_mut().for_each(|v| *v = sigmoid(*v)),
            Activation::None => {}
        }
    }
}

/// Less the largest value first, so that no exponential overflows.
fn softmax(values: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = (*value - largest).exp();
        sum += *value;
    }
    values.iter_mut().for_each(|v| *v /= sum);
}

/// By the branch whose exponential does not overflow.
fn sigmoid(value: f32) -> f32 {
    if value >= 0.0 {
        return 1.0 / (1.0 + (-value).exp());
    }
    let small = value.exp();
    small / (1.0 + small)
}

/// The mean of a text's token vectors. The tokens stand first, so that the padding is what is left out.
pub(super) fn mean(vectors: &[f32], width: usize, tokens: usize) -> Box<[f32]> {
    let mut sums = vec![0.0; width];
    for vector in vectors.chunks_exact(width.max(1)).take(tokens) {
        sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    sums.iter_mut().for_each(|sum| *sum /= tokens as f32);
    sums.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(activation: Activation, values: &[f32], expected: &[f32]) {
        let mut got = values.to_vec();
        activation.apply(&mut got);
        for (a, b) in got.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{activation:?} of {values:?} is {got:?}, expected {expected:?}");
        }
    }

    #[test]
    fn probabilities_of_any_size_of_value() {
        check(Activation::Softmax, &[1.0, 1.0], &[0.5, 0.5]);
        check(Activation::Softmax, &[1e30, 0.0, -1e30], &[1.0, 0.0, 0.0]);
        check(Activation::Softmax, &[-100.0, -100.0 + 3f32.ln()], &[0.25, 0.75]);
        check(Activation::Sigmoid, &[0.0, 1e30, -1e30, 3f32.ln()], &[0.5, 1.0, 0.0, 0.75]);
        check(Activation::None, &[-3.0, 7.0], &[-3.0, 7.0]);
    }

    #[test]
    fn not_a_number_stays_visible() {
        for activation in [Activation::Softmax, Activation::Sigmoid, Activation::None] {
            let mut values = [f32::NAN, 1.0];
            activation.apply(&mut values);
            assert!(values.iter().any(|v| !v.is_finite()), "{activation:?}");
        }
    }

    #[test]
    fn the_mean_leaves_padding_out() {
        assert_eq!(*mean(&[1.0, 2.0, 3.0, 6.0, 100.0, 100.0], 2, 2), [2.0, 4.0]);
    }
}
