//! Alerts: what is surging, since when, and why.

mod bucket;
mod hash;
mod partial;
mod scope;
mod seen;
mod sketch;
mod terms;
