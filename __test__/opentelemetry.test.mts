/** The example for OpenTelemetry, as it is, under OpenTelemetry's own SDK: what a request's trace shows, and what is measured. */
import assert from "node:assert/strict";
import diagnostics from "node:diagnostics_channel";
import { after, before, beforeEach, test, type TestContext } from "node:test";
import { metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  type HistogramMetricData,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";

import { instrument } from "../examples/opentelemetry/instrument.mts";
import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { startServer } from "./support/postgres/server.mts";
import { eventAt, sessionOf } from "./support/records.mts";

const spans = new InMemorySpanExporter();
const tracing = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 31 - 1 });
const measuring = new MeterProvider({ readers: [reader] });

before(() => {
  tracing.register();
  metrics.setGlobalMeterProvider(measuring);
  instrument();
});
after(() => Promise.all([tracing.shutdown(), measuring.shutdown()]));
beforeEach(async () => {
  spans.reset();
  await measured();
});

/** What was measured since the last time, by name. */
async function measured(): Promise<Map<string, MetricData>> {
  await measuring.forceFlush();
  const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  exporter.reset();
  return new Map(all.map((metric) => [metric.descriptor.name, metric]));
}

function open(t: TestContext): SQLiteSessionPersistDriver {
  const driver = new SQLiteSessionPersistDriver();
  t.after(() => driver.close());
  return driver;
}

test("calls are children of the request that makes them, across await and beside each other", async (t) => {
  const driver = open(t);
  const tracer = trace.getTracer("a server");
  await Promise.all(
    ["a", "b"].map((id) =>
      tracer.startActiveSpan(`request of ${id}`, async (request) => {
        await driver.updateSession(sessionOf(id));
        await Promise.all([driver.insertEvent(id, eventAt(id, 1)), driver.insertEvent(id, eventAt(id, 2))]);
        tracer.startSpan(`work on ${id}`).end();
        await driver.listEvents({ sessionId: id });
        request.end();
      }),
    ),
  );
  await driver.getSession("a");

  const finished = spans.getFinishedSpans();
  const names = new Map(finished.map((span) => [span.spanContext().spanId, span.name]));
  const children = finished.map(({ name, parentSpanContext }) => [names.get(parentSpanContext?.spanId ?? ""), name]);
  const memory = (parent: string) =>
    ["insertEvent", "insertEvent", "listEvents", "updateSession"].map((method) => [parent, `${method} :memory:`]);
  const ofRequests = (id: string) => [...memory(`request of ${id}`), [`request of ${id}`, `work on ${id}`]];
  assert.deepEqual(
    children.sort((one, other) => one.join().localeCompare(other.join())),
    [
      [undefined, "getSession :memory:"],
      [undefined, "request of a"],
      [undefined, "request of b"],
      ...ofRequests("a"),
      ...ofRequests("b"),
    ],
  );
});

test("a span says what was called, of which session, where, and how it failed", async (t) => {
  const postgres = await startServer();
  t.after(postgres.cleanup);
  const connectionString = await postgres.createDatabase();
  const { hostname, port, pathname } = new URL(connectionString);
  await using driver = new PostgresSessionPersistDriver({ connectionString, schema: "agents" });
  await driver.insertEvent("s", eventAt("s", 1));
  await using readonly = new PostgresSessionPersistDriver({ connectionString, schema: "missing", migrate: false });
  await assert.rejects(readonly.getSession("s"), { code: "ERR_PERSIST_SCHEMA" });

  const where = { "db.system.name": "postgresql", "server.address": hostname, "server.port": Number(port) };
  const stored = { ...where, "db.namespace": `${pathname.slice(1)}|agents`, "db.operation.name": "insertEvent" };
  const failed = {
    ...where,
    "db.namespace": `${pathname.slice(1)}|missing`,
    "db.operation.name": "getSession",
    "error.type": "ERR_PERSIST_SCHEMA",
  };
  const session = { "gen_ai.conversation.id": "s" };
  const [insert, get] = spans.getFinishedSpans();
  assert.deepEqual(insert?.attributes, { ...stored, ...session });
  assert.deepEqual([insert?.kind, insert?.status.code], [SpanKind.CLIENT, SpanStatusCode.UNSET]);
  assert.deepEqual(get?.attributes, { ...failed, ...session });
  assert.equal(get?.status.code, SpanStatusCode.ERROR);
  assert.match(get?.status.message ?? "", /^Error: the tables of database .* are not ready/);

  const { dataPoints } = (await measured()).get("db.client.operation.duration") as HistogramMetricData;
  assert.deepEqual(
    dataPoints.map(({ attributes, value }) => [attributes, value.count]),
    [
      [stored, 1],
      [failed, 1],
    ],
  );
});

test("durations are those of the spans, in seconds, in buckets from 50 microseconds", async (t) => {
  const driver = open(t);
  await Promise.all(Array.from({ length: 20 }, (_, index) => driver.insertEvent("s", eventAt("s", index + 1))));
  const metric = (await measured()).get("db.client.operation.duration") as HistogramMetricData;
  assert.equal(metric.descriptor.unit, "s");
  const [{ value }] = metric.dataPoints as [HistogramMetricData["dataPoints"][number]];
  assert.deepEqual(value.buckets.boundaries.slice(0, 3), [0.00005, 0.0001, 0.00025]);
  assert.equal(value.buckets.boundaries.at(-1), 10);
  const seconds = spans.getFinishedSpans().map(({ duration: [whole, nanoseconds] }) => whole + nanoseconds / 1e9);
  assert.deepEqual([value.count, seconds.length], [20, 20]);
  const sum = seconds.reduce((all, one) => all + one);
  assert.ok(Math.abs(sum - value.sum!) < 1e-4, `${sum} and ${value.sum}`);
});

test("what happens in a store is counted, by store", async () => {
  const store = { system: "sqlite", namespace: ":memory:" };
  for (const name of ["reassigned", "retry", "reconnected", "slow", "warning", "warning"])
    diagnostics.channel(`sandbox-agent-persist:${name}`).publish(store);
  diagnostics.channel("sandbox-agent-persist:commit").publish({ ...store, writes: 3, bytes: 10, durationMs: 2 });

  const all = await measured();
  const attributes = { "db.system.name": "sqlite", "db.namespace": ":memory:" };
  const counted = (name: string) => {
    const points = all.get(`sandbox_agent_persist.${name}`)?.dataPoints ?? [];
    assert.deepEqual(
      points.map((point) => point.attributes),
      [attributes],
    );
    return points[0]!.value;
  };
  for (const name of ["reassigned", "retry", "reconnected", "slow"]) assert.equal(counted(name), 1, name);
  assert.equal(counted("warning"), 2);
  assert.equal((counted("commit.duration") as { sum: number }).sum, 0.002);
});
