/** A driver in memory that keeps every promise of the suite of conformance, to be broken in one way after another. */
import type { ListPage, ListPageRequest, SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent";

/** What drivers that are opened under one name share. */
export interface Stored {
  sessions: Map<string, string>;
  /** By session, then by index. */
  events: Map<string, Map<number, string>>;
}

export function newStore(): Stored {
  return { sessions: new Map(), events: new Map() };
}

/** A driver on that store. */
export function reference({ sessions, events }: Stored): SessionPersistDriver {
  return {
    async getSession(id) {
      const text = sessions.get(id);
      return text === undefined ? undefined : JSON.parse(text);
    },
    async listSessions(request) {
      const all = [...sessions.values()].map((text): SessionRecord => JSON.parse(text));
      return pageOf(all, ({ createdAt, id }) => [createdAt, id], request);
    },
    async updateSession(session) {
      sessions.set(session.id, JSON.stringify(session));
    },
    async listEvents({ sessionId, ...request }) {
      const all = [...(events.get(sessionId)?.values() ?? [])].map((text): SessionEvent => JSON.parse(text));
      return pageOf(all, ({ eventIndex, id }) => [eventIndex, id], request);
    },
    async insertEvent(sessionId, event) {
      const own = events.get(sessionId) ?? new Map<number, string>();
      events.set(sessionId, own);
      const taken = own.get(event.eventIndex);
      if (taken !== undefined && JSON.parse(taken).id !== event.id) {
        throw new Error("UNIQUE constraint failed: events.session_id, events.event_index");
      }
      own.set(event.eventIndex, JSON.stringify(event));
    },
  };
}

type Key = [number, string];

/** A page of rows in the order of their keys. A cursor is the key of the last row before it. */
function pageOf<Row>(rows: Row[], keyOf: (row: Row) => Key, { cursor, limit }: ListPageRequest = {}): ListPage<Row> {
  const after: Key | undefined = cursor === undefined ? undefined : JSON.parse(cursor);
  const rest = rows
    .toSorted((a, b) => compare(keyOf(a), keyOf(b)))
    .filter((row) => !after || compare(keyOf(row), after) > 0);
  const size = Number.isFinite(limit) && limit! >= 1 ? Math.floor(limit!) : 100;
  const items = rest.slice(0, size);
  return { items, ...(rest.length > size && { nextCursor: JSON.stringify(keyOf(items.at(-1)!)) }) };
}

function compare(a: Key, b: Key): number {
  return a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0);
}
