/** A driver of its own: everything in memory, and each write as a line of a file, from which it is read when it is opened again. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { ListPage, ListPageRequest, SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent";

type Line = { session: SessionRecord } | { event: SessionEvent };

export class JsonLinesDriver implements SessionPersistDriver {
  // By id, as JSON text: so what callers do to their objects later changes nothing.
  readonly #sessions = new Map<string, string>();
  readonly #events = new Map<string, Map<string, string>>();

  constructor(readonly filename: string) {
    if (!existsSync(filename)) return;
    for (const line of readFileSync(filename, "utf8").split("\n")) if (line) this.#keep(JSON.parse(line));
  }

  #keep(line: Line): void {
    if ("session" in line) return void this.#sessions.set(line.session.id, JSON.stringify(line.session));
    const { id, sessionId } = line.event;
    this.#events.set(sessionId, (this.#events.get(sessionId) ?? new Map()).set(id, JSON.stringify(line.event)));
  }

  #write(line: Line): void {
    appendFileSync(this.filename, `${JSON.stringify(line)}\n`);
    this.#keep(line);
  }

  getSession = async (id: string) => JSON.parse(this.#sessions.get(id) ?? "null") ?? undefined;
  updateSession = async (session: SessionRecord) => this.#write({ session });
  insertEvent = async (_sessionId: string, event: SessionEvent) => this.#write({ event });
  listSessions = async (request?: ListPageRequest) => page<SessionRecord>(this.#sessions, "createdAt", request);
  listEvents = async ({ sessionId, ...request }: ListPageRequest & { sessionId: string }) =>
    page<SessionEvent>(this.#events.get(sessionId), "eventIndex", request);
}

/** A cursor says which row was the last one, and not how many there were: rows that come before it change nothing. */
function page<Row extends { id: string }>(
  texts: Map<string, string> = new Map(),
  key: keyof Row & string,
  { cursor, limit = 100 }: ListPageRequest = {},
): ListPage<Row> {
  const compare = (a: Row, b: Row) => Number(a[key]) - Number(b[key]) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  const all = [...texts.values()].map((text): Row => JSON.parse(text)).sort(compare);
  const rest = cursor ? all.filter((row) => compare(row, JSON.parse(cursor)) > 0) : all;
  const items = rest.slice(0, limit >= 1 && Number.isFinite(limit) ? limit : 100);
  const last = items.at(-1);
  return {
    items,
    ...(last && items.length < rest.length && { nextCursor: JSON.stringify({ [key]: last[key], id: last.id }) }),
  };
}
