//! Which texts go through a model together, and which answers are known already.
