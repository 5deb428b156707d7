//! The tables of merchant limits. No rules: those are in [`crate::decide`].

pub(crate) mod hot;
mod rows;
