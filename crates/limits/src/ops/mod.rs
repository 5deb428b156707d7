//! Use cases: the only place where rules and store meet.

pub(crate) mod enforce;
pub(crate) mod upkeep;
