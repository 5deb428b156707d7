//! What the outside world says: settlement files, and the clients of Stripe and of the payment gateway.
//!
//! Everything read here becomes [`row::Row`]s, the one form that both sides of a reconciliation share. A
//! reader never fails whole: what it cannot read becomes a [`row::Reject`] with its line, and the rest is read.

mod amount;
pub mod bank;
mod control;
pub mod decode;
pub mod fast;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod header;
pub mod mapping;
pub mod options;
pub mod payment_lookup;
pub mod platform_feed;
pub mod read;
mod records;
pub mod remote;
pub mod report;
pub mod row;
mod rows;
mod stored;
pub mod stripe;
mod tally;
mod time;

pub use decode::{PlainFile, SpoolError, spool};
pub use mapping::{Mapping, MappingError};
pub use options::{Limits, ReadOptions, Window};
pub use read::{BoundFormat, Format, read_rows, reread_rows};
pub use remote::{HeaderInjector, RemoteError, RemoteErrorKind};
pub use report::{CategoryTotal, ControlCheck, ControlReport, FeeTotal, FileReport, PayoutGroup, Unbalanced};
pub use stored::StoredFile;
pub use time::TimeReader;
