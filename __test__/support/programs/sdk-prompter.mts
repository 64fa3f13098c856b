/**
 * One of several processes that prompt one session at once: `sdk-prompter.mts BASE_URL STORAGE SESSION LABEL PROMPTS
 * UPDATES` resumes the session, waits for "go", prompts it, and reports each event that the SDK gave to the driver and
 * each that a listener got.
 */
import { SandboxAgent, type SessionEvent } from "sandbox-agent";

import { promptUntilStored } from "../agent/prompt.mts";
import { openPersist } from "../storage.mts";

process.on("disconnect", () => process.exit(1));

const [baseUrl, storage, sessionId, label, prompts, updates] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];

const persist = openPersist(JSON.parse(storage));

/** Which events the driver was called with, and the place that the SDK wanted for each. */
const offered: [id: string, eventIndex: number][] = [];
const insertEvent = persist.insertEvent.bind(persist);
persist.insertEvent = (id: string, event: SessionEvent) => {
  offered.push([event.id, event.eventIndex]);
  return insertEvent(id, event);
};

const sdk = await SandboxAgent.connect({ baseUrl, persist });
const heard: [id: string, eventIndex: number][] = [];
sdk.onSessionEvent(sessionId, (event) => heard.push([event.id, event.eventIndex]));

const session = await sdk.resumeSession(sessionId);
const go = new Promise((resolve) => process.once("message", resolve));
process.send!({ type: "ready" });
await go;

for (let prompt = 1; prompt <= Number(prompts); prompt += 1) {
  await promptUntilStored(session, `stream ${updates} ${label}${prompt}`);
}

await persist.close();
process.send!({ type: "done", offered, heard }, () => process.exit(0));
