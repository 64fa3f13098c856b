// What methods take that is theirs alone, beside what the SDK asks for.
import type { ListEventsRequest, ListPageRequest } from "sandbox-agent" with { "resolution-mode": "import" };

import type { Signal } from "./abort.ts";

/**
 * Which events `listEvents` lists, and in which order: the SDK's own request, and what may be left out of it. An event is
 * listed if it meets all that is given.
 */
export interface EventListRequest extends ListEventsRequest {
  /**
   * `"asc"`: from the first event to the last. `"desc"`: the newest first.
   *
   * @default "asc"
   */
  order?: "asc" | "desc";
  /**
   * Only events with a higher `eventIndex`. Found by an index. A safe integer.
   *
   * @default all events
   */
  afterIndex?: number;
  /**
   * Only events with a lower `eventIndex`. Found by an index. A safe integer.
   *
   * @default all events
   */
  beforeIndex?: number;
  /**
   * Only events from this side. The database reads through the session until the page is full.
   *
   * @default all events
   */
  sender?: "client" | "agent";
  /**
   * Only events whose payload is a JSON-RPC message with this method, such as `"session/prompt"`; the answer to one has none.
   * The driver reads through the session until the page is full.
   *
   * @default all events
   */
  method?: string;
}

/**
 * Which sessions `listSessions` lists, and in which order: the SDK's own request, and what may be left out of it. A session
 * is listed if it meets all that is given.
 */
export interface SessionListRequest extends ListPageRequest {
  /**
   * By `createdAt`, then `id`. `"asc"`: the oldest first. `"desc"`: the newest first.
   *
   * @default "asc"
   */
  order?: "asc" | "desc";
  /**
   * Only sessions of this agent. The database reads through the sessions until the page is full.
   *
   * @default all sessions
   */
  agent?: string;
  /**
   * Only sessions in this sandbox. The database reads through the sessions until the page is full.
   *
   * @default all sessions
   */
  sandboxId?: string;
  /**
   * Only sessions that have a `destroyedAt` (`true`), or that have none (`false`). The database reads through the sessions until
   * the page is full.
   *
   * @default all sessions
   */
  destroyed?: boolean;
  /**
   * Only sessions with a later `createdAt`, in milliseconds since 1970. Found by an index. A safe integer.
   *
   * @default all sessions
   */
  createdAfter?: number;
  /**
   * Only sessions with an earlier `createdAt`, in milliseconds since 1970. Found by an index. A safe integer.
   *
   * @default all sessions
   */
  createdBefore?: number;
  /**
   * Only sessions that have all these labels: names and values, at most 64 of them. Found by an index when fewer than about 5,000
   * sessions have one of the labels; otherwise the database goes through the sessions, and looks at the labels of each, until
   * the page is full. A value that is `undefined` is an error.
   *
   * @default all sessions
   */
  labels?: Record<string, string>;
}

/** What `tailEvents` is asked for. */
export interface TailEventsRequest {
  /** The session that is followed. It need not exist yet. */
  sessionId: string;
  /**
   * The index of the last event that the caller has: those after it are yielded. A safe integer.
   *
   * @default all events
   */
  afterIndex?: number;
  /**
   * Ends the iterator: `next()` rejects with an `AbortError` then.
   *
   * @default undefined
   */
  signal?: Signal;
}

/** The options of `forkSession`. All may be left out. */
export interface ForkSessionOptions {
  /**
   * The id of the copy. It must not be empty, and nothing may be stored under it.
   *
   * @default a random UUID
   */
  id?: string;
  /**
   * The highest `eventIndex` to copy; one beyond the last event copies all. An integer from 0 to Number.MAX_SAFE_INTEGER.
   *
   * @default all events
   */
  throughIndex?: number;
}
