//! Files of evidence, each under the SHA-256 of its bytes: in a folder, or in a bucket of anything that speaks S3.
//!
//! A file is written before the row that names it, so no row is without its file. A file that no row names harms nobody,
//! and the same bytes come to lie in the same place, so that two writers cannot disturb one another.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use payops_platform::error::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::error;

/// How long a store that is away is asked again before the caller is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a caller may try again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Where files of evidence are kept.
#[derive(Debug, Clone)]
pub enum FilePlace {
    /// A folder, which is made where it is missing. Instances that share a database share it.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Bucket),
}

/// A bucket of anything that speaks S3.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The address of the server; `None`: Amazon's of the region. Plain HTTP is accepted where it is written.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The id of the access key.
    pub access_key_id: String,
    /// The access key.
    pub secret_access_key: SecretString,
    /// Whether the bucket is named in the path rather than in the host: what most servers but Amazon's want.
    pub path_style: bool,
}

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

    /// Keeps a file; gives the SHA-256 of its bytes in lower-case hexadecimal, under which it lies.
    pub(crate) async fn put(&self, bytes: Bytes) -> Result<String> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        self.objects.put(&place_of(&sha256), bytes.into()).await.map_err(away)?;
        Ok(sha256)
    }

    /// The file whose bytes have this SHA-256.
    ///
    /// # Errors
    /// 422 `EVIDENCE_FILE_MISSING` where nothing, or something else, lies in its place; 503 while the store is away.
    pub(crate) async fn get(&self, sha256: &str) -> Result<Bytes> {
        let found = match self.objects.get(&place_of(sha256)).await {
            Ok(found) => found.bytes().await.map_err(away)?,
            Err(object_store::Error::NotFound { .. }) => return Err(error::file_missing(sha256)),
            Err(error) => return Err(away(error)),
        };
        if hex::encode(Sha256::digest(&found)) == sha256 {
            Ok(found)
        } else {
            Err(error::file_missing(sha256))
        }
    }
}

fn open_bucket(bucket: &Bucket) -> object_store::Result<impl ObjectStore + use<>> {
    let plain_http = bucket.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_region(&bucket.region)
        .with_access_key_id(&bucket.access_key_id)
        .with_secret_access_key(bucket.secret_access_key.expose_secret())
        .with_virtual_hosted_style_request(!bucket.path_style)
        .with_retry(retry)
        .with_client_options(ClientOptions::new().with_allow_http(plain_http));
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build()
}

/// The first two digits make the folder, so that none becomes too large to be listed.
fn place_of(sha256: &str) -> Path {
    let folder = sha256.get(..2).unwrap_or_default();
    Path::from_iter([folder, sha256])
}

/// A store that refuses is worth another try later: a disk may have been full, a server away.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn away(error: object_store::Error) -> Error {
    Error::unavailable(format!("evidence files: {error}"), RETRY_AFTER)
}
