//! Permissions as types.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Actor, Caller, Known, Role, bad_credentials};
use crate::error::{Error, ErrorKind};
use crate::http::Admission;

/// A rule about who may call.
pub trait Permission: Send + Sync + 'static {
    /// The rule's name in documents and logs.
    const NAME: &'static str;

    /// Whether this caller may.
    fn allows(caller: &Caller) -> bool;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident($label:literal) = $pattern:pat,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Permission for $name {
            const NAME: &'static str = $label;

            fn allows(caller: &Caller) -> bool {
                matches!(caller, $pattern)
            }
        }
    )*};
}

permissions! {
    /// Everybody whose credentials are good. What they see of it is the endpoint's business.
    AnyCaller("any caller") = _,
    /// Operators and admins.
    OperatorOnly("operator") = Caller::Person { .. },
    /// Admins.
    AdminOnly("admin") = Caller::Person { role: Role::Admin, .. },
    /// Operators, admins and services.
    OperatorOrService("operator or service") = Caller::Person { .. } | Caller::Service { .. },
    /// Operators, admins, and merchants, who are shown their own.
    OperatorOrMerchant("operator or merchant") = Caller::Person { .. } | Caller::Merchant { .. },
    /// Admins and services.
    AdminOrService("admin or service") = Caller::Person { role: Role::Admin, .. } | Caller::Service { .. },
    /// Services.
    ServiceOnly("service") = Caller::Service { .. },
}

/// A caller who has the permission `P`: 401 when nobody known is calling, 403 when somebody else is.
#[derive(Debug, Clone)]
pub struct Authorized<P> {
    /// Who calls.
    pub caller: Caller,
    permission: PhantomData<P>,
}

impl<P> Authorized<P> {
    /// Who calls, for the audit log and for idempotency keys.
    pub fn actor(&self) -> Actor {
        self.caller.actor()
    }
}

impl<P: Permission, S: Sync> FromRequestParts<S> for Authorized<P> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match parts.extensions.get::<Admission>().map(|admission| &admission.known) {
            None | Some(Known::Nobody) => Err(unauthenticated()),
            Some(Known::Stranger(why)) => Err(bad_credentials(why)),
            Some(Known::Caller(caller)) if P::allows(caller) => {
                Ok(Self { caller: caller.clone(), permission: PhantomData })
            }
            Some(Known::Caller(caller)) => Err(Error::new(
                ErrorKind::Forbidden,
                "FORBIDDEN",
                format!("The caller may not do this. It is for: {}.", P::NAME),
                format!("无权执行此操作，仅限：{}。", P::NAME),
            )
            .with_internal(format!("{} is not {}", caller.actor(), P::NAME))),
        }
    }
}

/// 401: no credentials at all.
pub(crate) fn unauthenticated() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "UNAUTHENTICATED",
        "Credentials are needed: a bearer token, a service name with its secret, or a client certificate.",
        "需要身份凭证：Bearer 令牌、服务名称及其密钥，或客户端证书。",
    )
}
