//! Rules of tolerance in versions: made, put in force, and what a run takes from them.

use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::Reconciliation;
use crate::engine::{CertifiedInput, InvalidRules, RuleSet};
use crate::error;
use crate::model::Channel;
use crate::ops::tasks::retry_unique;
use crate::store::rule_set::{self, Model as StoredSet};

/// A version that a run follows.
#[derive(Debug, Clone)]
pub struct Followed {
    /// Its number.
    pub version: i64,
    /// Its rules.
    pub rules: RuleSet,
    /// What the certificate says of it.
    pub certified: CertifiedInput,
}

/// Makes the next version. It holds once somebody activates it.
pub async fn create(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    rules: &RuleSet,
    note: Option<&str>,
) -> Result<StoredSet> {
    rules.check(|name| Channel::ALL.iter().any(|channel| channel.as_str() == name)).map_err(invalid)?;
    let text = serde_json::to_string(&rules.clone().canonical()).map_err(Error::internal)?;
    let newest = rule_set::newest(tx.conn()).await?;
    let set = StoredSet {
        version: newest.map_or(0, |set| set.version) + 1,
        rules_hash: certified(&text)?.sha256,
        rules: text,
        note: note.map(str::to_owned),
        created_by: actor.id.clone(),
        created_at: app.context.now(),
        activated_by: None,
        activated_at: None,
    };
    // Lost a race for the number: the next try takes the one behind it.
    let set = rule_set::insert(tx, set).await.map_err(retry_unique)?;
    let detail = json!({ "rules_hash": set.rules_hash, "rules": rules, "note": set.note });
    record(app, tx, actor, "rule_set.created", &set, detail).await?;
    Ok(set)
}

/// Puts a version in force for every run that starts from now on. What was lower in number gives way to it; a version
/// that a higher one has overtaken is refused.
pub async fn activate(app: &Reconciliation, tx: &Tx, actor: &Actor, version: i64) -> Result<StoredSet> {
    let set = rule_set::lock(tx, version).await?;
    if set.activated_at.is_some() {
        return Err(error::rule_set_activated(&set));
    }
    let before = rule_set::in_force(tx.conn()).await?.map(|set| set.version);
    if let Some(higher) = before.filter(|before| *before > version) {
        return Err(error::rule_set_overtaken(version, higher));
    }
    let set = rule_set::activate(tx, set, &actor.id, app.context.now()).await?;
    let detail = json!({ "rules_hash": set.rules_hash, "before": before });
    record(app, tx, actor, "rule_set.activated", &set, detail).await?;
    Ok(set)
}

/// The rules of a version, as they are followed.
pub async fn followed(conn: &impl ConnectionTrait, version: i64) -> Result<Followed> {
    let set = rule_set::find(conn, version).await?;
    Ok(Followed { version, rules: rules(&set)?, certified: certified(&set.rules)? })
}

/// The rules of a stored version.
pub fn rules(set: &StoredSet) -> Result<RuleSet> {
    serde_json::from_str(&set.rules).map_err(|error| {
        Error::impossible_row("tolerance_rule_sets", "rules", set.version, error.to_string())
    })
}

fn certified(text: &str) -> Result<CertifiedInput> {
    CertifiedInput::read("rules", text.as_bytes()).map_err(Error::internal)
}

fn invalid(rules: InvalidRules) -> Error {
    let zh = rules.problem.zh();
    Error::invalid_field(rules.field, rules.problem.to_string(), zh)
}

async fn record(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    action: &str,
    set: &StoredSet,
    detail: Value,
) -> Result<()> {
    audit::record(tx, &app.context, actor, action, "rule_set", &set.version.to_string(), detail).await
}
