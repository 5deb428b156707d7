//! Files of evidence, each with its dispute and under the SHA-256 of its bytes, sealed with the dispute's key: in a folder, or
//! in a bucket of anything that speaks S3.
//!
//! A file is written before the row that names it, so no row is without its file. A file that no row names harms nobody,
//! and the same bytes come to lie in the same place, so that two writers cannot disturb one another.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use payops_platform::config::{Bucket, FilePlace};
use payops_platform::error::{Error, Result};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error;
use crate::vault::DisputeKeys;

/// How long, at most, a store that is away is asked again before the caller is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// When a caller may try again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The store of files. Clones share it.
#[derive(Clone)]
pub struct Files {
    objects: Arc<dyn ObjectStore>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files in {}", self.objects)
    }
}

impl Files {
    /// Opens the store. A bucket is not asked for: it may be away for a while.
    ///
    /// # Errors
    /// The folder cannot be made, or the settings of the bucket make no sense.
    pub fn open(place: &FilePlace) -> io::Result<Self> {
        let objects: Arc<dyn ObjectStore> = match place {
            FilePlace::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(io::Error::other)?.with_fsync(true))
            }
            FilePlace::Bucket(bucket) => Arc::new(open_bucket(bucket).map_err(io::Error::other)?),
        };
        Ok(Self { objects })
    }

    /// Keeps a file of a dispute, sealed with its key; gives the SHA-256 of its bytes in lower-case hexadecimal, under which it
    /// lies.
    ///
    /// # Errors
    /// 410 `ERASED` without a key; 503 while the store is away, or refuses the key or the bucket.
    pub async fn put(&self, keys: &DisputeKeys, bytes: Bytes) -> Result<String> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let sealed = keys.seal(&file(&sha256), &bytes)?;
        self.objects.put(&place_of(keys.dispute_id(), &sha256), sealed.into()).await.map_err(away)?;
        Ok(sha256)
    }

    /// The dispute's file whose bytes have this SHA-256.
    ///
    /// # Errors
    /// 410 `ERASED` where its key was destroyed; 422 `EVIDENCE_FILE_MISSING` where nothing, or something else, lies in its place; 503 while the store is away, or
    /// refuses the key or the bucket.
    pub async fn get(&self, keys: &DisputeKeys, sha256: &str) -> Result<Bytes> {
        let found = match self.objects.get(&place_of(keys.dispute_id(), sha256)).await {
            Ok(found) => found.bytes().await.map_err(away)?,
            Err(error @ object_store::Error::NotFound { .. }) if !is_of_the_bucket(&error) => {
                return Err(error::file_missing(sha256));
            }
            Err(error) => return Err(away(error)),
        };
        match keys.open(&file(sha256), &found) {
            Ok(Some(bytes)) if hex::encode(Sha256::digest(&bytes)) == sha256 => Ok(bytes.into()),
            Ok(None) => Err(error::erased(keys.dispute_id())),
            Ok(Some(_)) | Err(_) => Err(error::file_missing(sha256)),
        }
    }
}

fn open_bucket(bucket: &Bucket) -> object_store::Result<impl ObjectStore + use<>> {
    let plain_http = bucket.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let retry = RetryConfig {
        retry_timeout: PATIENCE,
        backoff: BackoffConfig { max_backoff: LONGEST_PAUSE, ..BackoffConfig::default() },
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_region(&bucket.region)
        .with_access_key_id(&bucket.access_key_id)
        .with_secret_access_key(bucket.secret_access_key.expose_secret())
        .with_virtual_hosted_style_request(!bucket.path_style)
        .with_retry(retry)
        .with_client_options(ClientOptions::new().with_allow_http(plain_http));
    if let Some(endpoint) = endpoint(bucket) {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build()
}

/// The client puts the bucket into the path of an endpoint that is given, but not before its host.
fn endpoint(bucket: &Bucket) -> Option<String> {
    let endpoint = bucket.endpoint.as_ref()?;
    let before = if bucket.path_style { "://".to_owned() } else { format!("://{}.", bucket.name) };
    Some(endpoint.replacen("://", &before, 1))
}

/// What a file is among what its dispute seals.
fn file(sha256: &str) -> String {
    format!("file {sha256}")
}

/// A folder of its own for each dispute. The last two digits of the dispute, which are random, make another around it, so that
/// none becomes too large to be listed.
fn place_of(dispute_id: Uuid, sha256: &str) -> Path {
    let dispute = dispute_id.to_string();
    let folder = dispute.get(dispute.len() - 2..).unwrap_or_default();
    Path::from_iter([folder, &dispute, sha256])
}

/// A bucket that is missing loses no file: somebody has named another one.
fn is_of_the_bucket(error: &object_store::Error) -> bool {
    error.to_string().contains("<Code>NoSuchBucket</Code>")
}

/// A store that refuses is worth another try later: a disk may have been full, a server away, a key not yet accepted.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn away(error: object_store::Error) -> Error {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let advice = match &error {
        PermissionDenied { .. } | Unauthenticated { .. } => {
            "; check PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID, its secret, and what the key may do, or the rights on the folder"
        }
        error if is_of_the_bucket(error) => {
            "; make the bucket, or set PAYOPS_EVIDENCE_S3_BUCKET to another one"
        }
        _ => "",
    };
    Error::unavailable(format!("evidence files: {error}{advice}"), RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_in_the_path_or_before_the_host() {
        let at = |address: Option<&str>, path_style| {
            endpoint(&Bucket {
                name: "evidence".to_owned(),
                endpoint: address.map(str::to_owned),
                region: "us-east-1".to_owned(),
                access_key_id: "key".to_owned(),
                secret_access_key: "secret".into(),
                path_style,
            })
        };
        let server = "https://s3.shop.example:9000";
        assert_eq!(at(Some(server), true).as_deref(), Some(server));
        assert_eq!(at(Some(server), false).as_deref(), Some("https://evidence.s3.shop.example:9000"));
        assert_eq!((at(None, true), at(None, false)), (None, None));
    }
}
