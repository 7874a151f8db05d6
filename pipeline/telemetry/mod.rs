//! Events of the program's own life: each emits its log line and its metric.
