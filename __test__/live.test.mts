/**
 * The example `live`, as it is: what its server sends over HTTP, and what two pages of a real browser show of a session that another
 * process writes, one of them cut off for a while. With LIVE_SCREENSHOT=docs/live.png the browser's page is kept as a picture.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import type { Page } from "puppeteer-core";
import type { SessionEvent } from "sandbox-agent";

import { SQLiteSessionPersistDriver } from "../index.js";
import { startServer as startAgentServer } from "./support/agent/server.mts";
import { skipWithoutChromium, startBrowser } from "./support/browser.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { eventAt, sessionOf } from "./support/records.mts";

const folder = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-"));
const agents = await startAgentServer();
const env = { ...process.env, DATABASE: join(folder, "live.db"), SANDBOX_AGENT_URL: agents.baseUrl, PORT: "0" };
const persist = new SQLiteSessionPersistDriver({ filename: env.DATABASE });
const server = await startExample("server.mts");
after(async () => {
  await server.end();
  await persist.close();
  await agents.cleanup();
  rmSync(folder, { recursive: true, force: true });
});

/** A program of the example that has said that it is ready. */
async function startExample(name: string, ...args: string[]) {
  const path = fileURLToPath(new URL(`../examples/live/${name}`, import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", path, ...args], {
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return {
    /** The first line that it printed. */
    line: line as string,
    /** Gives it a line to read. */
    write: (text: string) => void child.stdin.write(`${text}\n`),
    ended,
    end: async () => {
      child.kill("SIGKILL");
      await ended;
    },
    tell: (signal: NodeJS.Signals) => child.kill(signal),
  };
}

/** An address of a server of the example. */
function address(path: string, parameters: Record<string, string>, base = server.line): string {
  return `${base}${path}?${new URLSearchParams(parameters)}`;
}

async function get(path: string, parameters: Record<string, string>): Promise<{ status: number; body: any }> {
  const response = await fetch(address(path, parameters));
  return { status: response.status, body: await response.json() };
}

interface Message {
  id: number;
  eventIndex: number;
  text: string | undefined;
}

/** What comes over a stream, for as long as somebody takes it. */
async function* messages(url: string, headers: Record<string, string> = {}): AsyncGenerator<Message> {
  const response = await fetch(url, { headers });
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + part).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const [, id, data] = /^id: (\d+)\ndata: (.*)$/.exec(block) ?? [];
      if (!data) continue;
      const { eventIndex, params } = JSON.parse(data);
      yield { id: Number(id), eventIndex, text: params?.update.content.text };
    }
  }
}

async function take(from: AsyncGenerator<Message>, count: number): Promise<Message[]> {
  const taken: Message[] = [];
  while (taken.length < count) {
    const { done, value } = await from.next();
    assert.ok(!done, `the stream ended after ${taken.length} events`);
    taken.push(value);
  }
  return taken;
}

let sessions = 0;

/** A session of that user, with events of those indexes. */
async function makeSession(user: string, indexes: number[] = [], id = `session-${sessions}`): Promise<string> {
  sessions += 1;
  await persist.setLabels(id, { user });
  await persist.updateSession(sessionOf(id, { createdAt: 1_700_000_000_000 + sessions }));
  await store(id, indexes);
  return id;
}

async function store(sessionId: string, indexes: number[]): Promise<void> {
  await Promise.all(
    indexes.map((index) => persist.insertEvent(sessionId, eventAt(sessionId, index, { createdAt: Date.now() }))),
  );
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, position) => from + position);

