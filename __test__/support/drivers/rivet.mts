/**
 * What users of Rivet have: the sessions in the state of an actor, in the shape that the SDK's page "Multiplayer" shows, and the actor
 * that gives them away by actions which are called as the SDK's methods. Written by us after that page; it is nobody's code.
 */
import { actor, createMemoryDriver, setup } from "rivetkit";
import type {
  ListEventsRequest,
  ListPage,
  ListPageRequest,
  SessionEvent,
  SessionPersistDriver,
  SessionRecord,
} from "sandbox-agent";

/** What the actor keeps. */
interface State {
  _sandboxAgentPersist: { sessions: Record<string, SessionRecord>; events: Record<string, SessionEvent[]> };
}

/** A driver inside of the actor. */
export class RivetDriver implements SessionPersistDriver {
  readonly #state: State;

  constructor({ state }: { state: State }) {
    this.#state = state;
  }

  async getSession(id: string): Promise<SessionRecord | undefined> {
    return copied(this.#state._sandboxAgentPersist.sessions[id]);
  }

  async listSessions(request: ListPageRequest = {}): Promise<ListPage<SessionRecord>> {
    const sessions = Object.values(this.#state._sandboxAgentPersist.sessions);
    return page(
      sessions.sort((a, b) => a.createdAt - b.createdAt || a.id.localeCompare(b.id)),
      request,
    );
  }

  async updateSession(session: SessionRecord): Promise<void> {
    this.#state._sandboxAgentPersist.sessions[session.id] = { ...session };
  }

  async listEvents(request: ListEventsRequest): Promise<ListPage<SessionEvent>> {
    const events = [...(this.#state._sandboxAgentPersist.events[request.sessionId] ?? [])];
    return page(
      events.sort((a, b) => a.eventIndex - b.eventIndex || a.id.localeCompare(b.id)),
      request,
    );
  }

  async insertEvent(sessionId: string, event: SessionEvent): Promise<void> {
    const { events } = this.#state._sandboxAgentPersist;
    (events[sessionId] ??= []).push(copied(event));
  }
}

function page<Item>(all: Item[], { cursor = "0", limit = 100 }: ListPageRequest): ListPage<Item> {
  const begin = Number.parseInt(cursor, 10);
  const end = begin + limit;
  return { items: copied(all.slice(begin, end)), nextCursor: end < all.length ? String(end) : undefined };
}

/** The state is a Proxy that watches what is done with it. */
function copied<Value>(value: Value): Value {
  return value && (JSON.parse(JSON.stringify(value)) as Value);
}

const sessions = actor({
  state: { _sandboxAgentPersist: { sessions: {}, events: {} } } as State,
  actions: {
    getSession: (c, id: string) => new RivetDriver(c).getSession(id),
    listSessions: (c, request?: ListPageRequest) => new RivetDriver(c).listSessions(request),
    updateSession: (c, session: SessionRecord) => new RivetDriver(c).updateSession(session),
    listEvents: (c, request: ListEventsRequest) => new RivetDriver(c).listEvents(request),
    insertEvent: (c, sessionId: string, event: SessionEvent) => new RivetDriver(c).insertEvent(sessionId, event),
  },
  // In memory there is nothing that it could be woken from. The timer of the next save keeps the process alive.
  options: { noSleep: true, stateSaveInterval: 50 },
});

/** A real actor of its own, which lives in this process: what a client has of it is called as a driver is. */
export function openActor(name: string): SessionPersistDriver {
  const { client } = setup({ use: { sessions } }).start({
    driver: createMemoryDriver(),
    disableDefaultServer: true,
    noWelcome: true,
    inspector: { enabled: false },
    logging: { level: "error" },
  });
  return client.sessions.getOrCreate([name]) as unknown as SessionPersistDriver;
}
