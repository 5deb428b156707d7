//! The keys that the keys of personal data are wrapped under, from `PAYOPS_DATA_KEYS`.

use secrecy::ExposeSecret;

use super::reader::Reader;
use crate::vault::KeyRing;

pub(super) const NAME: &str = "PAYOPS_DATA_KEYS";

pub(super) fn read(reader: &mut Reader) -> Option<KeyRing> {
    let text = reader.secret(NAME)?;
    match KeyRing::parse(text.expose_secret()) {
        Ok(ring) => Some(ring),
        Err(error) => {
            reader.refuse(NAME, error.to_string());
            None
        }
    }
}
