/// <reference lib="dom" />
/// <reference lib="dom.asynciterable" />
/**
 * What users have in a browser: a database of IndexedDB with a store of sessions and one of events, as the driver that the SDK's page
 * "Persisting Sessions" leads to keeps them. Written by us after its description; it is nobody's code. It needs nothing of Node.
 */
import type {
  ListEventsRequest,
  ListPage,
  ListPageRequest,
  SessionEvent,
  SessionPersistDriver,
  SessionRecord,
} from "sandbox-agent";

export interface IndexedDBOptions {
  /** The name of the database. */
  name?: string;
  /** Who has the databases: the browser, or what stands in for one. */
  factory?: IDBFactory;
}

export class IndexedDBDriver implements SessionPersistDriver {
  readonly #opened: Promise<IDBDatabase>;

  constructor({ name = "sandbox-agent-session-store", factory = globalThis.indexedDB }: IndexedDBOptions = {}) {
    this.#opened = opened(factory, name);
  }

  async getSession(id: string): Promise<SessionRecord | undefined> {
    const store = await this.#store("sessions", "readonly");
    return settled<SessionRecord | undefined>(store.get(id));
  }

  async listSessions(request: ListPageRequest = {}): Promise<ListPage<SessionRecord>> {
    const store = await this.#store("sessions", "readonly");
    const sessions = await settled<SessionRecord[]>(store.getAll());
    sessions.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    return page(sessions, request);
  }

  async updateSession(session: SessionRecord): Promise<void> {
    const store = await this.#store("sessions", "readwrite");
    await written(store.put(session));
  }

  async listEvents(request: ListEventsRequest): Promise<ListPage<SessionEvent>> {
    const store = await this.#store("events", "readonly");
    // Arrays come after all numbers and texts, so the range has all events of the session.
    const range = IDBKeyRange.bound([request.sessionId], [request.sessionId, []]);
    return page(await settled<SessionEvent[]>(store.index("by_session_index").getAll(range)), request);
  }

  async insertEvent(_sessionId: string, event: SessionEvent): Promise<void> {
    const store = await this.#store("events", "readwrite");
    await written(store.put(event));
  }

  async close(): Promise<void> {
    (await this.#opened).close();
  }

  async #store(name: "sessions" | "events", mode: IDBTransactionMode): Promise<IDBObjectStore> {
    return (await this.#opened).transaction(name, mode).objectStore(name);
  }
}

function opened(factory: IDBFactory, name: string): Promise<IDBDatabase> {
  const request = factory.open(name, 2);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("sessions", { keyPath: "id" });
    const events = request.result.createObjectStore("events", { keyPath: "id" });
    events.createIndex("by_session_index", ["sessionId", "eventIndex", "id"]);
  };
  return settled(request);
}

function settled<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** A write is kept once its transaction has ended. */
function written({ transaction }: IDBRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!transaction) throw new Error("the request is of no transaction");
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

function page<Item>(all: Item[], { cursor = "0", limit = 100 }: ListPageRequest): ListPage<Item> {
  const begin = Number.parseInt(cursor, 10);
  const end = begin + limit;
  return { items: all.slice(begin, end), nextCursor: end < all.length ? String(end) : undefined };
}
