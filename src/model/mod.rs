//! The words that every room speaks: addresses, paths, values, places, events. No I/O.

mod address;
mod event;
mod id;
mod path;
mod play_event;
mod secret;
mod span;
pub mod units;
pub mod value;

pub use address::Address;
pub use event::{Event, Outcome, StepId, Verb};
pub use id::Id;
pub use path::{MEMBERS, Path};
pub use play_event::{Counts, PlayEvent, Preview, TaskDiff, TaskEnded, TaskStatus};
pub use secret::Masker;
pub use span::{FileId, Sources, Span};
