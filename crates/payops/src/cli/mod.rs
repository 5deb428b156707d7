//! The commands, one module each.

pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod limits;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod reconcile;
pub(crate) mod rotate_keys;
pub(crate) mod sandbox;
pub(crate) mod serve;
pub(crate) mod token;
