//! Many rows in one parameter, so that a batch of any size is one statement of one text.
//!
//! The parameter is a JSON array of arrays. Each database unpacks it in its own words; [`unpack`] writes them.

use payops_core::time::Timestamp;
use payops_platform::db::Backend;
use serde_json::Value;
use uuid::Uuid;

/// What a column holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Uuid,
    Number,
    Small,
    Text,
    Time,
    Bool,
}

/// `SELECT`s the columns of the rows in parameter `$1`, named `c0`, `c1`, ….
pub(super) fn unpack(backend: Backend, columns: &[Kind]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, kind)| format!("{} AS c{index}", column(backend, index, *kind)))
        .collect();
    let source = backend.pick("json_each($1)", "jsonb_array_elements($1::jsonb) AS r(value)");
    format!("SELECT {} FROM {source}", columns.join(", "))
}

fn column(backend: Backend, index: usize, kind: Kind) -> String {
    let text = format!("value->>{index}");
    match (backend, kind) {
        (Backend::Sqlite, Kind::Uuid) => format!("unhex({text})"),
        (Backend::Sqlite, _) => text,
        (Backend::Postgres, kind) => {
            let native = match kind {
                Kind::Uuid => "uuid",
                Kind::Number => "bigint",
                Kind::Small => "smallint",
                Kind::Text => "text",
                Kind::Time => "timestamptz",
                Kind::Bool => "boolean",
            };
            format!("({text})::{native}")
        }
    }
}

/// The rows as the parameter.
pub(super) fn pack(rows: impl Iterator<Item = Value>) -> sea_orm::Value {
    Value::Array(rows.collect()).to_string().into()
}

/// An id as it is packed.
pub(super) fn id(id: Uuid) -> Value {
    id.simple().to_string().into()
}

/// An instant as it is packed: as SQLite keeps it.
pub(super) fn time(at: Timestamp) -> Value {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false).into()
}

/// An instant that may be missing.
pub(super) fn optional_time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, time)
}
