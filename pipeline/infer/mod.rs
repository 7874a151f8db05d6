//! Model directories and what runs them.
