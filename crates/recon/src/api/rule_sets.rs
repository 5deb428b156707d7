//! Rules of tolerance in versions. Admins make them and put them in force, operators read them.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized, OperatorOnly};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, NoBody, PageParams, PageQuery, PathParams};

use super::wire::{NewRuleSet, RuleSet, RuleSetWithRules};
use super::{Scope, check_text, is_blank, write};
use crate::Reconciliation;
use crate::engine;
use crate::ops::rule_sets;
use crate::store::rule_set;

/// Makes the next version of the rules of tolerance. Nothing follows it until it is activated; it is never changed.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/rule-sets",
    tag = "tolerance",
    request_body = NewRuleSet,
    responses(
        (status = 201, description = "Made, and not in force yet", body = RuleSetWithRules),
        (status = 400, description = "INVALID_REQUEST: data.fields names the rule by its place, and what is wrong with it"),
    )
)]
pub(super) async fn create_rule_set(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    command: Command<NewRuleSet>,
) -> Result<Answer<RuleSetWithRules>> {
    if let Some(note) = command.body.note.as_deref().filter(|note| !is_blank(note)) {
        check_text("note", note, 1, 2000)?;
    }
    write(&app, "reconciliation.create_rule_set", caller.actor(), command, |scope| create(scope).boxed())
        .await
}

async fn create(scope: Scope<'_, NewRuleSet>) -> Result<Answer<RuleSetWithRules>> {
    let rules = engine::RuleSet { tolerance: scope.body.tolerance.iter().map(Into::into).collect() };
    let note = scope.body.note.as_deref().filter(|note| !is_blank(note));
    let set = rule_sets::create(scope.app, scope.tx, scope.actor, &rules, note).await?;
    Ok(Answer::created(with_rules(set)?))
}

/// Lists the versions, the highest first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/rule-sets",
    tag = "tolerance",
    params(PageParams),
    responses((status = 200, description = "A page of versions", body = Vec<RuleSet>))
)]
pub(super) async fn list_rule_sets(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<i64>,
) -> Result<Answer<Page<RuleSet>>> {
    let page = rule_set::list(app.context.db.read(), &query.page).await?;
    Ok(Answer::ok(page.map(RuleSet::from)))
}

/// Gives one version with its rules.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/rule-sets/{version}",
    tag = "tolerance",
    params(("version" = i64, Path, description = "The version")),
    responses(
        (status = 200, description = "The version", body = RuleSetWithRules),
        (status = 404, description = "RULE_SET_NOT_FOUND"),
    )
)]
pub(super) async fn get_rule_set(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathParams(version): PathParams<i64>,
) -> Result<Answer<RuleSetWithRules>> {
    Ok(Answer::ok(with_rules(rule_set::find(app.context.db.read(), version).await?)?))
}

/// Puts a version in force: runs that start from now on follow it. The highest activated version holds.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/rule-sets/{version}/activate",
    tag = "tolerance",
    params(("version" = i64, Path, description = "The version")),
    responses(
        (status = 200, description = "In force", body = RuleSet),
        (status = 404, description = "RULE_SET_NOT_FOUND"),
        (status = 409, description = "RULE_SET_ALREADY_ACTIVATED: data says by whom; RULE_SET_OVERTAKEN: a higher version is in force"),
    )
)]
pub(super) async fn activate_rule_set(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathParams(version): PathParams<i64>,
    command: Command<NoBody>,
) -> Result<Answer<RuleSet>> {
    write(&app, "reconciliation.activate_rule_set", caller.actor(), command, move |scope| {
        async move {
            let set = rule_sets::activate(scope.app, scope.tx, scope.actor, version).await?;
            Ok(Answer::ok(RuleSet::from(set)))
        }
        .boxed()
    })
    .await
}

fn with_rules(set: rule_set::Model) -> Result<RuleSetWithRules> {
    let tolerance = rule_sets::rules(&set)?.tolerance;
    Ok(RuleSetWithRules { set: RuleSet::from(set), tolerance })
}
