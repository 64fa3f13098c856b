#!/usr/bin/env node
/**
 * An agent that needs no account and no network. It speaks ACP, the Agent Client Protocol: JSON-RPC, one message a line,
 * on stdin and stdout. What it does is steered by the text of the prompt:
 *
 * - `stream 2000` or `stream 2000 LABEL`: answers in 2,000 updates, each with its number (and the label).
 * - `ask`: asks for permission first, and answers with what was chosen.
 * - `mode plan`: switches the session to the mode `plan`.
 * - `Run npm test`: thinks, runs that as a tool call, and says what came of it: word by word, as a real agent does.
 * - anything else: says how much of the session's history came with the prompt, and what it remembers of it.
 */
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

// How the SDK's replay of a resumed session begins, in the prompt's first block.
const REPLAY_PREFIX = "Previous session history is replayed below";

// The server keeps 512 messages for a client that is slower than the agent, and drops what is more. So a stream waits
// for the client after this many.
const WINDOW = 200;

/** @type {Map<string, { modeId: string, model: string, cancelled: boolean }>} */
const sessions = new Map();
/** @type {Map<string, (message: any) => void>} */
const pendingRequests = new Map();
let lastSession = 0;
let lastRequest = 0;
let lastCall = 0;
/** How many updates were sent since the client had read all; and, if it is asked for that, the wait for it. */
let sinceRoom = 0;
/** @type {Promise<void> | undefined} */
let room;

function send(message) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
}

function request(method, params) {
  // Not a bare number: the SDK would take it for the answer to a request of its own with that number.
  const id = `agent-${(lastRequest += 1)}`;
  return new Promise((resolve) => {
    pendingRequests.set(id, resolve);
    send({ id, method, params });
  });
}

/** Resolves when there is room for one more update. */
async function takeRoom() {
  while (sinceRoom >= WINDOW) {
    // The client answers in order. This request is about no session of its own, so it declines by itself, and keeps no
    // record of it.
    room ??= request("session/request_permission", {
      sessionId: "nobody",
      toolCall: { toolCallId: "nothing" },
      options: [],
    }).then(() => {
      sinceRoom = 0;
      room = undefined;
    });
    await room;
  }
  sinceRoom += 1;
}

async function update(sessionId, update) {
  await takeRoom();
  send({ method: "session/update", params: { sessionId, update } });
}

function say(sessionId, text) {
  return update(sessionId, { sessionUpdate: "agent_message_chunk", content: { type: "text", text } });
}

/** Sends a text as chunks of one word each, at the pace at which a quick model writes. */
async function write(sessionId, sessionUpdate, text) {
  let count = 0;
  for (const word of text.split(/(?<= )/)) {
    await delay(20);
    await update(sessionId, { sessionUpdate, content: { type: "text", text: word } });
    count += 1;
  }
  return count;
}

function modes(session) {
  return {
    currentModeId: session.modeId,
    availableModes: [
      { id: "code", name: "Code" },
      { id: "plan", name: "Plan" },
    ],
  };
}

function configOptions(session) {
  return [
    {
      id: "model",
      name: "Model",
      category: "model",
      type: "select",
      currentValue: session.model,
      options: [
        { value: "small", name: "Small" },
        { value: "large", name: "Large" },
      ],
    },
  ];
}

/** What the user said in the history that the SDK put before the prompt, and how long that history is. */
function readHistory(prompt) {
  const replay = prompt.map((block) => block.text ?? "").find((text) => text.startsWith(REPLAY_PREFIX));
  if (!replay) return undefined;
  const said = [];
  let messages = 0;
  for (const line of replay.split("\n").slice(1)) {
    try {
      const { payload } = JSON.parse(line);
      messages += 1;
      if (payload.method === "session/prompt") said.push(payload.params.prompt.at(-1).text);
    } catch {
      // The last line: "[history truncated]", or nothing.
    }
  }
  return { messages, characters: replay.length, said };
}

