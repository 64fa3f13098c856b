/**
 * A program that lets the SDK start the server, through the provider `local()`: `sdk-local.mts STEP STORAGE SESSION`
 * with a server binary and its environment in `SERVER_BINARY` and `SERVER_ENV`.
 *
 * - `create` makes the session, and lets the agent stream until somebody kills it. It reports each event once stored.
 * - `resume` knows nothing but the storage: it takes the sandbox from the session's record, resumes and prompts.
 */
import { SandboxAgent, type SandboxProvider } from "sandbox-agent";
import { local } from "sandbox-agent/local";

import { promptUntilStored, textsOf } from "../agent/prompt.mts";
import { openPersist } from "../storage.mts";

process.on("disconnect", () => process.exit(1));

const [step, storage, sessionId] = process.argv.slice(2) as [string, string, string];
const persist = openPersist(JSON.parse(storage));

const options = {
  binaryPath: process.env.SERVER_BINARY!,
  env: JSON.parse(process.env.SERVER_ENV!) as Record<string, string>,
  log: "silent" as const,
};
const sandbox: SandboxProvider = {
  ...local(options),
  // `local()` itself has no way to start a dead server again: this starts one at the same address.
  async ensureServer(address) {
    const health = await fetch(`http://${address}/v1/health`).catch(() => undefined);
    if (!health) await local({ ...options, port: Number(new URL(`http://${address}`).port) }).create();
  },
};

if (step === "create") {
  const sdk = await SandboxAgent.start({ sandbox, persist });
  const session = await sdk.createSession({ agent: "mock", id: sessionId });
  await promptUntilStored(session, "The password is swordfish.");
  session.onEvent(({ id, eventIndex }) => process.send!({ type: "stored", id, eventIndex }));
  process.send!({ type: "created", sandboxId: sdk.sandboxId });
  // It does not get to the end of this.
  await session.prompt([{ type: "text", text: "stream 1000000" }]);
} else {
  const before = await persist.getSession(sessionId);
  const sdk = await SandboxAgent.start({ sandbox, sandboxId: before?.sandboxId, persist });
  const session = await sdk.resumeSession(sessionId);
  const said = textsOf(await promptUntilStored(session, "What was the password?"));
  const after = await persist.getSession(sessionId);
  // Not `destroySandbox`: it ends the server first, and a request that is not answered by then is an error that nobody
  // handles.
  const disposed = sdk.dispose();
  await sandbox.destroy(sdk.sandboxId!.replace("local/", ""));
  await disposed;
  await persist.close();
  process.send!({ type: "resumed", sandboxId: sdk.sandboxId, before, after, said }, () => process.exit(0));
}
