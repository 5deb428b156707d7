//! The account behind its lock, and the content of its files.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use payops_core::time::{Clock, Timestamp};

use super::account::{Account, Act, Settings};
use super::webhooks::Cause;
use crate::server::Shared;

/// All files together.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// The content of uploaded files, in memory or in a folder.
#[derive(Debug)]
pub(crate) struct Contents {
    folder: Option<PathBuf>,
    memory: Mutex<HashMap<String, Bytes>>,
}

impl Contents {
    pub(crate) fn put(&self, id: &str, content: Bytes) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), content);
            return Ok(());
        };
        fs::create_dir_all(folder)?;
        fs::write(folder.join(id), content)
    }

    pub(crate) fn get(&self, id: &str) -> io::Result<Bytes> {
        let Some(folder) = &self.folder else {
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            return memory.get(id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
        };
        fs::read(folder.join(id)).map(Bytes::from)
    }
}

/// The account and how it behaves.
#[derive(Debug)]
pub(crate) struct Books {
    account: Mutex<Account>,
    pub(crate) settings: Settings,
    pub(crate) contents: Contents,
}

impl Books {
    /// With what an earlier sandbox left; `folder` is where the content of files lies.
    pub(crate) fn new(account: Account, settings: Settings, folder: Option<PathBuf>) -> Self {
        let contents = Contents { folder, memory: Mutex::default() };
        Self { account: Mutex::new(account.indexed()), settings, contents }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `more` bytes can be kept beside what is there.
    pub(crate) fn has_room_for(&self, more: u64) -> bool {
        let kept: u64 = self.lock().files.iter().map(|file| file.size).sum();
        kept + more <= MOST_BYTES
    }
}

impl Shared {
    /// Does something with the account, after all that was due before, and tells what has happened.
    pub(crate) fn with_account<T>(
        &self,
        cause: Option<&Cause>,
        act: impl FnOnce(&mut Account, &mut Act<'_>) -> T,
    ) -> T {
        let mut account = self.books.lock();
        self.settle_account(&mut account);
        let done = self.act(&mut account, cause, self.clock.now(), act);
        self.settle_account(&mut account);
        done
    }

    pub(crate) fn has_books_to_settle(&self) -> bool {
        self.books.lock().next_due().is_some_and(|at| at <= self.clock.now())
    }

    /// Does what is due by now.
    pub(crate) fn settle_books(&self) {
        self.settle_account(&mut self.books.lock());
    }

    fn settle_account(&self, account: &mut Account) {
        let now = self.clock.now();
        while self.act(account, None, now, |account, act| account.settle_next(act, now)) {}
    }

    fn act<T>(
        &self,
        account: &mut Account,
        cause: Option<&Cause>,
        now: Timestamp,
        act: impl FnOnce(&mut Account, &mut Act<'_>) -> T,
    ) -> T {
        let new_id = |prefix: &str| self.new_id(prefix);
        let mut at_hand = Act { now, settings: &self.books.settings, new_id: &new_id, happened: Vec::new() };
        let done = act(account, &mut at_hand);
        // Under the account's lock, so that events come in the order of what they tell.
        for happening in at_hand.happened {
            self.webhooks.tell(&self.new_id("evt_1"), happening, cause);
        }
        done
    }
}
