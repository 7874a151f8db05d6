//! A file a subcommand.
