//! Downloads a report's file in as many pieces as it takes.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};

use super::super::http::refusal;
use super::{ReportFile, ReportingClient};
use crate::remote::{RemoteError, RemoteErrorKind};
use crate::stored::{PartFile, StoredFile};

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) async fn download(
    client: &ReportingClient,
    file: &ReportFile,
    target: &Path,
) -> Result<StoredFile, RemoteError> {
    let url = trusted_url(client, file)?;
    let mut download =
        Download { client, url, size: file.size, etag: None, part: PartFile::create(target).await? };
    let mut pause = client.settings.resume_pause;
    let mut resumes = 0;
    loop {
        match download.piece().await {
            Ok(()) => return download.part.finish().await,
            Err(error) if is_worth_resuming(&error) && resumes < client.settings.max_resumes => {
                tracing::warn!(
                    error = %error,
                    bytes = download.part.bytes(),
                    "the download was cut, it is taken up again"
                );
                resumes += 1;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The caller decides about waiting when Stripe asks for it; what broke by itself is taken up here.
fn is_worth_resuming(error: &RemoteError) -> bool {
    use RemoteErrorKind as Kind;
    matches!(error.kind, Kind::Connect | Kind::TimedOut | Kind::CutShort | Kind::ServerError)
        && error.is_retryable()
        && error.retry_after.is_none()
}

/// The file's address, if the key may go there.
fn trusted_url(client: &ReportingClient, file: &ReportFile) -> Result<Url, RemoteError> {
    let settings = &client.settings;
    let Some(url) = file.url.as_deref().and_then(|url| Url::parse(url).ok()) else {
        let message = format!("the file {} has no address to download it from", file.id);
        return Err(RemoteError::new(RemoteErrorKind::UnexpectedAnswer, message));
    };
    let trusted = [Some(&settings.base_url), settings.files_url.as_ref()];
    if trusted.into_iter().flatten().any(|known| known.origin() == url.origin()) {
        return Ok(url);
    }
    let message = format!(
        "the file {} is at {}, which is not a host that gets the key",
        file.id,
        url.host_str().unwrap_or_default()
    );
    Err(RemoteError::new(RemoteErrorKind::ForeignHost, message))
}

struct Download<'c> {
    client: &'c ReportingClient,
    url: Url,
    size: Option<u64>,
    etag: Option<HeaderValue>,
    part: PartFile,
}

impl Download<'_> {
    /// Fetches what is missing. `Ok` means that the file is whole.
    async fn piece(&mut self) -> Result<(), RemoteError> {
        let have = self.part.bytes();
        let mut request = self.client.http.get(self.url.clone());
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
            if let Some(etag) = &self.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let mut response = self.client.http.signed(request).send().await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if continues_at(&response, have) => {}
            StatusCode::OK => {
                if have > 0 {
                    self.part.restart().await?;
                }
                self.etag = response.headers().get(ETAG).cloned();
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                self.part.restart().await?;
                let message = "the server cannot go on where the download broke; it starts again";
                return Err(RemoteError::new(RemoteErrorKind::CutShort, message));
            }
            _ => return Err(refusal(&mut response).await.into()),
        }
        while let Some(chunk) = response.chunk().await? {
            self.part.write(&chunk).await?;
            self.check_not_larger()?;
        }
        self.check_whole()
    }

    fn check_not_larger(&self) -> Result<(), RemoteError> {
        let have = self.part.bytes();
        match self.size {
            Some(size) if have > size => {
                let message = format!("the file should have {size} bytes and more than that came");
                Err(RemoteError::new(RemoteErrorKind::UnexpectedAnswer, message))
            }
            _ => Ok(()),
        }
    }

    fn check_whole(&self) -> Result<(), RemoteError> {
        let have = self.part.bytes();
        match self.size {
            Some(size) if have < size => {
                let message = format!("the file should have {size} bytes and only {have} came");
                Err(RemoteError::new(RemoteErrorKind::CutShort, message))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a partial answer begins at the byte that was asked for.
fn continues_at(response: &Response, have: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    have > 0 && start == Some(have)
}
