//! Secrets that nobody gave, made up once and kept for the next start.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use payops_core::random::Random;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Environment, Settings};
use crate::auth::{ServiceIdentity, TokenKeys};

/// The file in the data folder.
const FILE: &str = "development-secrets.toml";
/// The service for which a secret is made up.
const GATEWAY: &str = "payment-gateway";
const COMMENT: &str = "# Secrets that payops made up for development. Delete the file to get new ones.\n";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generated {
    jwt_secret: String,
    gateway_service_secret: String,
}

impl Settings {
    /// Makes up the token secret and a secret of the service `payment-gateway`, where none is given and
    /// [`Environment::Development`] allows it, and keeps them in the data folder with mode 0600. Later starts
    /// find them there.
    pub fn generate_missing_secrets(&mut self, random: &dyn Random) -> io::Result<()> {
        let (tokens, services) = (
            self.identity.tokens.is_none(),
            self.identity.services.iter().all(|service| service.secrets.is_empty()),
        );
        if self.environment == Environment::Production || !(tokens || services) {
            return Ok(());
        }
        let generated = kept(&self.data_dir, random)?;
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

fn kept(folder: &Path, random: &dyn Random) -> io::Result<Generated> {
    let path = folder.join(FILE);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let made = Generated { jwt_secret: draw(random), gateway_service_secret: draw(random) };
    let text = toml::to_string(&made).map_err(io::Error::other)?;
    // Whole or not at all, and never over one that another process has just made.
    let draft = folder.join(format!(".{FILE}.{}", &draw(random)[..16]));
    let written =
        write_private(&draft, &format!("{COMMENT}{text}")).and_then(|()| fs::hard_link(&draft, &path));
    fs::remove_file(&draft)?;
    match written {
        Ok(()) => Ok(made),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(&path),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<Generated> {
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

    #[test]
    fn secrets_are_made_up_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut first = settings(&data, &[]);
        assert!(first.auth().is_none());
        first.generate_missing_secrets(&SystemRandom).unwrap();
        let mode = fs::metadata(data.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no draft is left");
        let mut second = settings(&data, &[]);
        second.generate_missing_secrets(&SystemRandom).unwrap();
        assert_eq!(token_secret(&first), token_secret(&second));
        assert!(second.auth().is_some() && second.service_secret(GATEWAY).is_some());
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
