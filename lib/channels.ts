// The channels of Node's diagnostics_channel on which the package says what it does, and what is sent on those that need no call
// to be about. It never writes to the console.
//
// A TracingChannel is five channels, found by their names. They are asked for one by one, since not every runtime has TracingChannels
// (docs/runtimes.md).
import diagnostics from "node:diagnostics_channel";

import type { PersistErrorCode } from "./errors.ts";
import type { PostgresSessionPersistDriver } from "./postgres.ts";
import type { SQLiteSessionPersistDriver } from "./sqlite.ts";

const NAME = "sandbox-agent-persist";

const { assign } = Object;

/** A method of the classes, or `copySessions`. Each has a TracingChannel, `sandbox-agent-persist:<method>`. */
export type Method =
  Extract<keyof SQLiteSessionPersistDriver | keyof PostgresSessionPersistDriver, string> | "copySessions";

/** Which store a message is about, in the terms of OpenTelemetry's database conventions. Never a user or a password. */
export interface StoreAddress {
  /** The attribute `db.system.name`. */
  system: "sqlite" | "postgresql";
  /**
   * The attribute `db.namespace`. SQLite: the absolute path of the file, or `":memory:"`. Postgres: `"database|schema"`, or `"schema"` where
   * the database is named by nothing but the user, since a mistyped connection string may have its password there.
   */
  namespace: string;
  /**
   * The attribute `server.address`, of Postgres: the host that was configured, or the directory of its socket. Of several hosts all, whichever
   * answers, as the conventions want it: `"db1,db2"`, or with their ports where one is not 5432.
   *
   * @default undefined
   */
  serverAddress?: string;
  /**
   * The attribute `server.port`, of Postgres with one host.
   *
   * @default undefined
   */
  serverPort?: number;
}

/** What is sent on the channels that are not of one method, by the last part of their names. */
export interface StoreMessages {
  /** Writes are on disk, as one batch. */
  commit: {
    /** How many. */
    writes: number;
    /** How many bytes of JSON text they have. */
    bytes: number;
    /** How long the batch took, in milliseconds. */
    durationMs: number;
  };
  /** An event was stored at another index than the one that it asked for. */
  reassigned: {
    /** The session. */
    sessionId: string;
    /** The index that it is stored at. */
    eventIndex: number;
  };
  /** What was sent to the database is tried again, as `Stats.retries` counts it. */
  retry: {
    /** The code of the error that the call rejects with if nothing helps. */
    code: PersistErrorCode;
    /** Why the try before failed. */
    reason: string;
  };
  /** A connection was made again after one broke. */
  reconnected: {
    /** How long after it was found broken, in milliseconds. */
    durationMs: number;
  };
  /** A read or write took at least `slowMs`. */
  slow: {
    /** The name of its method. */
    operation: Method;
    /**
     * The session, where the call is of one.
     *
     * @default undefined
     */
    sessionId?: string;
    /** How long it took, in milliseconds. */
    durationMs: number;
  };
  /** Something needs a person's eyes. */
  warning: {
    /**
     * What it is about. `"late-writes-removed"`: something was written to a session after it was deleted, and was removed again.
     * `"late-writes-kept"`: it could not be removed. `"deletions-unseen"`: Postgres does not let the driver see which sessions others have
     * deleted. `"log-not-shrinking"`: SQLite's write-ahead log has passed 256 MiB. `"cap-not-kept"`: what is over `maxEventsPerSession` or
     * `maxSessions` could not be removed; it is tried again, and told once a minute at most.
     */
    code: "late-writes-removed" | "late-writes-kept" | "deletions-unseen" | "log-not-shrinking" | "cap-not-kept";
    /** What is wrong, and what to do. */
    message: string;
  };
}

type Point = keyof StoreMessages;

/** What the native side hands over to be sent on one of the channels. */
export type Notice = { [Name in Point]: { channel: Name; message: StoreMessages[Name] } }[Point];

const points: Record<Point, diagnostics.Channel> = {
  commit: point("commit"),
  reassigned: point("reassigned"),
  retry: point("retry"),
  reconnected: point("reconnected"),
  slow: point("slow"),
  warning: point("warning"),
};

/** Whether anybody would see what is published: else nothing needs to be collected. */
export function isWatched(): boolean {
  return (
    points.commit.hasSubscribers ||
    points.reassigned.hasSubscribers ||
    points.retry.hasSubscribers ||
    points.reconnected.hasSubscribers ||
    points.slow.hasSubscribers ||
    points.warning.hasSubscribers
  );
}

/**
 * Sends what happened in one store. The messages are nobody else's yet, so they need not be copied. An error that a subscriber throws is
 * not ours: it becomes an uncaught exception.
 */
export function publish({ store, notices }: { store: StoreAddress; notices: Notice[] }): void {
  for (const { channel, message } of notices) {
    if (points[channel].hasSubscribers) points[channel].publish(assign(message, store));
  }
}

function point(name: Point): diagnostics.Channel {
  return diagnostics.channel(`${NAME}:${name}`);
}

/** The five channels of a TracingChannel. */
interface Tracing {
  start: diagnostics.Channel;
  end: diagnostics.Channel;
  asyncStart: diagnostics.Channel;
  asyncEnd: diagnostics.Channel;
  error: diagnostics.Channel;
}

/**
 * Those of each method: the compiler asks for a new one's. They are kept from the beginning, since a channel that nobody holds may be
 * collected, and made anew.
 */
export const tracing: Readonly<Record<Method, Tracing>> = {
  backup: tracingOf("backup"),
  check: tracingOf("check"),
  close: tracingOf("close"),
  compactSession: tracingOf("compactSession"),
  compactSessions: tracingOf("compactSessions"),
  copySessions: tracingOf("copySessions"),
  deleteSession: tracingOf("deleteSession"),
  flush: tracingOf("flush"),
  forkSession: tracingOf("forkSession"),
  getLabels: tracingOf("getLabels"),
  getSession: tracingOf("getSession"),
  insertEvent: tracingOf("insertEvent"),
  listEvents: tracingOf("listEvents"),
  listSessions: tracingOf("listSessions"),
  pruneSessions: tracingOf("pruneSessions"),
  ready: tracingOf("ready"),
  rebuild: tracingOf("rebuild"),
  setLabels: tracingOf("setLabels"),
  stats: tracingOf("stats"),
  tailEvents: tracingOf("tailEvents"),
  updateSession: tracingOf("updateSession"),
  vacuum: tracingOf("vacuum"),
};

function tracingOf(method: Method): Tracing {
  const channel = (event: keyof Tracing) => diagnostics.channel(`tracing:${NAME}:${method}:${event}`);
  return {
    start: channel("start"),
    end: channel("end"),
    asyncStart: channel("asyncStart"),
    asyncEnd: channel("asyncEnd"),
    error: channel("error"),
  };
}
