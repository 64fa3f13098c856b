/** Drivers that are wrong in one way each, as drivers that people write by hand are. */
import type { ListPage, ListPageRequest, SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent";

import { newStore, reference, type Stored } from "./reference.mts";

/** Makes a driver of a right one, and of the store that it shares with others. */
type Break = (right: SessionPersistDriver, stored: Stored) => Partial<SessionPersistDriver>;

type Json = SessionRecord | SessionEvent;

/** Changes what is stored. */
const storing =
  (change: (row: any) => Json): Break =>
  (right) => ({
    updateSession: async (session) => right.updateSession(change(structuredClone(session)) as SessionRecord),
    insertEvent: async (id, event) => right.insertEvent(id, change(structuredClone(event)) as SessionEvent),
  });

/** Changes the JSON text of what is stored. */
const storingText = (change: (text: string) => string): Break =>
  storing((row) => JSON.parse(change(JSON.stringify(row))));

/** Changes every value on its way into the store, however deep it is. */
const storingValues = (change: (name: string, value: unknown) => unknown): Break =>
  storing((row) => JSON.parse(JSON.stringify(row, change)));

/** Refuses rows whose text is so. */
const refusing = (why: string, is: (text: string) => boolean): Break =>
  storing((row) => {
    if (is(JSON.stringify(row))) throw new Error(why);
    return row;
  });

/** Gives other pages, made of all rows. */
const paging = (page: <Row extends Json>(all: Row[], request: ListPageRequest) => ListPage<Row>): Break => {
  const everything = { limit: Number.MAX_SAFE_INTEGER };
  return (right) => ({
    listSessions: async (request = {}) => page((await right.listSessions(everything)).items, request),
    listEvents: async ({ sessionId, ...request }) =>
      page((await right.listEvents({ sessionId, ...everything })).items, request),
  });
};

/** Asks for other pages than the caller does. */
const asking =
  (change: (request: ListPageRequest) => ListPageRequest): Break =>
  (right) => ({
    listSessions: async (request = {}) => right.listSessions(change(request)),
    listEvents: async ({ sessionId, ...request }) => right.listEvents({ sessionId, ...change(request) }),
  });

/** As the SDK's own driver in memory does it. */
const byOffset = <Row,>(all: Row[], { cursor = "0", limit = 100 }: ListPageRequest): ListPage<Row> => {
  const size = Number.isFinite(limit) && limit >= 1 ? Math.floor(limit) : 100;
  const end = Number(cursor) + size;
  return { items: all.slice(Number(cursor), end), ...(end < all.length && { nextCursor: String(end) }) };
};

/** Sorted by what JavaScript sorts by: text. */
const asText = (key: string | number, other: string | number) => (String(key) < String(other) ? -1 : 1);

const used = new Set<string>();
let position = 0;
const snapshots = new Map<string, Json[]>();

/** What each does, and words of the names of the cases that it has to fail. */
export const BROKEN: [name: string, broken: Break, fails: string[]][] = [
  [
    "says null of a session that it does not have",
    (right) => ({ getSession: async (id) => (await right.getSession(id)) ?? (null as never) }),
    ["getSession of an id"],
  ],
  ["has no column for the sandbox", storing(({ sandboxId, ...row }) => row), ["a record comes back with every field"]],
  [
    "gives empty columns as null",
    storing((row) => ("agent" in row ? { destroyedAt: null, ...row } : row)),
    ["absent, and not null"],
  ],
  [
    "merges a record into the one that is there",
    (right) => ({
      updateSession: async (session) => {
        const given = JSON.parse(JSON.stringify(session));
        await right.updateSession({ ...(await right.getSession(session.id)), ...given });
      },
    }),
    ["replaces the whole record"],
  ],
  [
    "takes null for nothing",
    storingValues((_, value) => (value === null ? undefined : value)),
    ["modes that are null", "every kind of JSON value"],
  ],
  [
    "keeps the caller's record, and gives it to all",
    () => {
      const records = new Map<string, SessionRecord>();
      return {
        getSession: async (id) => records.get(id),
        updateSession: async (session) => void records.set(session.id, session),
      };
    },
    ["a record that the caller changes", "changed deep inside a record"],
  ],
  [
    "copies a record only at its top, and later",
    (right) => ({
      updateSession: async (session) => {
        const copy = { ...session };
        await Promise.resolve();
        await right.updateSession(copy);
      },
    }),
    ["a record is stored as it was when updateSession was called"],
  ],
  [
    "sorts sessions by the text of their times",
    paging((all, request) => {
      const sorted = [...all].sort((a, b) => ("agent" in a ? asText(a.createdAt, b.createdAt) : 0));
      return byOffset(sorted, request);
    }),
    ["listSessions is in order of createdAt"],
  ],
  [
    "lists every version of a record",
    (right) => {
      const versions: SessionRecord[] = [];
      return {
        updateSession: async (session) => {
          versions.push(structuredClone(session));
          await right.updateSession(session);
        },
        listSessions: async (request = {}) => byOffset(versions, request),
      };
    },
    ["a session is in the list once"],
  ],
  [
    "knows no session without a record",
    (right) => ({
      listEvents: async (request) => {
        if (!(await right.getSession(request.sessionId))) throw new Error("no such session");
        return right.listEvents(request);
      },
    }),
    ["the events of a session that was never stored"],
  ],
  [
    "has a foreign key",
    (right) => ({
      insertEvent: async (id, event) => {
        if (!(await right.getSession(id))) throw new Error("FOREIGN KEY constraint failed");
        await right.insertEvent(id, event);
      },
    }),
    ["events may come before the record"],
  ],
  [
    "takes its own clock",
    storing((row) => ("sender" in row ? { ...row, createdAt: 1 } : row)),
    ["an event comes back with every field"],
  ],
  [
    "sorts events by the text of their indexes",
    paging((all, request) => {
      const sorted = [...all].sort((a, b) => ("sender" in a && "sender" in b ? asText(a.eventIndex, b.eventIndex) : 0));
      return byOffset(sorted, request);
    }),
    ["listEvents is in order of eventIndex"],
  ],
  [
    "does not tell upper case from lower",
    (right) => ({
      insertEvent: (id, event) => right.insertEvent(id.toLowerCase(), event),
      listEvents: (request) => right.listEvents({ ...request, sessionId: request.sessionId.toLowerCase() }),
    }),
    ["each session has its own events"],
  ],
  [
    "reads all events, adds one, and writes all back",
    (_, { events }) => ({
      insertEvent: async (id, event) => {
        const own = new Map(events.get(id));
        own.set(event.eventIndex, JSON.stringify(event));
        await Promise.resolve();
        events.set(id, own);
      },
    }),
    ["inserted at once, in many sessions"],
  ],
  [
    "makes text of the payload in the caller's event",
    (right) => ({
      insertEvent: async (id, event) => {
        await right.insertEvent(id, event);
        event.payload = JSON.stringify(event.payload) as never;
      },
    }),
    ["insertEvent leaves the event"],
  ],
  [
    "keeps the caller's event",
    () => {
      const kept: SessionEvent[] = [];
      return {
        insertEvent: async (_, event) => void kept.push(event),
        listEvents: async ({ sessionId, ...request }) => {
          const own = kept.filter((event) => event.sessionId === sessionId);
          return byOffset(
            own.sort((a, b) => a.eventIndex - b.eventIndex),
            request,
          );
        },
      };
    },
    ["an event that a listener changes"],
  ],
  [
    "puts an event in the place of the one at its index",
    (_, { events }) => ({
      insertEvent: async (id, event) => {
        if (!events.has(id)) events.set(id, new Map());
        events.get(id)!.set(event.eventIndex, JSON.stringify(event));
      },
    }),
    ["whose index is taken", "that the other driver has taken", "at the same moment"],
  ],
  [
    "says in words of its own that an index is taken",
    (right) => ({
      insertEvent: (id, event) =>
        right.insertEvent(id, event).catch(() => {
          throw new Error('duplicate key value violates unique constraint "events_session_index"');
        }),
    }),
    ["whose index is taken", "that the other driver has taken", "at the same moment"],
  ],
  ["lists the first 500", paging((all, request) => byOffset(all.slice(0, 500), request)), ["pages of 500 lead to"]],
  [
    "gives everything without a limit",
    asking(({ limit = 1e9, ...rest }) => ({ ...rest, limit })),
    ["limit that is left out"],
  ],
  ["rounds up", asking(({ limit, ...rest }) => ({ ...rest, limit: Math.ceil(limit ?? 100) })), ["is rounded down"]],
  [
    "has a largest page",
    asking(({ limit = 100, ...rest }) => {
      if (limit > 10_000) throw new RangeError("too many");
      return { ...rest, limit };
    }),
    ["a limit may be larger than the list"],
  ],
  [
    "wants a request",
    (right) => ({
      listSessions: async (request) => right.listSessions({ limit: request!.limit!, cursor: request!.cursor! }),
    }),
    ["listSessions without a request"],
  ],
  [
    "has a cursor as long as pages are full",
    paging((all, request) => {
      const page = byOffset(all, request);
      const end = Number(request.cursor ?? 0) + page.items.length;
      return { ...page, ...(page.items.length === (request.limit ?? 100) && { nextCursor: String(end) }) };
    }),
    ["the last page has no cursor"],
  ],
  [
    "begins a page with the last row of the one before",
    paging((all, request) => {
      const limit = (request.limit ?? 100) + (request.cursor ? 1 : 0);
      return byOffset(all, { limit, cursor: String(Math.max(0, Number(request.cursor ?? 0) - 1)) });
    }),
    ["pages of any size hold each row once"],
  ],
  [
    "reads all rows when a scan begins",
    paging(<Row extends Json>(all: Row[], { cursor, limit }: ListPageRequest): ListPage<Row> => {
      const [name, offset] = cursor?.split("@") ?? [String(snapshots.size), "0"];
      if (!cursor) snapshots.set(name!, all);
      const page = byOffset(snapshots.get(name!) as Row[], { cursor: offset!, limit: limit! });
      return { ...page, ...(page.nextCursor && { nextCursor: `${name}@${page.nextCursor}` }) };
    }),
    ["rows that come at the end between two pages", "scans of many sessions in turns"],
  ],
  [
    "has one place at which it reads",
    paging((all, { cursor, limit }) => {
      if (!cursor) position = 0;
      const page = byOffset(all, { cursor: String(position), limit: limit! });
      position += page.items.length;
      return { ...page, ...(page.nextCursor && { nextCursor: "more" }) };
    }),
    ["scans of many sessions in turns", "a cursor may be used again"],
  ],
  [
    "takes a cursor once",
    (right) => ({
      listEvents: async (request) => {
        const { cursor, sessionId } = request;
        if (cursor && used.has(`${sessionId} ${cursor}`)) throw new Error("the cursor was used");
        if (cursor) used.add(`${sessionId} ${cursor}`);
        return right.listEvents(request);
      },
    }),
    ["a cursor may be used again"],
  ],
  [
    "puts times and ids together with a colon",
    paging((all, { cursor, limit }) => {
      const [createdAt, id] = cursor?.split(":") ?? [];
      const at = all.findIndex((row) => row.id === id && row.createdAt === Number(createdAt));
      const page = byOffset(all, { cursor: String(at + 1), limit: limit! });
      const last = page.items.at(-1);
      return { ...page, ...(page.nextCursor && { nextCursor: `${last!.createdAt}:${last!.id}` }) };
    }),
    ["cursors lead through sessions whose ids"],
  ],
  ["normalizes text", storingText((text) => text.normalize("NFC")), ["text of any script"]],
  [
    "leaves control characters out",
    storingText((text) => text.replaceAll(/\\u00[01]\w|\\[bfrt]/g, "")),
    ["every control character"],
  ],
  ["puts quotes in twice", storingText((text) => text.replaceAll("'", "''")), ["quotes, backslashes"]],
  [
    "has numbers of 32 bits",
    storingValues((name, value) => (typeof value === "number" && !name.endsWith("At") ? Math.fround(value) : value)),
    ["any number that JavaScript has"],
  ],
  [
    "has columns of 64 KiB",
    storingValues((_, value) => (typeof value === "string" ? value.slice(0, 65_535) : value)),
    ["a megabyte"],
  ],
  [
    "keeps of a session's options what it knows",
    storing((row) =>
      "sessionInit" in row ? { ...row, sessionInit: { cwd: row.sessionInit?.cwd, mcpServers: [] } } : row,
    ),
    ["what a record holds as JSON"],
  ],
  [
    "has columns of JSONB",
    refusing("unsupported Unicode escape sequence", (text) => /\\u(0000|d[89a-f])/.test(text)),
    ["\\u0000, in text", "half a surrogate pair", "half surrogates in a record"],
  ],
  [
    "sorts the names in objects",
    storingValues((_, value) =>
      value && typeof value === "object" && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort())
        : value,
    ),
    ["the names in a message come back in the order"],
  ],
  [
    "forgets names that are dangerous",
    storingText((text) => text.replaceAll('"__proto__":', '"proto":')),
    ["a name such as __proto__"],
  ],
  ["takes messages of 16 MiB", refusing("too large", (text) => text.length > 1 << 24), ["a message of 32 MiB"]],
  [
    "takes messages of 100 levels",
    refusing("too deep", (text) => /[[{]{100}|("a":\{){100}/.test(text)),
    ["a message of 1,000 levels"],
  ],
  [
    "is in memory",
    () => reference(newStore()),
    [
      "a driver that is opened later finds",
      "the last of several updates",
      "a session goes on where it ended",
      "all work",
      "the other reads",
      "at once lose nothing",
    ],
  ],
  [
    "is read when it is opened, and written whole",
    (_, stored) => {
      const own = {
        sessions: new Map(stored.sessions),
        events: new Map([...stored.events].map(([id, of]) => [id, new Map(of)])),
      };
      const mine = reference(own);
      const save = () => void Object.assign(stored, structuredClone(own));
      return {
        ...mine,
        updateSession: (session) => mine.updateSession(session).then(save),
        insertEvent: (id, event) => mine.insertEvent(id, event).then(save),
      };
    },
    ["all work", "the other reads", "at once lose nothing", "that the other driver has taken"],
  ],
  [
    "pages by offset",
    paging(byOffset),
    ["events that come in before", "sessions that come in before", "events come in everywhere"],
  ],
  [
    "stores whatever it is given",
    (right) => {
      const kept: string[] = [];
      return {
        insertEvent: async (_, event) => void kept.push(JSON.stringify(event)),
        listEvents: async ({ sessionId, ...request }) => {
          const all = kept
            .map((text): SessionEvent => JSON.parse(text))
            .filter((event) => event.sessionId === sessionId);
          return byOffset(
            all.sort((a, b) => a.eventIndex - b.eventIndex),
            request,
          );
        },
        getSession: right.getSession,
      };
    },
    ["inserted again under its id", "inserted twice at once"],
  ],
  [
    "has the columns that it has",
    storing(({ fromNewerSdk, zero, no, ...row }) => row),
    ["a field of a record that this release", "a field of an event that this release"],
  ],
];
