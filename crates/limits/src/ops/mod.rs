//! Use cases: the only place where rules and store meet.

pub mod audit;
pub(crate) mod enforce;
pub(crate) mod upkeep;
