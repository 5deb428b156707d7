//! The kinds of callers.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// What a person may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do everything that people do.
    Admin,
    /// Works cases: tasks, files, records, disputes.
    Operator,
}

/// Somebody whose credentials were checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Staff, by token.
    Person {
        /// The token's `sub`.
        subject: Arc<str>,
        /// The token's `role`.
        role: Role,
    },
    /// Somebody at a merchant, by token.
    Merchant {
        /// The token's `sub`.
        subject: Arc<str>,
        /// The merchant whose rows may be seen.
        merchant_id: Uuid,
    },
    /// Another service, by its secret or its certificate.
    Service {
        /// The name the secret or the certificate belongs to.
        name: Arc<str>,
    },
}

impl Caller {
    /// The caller as it stands in the audit log and owns idempotency keys.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Person { subject, .. } => {
                Actor { kind: ActorKind::Person, id: subject.to_string(), role: self.role() }
            }
            Self::Merchant { subject, merchant_id } => {
                Actor { kind: ActorKind::Merchant, id: format!("{merchant_id}/{subject}"), role: self.role() }
            }
            Self::Service { name } => {
                Actor { kind: ActorKind::Service, id: name.to_string(), role: self.role() }
            }
        }
    }

    /// The role's name: `admin`, `operator`, `merchant` or `service`.
    pub fn role(&self) -> &'static str {
        match self {
            Self::Person { role: Role::Admin, .. } => "admin",
            Self::Person { role: Role::Operator, .. } => "operator",
            Self::Merchant { .. } => "merchant",
            Self::Service { .. } => "service",
        }
    }

    /// The merchant whose rows alone this caller may see; `None` for callers who see all.
    pub fn merchant_id(&self) -> Option<Uuid> {
        match self {
            Self::Merchant { merchant_id, .. } => Some(*merchant_id),
            Self::Person { .. } | Self::Service { .. } => None,
        }
    }
}

/// The kinds of those who do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// Staff.
    Person,
    /// Somebody at a merchant.
    Merchant,
    /// Another service.
    Service,
    /// payops itself: a schedule, a job.
    System,
}

impl ActorKind {
    /// The word for it in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Merchant => "merchant",
            Self::Service => "service",
            Self::System => "system",
        }
    }
}

/// Who did it: for the audit log, for idempotency keys and for limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The kind.
    pub kind: ActorKind,
    /// The `sub` of a person, `merchant_id/sub` of somebody at a merchant, the name of a service or of the
    /// part of payops that acts.
    pub id: String,
    /// The role's name: `admin`, `operator`, `merchant`, `service` or `system`.
    pub role: &'static str,
}

impl Actor {
    /// payops acting by itself, such as `scheduler`.
    pub fn system(part: impl Into<String>) -> Self {
        Self { kind: ActorKind::System, id: part.into(), role: "system" }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}
