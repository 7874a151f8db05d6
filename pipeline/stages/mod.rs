//! The operators: pure, synchronous, with the time as an argument.