describe("the server of the example `live`", { timeout: 120_000 }, () => {
  test("a browser that comes back with the last id goes on after it, without a gap or a repeat", async () => {
    const session = await makeSession("ada", range(1, 300));
    const url = address("stream", { user: "ada", session });
    const first = messages(url);
    const before = await take(first, 200);
    assert.deepEqual(
      before,
      range(1, 200).map((index) => ({ id: index, eventIndex: index, text: `chunk ${index}` })),
    );
    await first.return(undefined);

    // The address says where the page began; where it came to is what counts.
    const second = messages(`${url}&after=5`, { "last-event-id": String(before.at(-1)!.id) });
    await store(session, range(301, 350));
    const rest = await take(second, 150);
    assert.deepEqual(
      rest.map(({ id }) => id),
      range(201, 350),
    );
    await second.return(undefined);

    const third = messages(`${url}&after=349`);
    assert.equal((await take(third, 1))[0]!.id, 350);
    await third.return(undefined);
  });

  test("an event that comes late keeps its index, and does not move the id back", async () => {
    const session = await makeSession("ada", [1, 2, 4]);
    const stream = messages(address("stream", { user: "ada", session }));
    const places = async (count: number) => (await take(stream, count)).map(({ id, eventIndex }) => [id, eventIndex]);
    assert.deepEqual(await places(3), [
      [1, 1],
      [2, 2],
      [4, 4],
    ]);
    await store(session, [3]);
    assert.deepEqual(await places(1), [[4, 3]]);
    await store(session, [5]);
    assert.deepEqual(await places(1), [[5, 5]]);
    await stream.return(undefined);
  });

  test("lists a user's sessions, the newest first, and shows them to nobody else", async () => {
    const [older, newer, other] = [
      await makeSession("bob", [1]),
      await makeSession("bob"),
      await makeSession("eve", [1]),
    ];
    await persist.insertEvent("nobody", eventAt("nobody", 1));
    assert.deepEqual((await get("sessions", { user: "bob" })).body, { sessions: [newer, older] });
    assert.equal((await get("events", { user: "bob", session: older! })).status, 200);
    for (const path of ["events", "stream"]) {
      const refusals = [other, "nobody", "no-such-session", ""].map((session) =>
        get(path, { user: "bob", session: session! }),
      );
      for (const refusal of await Promise.all(refusals)) {
        // The same for all, so that nobody learns which sessions there are.
        assert.deepEqual(refusal, { status: 404, body: { error: "You have no such session." } });
      }
    }
    for (const path of ["sessions", "events", "stream"]) assert.equal((await get(path, {})).status, 401);
  });

  test("gives a page of events, the newest first, and then those before", async () => {
    const session = await makeSession("ada", range(1, 70));
    const page = { user: "ada", session };
    const newest = await get("events", page);
    const indexes = (body: any) => body.events.map((event: SessionEvent) => event.eventIndex);
    assert.deepEqual(indexes(newest.body), range(21, 70).reverse());
    const { body } = await get("events", { ...page, cursor: newest.body.nextCursor });
    assert.deepEqual([indexes(body), body.nextCursor], [range(1, 20).reverse(), undefined]);
    assert.equal((await get("events", { ...page, cursor: "nonsense" })).status, 400);
    assert.equal((await get("stream", { ...page, after: "nonsense" })).status, 404);
  });

  test("names of users and sessions may be whatever a string can be", async () => {
    const names = [
      "__proto__",
      "../../etc/passwd",
      "a/b?c#d&user=ada%2F",
      "<script>alert(1)</script>",
      "' OR 1=1 --",
      "\r\n\r\nid: 9\n",
      "ü😀",
    ];
    for (const name of names) {
      const session = await makeSession(name, [1], `session ${name}`);
      assert.deepEqual((await get("sessions", { user: name })).body, { sessions: [session] });
      const stream = messages(address("stream", { user: name, session }));
      assert.equal((await take(stream, 1))[0]!.id, 1);
      await stream.return(undefined);
      assert.equal((await get("stream", { user: "ada", session })).status, 404);
    }
  });

  test("what the page does not show stays on the server", async () => {
    const session = await makeSession("ada");
    const params = { mcpServers: [{ name: "tool", env: [{ name: "TOKEN", value: "secret" }] }] };
    const payload = { jsonrpc: "2.0", id: 1, method: "session/new", params } as unknown as SessionEvent["payload"];
    await persist.insertEvent(session, eventAt(session, 1, { payload }));
    assert.deepEqual((await get("events", { user: "ada", session })).body, { events: [{ eventIndex: 1 }] });
    const stream = messages(address("stream", { user: "ada", session }));
    assert.deepEqual(await take(stream, 1), [{ id: 1, eventIndex: 1, text: undefined }]);
    await stream.return(undefined);
  });

  test("told to end, it ends its streams, and itself", async (t) => {
    const session = await makeSession("ada", [1]);
    const other = await startExample("server.mts");
    t.after(other.end);
    const stream = messages(address("stream", { user: "ada", session }, other.line));
    await take(stream, 1);
    other.tell("SIGTERM");
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
    assert.deepEqual(await other.ended, [0, null]);
  });
});

