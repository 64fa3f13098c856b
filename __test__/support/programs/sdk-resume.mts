/**
 * A new process that resumes a session: `sdk-resume.mts BASE_URL STORAGE SESSION TEXT` prompts it with TEXT and reports
 * what the agent said, what the SDK sent it, and the session's record.
 */
import { SandboxAgent } from "sandbox-agent";

import { promptUntilStored, textsOf } from "../agent/prompt.mts";
import { openPersist } from "../storage.mts";

// When the test is gone, so is this.
process.on("disconnect", () => process.exit(1));

const [baseUrl, storage, sessionId, text] = process.argv.slice(2) as [string, string, string, string];
const persist = openPersist(JSON.parse(storage));
const sdk = await SandboxAgent.connect({ baseUrl, persist });

const session = await sdk.resumeSession(sessionId);
const events = await promptUntilStored(session, text);
const prompt = events.find((event) => (event.payload as any).method === "session/prompt")?.payload as any;
const record = await persist.getSession(sessionId);

await persist.close();
process.send!({ type: "resumed", said: textsOf(events), blocks: prompt.params.prompt, record }, () => process.exit(0));
