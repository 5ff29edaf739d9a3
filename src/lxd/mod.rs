//! The LXD client: endpoint, identity, trust, calls as data, envelopes and operations.
//!
//! The only room that knows HTTP. It knows nothing of site files and plans.

mod call;

pub use call::{Body, Call, Method, escape};
