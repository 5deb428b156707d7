//! Secrets that nobody gave, made up once and kept for the next start.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use payops_core::random::Random;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Environment, Settings};
use crate::auth::{ServiceIdentity, TokenKeys};
use crate::vault::KeyRing;

/// The file in the data folder.
const FILE: &str = "development-secrets.toml";
/// The file of the key that signs what lasts: whoever deletes the secrets to get new ones keeps it.
const AUDIT_FILE: &str = "development-audit-key.toml";
/// The file of the key of personal data, which is kept for the same reason.
const DATA_FILE: &str = "development-data-keys.toml";
/// The id of that key.
const DATA_KEY: &str = "development";
/// The service for which a secret is made up.
const GATEWAY: &str = "payment-gateway";
const COMMENT: &str = "# Secrets that payops made up for development. Delete the file to get new ones.\n";
const AUDIT_COMMENT: &str =
    "# Signs the seals of the usage log. Without it, those there are can no longer be verified.\n";
const DATA_COMMENT: &str =
    "# Opens the evidence of disputes. Without it, what is kept can no longer be read by anybody.\n";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generated {
    jwt_secret: String,
    gateway_service_secret: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GeneratedAuditKey {
    audit_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GeneratedDataKeys {
    data_keys: String,
}

impl Settings {
    /// Makes up the token secret, a secret of the service `payment-gateway`, the key of the usage log's seals and the key of
    /// personal data, where none is given and [`Environment::Development`] allows it, and keeps them in the data folder with mode 0600.
    /// Later starts find them there.
    pub fn generate_missing_secrets(&mut self, random: &dyn Random) -> io::Result<()> {
        if self.environment == Environment::Production {
            return Ok(());
        }
        self.generate_secrets_of_callers(random)?;
        if self.audit_keys.private.is_empty() && self.audit_keys.public.is_empty() {
            let make = || GeneratedAuditKey { audit_key: draw(random) };
            let generated = kept(&self.data_dir.join(AUDIT_FILE), AUDIT_COMMENT, random, make)?;
            self.audit_keys.private.push(generated.audit_key.into());
        }
        if self.data_keys.is_none() {
            let path = self.data_dir.join(DATA_FILE);
            let make = || GeneratedDataKeys { data_keys: KeyRing::draw(DATA_KEY, random) };
            let generated = kept(&path, DATA_COMMENT, random, make)?;
            let ring = KeyRing::parse(&generated.data_keys);
            let wrong =
                |error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()));
            self.data_keys = Some(ring.map_err(wrong)?);
        }
        Ok(())
    }

    /// Whether nobody gave a token secret and none was made up in the data folder yet: then no service runs there whose tokens could be
    /// minted.
    pub fn lacks_token_secret(&self) -> bool {
        self.identity.tokens.is_none() && !self.data_dir.join(FILE).exists()
    }

    fn generate_secrets_of_callers(&mut self, random: &dyn Random) -> io::Result<()> {
        let (tokens, services) = (
            self.identity.tokens.is_none(),
            self.identity.services.iter().all(|service| service.secrets.is_empty()),
        );
        if !(tokens || services) {
            return Ok(());
        }
        let make = || Generated { jwt_secret: draw(random), gateway_service_secret: draw(random) };
        let generated = kept(&self.data_dir.join(FILE), COMMENT, random, make)?;
        if tokens {
            self.identity.tokens = Some(TokenKeys::Secrets(vec![generated.jwt_secret.into()]));
        }
        if services {
            let secret = generated.gateway_service_secret.into();
            ServiceIdentity::named(&mut self.identity.services, GATEWAY).secrets.push(secret);
        }
        Ok(())
    }

    /// The first secret with which `service` may call; for tools that call payops themselves.
    pub fn service_secret(&self, service: &str) -> Option<&SecretString> {
        self.identity.services.iter().find(|known| known.name == service)?.secrets.first()
    }
}

