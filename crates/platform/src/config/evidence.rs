//! Where files of evidence are kept: in a folder, unless a bucket is named.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::load::folder;
use super::parse;
use super::reader::Reader;

const PATH: &str = "PAYOPS_EVIDENCE_PATH";
const BUCKET: &str = "PAYOPS_EVIDENCE_S3_BUCKET";
const ENDPOINT: &str = "PAYOPS_EVIDENCE_S3_ENDPOINT";
const ACCESS_KEY_ID: &str = "PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "PAYOPS_EVIDENCE_S3_SECRET_ACCESS_KEY";

/// What is of no use without what.
const NEEDS: [(&str, &[&str]); 7] = [
    (BUCKET, &[ACCESS_KEY_ID]),
    (BUCKET, &[SECRET_ACCESS_KEY]),
    (ENDPOINT, &[BUCKET]),
    (ACCESS_KEY_ID, &[BUCKET]),
    (SECRET_ACCESS_KEY, &[BUCKET]),
    ("PAYOPS_EVIDENCE_S3_REGION", &[BUCKET]),
    ("PAYOPS_EVIDENCE_S3_PATH_STYLE", &[BUCKET]),
];

/// Where files of evidence are kept. It is shown as its setting, for errors.
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
    /// The address of the server, without a slash at the end; `None`: Amazon's of the region. Plain HTTP is accepted
    /// where it is written.
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

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{PATH} {}", folder.display()),
            Self::Bucket(bucket) => write!(f, "{BUCKET} {}", bucket.name),
        }
    }
}

/// `default` is the folder where none is given.
pub(super) fn read(reader: &mut Reader, default: &Path) -> Option<FilePlace> {
    let bucket = bucket(reader);
    reader.refuse_useless(&NEEDS);
    if !reader.is_given(BUCKET) {
        return Some(FilePlace::Folder(folder(reader, PATH, default)));
    }
    if reader.optional(PATH, parse::text).is_some() {
        reader.refuse(PATH, format!("{BUCKET} is given too, and files lie in one place: keep one"));
    }
    bucket.map(FilePlace::Bucket)
}

fn bucket(reader: &mut Reader) -> Option<Bucket> {
    let name = reader.optional(BUCKET, parse::bucket);
    let region = reader.value("PAYOPS_EVIDENCE_S3_REGION", parse::text);
    let endpoint = reader.optional(ENDPOINT, parse::url);
    let access_key_id = reader.optional(ACCESS_KEY_ID, parse::text);
    let secret_access_key = reader.secret(SECRET_ACCESS_KEY);
    let own_server = endpoint.is_some();
    let path_style =
        reader.derived("PAYOPS_EVIDENCE_S3_PATH_STYLE", parse::flag, own_server, own_server.to_string());
    Some(Bucket {
        name: name?,
        endpoint,
        region: region?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        path_style,
    })
}
