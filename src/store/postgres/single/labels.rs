//! Setting labels. `super` calls it.

use futures_util::join;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::Undone;
use crate::store::Answer;
use crate::store::labels::{self, LabelChanges};
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::Tables;

pub(super) async fn set(
    client: &Client,
    Tables { labels, .. }: &Tables,
    session_id: &str,
    changes: &LabelChanges,
) -> Result<Answer, Undone> {
    let session: [Parameter<'_>; 1] = [(&session_id, Type::TEXT)];
    let count = async || {
        let sql = format!("SELECT pg_catalog.count(*) FROM {labels} WHERE session_id = $1");
        client
            .query_typed(&sql, &session)
            .await?
            .first()
            .map_or(Ok(0), |row| row.try_get(0))
    };
    let removed: Vec<&str> = changes.removed().collect();
    let (names, values): (Vec<&str>, Vec<&str>) = changes.set().unzip();
    let remove = format!("DELETE FROM {labels} WHERE session_id = $1 AND name = ANY ($2)");
    let set = format!(
        "INSERT INTO {labels} (session_id, name, value) SELECT $1, given.name, given.value FROM unnest($2, $3) AS given (name, value) \
         ON CONFLICT (session_id, name) DO UPDATE SET value = excluded.value"
    );
    let removing: [Parameter<'_>; 2] = [(&session_id, Type::TEXT), (&removed, Type::TEXT_ARRAY)];
    let setting: [Parameter<'_>; 3] = [
        (&session_id, Type::TEXT),
        (&names, Type::TEXT_ARRAY),
        (&values, Type::TEXT_ARRAY),
    ];
    // All are sent before the first is answered.
    let (before, removed, set, after) = join!(
        count(),
        client.execute_typed(&remove, &removing),
        client.execute_typed(&set, &setting),
        count(),
    );
    let before = before?;
    removed?;
    set?;
    labels::check_count(session_id, before, after?)?;
    Ok(Answer::Done)
}
