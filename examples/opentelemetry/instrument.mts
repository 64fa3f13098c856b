/**
 * Turns what the package tells on Node's diagnostics_channel into OpenTelemetry spans and metrics, by the conventions for database
 * clients (https://opentelemetry.io/docs/specs/semconv/db/). Call it once, when OpenTelemetry's own SDK is set up.
 */
import { subscribe } from "node:diagnostics_channel";
import { metrics, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { StoreAddress, StoreMessages, TracedCall } from "sandbox-agent-persist";

const NAME = "sandbox-agent-persist";
// Without those for operators, those that wait (`ready`, `flush`, `close`), and `tailEvents`, whose call lasts as long as its iterator.
const READS: TracedCall["method"][] = ["getSession", "listSessions", "listEvents", "getLabels"];
const WRITES: TracedCall["method"][] = ["updateSession", "insertEvent", "setLabels", "deleteSession", "forkSession"];
const COUNTED: (keyof StoreMessages)[] = ["reassigned", "retry", "reconnected", "slow", "warning"];
const BUCKETS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10];

export function instrument(): void {
  const tracer = trace.getTracer(NAME);
  const meter = metrics.getMeter(NAME);
  const seconds = { unit: "s", advice: { explicitBucketBoundaries: BUCKETS } };
  const durations = meter.createHistogram("db.client.operation.duration", seconds);
  const spans = new WeakMap<TracedCall, { span: Span; startTime: number }>();
  for (const method of [...READS, ...WRITES]) {
    on<TracedCall>(`tracing:${NAME}:${method}:start`, (call) => {
      const attributes = { ...attributesOf(call), "gen_ai.conversation.id": call.sessionId };
      const startTime = performance.now();
      // Its parent is the span that is active where the method is called.
      const span = tracer.startSpan(`${method} ${call.namespace}`, { kind: SpanKind.CLIENT, attributes, startTime });
      spans.set(call, { span, startTime });
    });
    on<TracedCall>(`tracing:${NAME}:${method}:asyncEnd`, (call) => {
      const { span, startTime } = spans.get(call) ?? {};
      if (!span || !startTime) return; // it began before this
      const endTime = performance.now();
      const attributes = attributesOf(call);
      if (call.error)
        span.setAttributes(attributes).setStatus({ code: SpanStatusCode.ERROR, message: `${call.error}` });
      span.end(endTime);
      durations.record((endTime - startTime) / 1000, attributes);
    });
  }

  const commits = meter.createHistogram("sandbox_agent_persist.commit.duration", seconds);
  on<StoreAddress & StoreMessages["commit"]>(`${NAME}:commit`, (batch) => {
    commits.record(batch.durationMs / 1000, attributesOf(batch));
  });
  for (const what of COUNTED) {
    const counter = meter.createCounter(`sandbox_agent_persist.${what}`);
    on<StoreAddress>(`${NAME}:${what}`, (message) => counter.add(1, attributesOf(message)));
  }
}

function on<Message>(channel: string, listener: (message: Message) => void): void {
  subscribe(channel, (message) => listener(message as Message));
}

function attributesOf({ system, namespace, serverAddress, serverPort, ...of }: StoreAddress & Partial<TracedCall>) {
  const error = of.error as { code?: string; sqlState?: string; sqliteCode?: string } | undefined;
  const attributes = {
    "db.system.name": system,
    "db.namespace": namespace,
    "db.operation.name": of.method,
    "db.response.status_code": error?.sqlState ?? error?.sqliteCode,
    "error.type": error && (error.code ?? "_OTHER"),
    "server.address": serverAddress,
    "server.port": serverPort,
  };
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
