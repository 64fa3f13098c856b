/** The examples, as they are, on the real servers. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, describe, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { ListPage, SessionEvent } from "sandbox-agent";

import { textsOf } from "./support/agent/prompt.mts";
import { startServer as startAgentServer } from "./support/agent/server.mts";
import { directory } from "./support/directory.mts";
import { startServer as startPostgres } from "./support/postgres/server.mts";

const agents = await startAgentServer();
after(agents.cleanup);

/** What Node is given to run an example in any directory. */
const example = (name: string) => [
  "--import",
  import.meta.resolve("tsx"),
  fileURLToPath(new URL(`../examples/${name}`, import.meta.url)),
];
const env = { ...process.env, SANDBOX_AGENT_URL: agents.baseUrl };

// Side by side: a live server takes two seconds to let go of an SDK, each time.
describe("examples", { concurrency: true }, () => {
  test("resume.mts goes on with its session each time it is run", async (t) => {
    const cwd = directory(t);
    const run = async (text: string) => {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [...example("resume.mts"), text], {
        cwd,
        env,
      });
      // The SDK says there what it could not store.
      assert.equal(stderr, "");
      return stdout;
    };
    const first = await run("My favourite colour is teal.");
    assert.match(first, /^The session begins\.\n.*I received no history/);
    const second = await run("What do you know about me?");
    assert.match(second, /^The session began at .*\n.*you said: .*My favourite colour is teal/);
  });

  test("postgres-server.mts loses nothing when it is told to end, and another one goes on with the session", async (t) => {
    const postgres = await startPostgres();
    t.after(postgres.cleanup);
    const url = await postgres.createDatabase();

    const first = await startExample(t, url);
    assert.equal((await first.prompt("stream 300")).stopReason, "end_turn");
    await first.end();

    const second = await startExample(t, url);
    const numbers = Array.from({ length: 300 }, (_, position) => `${position + 1} of 300`);
    assert.deepEqual(textsOf(await second.history()), numbers);
    await second.prompt("What do you know about me?");
    await second.end();

    const third = await startExample(t, url);
    assert.match(textsOf(await third.history()).at(-1) ?? "", /^I received 50 messages of history/);
  });
});

/** A server of the example, and what its clients and its operator do. */
async function startExample(t: TestContext, databaseUrl: string) {
  const child = spawn(process.execPath, example("postgres-server.mts"), {
    env: { ...env, DATABASE_URL: databaseUrl, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const session = `http://127.0.0.1:${JSON.parse(line).port}/my-session`;
  return {
    prompt: async (text: string): Promise<any> => (await fetch(session, { method: "POST", body: text })).json(),
    /** All events, page by page. */
    history: async () => {
      const events: SessionEvent[] = [];
      let cursor: string | undefined = "";
      do {
        const page = (await (
          await fetch(`${session}${cursor && `?cursor=${cursor}`}`)
        ).json()) as ListPage<SessionEvent>;
        events.push(...page.items);
        cursor = page.nextCursor && encodeURIComponent(page.nextCursor);
      } while (cursor !== undefined);
      return events;
    },
    end: async () => {
      child.kill("SIGTERM");
      assert.deepEqual(await ended, [0, null]);
    },
  };
}
