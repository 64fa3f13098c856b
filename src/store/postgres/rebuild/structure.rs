//! The fresh table, what puts changes of the old one down, and the switch.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::postgres::error::Failure;
use crate::store::postgres::tables::{self, Tables};
use crate::store::tables::columns::{EVENTS, definitions};

/// What the triggers are for: the event, and the names of what they see.
const TRIGGERS: [(&str, &str); 4] = [
    ("INSERT", "REFERENCING NEW TABLE AS new_rows"),
    ("UPDATE", "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    ("DELETE", "REFERENCING OLD TABLE AS old_rows"),
    ("TRUNCATE", ""),
];

/// Makes all that there is while a rebuild is under way.
pub(super) async fn create(client: &Client, tables: &Tables, id: &str) -> Result<(), Failure> {
    let rebuild = &tables.rebuild;
    let (events, state, copy, changes) = (&tables.events, &rebuild.state, &rebuild.copy, &rebuild.changes);
    let options = of_owner(client, tables).await?;
    client
        .batch_execute(&format!(
            "CREATE TABLE {state} (id pg_catalog.text NOT NULL, beat_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp());
             CREATE TABLE {copy} ({}) {options};
             CREATE UNIQUE INDEX ON {copy} (session_id, event_index);
             CREATE TABLE {changes} (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session_id pg_catalog.text, event_index bigint)",
            definitions(&EVENTS, tables::data_type),
        ))
        .await?;
    let sql = format!("INSERT INTO {state} (id) VALUES ($1)");
    client.execute_typed(&sql, &[(&id, Type::TEXT)]).await?;
    give_to_owner(client, tables).await?;
    // Whoever may write to the old table need not have a right to what is put down: it is done as the owner of the function.
    let body = format!(
        "BEGIN
           IF TG_OP = 'TRUNCATE' THEN INSERT INTO {changes} (session_id) VALUES (NULL);
           ELSIF TG_OP = 'INSERT' THEN INSERT INTO {changes} (session_id, event_index) SELECT session_id, event_index FROM new_rows;
           ELSIF TG_OP = 'DELETE' THEN INSERT INTO {changes} (session_id, event_index) SELECT session_id, event_index FROM old_rows;
           ELSE INSERT INTO {changes} (session_id, event_index)
             SELECT session_id, event_index FROM old_rows UNION SELECT session_id, event_index FROM new_rows;
           END IF;
           RETURN NULL;
         END"
    );
    let function = function(tables);
    client
        .batch_execute(&format!(
            "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
             AS '{}'",
            body.replace('\'', "''")
        ))
        .await?;
    for (event, sees) in TRIGGERS {
        let trigger = trigger(tables, event);
        // What a subscription of the server's writes is put down too.
        client
            .batch_execute(&format!(
                "CREATE TRIGGER {trigger} AFTER {event} ON {events} {sees} FOR EACH STATEMENT EXECUTE FUNCTION {function}();
                 ALTER TABLE {events} ENABLE ALWAYS TRIGGER {trigger}"
            ))
            .await?;
    }
    Ok(())
}

/// The function of the triggers, as SQL names it.
fn function(tables: &Tables) -> String {
    format!("{}.\"{}\"", tables.quoted_schema(), tables.rebuild.trigger)
}

/// A trigger's name, as SQL has it.
fn trigger(tables: &Tables, event: &str) -> String {
    format!("\"{}_{}\"", tables.rebuild.trigger, event.to_lowercase())
}

/// The storage parameters and the tablespace that the owner has given the old table.
async fn of_owner(client: &Client, tables: &Tables) -> Result<String, Failure> {
    let sql = "SELECT coalesce('WITH (' || pg_catalog.array_to_string(c.reloptions, ', ') || ') ', '')
                 || coalesce('TABLESPACE ' || pg_catalog.quote_ident(s.spcname), '')
               FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace
               WHERE c.oid = $1::pg_catalog.regclass";
    let rows = client
        .query_typed(sql, &[(&tables.events.to_string(), Type::TEXT)])
        .await?;
    Ok(rows.first().map_or(Ok(String::new()), |row| row.try_get(0))?)
}

/// Gives the fresh table the old one's rights, comment and owner.
async fn give_to_owner(client: &Client, tables: &Tables) -> Result<(), Failure> {
    // What rights a new table begins with is for the owner to say; those go first.
    let sql = "
         SELECT pg_catalog.format('REVOKE ALL ON %s FROM %s', $2, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::pg_catalog.text END)
         FROM pg_catalog.pg_class, pg_catalog.aclexplode(relacl) WHERE oid = $2::pg_catalog.regclass AND grantee <> relowner
         UNION ALL
         SELECT pg_catalog.format('GRANT %s ON %s TO %s%s', privilege_type, $2,
           CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::pg_catalog.text END,
           CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
         FROM pg_catalog.pg_class, pg_catalog.aclexplode(relacl) WHERE oid = $1::pg_catalog.regclass AND grantee <> relowner
         UNION ALL
         SELECT pg_catalog.format('COMMENT ON TABLE %s IS %L', $2, description) FROM pg_catalog.pg_description
         WHERE objoid = $1::pg_catalog.regclass AND classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objsubid = 0
         UNION ALL
         SELECT pg_catalog.format('ALTER TABLE %s OWNER TO %s', $2, relowner::pg_catalog.regrole) FROM pg_catalog.pg_class
         WHERE oid = $1::pg_catalog.regclass AND pg_catalog.pg_get_userbyid(relowner) <> current_user";
    let (events, copy) = (tables.events.to_string(), tables.rebuild.copy.to_string());
    let rows = client
        .query_typed(sql, &[(&events, Type::TEXT), (&copy, Type::TEXT)])
        .await?;
    for row in &rows {
        client.batch_execute(row.try_get(0)?).await?;
    }
    Ok(())
}

/// Removes what puts changes down.
pub(super) async fn drop_triggers(client: &Client, tables: &Tables) -> Result<(), Failure> {
    for (event, _) in TRIGGERS {
        let sql = format!("DROP TRIGGER IF EXISTS {} ON {}", trigger(tables, event), tables.events);
        client.batch_execute(&sql).await?;
    }
    let sql = format!("DROP FUNCTION IF EXISTS {}()", function(tables));
    Ok(client.batch_execute(&sql).await?)
}

/// Switches the tables, under a lock that keeps everybody else out, and removes all that a rebuild has made.
pub(super) async fn switch(client: &Client, tables: &Tables) -> Result<(), Failure> {
    let (events, rebuild) = (&tables.events, &tables.rebuild);
    drop_triggers(client, tables).await?;
    client
        .batch_execute(&format!(
            "DROP TABLE {events}; ALTER TABLE {} RENAME TO \"{}\"; DROP TABLE {}, {}",
            rebuild.copy, events.plain, rebuild.changes, rebuild.state
        ))
        .await?;
    // The name that it would have in a new database, if it is free.
    let sql = "SELECT pg_catalog.format('ALTER INDEX %s RENAME TO %I', i.indexrelid::pg_catalog.regclass, $2)
               FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
               WHERE c.oid = $1::pg_catalog.regclass AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_class WHERE relnamespace = c.relnamespace AND relname = $2)";
    let name = format!("{}_session_id_event_index_idx", events.plain);
    let rows = client
        .query_typed(sql, &[(&events.to_string(), Type::TEXT), (&name, Type::TEXT)])
        .await?;
    for row in &rows {
        client.batch_execute(row.try_get(0)?).await?;
    }
    Ok(())
}
