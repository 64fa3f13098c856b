// The codes of the errors that the drivers reject with.

/**
 * What went wrong, as the `code` of an error of this package. docs/errors.md says what each means, and what to do.
 */
export type PersistErrorCode =
  | "ERR_PERSIST_INVALID_ARGUMENT"
  | "ERR_PERSIST_CLOSED"
  | "ERR_PERSIST_INDEX_CONFLICT"
  | "ERR_PERSIST_SCHEMA"
  | "ERR_PERSIST_FOREIGN_TABLE"
  | "ERR_PERSIST_NOT_FOUND"
  | "ERR_PERSIST_BUSY"
  | "ERR_PERSIST_TIMEOUT"
  | "ERR_PERSIST_UNAVAILABLE"
  | "ERR_PERSIST_READONLY"
  | "ERR_PERSIST_FULL"
  | "ERR_PERSIST_CORRUPT"
  | "ERR_PERSIST_NO_BINARY"
  | "ERR_PERSIST_INTERNAL";
