// Files as `export` writes them (src/cli/archive/mod.rs), made by hand, so that tests know every byte.
import { createHash } from "node:crypto";

/** A session, as JSON texts. */
export interface ArchivedSession {
  id: string;
  /** Nothing, where there are events alone. */
  record?: string;
  labels?: Record<string, string>;
  events: string[];
}

export const header = '{"format":"sandbox-agent-persist","version":1}\n';

/** The lines of a session. */
export function linesOf({ id, record, labels = {}, events }: ArchivedSession): string {
  const first = record
    ? `{"session":${record},"labels":${JSON.stringify(labels)}}`
    : `{"session":null,"id":${JSON.stringify(id)}}`;
  const lines = [first, ...events.map((event) => `{"event":${event}}`)].map((line) => `${line}\n`).join("");
  const end = { session: id, events: events.length, sha256: createHash("sha256").update(lines).digest("hex") };
  return `${lines}{"end":${JSON.stringify(end)}}\n`;
}

/** A whole file. */
export function archive(sessions: ArchivedSession[]): string {
  const events = sessions.reduce((sum, session) => sum + session.events.length, 0);
  const end = { sessions: sessions.length, events };
  return `${header}${sessions.map(linesOf).join("")}{"end":${JSON.stringify(end)}}\n`;
}
