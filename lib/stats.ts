// What `stats` tells of a store.

/** What a store does and holds. Counters only grow, from when the driver was made. */
export interface Stats {
  /** When the driver was made and its counters began, in milliseconds since 1970. */
  since: number;
  /**
   * What the database holds. `undefined` while it cannot be asked: it is not reached or opened, or did not answer within a second or
   * two (Postgres). `ready()` says why. All else is there then too.
   */
  database: DatabaseStats | undefined;
  /** The calls of this driver that wait or are being worked on, reads and writes. */
  queue: {
    /** How many. */
    calls: number;
    /** How much memory they take, in bytes: their text, and 256 each. Past 512 MiB calls reject with `ERR_PERSIST_BUSY`. */
    bytes: number;
  };
  /** How long writes took, in milliseconds: from when the store got them until their answer was on its way, failed ones too. */
  writeDurationMs: Histogram;
  /** The same for reads. */
  readDurationMs: Histogram;
  /**
   * The batches of writes that were stored. Each is one transaction, but when some of it is refused, or, on Postgres, others write to
   * its sessions. What is a transaction of its own, such as `setLabels`, is a batch of one. What removes or joins rows in steps is not
   * counted.
   */
  batches: {
    /** How many writes they had. `count` is that of the batches, `sum` that of all writes that were stored. */
    writes: Histogram;
    /** How long they took, in milliseconds, waiting for locks and the disk or server included. */
    durationMs: Histogram;
    /** How many bytes of JSON text all of them had. */
    bytes: number;
  };
  /** How many calls were rejected by the store. Calls with wrong arguments never get there. */
  failed: number;
  /** How many events were stored at another index than the one they asked for, since another event had it. */
  reassigned: number;
  /**
   * Postgres: how many times something was sent again, since the connection broke, the server did not answer or it asked for another
   * try. SQLite: how many transactions had to wait for the lock of another process.
   */
  retries: number;
  /** How many times a connection was made again after one broke (Postgres). */
  reconnects: number;
  /** How many warnings were sent on the channel `sandbox-agent-persist:warning`, whether anybody listened or not. */
  warnings: number;
  /** The connections of this driver to the database. */
  connections: {
    /** How many are being made. */
    connecting: number;
    /** How many are being used. */
    busy: number;
    /** How many wait for work. */
    idle: number;
    /** How many calls wait for a connection that others use (Postgres); `maxConnections` is too low if this is often not 0. */
    waiting: number;
  };
}

/** What the database holds, whichever drivers have written it. */
export interface DatabaseStats {
  /**
   * Whose table the events are in. `"own"`: as this package makes it. `"adopted"`: it was there before, and has keys, indexes,
   * columns or partitions of its owner's, which cost time with each event.
   */
  layout: "own" | "adopted";
  /** How many sessions have a record. */
  sessions: number;
  /** How many events there are. */
  events: number;
  /**
   * Whether the two numbers are exact, which they are while neither table has more than 10,000 rows. Else either may be an estimate.
   * SQLite: exact but for what was removed since the table was counted last, every ten minutes, a little with each call; a driver
   * that has not counted once yet assumes that nothing ever was. Postgres: what the server assumes for its own plans, usually a few
   * seconds old.
   */
  counts: "exact" | "estimate";
  /** How many bytes the data takes. SQLite: all of the file, whoever's tables are in it. Postgres: the package's tables with their indexes. */
  dataBytes: number;
  /**
   * How many bytes of them are free and will be used again (SQLite). Postgres does not know without reading all of it.
   *
   * @default undefined
   */
  freeBytes?: number;
  /**
   * How many bytes the write-ahead log takes beside the file (SQLite). That of Postgres is of the whole server.
   *
   * @default undefined
   */
  logBytes?: number;
}

/**
 * How many values of each size there were. The buckets are the same in all histograms of a kind, and for ever: none is wider than a
 * fourth of its values. For a period, take two and subtract `count`, `sum` and `counts`.
 */
export interface Histogram {
  /** How many values there were. */
  count: number;
  /** All values together. */
  sum: number;
  /** The largest value. */
  max: number;
  /** What half of the values do not exceed: an estimate, by the buckets. */
  p50: number;
  /** What 90 of 100 values do not exceed. */
  p90: number;
  /** What 99 of 100 values do not exceed. */
  p99: number;
  /** The upper bounds of the buckets, ascending. A bound belongs to its bucket. Those of durations go from 0.001 to 134,218 ms. */
  bounds: number[];
  /** How many values are in each bucket; the last bucket, which `bounds` has nothing for, has those beyond. */
  counts: number[];
}
