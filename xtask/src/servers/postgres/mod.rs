//! PostgreSQL.

mod programs;
mod server;

pub(super) use programs::Programs;
pub(super) use server::Postgres;
