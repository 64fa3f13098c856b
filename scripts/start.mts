/**
 * A session outlives everything that made it: the server is killed, the SDK and the driver are dropped, all are started
 * anew on the same SQLite file, and the agent gets its history back. `npm start` runs this; `npm start -- --postgres` does
 * it with a Postgres server, which is there for this only.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { SandboxAgent } from "sandbox-agent";

// In your own project: from "sandbox-agent-persist".
import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { startPostgres } from "../__test__/support/postgres/embedded.mts";
import { promptUntilStored, textsOf } from "../__test__/support/agent/prompt.mts";
import { startServer } from "../__test__/support/agent/server.mts";

const SESSION = "my-session";
const SECRET = "My favourite colour is teal.";
const { postgres: withPostgres } = parseArgs({ options: { postgres: { type: "boolean" } } }).values;
const storage = withPostgres ? await prepareServer() : prepareFile();

let step = 0;
function tell(text: string): void {
  step += 1;
  console.log(`\n${step}. ${text}`);
}

function show(label: string, text: string): void {
  console.log(`   ${label.padEnd(withPostgres ? 8 : 6)} ${text}`);
}

/** Where the sessions are kept. */
interface Storage {
  /** What it is, in one word. */
  kind: string;
  place: string;
  /** What the first step does to it. */
  opening: string;
  open(): SQLiteSessionPersistDriver | PostgresSessionPersistDriver;
  /** Ends it, if it is to end, and says what is left. */
  end(): Promise<string>;
}

function prepareFile(): Storage {
  const filename = join(mkdtempSync(join(tmpdir(), "sandbox-agent-persist-")), "sandbox-agent.db");
  return {
    kind: "file",
    place: filename,
    opening: "open an SQLite file",
    open: () => new SQLiteSessionPersistDriver({ filename }),
    end: async () =>
      `The session is still in ${filename}. It is an ordinary SQLite file: look into it, and delete its directory when done.`,
  };
}

async function prepareServer(): Promise<Storage> {
  const postgres = await startPostgres();
  return {
    kind: "database",
    place: `${postgres.database} at ${postgres.host}:${postgres.port}`,
    opening: "open a database of a Postgres server",
    open: () => new PostgresSessionPersistDriver({ connectionString: postgres.url }),
    end: async () => {
      await postgres.cleanup();
      return "The Postgres server was there for this only: it is stopped, and its directory is removed.";
    },
  };
}

/** The server, the driver and the SDK, all new. */
async function startAll() {
  const server = await startServer();
  const persist = storage.open();
  const sdk = await SandboxAgent.connect({ baseUrl: server.baseUrl, persist });
  show("server", `${server.baseUrl}, process ${server.pid}`);
  show(storage.kind, storage.place);
  return { server, persist, sdk };
}

async function endAll({ server, persist, sdk }: Awaited<ReturnType<typeof startAll>>) {
  // The SDK is told to let go and, without waiting for that, the server is killed. In the other order the SDK could take
  // the server's death for an error; and a live server answers `dispose` only after two seconds.
  const disposed = sdk.dispose();
  await server.kill("SIGKILL");
  await disposed;
  await persist.close();
  await server.cleanup();
}

tell(`Start the sandbox-agent server, ${storage.opening}, and connect the SDK to both.`);
const first = await startAll();

tell("Create a session and prompt it.");
const created = await first.sdk.createSession({ agent: "mock", id: SESSION });
show("you", SECRET);
show("agent", textsOf(await promptUntilStored(created, SECRET)).join(""));
const before = await first.persist.listEvents({ sessionId: SESSION });
show("stored", `${before.items.length} events of the session "${SESSION}"`);

tell(`Kill the server with SIGKILL, drop the SDK and close the driver. Only the ${storage.kind} is left.`);
await endAll(first);
show("left", storage.place);

tell(`Start all of them anew, on the same ${storage.kind}.`);
const second = await startAll();

tell(`Resume the session and prompt it again. The SDK reads the history from the ${storage.kind} and sends it along.`);
const resumed = await second.sdk.resumeSession(SESSION);
const question = "What do you know about me?";
show("you", question);
const events = await promptUntilStored(resumed, question);
const answer = textsOf(events).join("");
show("agent", answer);

await endAll(second);
const left = await storage.end();

if (!answer.includes("messages of history") || !answer.includes(SECRET)) {
  console.error(`\nThe agent did not receive the history of the session. ${left}`);
  process.exit(1);
}

// The event of the prompt, as it went to the agent: the replayed history is its first part.
const sent = events.find((event) => (event.payload as any).method === "session/prompt");
const [replay] = (sent?.payload as any).params.prompt;
tell("The agent remembers. This is how the history that it received begins:");
for (const line of replay.text.split("\n").slice(0, 5)) {
  console.log(`   | ${line.length > 110 ? `${line.slice(0, 109)}…` : line}`);
}
console.log(`\n${left}`);