/// What is in the file, which is made when there is none.
fn kept<T: Serialize + DeserializeOwned>(
    path: &Path,
    comment: &str,
    random: &dyn Random,
    make: impl Fn() -> T,
) -> io::Result<T> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let fresh = make();
    let text = toml::to_string(&fresh).map_err(io::Error::other)?;
    // Whole or not at all, and never over one that another process has just made.
    let draft = path.with_extension(format!("{}.draft", &draw(random)[..16]));
    let written =
        write_private(&draft, &format!("{comment}{text}")).and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match written {
        Ok(()) => Ok(fresh),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = fs::read_to_string(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let wrong = |error: toml::de::Error| {
        let text = format!("{}: {}; delete it to get a new one", path.display(), error.message());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    toml::from_str(&text).map_err(wrong)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()
}

/// 256 random bits, in hexadecimal.
fn draw(random: &dyn Random) -> String {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use payops_core::random::SystemRandom;
    use secrecy::ExposeSecret;

    use super::super::{ConfigSource, Scope};
    use super::*;
    use crate::vault::{DataKey, VaultError};

    fn settings(folder: &Path, more: &[(&str, &str)]) -> Settings {
        let mut environment = BTreeMap::from([("PAYOPS_DATA_DIR".to_owned(), folder.display().to_string())]);
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let source = ConfigSource { environment, ..ConfigSource::default() };
        Settings::load(&source, Scope::All).unwrap()
    }

    fn token_secret(settings: &Settings) -> String {
        match settings.identity.tokens.as_ref().unwrap() {
            TokenKeys::Secrets(secrets) => secrets[0].expose_secret().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Whether what is wrapped by one is unwrapped by the other.
    fn unwraps(one: &Settings, other: &Settings) -> Result<(), VaultError> {
        let (one, other) = (one.data_keys.as_ref().unwrap(), other.data_keys.as_ref().unwrap());
        let wrapped = one.wrap(&SystemRandom, "p", &DataKey::draw(&SystemRandom))?;
        other.unwrap("p", &wrapped).map(drop)
    }

    #[test]
    fn secrets_are_made_up_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut first = settings(&data, &[]);
        assert!(first.auth().is_none());
        first.generate_missing_secrets(&SystemRandom).unwrap();
        let mode = fs::metadata(data.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 3, "no draft is left");
        let mut second = settings(&data, &[]);
        second.generate_missing_secrets(&SystemRandom).unwrap();
        assert_eq!(token_secret(&first), token_secret(&second));
        assert!(second.auth().is_some() && second.service_secret(GATEWAY).is_some());
        let audit_key = |settings: &Settings| settings.audit_keys.private[0].expose_secret().to_owned();
        assert_eq!(audit_key(&first), audit_key(&second));
        assert_eq!(unwraps(&first, &second), Ok(()));
        fs::remove_file(data.join(FILE)).unwrap();
        let mut third = settings(&data, &[]);
        third.generate_missing_secrets(&SystemRandom).unwrap();
        assert_ne!(token_secret(&first), token_secret(&third));
        assert_eq!(audit_key(&first), audit_key(&third), "what was signed can still be verified");
        assert_eq!(unwraps(&first, &third), Ok(()), "what was encrypted can still be read");
        assert!(!format!("{second:?}").contains(&token_secret(&second)));
    }

    #[test]
    fn what_is_given_is_not_made_up() {
        let folder = tempfile::tempdir().unwrap();
        let given = "0123456789abcdef0123456789abcdef";
        let mut settings = settings(folder.path(), &[("PAYOPS_JWT_SECRET", given)]);
        settings.generate_missing_secrets(&SystemRandom).unwrap();
        assert_eq!(token_secret(&settings), given);
        assert!(settings.service_secret(GATEWAY).is_some());
    }

    #[test]
    fn a_spoilt_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "jwt_secret = 1").unwrap();
        let error = settings(folder.path(), &[]).generate_missing_secrets(&SystemRandom).unwrap_err();
        assert!(error.to_string().contains("delete it to get a new one"), "{error}");
    }
}