/** Answers one prompt; returns how many updates that took. */
async function answer(sessionId, session, prompt) {
  const text = prompt.at(-1)?.text ?? "";
  const [command, argument, ...label] = text.split(" ");

  if (command === "stream" && Number(argument) > 0) {
    const count = Number(argument);
    let sent = 0;
    while (sent < count && !session.cancelled) {
      sent += 1;
      await say(sessionId, [...label, `${sent} of ${count}`].join(" "));
    }
    return sent;
  }

  if (text === "ask") {
    const response = await request("session/request_permission", {
      sessionId,
      toolCall: { toolCallId: "write-1", title: "Write hello.txt", kind: "edit", status: "pending" },
      options: [
        { optionId: "allow", name: "Allow", kind: "allow_once" },
        { optionId: "reject", name: "Reject", kind: "reject_once" },
      ],
    });
    const outcome = response.result?.outcome;
    await say(sessionId, `Permission: ${outcome?.optionId ?? outcome?.outcome}`);
    return 1;
  }

  if (command === "Run" && argument) {
    const title = text.slice(command.length + 1);
    const call = { toolCallId: `run-${(lastCall += 1)}`, title, kind: "execute" };
    const thought = "I run it first, and look at what it prints before I say anything.";
    const thoughts = await write(sessionId, "agent_thought_chunk", thought);
    await update(sessionId, { sessionUpdate: "tool_call", ...call, status: "in_progress" });
    await delay(20);
    await update(sessionId, { sessionUpdate: "tool_call_update", toolCallId: call.toolCallId, status: "completed" });
    const words = await write(
      sessionId,
      "agent_message_chunk",
      `I ran ${title}. It went through, and nothing is left to do.`,
    );
    return thoughts + 2 + words;
  }

  if (command === "mode" && argument) {
    session.modeId = argument;
    await update(sessionId, { sessionUpdate: "current_mode_update", currentModeId: argument });
    return 1;
  }

  const history = readHistory(prompt);
  await say(
    sessionId,
    history
      ? `I received ${history.messages} messages of history, ${history.characters} characters. ` +
          `Before this you said: ${history.said.map((words) => JSON.stringify(words)).join(", ") || "nothing"}.`
      : "I received no history.",
  );
  return 1;
}

/** @type {Record<string, (params: any) => unknown>} */
const methods = {
  initialize: () => ({
    protocolVersion: 1,
    agentInfo: { name: "mock-agent", version: "1.0.0" },
    agentCapabilities: { loadSession: false },
    authMethods: [],
  }),
  "session/new": () => {
    const sessionId = `mock-${process.pid}-${(lastSession += 1)}`;
    const session = { modeId: "code", model: "small", cancelled: false };
    sessions.set(sessionId, session);
    return { sessionId, modes: modes(session), configOptions: configOptions(session) };
  },
  "session/prompt": async ({ sessionId, prompt }) => {
    const session = sessions.get(sessionId);
    session.cancelled = false;
    const updates = await answer(sessionId, session, prompt);
    // The response may overtake the updates on the way to the client: `updates` tells it how many to wait for.
    return { stopReason: session.cancelled ? "cancelled" : "end_turn", _meta: { updates } };
  },
  "session/cancel": ({ sessionId }) => {
    sessions.get(sessionId).cancelled = true;
  },
  "session/set_mode": ({ sessionId, modeId }) => {
    sessions.get(sessionId).modeId = modeId;
    return {};
  },
  "session/set_config_option": ({ sessionId, configId, value }) => {
    const session = sessions.get(sessionId);
    if (configId === "model") session.model = value;
    return { configOptions: configOptions(session) };
  },
};

async function receive(message) {
  if (!message.method) {
    pendingRequests.get(message.id)?.(message);
    pendingRequests.delete(message.id);
    return;
  }
  const method = methods[message.method];
  try {
    if (!method) throw Object.assign(new Error(`no method ${message.method}`), { code: -32601 });
    const result = await method(message.params);
    if (message.id !== undefined) send({ id: message.id, result });
  } catch (error) {
    const described = { code: error.code ?? -32603, message: error.message };
    if (message.id !== undefined) send({ id: message.id, error: described });
  }
}

// When the server is gone, there is nobody left to answer.
process.stdout.on("error", () => process.exit());
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => void receive(JSON.parse(line)));
lines.on("close", () => process.exit());
