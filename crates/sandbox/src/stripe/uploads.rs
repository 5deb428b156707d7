//! `POST /v1/files` and `/v1/file_links`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use payops_core::time::Clock;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::account::{Account, Expiry, FileLink, type_of};
use super::error::StripeError;
use super::form::Form;
use super::gate::RequestId;
use super::lists::expand;
use super::post::{Call, once};
use crate::faults::FaultTarget;
use crate::server::Shared;

/// What the body of an upload may have at most: more than a file, so that a file that is too large is told so.
pub(crate) const MOST_BODY: usize = 16 * 1024 * 1024;
/// What a file may have at most.
const MOST_FILE: usize = 5 * 1024 * 1024;

const PURPOSES: [&str; 9] = [
    "account_requirement",
    "additional_verification",
    "business_icon",
    "business_logo",
    "customer_signature",
    "dispute_evidence",
    "identity_document",
    "pci_document",
    "tax_document_user_upload",
];

/// The file of an upload.
struct Given {
    filename: Option<String>,
    content: Bytes,
}

pub(crate) async fn upload(
    State(shared): State<Arc<Shared>>,
    Extension(request_id): Extension<RequestId>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Response {
    let Ok(multipart) = multipart else {
        let message = "Files are uploaded as multipart/form-data with the parts file and purpose.";
        return StripeError::invalid_request(message).into_response();
    };
    let (form, given) = match read(multipart).await {
        Ok(parts) => parts,
        Err(error) => {
            let message = format!("The multipart body could not be read: {error}");
            return StripeError::invalid_request(message).into_response();
        }
    };
    let call = Call::new(request_id, &headers, uri.path(), form);
    once(&shared, call, (FaultTarget::StripeUpload, None), |call, _| accept(&shared, call, given)).await
}

/// The fields as a form, with the hash of the file among them, and the file.
async fn read(mut multipart: Multipart) -> Result<(Form, Option<Given>), MultipartError> {
    let (mut form, mut given) = (Form::default(), None);
    while let Some(part) = multipart.next_field().await? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" {
            let filename = part.file_name().map(str::to_owned);
            let content = part.bytes().await?;
            form.push("file", hex::encode(Sha256::digest(&content)));
            given = Some(Given { filename, content });
        } else {
            form.push(&name, part.text().await?);
        }
    }
    Ok((form, given))
}

fn accept(shared: &Shared, call: &Call, given: Option<Given>) -> Result<Value, StripeError> {
    let form = &call.form;
    form.allow(&["file", "purpose"], &["file_link_data", "expand"])?;
    let Given { filename, content } = given.ok_or_else(|| StripeError::missing("file"))?;
    let purpose = form.required("purpose")?;
    if !PURPOSES.contains(&purpose) {
        let message = format!("Invalid purpose: must be one of {}", PURPOSES.join(", "));
        return Err(StripeError::invalid("purpose", message));
    }
    if content.is_empty() {
        return Err(StripeError::invalid("file", "The file that you uploaded is empty."));
    }
    if type_of(&content).is_none() {
        let message = "We don't currently support that file type. Try uploading a file with one of the following \
                       mimetypes: application/pdf, image/jpeg, image/png.";
        return Err(StripeError::invalid("file", message));
    }
    if content.len() > MOST_FILE {
        let message = "The file you uploaded is too large. Please upload a file of at most 5 MB.";
        return Err(StripeError::invalid("file", message));
    }
    if !shared.books.has_room_for(content.len() as u64) {
        let message = "The sandbox holds at most 256 MiB of files; start another one.";
        return Err(StripeError::invalid_request(message));
    }
    shared.with_account(Some(&call.cause), |account, act| {
        let id = account.add_file(act, purpose, filename.as_deref(), &content)?;
        if let Err(error) = shared.books.contents.put(&id, content) {
            tracing::error!(%error, file = %id, "the file could not be kept");
            return Err(StripeError::from_fault(500, None));
        }
        if form.boolean("file_link_data[create]")? == Some(true) {
            let expires_at = form.integer("file_link_data[expires_at]")?;
            account.add_link(act, &id, expires_at, form.map("file_link_data[metadata]"))?;
        }
        account.tell_file(act, &id);
        let object = account.object(act.settings, &id).unwrap_or_default();
        expand(account, act.settings, form, object)
    })
}

pub(crate) async fn create_link(State(shared): State<Arc<Shared>>, call: Call) -> Response {
    once(&shared, call, (FaultTarget::StripeWrite, None), |call, _| {
        let form = &call.form;
        form.allow(&["file", "expires_at"], &["metadata", "expand"])?;
        let file = form.required("file")?;
        let expires_at = form.integer("expires_at")?;
        shared.with_account(Some(&call.cause), |account, act| {
            let is_linkable = match account.file(file) {
                Some(known) => known.purpose == "dispute_evidence",
                None if shared.runs.by_file(file).is_some() => true,
                None => return Err(StripeError::no_such_cursor("file upload", "file", file)),
            };
            if !is_linkable {
                let message = "Links can only be made to files with the purpose dispute_evidence or finance_report_run.";
                return Err(StripeError::invalid("file", message));
            }
            let id = account.add_link(act, file, expires_at, form.map("metadata"))?;
            let link = account.link(&id).map(|link| link.object(&act.settings.base_url, act.now.timestamp()));
            expand(account, act.settings, form, link.unwrap_or_default())
        })
    })
    .await
}

pub(crate) async fn update_link(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    once(&shared, call, (FaultTarget::StripeWrite, None), |call, _| {
        let form = &call.form;
        form.allow(&["expires_at"], &["metadata", "expand"])?;
        shared.with_account(Some(&call.cause), |account, act| {
            let expiry = match form.given("expires_at") {
                None => Expiry::Unchanged,
                Some("") => Expiry::Never,
                Some("now") => Expiry::Now,
                Some(_) => form.integer("expires_at")?.map_or(Expiry::Never, Expiry::At),
            };
            let link =
                account.update_link(act, &id, expiry, |metadata| form.change_map("metadata", metadata))?;
            expand(account, act.settings, form, link)
        })
    })
    .await
}

/// `GET /links/{token}`: the file of a link, for anybody.
pub(crate) async fn follow_link(State(shared): State<Arc<Shared>>, Path(token): Path<String>) -> Response {
    let now = shared.clock.now().timestamp();
    let valid = |link: &&FileLink| link.token == token && !link.is_expired(now);
    let file = shared
        .with_account(None, |account, _| account.links.iter().find(valid).map(|link| link.file.clone()));
    let Some(file) = file else {
        return StripeError::not_found("This link does not exist or has expired.").into_response();
    };
    match content_of(&shared, &file) {
        Some(response) => response,
        None => super::download::contents(State(shared), Path(file), HeaderMap::new()).await,
    }
}

/// An uploaded file's content; `None` when no such file was uploaded or its time is over.
pub(super) fn content_of(shared: &Shared, id: &str) -> Option<Response> {
    let now = shared.clock.now().timestamp();
    let known = |account: &mut Account| account.file(id).filter(|file| file.expires_at() > now).cloned();
    let file = shared.with_account(None, |account, _| known(account))?;
    let content = shared.books.contents.get(id).ok()?;
    let kind = match file.kind.as_str() {
        "pdf" => "application/pdf",
        "jpg" => "image/jpeg",
        _ => "image/png",
    };
    let mut response = content.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Some(response)
}
