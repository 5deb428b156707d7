//! The tables of merchant limits. No rules: those are in [`crate::decide`].

pub(crate) mod alert;
pub(crate) mod delivery;
pub(crate) mod embedded;
pub(crate) mod hot;
pub(crate) mod limit;
pub(crate) mod log;
mod native;
pub(crate) mod overrides;
pub(crate) mod pipelined;
pub(crate) mod rate;
mod rows;
pub(crate) mod seal;
pub(crate) mod tier;
