//! What the outside world says: settlement files, platform feeds and the Stripe reporting client.
//!
//! Everything read here becomes [`row::Row`]s, the one form that both sides of a reconciliation share. A
//! reader never fails whole: what it cannot read becomes a [`row::Reject`] with its line, and the rest is read.

pub mod row;
