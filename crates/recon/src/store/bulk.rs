//! Many rows at once, by the way measured fastest on each database: arrays of columns on PostgreSQL, rows of values on
//! SQLite (docs/performance.md).

use std::fmt::Write;

use chrono::SecondsFormat;
use payops_platform::db::{Backend, Tx};
use payops_platform::error::{Error, Result};
use sea_orm::sea_query::ColumnType;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityName, EntityTrait, IdenStatic, Iterable, Statement,
    Value,
};

/// How many values one statement carries on SQLite, which takes 32,766.
const VALUES_PER_INSERT: usize = 16_000;
/// How many rows one statement carries on PostgreSQL.
const ROWS_PER_INSERT: usize = 8_192;

/// Adds rows, every column of them set.
pub async fn insert<A>(tx: &Tx, rows: impl IntoIterator<Item = A>) -> Result<()>
where
    A: ActiveModelTrait + Send,
{
    let columns = <A::Entity as EntityTrait>::Column::iter().count().max(1);
    let most = tx.backend().pick(VALUES_PER_INSERT / columns, ROWS_PER_INSERT);
    let mut rows = rows.into_iter();
    loop {
        let batch: Vec<A> = rows.by_ref().take(most).collect();
        if batch.is_empty() {
            return Ok(());
        }
        match tx.backend() {
            Backend::Sqlite => {
                A::Entity::insert_many(batch).exec_without_returning(tx.conn()).await?;
            }
            Backend::Postgres => {
                tx.execute_raw(in_arrays(tx, &batch)?).await?;
            }
        }
    }
}

fn in_arrays<A: ActiveModelTrait>(tx: &Tx, batch: &[A]) -> Result<Statement> {
    let (mut names, mut arrays, mut values) = (Vec::new(), Vec::new(), Vec::<Value>::new());
    for column in <A::Entity as EntityTrait>::Column::iter() {
        arrays.push(format!("${}::{}[]", names.len() + 1, type_name(column.def().get_column_type())?));
        names.push(column.as_str());
        values.push(array_of(batch, column)?.into());
    }
    let table = A::Entity::default().table_name().to_owned();
    let (names, arrays) = (names.join(", "), arrays.join(", "));
    Ok(tx.statement(&format!("INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})"), values))
}

/// What PostgreSQL calls a column's type.
fn type_name(of: &ColumnType) -> Result<&'static str> {
    match of {
        ColumnType::Uuid => Ok("uuid"),
        ColumnType::String(_) | ColumnType::Text => Ok("text"),
        ColumnType::BigInteger => Ok("bigint"),
        ColumnType::Boolean => Ok("boolean"),
        ColumnType::Date => Ok("date"),
        ColumnType::TimestampWithTimeZone => Ok("timestamptz"),
        other => Err(Error::internal(format!("columns of type {other:?} are not written in arrays"))),
    }
}

/// One column of all rows, as PostgreSQL writes an array.
fn array_of<A: ActiveModelTrait>(rows: &[A], column: <A::Entity as EntityTrait>::Column) -> Result<String> {
    let mut array = String::with_capacity(rows.len() * 24);
    array.push('{');
    for row in rows {
        if array.len() > 1 {
            array.push(',');
        }
        push(&mut array, row.get(column).into_value())?;
    }
    array.push('}');
    Ok(array)
}

fn push(array: &mut String, value: Option<Value>) -> Result<()> {
    let written = match value {
        Some(Value::Uuid(Some(id))) => write!(array, "{id}"),
        Some(Value::BigInt(Some(number))) => write!(array, "{number}"),
        Some(Value::Bool(Some(holds))) => write!(array, "{holds}"),
        Some(Value::ChronoDate(Some(date))) => write!(array, "{date}"),
        Some(Value::ChronoDateTimeUtc(Some(time))) => {
            write!(array, "{}", time.to_rfc3339_opts(SecondsFormat::Micros, true))
        }
        Some(Value::String(Some(text))) => {
            array.push('"');
            for char in text.chars() {
                if matches!(char, '"' | '\\') {
                    array.push('\\');
                }
                array.push(char);
            }
            array.push('"');
            Ok(())
        }
        Some(
            Value::Uuid(None)
            | Value::BigInt(None)
            | Value::Bool(None)
            | Value::ChronoDate(None)
            | Value::ChronoDateTimeUtc(None)
            | Value::String(None),
        ) => write!(array, "NULL"),
        other => return Err(Error::internal(format!("{other:?} is not written in an array"))),
    };
    written.map_err(Error::internal)
}
