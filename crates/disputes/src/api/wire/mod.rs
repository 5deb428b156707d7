//! What the API takes and gives. Field names follow the original system; times are RFC 3339 UTC, amounts are minor units of
//! the currency beside them.

mod desk;
mod disputes;
mod evidence;
mod personal;
mod submission;

pub use desk::*;
pub use disputes::*;
pub use evidence::*;
pub use personal::*;
pub use submission::*;
