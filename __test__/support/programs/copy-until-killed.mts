/**
 * Copies made-up sessions into a store until its source says nothing more in the middle of one, and tells of that: it is there to be
 * killed. `copy-until-killed.mts <storage> <sessions> <events> <where>`.
 */
import { copySessions } from "../../../index.js";
import { generated } from "../drivers/generated.mts";
import { openPersist, type Storage } from "../storage.mts";

const [storage = "", sessions, events, where] = process.argv.slice(2);
const source = generated({ sessions: Number(sessions), events: Number(events) });
const stopping: typeof source = {
  ...source,
  listEvents: async (request) => {
    if (request.sessionId !== where || !request.cursor) return source.listEvents(request);
    process.send?.("in the middle");
    return new Promise(() => {});
  },
};
await copySessions(stopping, openPersist(JSON.parse(storage) as Storage));
