//! Who calls, and what they may do.
//!
//! [`Authenticator`] turns credentials into a [`Caller`]; the permission of an endpoint is the type of its
//! extractor: [`Authorized<OperatorOnly>`](Authorized). There is no mode that turns this off.

mod authenticator;
mod caller;
mod certificate;
mod jwks;
mod permission;
mod services;
mod token;

pub use authenticator::{AuthSettings, AuthSetupError, Authenticator, Known, TokenKeys};
pub use caller::{Actor, ActorKind, Caller, Role};
pub use certificate::CertificateNames;
pub use permission::{
    AdminOnly, AdminOrService, AnyCaller, Authorized, OperatorOnly, OperatorOrMerchant, OperatorOrService,
    Permission, ServiceOnly,
};
pub use services::ServiceIdentity;
pub use token::{MintError, TokenRequest};

pub(crate) use authenticator::{SERVICE_SECRET, bad_credentials, is_bad_credentials};
pub(crate) use certificate::SubjectName;
pub(crate) use permission::unauthenticated;
