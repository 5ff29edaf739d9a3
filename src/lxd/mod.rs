//! The LXD client: endpoint, identity, trust, calls as data, envelopes and operations.
//!
//! The only room that knows HTTP. It knows nothing of site files and plans.

mod call;
mod client;
mod endpoint;
pub mod enrol;
mod error;
mod exec;
pub mod forbidden;
pub mod identity;
mod operations;
mod patience;
mod progress;
pub mod remotes;
mod server;
mod sftp;
mod socket;
mod tls;
mod token;
mod upload;
mod websocket;

pub use call::{Body, Call, Method, escape};
pub use client::{Client, Progress};
pub use endpoint::{Address, Endpoint, resolve};
pub use error::Error;
pub use exec::{Attached, Exec, Executed};
pub use operations::Running;
pub use patience::AWAY;
pub use server::Server;
pub use sftp::Sftp;
pub use tls::fingerprint_of;
pub use token::Token;
