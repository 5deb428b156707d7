//! What of `submissions` the packet has to know: what was sent, and which of the channel's files are ours.

use payops_platform::error::Result;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

/// The packet of a submission.
#[derive(Debug, Clone, FromQueryResult)]
pub struct SentPacket {
    pub id: Uuid,
    pub state: String,
    pub packet: Vec<u8>,
    pub packet_sha256: String,
}

/// The packet that is on its way or was sent last. One that waits is packed anew where the evidence has changed.
pub async fn last_packet(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Option<SentPacket>> {
    let query = Query::select()
        .columns(["id", "state", "packet", "packet_sha256"].map(Alias::new))
        .from(Alias::new("submissions"))
        .and_where(Expr::col(Alias::new("dispute_id")).eq(dispute_id))
        .and_where(Expr::col(Alias::new("state")).is_in(["sending", "sent"]))
        .and_where(Expr::col(Alias::new("packet")).is_not_null())
        .order_by(Alias::new("number"), Order::Desc)
        .limit(1)
        .to_owned();
    let Some(row) = conn.query_one(&query).await? else { return Ok(None) };
    Ok(Some(SentPacket::from_query_result(&row, "")?))
}

/// The channel's ids of the files that were uploaded for a dispute.
pub async fn uploaded_files(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Vec<String>> {
    let (files, submissions) = (Alias::new("submission_files"), Alias::new("submissions"));
    let file_id = Expr::col((files.clone(), Alias::new("channel_file_id")));
    let query = Query::select()
        .expr_as(file_id.clone(), Alias::new("file_id"))
        .from(files.clone())
        .inner_join(
            submissions.clone(),
            Expr::col((submissions.clone(), Alias::new("id"))).equals((files, Alias::new("submission_id"))),
        )
        .and_where(Expr::col((submissions, Alias::new("dispute_id"))).eq(dispute_id))
        .and_where(file_id.is_not_null())
        .to_owned();
    let rows = conn.query_all(&query).await?;
    rows.iter().map(|row| Ok(row.try_get("", "file_id")?)).collect()
}
