/// <reference lib="esnext.disposable" />
import type {
  ListEventsRequest,
  ListPage,
  ListPageRequest,
  SessionEvent,
  SessionPersistDriver,
  SessionRecord,
} from "sandbox-agent" with { "resolution-mode": "import" };

export interface SQLiteSessionPersistDriver extends SessionPersistDriver {
  /**
   * The same as `close`, for `await using`.
   *
   * @example
   * ```ts
   * await using persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
   * ```
   */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface PostgresSessionPersistDriver extends SessionPersistDriver {
  /**
   * The same as `close`, for `await using`.
   *
   * @example
   * ```ts
   * await using persist = new PostgresSessionPersistDriver({ connectionString: process.env.DATABASE_URL });
   * ```
   */
  [Symbol.asyncDispose](): Promise<void>;
}
