// Reads sessions and events out of any driver of the SDK's interface, page by page, for a copy. What a driver may do wrong is found here,
// since it is nobody's code that we know.
import type { ListPage, SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent" with {
  "resolution-mode": "import",
};

import { createError } from "./realm.ts";

/** What a copy needs of a driver: the methods of the SDK's interface that read. */
export type SessionSource = Pick<SessionPersistDriver, "getSession" | "listSessions" | "listEvents">;

/** How many items a page is asked for: as many as the SDK asks for. */
const LIMIT = 500;

/** How many pages in a row may hold nothing new and say that there are more. */
const MOST_PAGES_WITHOUT = 1_000;

/** Its sessions, in its order, each once. */
export async function* sessionsOf(source: SessionSource): AsyncGenerator<SessionRecord> {
  let first: unknown;
  const seen = new Set<unknown>();
  const check = untilEndless("listSessions");
  for await (const items of pagesOf((page) => source.listSessions(page), "listSessions")) {
    // A driver that does not look at the cursor would go on for ever.
    if (first !== undefined && items[0]?.id === first) throw endless("listSessions");
    first = items[0]?.id;
    const before = seen.size;
    for (const record of items) {
      const { id } = record;
      // A page by number has some again where others were inserted before them, or have moved there.
      if (seen.has(id)) continue;
      seen.add(id);
      yield record;
    }
    check(seen.size > before);
  }
}

/** The sessions with these ids, in this order. */
export async function* sessionsByIds(source: SessionSource, ids: readonly string[]): AsyncGenerator<SessionRecord> {
  for (const id of ids) {
    // Older drivers say null.
    const record = (await source.getSession(id)) as SessionRecord | null | undefined;
    if (!record) throw createError("ERR_PERSIST_NOT_FOUND", `the source has no session ${JSON.stringify(id)}`);
    yield record;
  }
}

/**
 * The events of a session, page by page, each at a place of its own. What several writers have put at one index goes one after the other, so
 * that none is lost, and events after them that are in the way move too: always to the same places.
 */
export async function* eventsOf(source: SessionSource, sessionId: string): AsyncGenerator<SessionEvent[]> {
  let last: SessionEvent | undefined;
  let place = 0;
  const check = untilEndless("listEvents");
  for await (const items of pagesOf((page) => source.listEvents({ sessionId, ...page }), "listEvents")) {
    const placed: SessionEvent[] = [];
    for (const event of items) {
      // A page by number begins so where another event was inserted before it.
      if (event.id === last?.id && event.eventIndex === last.eventIndex) continue;
      if (last && event.eventIndex < last.eventIndex) throw outOfOrder(sessionId, last, event);
      const isTaken = last !== undefined && event.eventIndex <= place;
      last = event;
      place = isTaken ? place + 1 : event.eventIndex;
      placed.push(isTaken ? { ...event, eventIndex: place } : event);
    }
    yield placed;
    check(placed.length > 0);
  }
}

/** The pages of a list, each as its items, until there is no further one. */
async function* pagesOf<Item>(
  list: (page: { limit: number; cursor?: string }) => Promise<ListPage<Item>>,
  method: string,
): AsyncGenerator<Item[]> {
  let cursor: string | undefined;
  // The cursor of some page before: of the first, the second, the fourth, and so on, one of which every circle comes back to (Brent).
  let remembered: string | undefined;
  for (let pages = 1; ; pages += 1) {
    const page = await list({ limit: LIMIT, ...(cursor !== undefined && { cursor }) });
    const items: unknown = page?.items;
    if (!isPage(items)) {
      throw createError(
        "ERR_PERSIST_INVALID_ARGUMENT",
        `${method} of the source resolved to something else than a page`,
      );
    }
    yield items as Item[];
    // The SDK takes an empty one for none too.
    if (!page.nextCursor) return;
    cursor = page.nextCursor;
    if (cursor === remembered) throw endless(method);
    if ((pages & (pages - 1)) === 0) remembered = cursor;
  }
}

/** Told of each page whether it holds anything new, it throws where pages go on without. */
function untilEndless(method: string): (isNew: boolean) => void {
  let without = 0;
  return (isNew) => {
    without = isNew ? 0 : without + 1;
    if (without > MOST_PAGES_WITHOUT) throw endless(method);
  };
}

/** Whether these are the items of a page. An array with holes has none there. */
function isPage(items: unknown): items is object[] {
  return isArray(items) && Array.from(items).every((item) => typeof item === "object" && item !== null);
}

const { isArray } = Array;

function endless(method: string): Error {
  return createError(
    "ERR_PERSIST_INVALID_ARGUMENT",
    `${method} of the source never comes to an end: its nextCursor leads to pages that it gave before`,
  );
}

function outOfOrder(sessionId: string, before: SessionEvent, after: SessionEvent): Error {
  return createError(
    "ERR_PERSIST_INVALID_ARGUMENT",
    `the source lists event ${after.eventIndex} of session ${JSON.stringify(sessionId)} after event ${before.eventIndex}: where somebody ` +
      "has written in the middle of it meanwhile, copy again; else listEvents must list by eventIndex",
  );
}
