/** A source that makes its sessions up while it is read: as large, as wrong and as slow as a test wants it. */
import type { ListEventsRequest, ListPage, ListPageRequest, SessionEvent, SessionRecord } from "sandbox-agent";

import type { SessionSource } from "../../../index.js";
import { eventAt, sessionOf } from "../records.mts";

export interface Generated {
  /** How many sessions there are: `s0`, `s1`, and so on. */
  sessions: number;
  /** How many events each has. */
  events: number;
}

/** The session and its events, by the number of the session. */
export const generatedSession = (session: number): SessionRecord =>
  sessionOf(`s${session}`, { createdAt: 1_700_000_000_000 + session });
export const generatedEvent = (session: number, index: number): SessionEvent => eventAt(`s${session}`, index);

/** `over` replaces methods of it. */
export function generated({ sessions, events }: Generated, over: Partial<SessionSource> = {}): SessionSource {
  return {
    getSession: async (id) => {
      const session = Number(id.slice(1));
      return session < sessions ? generatedSession(session) : undefined;
    },
    listSessions: async (request) => made(request, 0, sessions, generatedSession),
    listEvents: async (request: ListEventsRequest) => {
      const session = Number(request.sessionId.slice(1));
      return made(request, 1, events + 1, (index) => generatedEvent(session, index));
    },
    ...over,
  };
}

/** A page of what is made of the numbers from `first` to before `end`. */
function made<Item>(
  { cursor, limit = 100 }: ListPageRequest = {},
  first: number,
  end: number,
  make: (number: number) => Item,
): ListPage<Item> {
  const begin = cursor === undefined ? first : Number(cursor);
  const next = Math.min(begin + limit, end);
  const items = Array.from({ length: next - begin }, (_, position) => make(begin + position));
  return next < end ? { items, nextCursor: String(next) } : { items };
}
