/** A session in which all happens that a transcript shows, made by hand. */
import type { SessionEvent } from "sandbox-agent";

import { eventAt } from "./records.mts";

/** What an event is, without its place: the sender, and the message. */
export type Said = ["client" | "agent", Record<string, unknown>];

/** The events of these messages, from index 1. */
export function eventsOf(sessionId: string, said: Said[]): SessionEvent[] {
  return said.map(([sender, message], position) => {
    const payload = { jsonrpc: "2.0", ...message } as SessionEvent["payload"];
    return eventAt(sessionId, position + 1, { sender, payload });
  });
}

export const update = (sessionUpdate: string, more: Record<string, unknown> = {}): Said => [
  "agent",
  { method: "session/update", params: { sessionId: "a", update: { sessionUpdate, ...more } } },
];

const text = (words: string) => ({ content: { type: "text", text: words } });
export const says = (words: string): Said => update("agent_message_chunk", text(words));
export const thinks = (words: string): Said => update("agent_thought_chunk", text(words));
export const asks = (id: number, words: string): Said => [
  "client",
  { id, method: "session/prompt", params: { sessionId: "a", prompt: [{ type: "text", text: words }] } },
];
export const ends = (id: number, stopReason = "end_turn"): Said => ["agent", { id, result: { stopReason } }];

const options = [
  { optionId: "yes", name: "Allow", kind: "allow_once" },
  { optionId: "no", name: "Reject", kind: "reject_once" },
];
const permission = (id: string): Said => [
  "agent",
  { id, method: "session/request_permission", params: { options, toolCall: { toolCallId: "t1" } } },
];

/** Two turns. */
export const everything: Said[] = [
  ["client", { id: 1, method: "session/new", params: { cwd: "/work", mcpServers: [] } }],
  ["agent", { id: 1, result: { sessionId: "a", modes: { currentModeId: "code", availableModes: [] } } }],
  asks(2, "Fix the test, please."),
  thinks("I look "),
  thinks("first."),
  update("plan", { entries: [{ content: "Look", priority: "high", status: "in_progress" }] }),
  update("tool_call", { toolCallId: "t1", title: "Edit sum.ts", kind: "edit", status: "pending" }),
  permission("p1"),
  ["client", { id: "p1", result: { outcome: { outcome: "selected", optionId: "yes" } } }],
  update("tool_call", { toolCallId: "t2", title: "npm test", kind: "execute", rawInput: { command: "npm test" } }),
  update("tool_call_update", {
    toolCallId: "t1",
    status: "completed",
    content: [{ type: "diff", path: "sum.ts", oldText: "a\nb - c\nd", newText: "a\nb + c\nd" }],
  }),
  update("tool_call_update", {
    toolCallId: "t2",
    status: "failed",
    content: [{ type: "content", content: { type: "text", text: Array.from({ length: 20 }, (_, n) => n).join("\n") } }],
  }),
  update("plan", { entries: [{ content: "Look", priority: "high", status: "completed" }] }),
  says("One test "),
  update("usage_update", { used: 1200, size: 200000 }),
  says("fails still."),
  // The answer to a prompt may come before the last pieces.
  ends(2),
  says(" I am sorry."),
  ["client", { id: 3, method: "session/set_mode", params: { modeId: "plan" } }],
  ["agent", { id: 3, result: {} }],
  update("current_mode_update", { currentModeId: "plan" }),
  asks(4, "你好，世界。 👨‍👩‍👧 Go on?"),
  permission("p2"),
  ["agent", { id: 4, error: { code: -32603, message: "out of tokens" } }],
  ["client", { method: "_vendor/thing", params: { a: 1 } }],
];
