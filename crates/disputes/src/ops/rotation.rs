//! The ring changes: everything is wrapped anew under its first key. What is encrypted stays as it is.

use std::sync::Arc;

use futures::FutureExt;
use payops_core::random::Random;
use payops_platform::db::{Db, Tx};
use payops_platform::error::Result;
use payops_platform::vault::{KeyRing, VaultError, Wrapped};
use sea_orm::ConnectionTrait;

use crate::store::key;
use crate::vault::key_place;

/// Keys of one transaction.
const AT_ONCE: u64 = 500;

/// Whether the ring has every key that something is wrapped under.
///
/// # Errors
/// 503 `DATA_KEY_MISSING`; its internal text names the key.
pub async fn check_ring(conn: &impl ConnectionTrait, ring: &KeyRing) -> Result<()> {
    let used = key::ring_keys_in_use(conn).await?;
    match used.into_iter().find(|id| !ring.has(id)) {
        Some(missing) => Err(VaultError::UnknownKey(missing).into()),
        None => Ok(()),
    }
}

/// Wraps every key anew that is not under the ring's first; gives how many there were. It may run beside services that have
/// both keys, be broken off and be repeated.
///
/// # Errors
/// 503 `DATA_KEY_MISSING` where the ring lacks a key, before anything is changed.
pub async fn rotate_keys(db: &Db, ring: &KeyRing, random: Arc<dyn Random>) -> Result<u64> {
    check_ring(db.read(), ring).await?;
    let old = key::ring_keys_in_use(db.read()).await?;
    let mut total = 0;
    for id in old.into_iter().filter(|id| id != ring.first()) {
        loop {
            let shared = Arc::new((id.clone(), ring.clone(), Arc::clone(&random)));
            let write = db.write("disputes.rotate_keys", move |tx| {
                let shared = Arc::clone(&shared);
                async move { rotate_some(tx, &shared.0, &shared.1, &*shared.2).await }.boxed()
            });
            match write.await? {
                0 => break,
                some => total += some,
            }
        }
    }
    Ok(total)
}

async fn rotate_some(tx: &Tx, id: &str, ring: &KeyRing, random: &dyn Random) -> Result<u64> {
    let again = |place: &str, bytes: Vec<u8>| {
        let key = ring.unwrap(place, &Wrapped { key_id: id.to_owned(), bytes })?;
        ring.wrap(random, place, &key)
    };
    let mut count = 0;
    for mut row in key::lock_service_wrapped_under(tx, id).await? {
        let wrapped = again(&row.name, row.wrapped_key)?;
        (row.key_id, row.wrapped_key) = (wrapped.key_id, wrapped.bytes);
        key::rewrap_service(tx, row).await?;
        count += 1;
    }
    let mut rows = key::lock_wrapped_under(tx, id, AT_ONCE).await?;
    for row in &mut rows {
        let place = key_place(row.dispute_id, row.number);
        let wrapped = again(&place, row.wrapped_key.take().unwrap_or_default())?;
        (row.key_id, row.wrapped_key) = (wrapped.key_id, Some(wrapped.bytes));
    }
    count += rows.len() as u64;
    if !rows.is_empty() {
        key::rewrap(tx, rows).await?;
    }
    Ok(count)
}