/** What the mock agent's answer to `Run ...` looks like. */
const ran = (what: string) =>
  `Run ${what}I run it first, and look at what it prints before I say anything.` +
  `${what}: completedI ran ${what}. It went through, and nothing is left to do.`;

test(
  "two pages show the words of one session, also the one that was cut off meanwhile",
  {
    skip: skipWithoutChromium(),
    timeout: 120_000,
  },
  async (t) => {
    const user = "grace";
    for (const id of ["release-notes", "code-review"]) await makeSession(user, [], id);
    const session = "nightly-build";
    const { port } = new URL(server.line);
    const [writer, network, browser] = await Promise.all([
      startExample("writer.mts", user, session),
      startProxy({ host: "127.0.0.1", port: Number(port) }),
      startBrowser(t),
    ]);
    t.after(writer.end);
    t.after(() => network.close());
    const open = async (base: string) => {
      const page = await browser.newPage();
      await page.goto(address("", { user, session }, base));
      return page;
    };
    writer.write("Run npm test");
    const [near, far] = [await open(server.line), await open(network.urlOf(server.line))];
    const both = (wanted: string) => Promise.all([near, far].map((page) => shows(page, "main", wanted)));
    writer.write("Run npm audit");
    const before = ran("npm test") + ran("npm audit");
    await both(before);
    await Promise.all([near, far].map((page) => shows(page, "output", "live")));
    const picture = process.env["LIVE_SCREENSHOT"];
    if (picture) {
      await near.setViewport({ width: 900, height: 420 });
      await near.bringToFront();
      await near.screenshot({ path: picture });
    }

    network.refuse();
    network.cut("reset");
    await shows(far, "output", "reconnecting");
    const hostile = `<img src=x onerror="document.title='hacked'">`;
    writer.write(`stream 60 ${hostile}`);
    const whole = `${before}stream 60 ${hostile}${range(1, 60)
      .map((number) => `${hostile} ${number} of 60`)
      .join("")}`;
    await shows(near, "main", whole);
    await shows(far, "main", before);
    await network.accept();
    await both(whole);
    await shows(far, "output", "live");

    // It begins with the newest 50 events, which is less than the last answer.
    const late = await open(server.line);
    await shows(late, "output", "live");
    const older = 'document.querySelector("button")';
    assert.equal(await late.evaluate(`${older}.hidden`), false);
    // Two clicks ask for the same page twice.
    await late.waitForFunction(`${older}.hidden || (${older}.click(), ${older}.click())`, { polling: 50 });
    await shows(late, "main", whole);

    for (const page of [near, far, late]) {
      assert.equal(await page.title(), "Sessions");
      assert.equal(await page.evaluate("document.querySelectorAll('main img').length"), 0);
    }
  },
);

/** Waits until the text of an element is that. */
async function shows(page: Page, selector: string, wanted: string): Promise<void> {
  const text = `document.querySelector(${JSON.stringify(selector)}).textContent`;
  try {
    await page.waitForFunction(`${text} === ${JSON.stringify(wanted)}`, { polling: "mutation", timeout: 60_000 });
  } catch {
    assert.equal(await page.evaluate(text), wanted);
  }
}
