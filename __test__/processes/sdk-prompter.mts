/**
 * One of several processes that prompt one session at once: `sdk-prompter.mts BASE_URL FILE SESSION LABEL PROMPTS
 * UPDATES` resumes the session, waits for "go", prompts it, and reports each event that the SDK gave to the driver and
 * each that a listener got.
 */
import { SandboxAgent, type SessionEvent } from "sandbox-agent";

import { promptUntilStored } from "../../examples/prompt.mts";
import { SQLiteSessionPersistDriver } from "../../index.js";

process.on("disconnect", () => process.exit(1));

const [baseUrl, filename, sessionId, label, prompts, updates] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];

/** Notes which events it was called with, and the place that the SDK wanted for each. */
const offered: [id: string, eventIndex: number][] = [];
class NotingDriver extends SQLiteSessionPersistDriver {
  override insertEvent(id: string, event: SessionEvent): Promise<void> {
    offered.push([event.id, event.eventIndex]);
    return super.insertEvent(id, event);
  }
}

const persist = new NotingDriver({ filename });
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
