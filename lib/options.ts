// The options that both drivers have. Their own stand with their classes.

/** The options that both drivers have, and that mean the same to both. All may be left out. */
export interface PersistDriverOptions {
  /**
   * What happens to an event whose place in its session is taken by another event. `"reassign"`: it is stored at the
   * index after the session's highest, and its `eventIndex` is set to that before the promise resolves. `"reject"`: the
   * promise rejects with `ERR_PERSIST_INDEX_CONFLICT` and a message that makes the SDK try its next index.
   *
   * @default "reassign"
   */
  onEventIndexConflict?: "reassign" | "reject";
  /**
   * How many events a session keeps, as in the SDK's in-memory driver: when it has more, those with the lowest `eventIndex` are
   * removed for good. Never more than that are removed, and the highest index always stays. An integer from 1 to 2147483647.
   *
   * They are removed beside the writes, which do not wait for it. While events are written a session may have more by as
   * many as were committed together, or by a sixteenth of the cap; once nothing is written for a moment, and when `close`
   * resolves, it has no more. A driver sees to the sessions that it stores events in. Other sessions keep what they have. What
   * cannot be removed, since the right to `DELETE` is missing or a trigger forbids it, stays, and no write fails for it.
   *
   * @default undefined, which keeps all events
   */
  maxEventsPerSession?: number;
  /**
   * How many sessions with a record the store keeps, as in the SDK's in-memory driver: when a record is written and there are
   * more, those that were created first, by `(createdAt, id)`, are removed, each with its labels and all its events. An
   * integer from 1 to 2147483647.
   *
   * It is removed beside the writes, as with `maxEventsPerSession`. Whether a session is in use does not count: choose the cap well
   * above the number of those. The id of a removed session can be used again. What is written to it later is stored, as
   * events without a record.
   *
   * @default undefined, which keeps all sessions
   */
  maxSessions?: number;
  /**
   * How long, in milliseconds, `flush` and `close` wait for the SDK to hand over what it has queued. Raise it when agents
   * say more in a turn than the database stores in a minute. `flush` takes 250 ms at least: with less it always rejects. An
   * integer from 0 to 2147483647.
   *
   * @default 60000
   */
  drainTimeoutMs?: number;
  /**
   * How long, in milliseconds, a read or write takes at least to be told on the channel `sandbox-agent-persist:slow`: from when
   * the store gets it until its answer is on its way. An integer from 0 to 2147483647; with 0 each is told.
   *
   * @default 1000
   */
  slowMs?: number;
}
