// Made of lib/ by `npm run build:front`: change that, not this.

"use strict";
var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(
  // If the importer is in node compatibility mode or this is not an ESM
  // file that has been converted to a CommonJS file using a Babel-
  // compatible transform (i.e. "__esModule" has not been set), then set
  // "default" to the CommonJS "module.exports" for node compatibility.
  isNodeMode || !mod || !mod.__esModule ? __defProp(target, "default", { value: mod, enumerable: true }) : target,
  mod
));
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// lib/conformance/index.ts
var conformance_exports = {};
__export(conformance_exports, {
  testSessionPersistDriver: () => testSessionPersistDriver
});
module.exports = __toCommonJS(conformance_exports);

// lib/conformance/case.ts
function nameOf({ promise, otherwise, facts = [] }) {
  const source = facts.length === 0 ? "interface" : `fact ${facts.join(", ")}`;
  return `${promise}; otherwise ${otherwise} (${source})`;
}

// lib/conformance/cases/cursors-under-writes.ts
var import_strict2 = __toESM(require("node:assert/strict"));

// lib/conformance/records.ts
var import_strict = __toESM(require("node:assert/strict"));
var TIME = 17e11;
var FULL = {
  id: "full",
  agent: "mock",
  agentSessionId: "agent-full",
  lastConnectionId: "connection",
  createdAt: TIME,
  destroyedAt: TIME + 1,
  sandboxId: "local/127.0.0.1:2468",
  sessionInit: { cwd: "/srv/project", mcpServers: [] },
  configOptions: [],
  modes: { currentModeId: "plan", availableModes: [{ id: "plan", name: "Plan" }] }
};
function record(id, fields = {}) {
  return {
    id,
    agent: "mock",
    agentSessionId: `agent-${id}`,
    lastConnectionId: "connection",
    createdAt: TIME,
    ...fields
  };
}
function event(sessionId2, eventIndex, fields = {}) {
  return {
    id: `${sessionId2}-event-${eventIndex}`,
    eventIndex,
    sessionId: sessionId2,
    createdAt: TIME + eventIndex,
    connectionId: "connection",
    sender: "agent",
    payload: message({ text: `event ${eventIndex}` }),
    ...fields
  };
}
function message(params) {
  return { jsonrpc: "2.0", method: "session/update", params };
}
async function insert(driver, sessionId2, indexes2) {
  for (const index of indexes2) await driver.insertEvent(sessionId2, event(sessionId2, index));
}
async function allPages(list, limit) {
  const pages2 = [];
  let cursor;
  do {
    const page = await list({ ...cursor && { cursor }, ...limit && { limit } });
    pages2.push(page.items);
    cursor = page.nextCursor;
    import_strict.default.ok(pages2.length < 1e4, "the pages have no end");
  } while (cursor);
  return pages2;
}
async function eventsOf(driver, sessionId2, limit) {
  return (await allPages((request) => driver.listEvents({ sessionId: sessionId2, ...request }), limit)).flat();
}
async function sessionsOf(driver, limit) {
  return (await allPages((request) => driver.listSessions(request), limit)).flat();
}
function indexes(events2) {
  return events2.map(({ eventIndex }) => eventIndex);
}
function ids(rows) {
  return rows.map(({ id }) => id);
}
function range(from, to) {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

// lib/conformance/cases/cursors-under-writes.ts
var cursorsUnderWrites = [
  {
    promise: "events that come in before a cursor make no other event repeat or be skipped",
    otherwise: "a session that is imported while it is read is replayed with parts twice",
    facts: [5],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", range(10, 16));
      const { nextCursor } = await driver.listEvents({ sessionId: "s", limit: 3 });
      await insert(driver, "s", [1, 2, 3, 4]);
      const rest = await driver.listEvents({ sessionId: "s", cursor: nextCursor });
      import_strict2.default.deepEqual(indexes(rest.items), [13, 14, 15]);
    }
  },
  {
    promise: "sessions that come in before a cursor make no other session repeat or be skipped",
    otherwise: "a list of sessions shows some twice, since clocks differ or another machine was slow",
    async check(store) {
      const driver = await store.open();
      for (const n of range(0, 6)) await driver.updateSession(record(`s${n}`));
      const { nextCursor } = await driver.listSessions({ limit: 3 });
      for (const n of range(0, 4)) await driver.updateSession(record(`early${n}`, { createdAt: n }));
      import_strict2.default.deepEqual(ids((await driver.listSessions({ cursor: nextCursor })).items), ["s3", "s4", "s5"]);
    }
  },
  {
    promise: "a scan while events come in everywhere sees each once, in order, and all that were there",
    otherwise: "a resumed agent is told parts of its history twice, or not at all",
    facts: [4, 5],
    async check(store) {
      const driver = await store.open();
      for (const limit of [1, 2, 3]) {
        const sessionId2 = `scan-${limit}`;
        const before = range(0, 10).map((n) => n * 10);
        await insert(driver, sessionId2, before);
        const during = [95, 5, 1, 45, 44, 43, 11, 99, 2, 3];
        const seen = await allPages(async (request) => {
          const page = await driver.listEvents({ sessionId: sessionId2, ...request });
          const next = during.pop();
          if (next !== void 0) await driver.insertEvent(sessionId2, event(sessionId2, next));
          return page;
        }, limit);
        const order = indexes(seen.flat());
        import_strict2.default.deepEqual(
          order,
          [...new Set(order)].sort((a, b) => a - b)
        );
        import_strict2.default.deepEqual(
          before.filter((index) => !order.includes(index)),
          []
        );
      }
    }
  }
];

// lib/conformance/same.ts
var import_strict3 = __toESM(require("node:assert/strict"));
function assertSame(actual, expected) {
  import_strict3.default.deepEqual(plain(actual), plain(expected));
}
function assertSameText(actual, expected) {
  import_strict3.default.equal(JSON.stringify(actual), JSON.stringify(expected));
}
function plain(value) {
  return value === void 0 ? void 0 : JSON.parse(JSON.stringify(value));
}

// lib/conformance/cases/deep-copies.ts
var deepCopies = [
  {
    promise: "a record is stored as it was when updateSession was called",
    otherwise: "what a program does to its own object a moment later is stored, or half of it",
    async check(store) {
      const driver = await store.open();
      const mine = structuredClone(FULL);
      const stored = driver.updateSession(mine);
      change(mine);
      await stored;
      assertSame(await driver.getSession(FULL.id), FULL);
    }
  },
  {
    promise: "what is changed deep inside a record that was written or read does not change the store",
    otherwise: "a change that was never written shows up in the store",
    async check(store) {
      const driver = await store.open();
      const mine = structuredClone(FULL);
      await driver.updateSession(mine);
      change(mine);
      const read = await driver.getSession(FULL.id);
      assertSame(read, FULL);
      change(read);
      assertSame(await driver.getSession(FULL.id), FULL);
    }
  }
];
function change(record2) {
  record2.sessionInit.cwd = "/elsewhere";
  record2.modes.availableModes.length = 0;
}

// lib/conformance/cases/durable.ts
var import_strict4 = __toESM(require("node:assert/strict"));
var durable = [
  {
    promise: "a driver that is opened later finds every record and event as it was",
    otherwise: "a restart loses sessions, and a new process does not find the sandbox of the old one",
    facts: [5, 9],
    async check(store) {
      const writer = await store.open();
      const others = ["a", "b"].map((id, n) => record(id, { createdAt: n }));
      for (const each of [FULL, ...others]) await writer.updateSession(each);
      await insert(writer, FULL.id, range(1, 121));
      await insert(writer, "no record", [1]);
      await store.close(writer);
      const reader = await store.open();
      assertSame(await reader.getSession(FULL.id), FULL);
      assertSame(await sessionsOf(reader, 2), [...others, FULL]);
      const expected = range(1, 121).map((index) => event(FULL.id, index));
      assertSame(await eventsOf(reader, FULL.id, 50), expected);
      import_strict4.default.deepEqual(indexes(await eventsOf(reader, "no record")), [1]);
      import_strict4.default.deepEqual(await eventsOf(reader, "a"), []);
    }
  },
  {
    promise: "the last of several updates is the one that is found later",
    otherwise: "a session that was destroyed is alive after a restart, or the other way round",
    facts: [3],
    async check(store) {
      const writer = await store.open();
      await writer.updateSession(FULL);
      await writer.updateSession(record("full", { modes: null }));
      await writer.updateSession(record("other"));
      await writer.updateSession(record("other", { destroyedAt: 5 }));
      await store.close(writer);
      const reader = await store.open();
      assertSame(await reader.getSession("full"), record("full", { modes: null }));
      assertSame(await reader.getSession("other"), record("other", { destroyedAt: 5 }));
      import_strict4.default.deepEqual(ids(await sessionsOf(reader)), ["full", "other"]);
    }
  },
  {
    promise: "a session goes on where it ended, in driver after driver",
    otherwise: "a resumed session overwrites its past, or mixes it with what comes",
    facts: [4],
    async check(store) {
      for (const first of [1, 4, 7]) {
        const driver = await store.open();
        import_strict4.default.deepEqual(indexes(await eventsOf(driver, "s")), range(1, first));
        await insert(driver, "s", range(first, first + 3));
        await store.close(driver);
      }
      import_strict4.default.deepEqual(indexes(await eventsOf(await store.open(), "s")), range(1, 10));
    }
  }
];

// lib/conformance/cases/events.ts
var import_strict6 = __toESM(require("node:assert/strict"));

// lib/conformance/conflicts.ts
var import_strict5 = __toESM(require("node:assert/strict"));
var TRIES = 3;
var TAKEN = /UNIQUE constraint failed: .*session_id, .*event_index/;
async function insertAsSdk(driver, sessionId2, index, writer) {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const id = `${sessionId2}-${writer}-${index}-${attempt}`;
    const given = event(sessionId2, index + attempt, { id });
    try {
      await driver.insertEvent(sessionId2, given);
      return given;
    } catch (error) {
      const { message: message2 } = error;
      import_strict5.default.match(
        String(message2),
        TAKEN,
        "insertEvent was refused in words that the SDK takes for the loss of the event"
      );
    }
  }
  import_strict5.default.fail(`insertEvent refused index ${index} and the ${TRIES - 1} after it: the SDK gives the event up`);
}

// lib/conformance/cases/events.ts
var events = [
  {
    promise: "the events of a session that was never stored are an empty page, without a cursor",
    otherwise: "the first event of a new session is lost",
    facts: [4],
    async check(store) {
      const driver = await store.open();
      assertSame(await driver.listEvents({ sessionId: "nobody" }), { items: [] });
    }
  },
  {
    promise: "an event comes back with every field that it had",
    otherwise: "history says the wrong thing of who said what, and when",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const prompt = event("s", 1, { sender: "client", createdAt: 0, payload: message({ text: "hello" }) });
      const answer = event("s", 2, { createdAt: 2e12, connectionId: "another" });
      await driver.insertEvent("s", prompt);
      await driver.insertEvent("s", answer);
      assertSame(await driver.listEvents({ sessionId: "s" }), { items: [prompt, answer] });
    }
  },
  {
    promise: "events may come before the record of their session, and stay when it comes",
    otherwise: "the first two events of every session are lost",
    facts: [1],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", [1, 2]);
      import_strict6.default.equal(await driver.getSession("s"), void 0);
      await driver.updateSession(record("s"));
      await insert(driver, "s", [3]);
      import_strict6.default.deepEqual(indexes(await eventsOf(driver, "s")), [1, 2, 3]);
    }
  },
  {
    promise: "listEvents is in order of eventIndex, as a number, however the events were inserted",
    otherwise: "a resumed agent is told its history out of order",
    facts: [5],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", [10, 2, 1e3, 9, 100, 1, 99]);
      import_strict6.default.deepEqual(indexes(await eventsOf(driver, "s")), [1, 2, 9, 10, 99, 100, 1e3]);
    }
  },
  {
    promise: "each session has its own events, whatever its id is made of",
    otherwise: "an agent is told what was said in somebody else's session",
    facts: [5],
    async check(store) {
      const driver = await store.open();
      const sessions2 = ["a", "A", "ab", "a/b", "../a", "a%", "a_", "\xE9", "\u65E5\u672C", "__proto__", "constructor"];
      for (const id of sessions2) await insert(driver, id, [1, 2]);
      for (const id of sessions2) assertSame(await eventsOf(driver, id), [event(id, 1), event(id, 2)]);
    }
  },
  {
    promise: "events that are inserted at once, in many sessions, are all stored",
    otherwise: "events are lost as soon as several agents work",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const sessions2 = range(0, 20).map((n) => `session-${n}`);
      await Promise.all(sessions2.map((id) => insert(driver, id, range(1, 11))));
      for (const id of sessions2) import_strict6.default.deepEqual(indexes(await eventsOf(driver, id)), range(1, 11));
      await Promise.all(range(1, 51).map((index) => driver.insertEvent("one", event("one", index))));
      import_strict6.default.deepEqual(indexes(await eventsOf(driver, "one")), range(1, 51));
    }
  },
  {
    promise: "insertEvent leaves the event that it is given as it is",
    otherwise: "listeners get another event than the one that the agent sent",
    facts: [7],
    async check(store) {
      const driver = await store.open();
      const given = event("s", 1, { payload: message({ list: [1, { deep: true }] }) });
      const before = structuredClone(given);
      await driver.insertEvent("s", given);
      assertSame(given, before);
    }
  },
  {
    promise: "an event that a listener changes, deep inside too, is stored unchanged",
    otherwise: "what a listener does to an event, before it shows it, changes history",
    facts: [7],
    async check(store) {
      const driver = await store.open();
      const params = { list: [1, { deep: "before" }] };
      const given = event("s", 1, { payload: message(params) });
      const expected = structuredClone(given);
      await driver.insertEvent("s", given);
      params.list.length = 0;
      given.createdAt = 0;
      const [read] = await eventsOf(driver, "s");
      assertSame(read, expected);
      Object.assign(read.payload, { params: "changed" });
      assertSame(await eventsOf(driver, "s"), [expected]);
    }
  },
  {
    promise: "an event whose index is taken is stored beside the other, or refused in the words that the SDK looks for",
    otherwise: "one of the two events is lost",
    facts: [6],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", [1]);
      const second = await insertAsSdk(driver, "s", 1, "second");
      import_strict6.default.deepEqual(ids(await eventsOf(driver, "s")).sort(), ["s-event-1", second.id].sort());
    }
  },
  {
    promise: "pages of 500 lead to the highest eventIndex that there is",
    otherwise: "the SDK counts from an index that is taken, and new events collide with old ones",
    facts: [4],
    async check(store) {
      const driver = await store.open();
      await Promise.all(range(1, 603).map((index) => driver.insertEvent("s", event("s", index))));
      import_strict6.default.equal(Math.max(...indexes(await eventsOf(driver, "s", 500))), 602);
    }
  }
];

// lib/conformance/cases/exact-json.ts
var import_strict7 = __toESM(require("node:assert/strict"));

// lib/conformance/cases/values.ts
function comesBack(what, otherwise, params) {
  return {
    promise: `${what} in messages comes back equal`,
    otherwise,
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const given = params.map((each, at) => event("s", at + 1, { payload: message(each) }));
      for (const each of given) await driver.insertEvent("s", each);
      assertSame(await eventsOf(driver, "s"), given);
    }
  };
}
var values = [
  comesBack("text of any script, with emoji", "agents that do not speak English are misquoted", [
    { text: "\u{1F469}\u200D\u{1F469}\u200D\u{1F467}\u200D\u{1F466} \u{1F1E9}\u{1F1EA} \xE9 e\u0301 \u65E5\u672C \u202Eabc", "\u{1F642}": "\uFEFF\uFFFE\uFFFF", long: "\u65E5\u672C\xE9".repeat(400) }
  ]),
  comesBack("every control character but NUL", "what a terminal or a test run prints is lost, or cut off", [
    { text: String.fromCharCode(...range(1, 160)), line: "\u2028\u2029", lines: "a\r\nb\n" }
  ]),
  comesBack("text with quotes, backslashes and what looks like JSON or SQL", "code that agents write is lost or runs", [
    { text: '\\"\\u0041{"a":[1,2]}\\/', '"': "'", sql: "'); DROP TABLE events; --", json: "null", number: "007" }
  ]),
  comesBack("every kind of JSON value", "a message says null, false or nothing where it said another of them", [
    { nothing: null, yes: true, no: false, zero: 0, empty: "", list: [], object: {}, deep: [[[]], [{}], [null]] }
  ]),
  comesBack("any number that JavaScript has", "counts of tokens and prices are off", [
    { big: 1e21, huge: Number.MAX_VALUE, small: 5e-324, third: 1 / 3, tenth: 0.1 + 0.2, unsafe: 2 ** 53, minus: -1.5 },
    { numbers: [2 ** 31, -(2 ** 31) - 1, 2 ** 63, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER] }
  ]),
  comesBack("a megabyte", "what an agent reads from a file, or says of an image, is lost", [
    { text: "0123456789 abcdef \xE9\u20AC\u{1F600}\n".repeat(2 ** 15) }
  ]),
  {
    promise: "what a record holds as JSON comes back equal",
    otherwise: "a resumed session starts its servers with other arguments, or offers other options",
    async check(store) {
      const driver = await store.open();
      const env = [{ name: "TEXT", value: '\xE9 \u{1F600} "quoted" \\ ' }];
      const given = {
        ...FULL,
        sessionInit: {
          cwd: "/srv/\u65E5\u672C",
          mcpServers: [{ name: "files", command: "/bin/files", args: ["--all", ""], env }]
        },
        modes: { currentModeId: "plan", availableModes: [{ id: "plan", name: "Plan", description: null }] }
      };
      await driver.updateSession(given);
      assertSame(await driver.getSession(given.id), given);
    }
  }
];

// lib/conformance/cases/exact-json.ts
var exactJson = [
  comesBack("\\u0000, in text and in names", "an agent that reads a binary file loses that event", [
    { text: "a\0b", "\0": "\0" }
  ]),
  comesBack("half a surrogate pair", "an emoji that was cut in two by streaming loses both events", [
    { text: "\uD83D", rest: "\uDE00", "\uDEAD": "\uDC00\uD800" }
  ]),
  {
    promise: "the names in a message come back in the order that they had",
    otherwise: "what is hashed, signed or shown as it was sent is something else",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const payload = message({ z: 1, a: { yy: 1, b: 2 }, mmm: 3, "10": 4, "9": 5, "": 6 });
      await driver.insertEvent("s", event("s", 1, { payload }));
      assertSameText((await eventsOf(driver, "s"))[0]?.payload, payload);
    }
  },
  {
    promise: "a name such as __proto__ in a message comes back as a name like others",
    otherwise: "a message changes what objects are, or loses a part",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const text = '{"__proto__":{"polluted":1},"deep":[{"__proto__":null,"constructor":2}]}';
      await driver.insertEvent("s", event("s", 1, { payload: message(JSON.parse(text)) }));
      const [read] = await eventsOf(driver, "s");
      assertSameText(read?.payload?.params, JSON.parse(text));
      import_strict7.default.equal({}.polluted, void 0);
    }
  },
  {
    promise: "\\u0000 and half surrogates in a record come back equal",
    otherwise: "a session whose options hold them cannot be stored, and is gone",
    async check(store) {
      const driver = await store.open();
      const given = {
        ...FULL,
        sessionInit: { cwd: "/srv/\0", mcpServers: [] },
        modes: { currentModeId: "\uD800", availableModes: [] }
      };
      await driver.updateSession(given);
      assertSame(await driver.getSession(given.id), given);
    }
  }
];

// lib/conformance/cases/large-values.ts
var import_strict8 = __toESM(require("node:assert/strict"));
var largeValues = [
  {
    promise: "a message of 32 MiB comes back equal",
    otherwise: "an agent that reads a large file loses that event",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const text = "0123456789 abcdef \xE9\u20AC\u{1F600}\n".repeat((32 << 20) / 30);
      await driver.insertEvent("s", event("s", 1, { payload: message(text) }));
      const [read] = await eventsOf(driver, "s");
      import_strict8.default.ok(read?.payload?.params === text, "it came back as something else");
    }
  },
  {
    promise: "a message of 1,000 levels comes back equal",
    otherwise: "an agent that prints a deep tree loses that event",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      for (const [index, [open, close]] of [
        ["[", "]"],
        ['{"a":', "}"]
      ].entries()) {
        const payload = message(JSON.parse(`${open.repeat(1e3)}1${close.repeat(1e3)}`));
        await driver.insertEvent("s", event("s", index + 1, { payload }));
        const read = (await eventsOf(driver, "s"))[index];
        import_strict8.default.ok(JSON.stringify(read?.payload) === JSON.stringify(payload), "it came back as something else");
      }
    }
  }
];

// lib/conformance/cases/pages.ts
var import_strict9 = __toESM(require("node:assert/strict"));
var pages = [
  {
    promise: "a limit that is left out, not finite or below 1 means 100",
    otherwise: "a list is cut short, or holds everything at once",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 102);
      for (const limit of [void 0, NaN, Infinity, -Infinity, -1, 0, 0.5]) {
        const request = limit === void 0 ? {} : { limit };
        for (const list of lists(driver)) import_strict9.default.deepEqual(await sizes(list, request), [100, 2], `limit ${limit}`);
      }
    }
  },
  {
    promise: "a limit that is no whole number is rounded down",
    otherwise: "a list throws, or holds more than was asked for",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 3);
      for (const list of lists(driver)) {
        import_strict9.default.deepEqual(await sizes(list, { limit: 1.99 }), [1, 1, 1]);
        import_strict9.default.deepEqual(await sizes(list, { limit: 2.5 }), [2, 1]);
      }
    }
  },
  {
    promise: "a limit may be larger than the list, whatever it is",
    otherwise: "a program that asks for everything gets an error or nothing",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 3);
      for (const list of lists(driver)) {
        for (const limit of [4, 1e5, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])
          import_strict9.default.deepEqual(await sizes(list, { limit }), [3]);
      }
    }
  },
  {
    promise: "listSessions without a request, or with an empty one, is the first page",
    otherwise: "a program that lists sessions as the SDK's types allow crashes",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 2);
      const first = await driver.listSessions();
      import_strict9.default.equal(first.items.length, 2);
      assertSame(await driver.listSessions({}), first);
    }
  },
  {
    promise: "the last page has no cursor, also when it is full",
    otherwise: "every scan asks for one page more, and a list of sessions ends with an empty page",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 6);
      for (const list of lists(driver)) {
        import_strict9.default.deepEqual(await sizes(list, { limit: 3 }), [3, 3]);
        import_strict9.default.deepEqual(await sizes(list, { limit: 6 }), [6]);
      }
    }
  },
  {
    promise: "pages of any size hold each row once, in order",
    otherwise: "a scan misses events or sees them twice, and a resumed agent with it",
    facts: [4, 5],
    async check(store) {
      const driver = await store.open();
      await fill(driver, 12);
      for (const limit of [1, 2, 5, 7, 11, 13]) {
        const events2 = await allPages((request) => driver.listEvents({ sessionId: "s", ...request }), limit);
        import_strict9.default.deepEqual(indexes(events2.flat()), range(1, 13));
        import_strict9.default.deepEqual(ids(await sessionsOf(driver, limit)), range(1, 13).map(sessionId));
      }
    }
  },
  {
    promise: "rows that come at the end between two pages are on a later page",
    otherwise: "the SDK begins to count below an event that came while it read, and the two collide",
    facts: [4],
    async check(store) {
      const driver = await store.open();
      await fill(driver, 4);
      const events2 = await driver.listEvents({ sessionId: "s", limit: 2 });
      const sessions2 = await driver.listSessions({ limit: 2 });
      await insert(driver, "s", [50]);
      await driver.updateSession(record(sessionId(99)));
      import_strict9.default.deepEqual(indexes((await driver.listEvents({ sessionId: "s", ...after(events2) })).items), [3, 4, 50]);
      import_strict9.default.deepEqual(ids((await driver.listSessions(after(sessions2))).items), [3, 4, 99].map(sessionId));
    }
  },
  {
    promise: "scans of many sessions in turns each get pages of their own, and what has come meanwhile",
    otherwise: "two sessions that are resumed at once get each other's history",
    facts: [4, 5],
    async check(store) {
      const driver = await store.open();
      const scans = range(0, 12).map((n) => ({ sessionId: `s${n}`, seen: [], cursor: {} }));
      await Promise.all(scans.map(({ sessionId: sessionId2 }) => insert(driver, sessionId2, range(1, 10))));
      for (const page of range(0, 5)) {
        if (page === 4) for (const { sessionId: sessionId2 } of scans) await insert(driver, sessionId2, [50]);
        for (const scan of scans) {
          const page2 = await driver.listEvents({ sessionId: scan.sessionId, limit: 2, ...scan.cursor });
          import_strict9.default.ok(page2.items.every(({ sessionId: sessionId2 }) => sessionId2 === scan.sessionId));
          scan.seen.push(...indexes(page2.items));
          scan.cursor = page2.nextCursor ? after(page2) : {};
        }
      }
      for (const { seen } of scans) import_strict9.default.deepEqual(seen, [...range(1, 10), 50]);
    }
  },
  {
    promise: "a cursor may be used again, and with another limit",
    otherwise: "a page cannot be asked for again after an error, or when somebody goes back",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 6);
      const cursor = after(await driver.listEvents({ sessionId: "s", limit: 2 }));
      for (const limit of [1, 2, 3]) {
        const { items } = await driver.listEvents({ sessionId: "s", ...cursor, limit });
        import_strict9.default.deepEqual(indexes(items), range(3, 3 + limit));
      }
    }
  },
  {
    promise: "cursors lead through sessions whose ids hold what cursors are made of",
    otherwise: "one odd id, which programs may choose, hides all sessions after it",
    async check(store) {
      const driver = await store.open();
      const odd = ["5", ":", "a:b", "1,2", "a|b", '{"id":1}', '"', "\\", "%00", "a b", "\n", "\xE9", "\u{1F600}"];
      for (const id of odd) await driver.updateSession(record(id));
      import_strict9.default.deepEqual(ids(await sessionsOf(driver, 1)).sort(), odd.sort());
    }
  }
];
async function fill(driver, count) {
  await Promise.all(
    range(1, count + 1).flatMap((n) => [
      driver.insertEvent("s", event("s", n)),
      driver.updateSession(record(sessionId(n)))
    ])
  );
}
function sessionId(n) {
  return `session-${String(n).padStart(3, "0")}`;
}
function lists(driver) {
  return [(request) => driver.listEvents({ sessionId: "s", ...request }), (request) => driver.listSessions(request)];
}
async function sizes(list, request) {
  const found = await allPages((next) => list({ ...request, ...next }));
  return found.map((items) => items.length);
}
function after({ nextCursor }) {
  import_strict9.default.ok(nextCursor, "a page that is not the last has a cursor");
  return { cursor: nextCursor };
}

// lib/conformance/cases/retries.ts
var import_strict10 = __toESM(require("node:assert/strict"));
var retries = [
  {
    promise: "an event that is inserted again under its id, at its place, is stored once",
    otherwise: "whoever tries again after an error, or copies a session twice, has every event twice",
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", range(1, 6));
      await insert(driver, "s", [2, 5, 2]);
      import_strict10.default.deepEqual(indexes(await eventsOf(driver, "s")), range(1, 6));
    }
  },
  {
    promise: "an event that is inserted twice at once under one id is stored once",
    otherwise: "an impatient second try stores the event twice",
    async check(store) {
      const driver = await store.open();
      await Promise.all([1, 1, 2, 2].map((index) => driver.insertEvent("s", event("s", index))));
      import_strict10.default.deepEqual(indexes(await eventsOf(driver, "s")), [1, 2]);
    }
  }
];

// lib/conformance/cases/sessions.ts
var import_strict11 = __toESM(require("node:assert/strict"));
var sessions = [
  {
    promise: "getSession of an id that was never stored resolves to undefined",
    otherwise: "resumeOrCreateSession fails where it should create the session",
    async check(store) {
      const driver = await store.open();
      import_strict11.default.equal(await driver.getSession("nobody"), void 0);
      await driver.updateSession(record("somebody"));
      import_strict11.default.equal(await driver.getSession("nobody"), void 0);
    }
  },
  {
    promise: "a record comes back with every field that it had",
    otherwise: "a resumed session has another agent, working directory or mode, and its sandbox is not found again",
    facts: [9],
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(FULL);
      assertSame(await driver.getSession("full"), FULL);
      assertSame(await sessionsOf(driver), [FULL]);
    }
  },
  {
    promise: "a field that a record does not have is absent, and not null",
    otherwise: "a session that lives has a destroyedAt, and so looks destroyed",
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(record("bare"));
      assertSame(await driver.getSession("bare"), record("bare"));
      assertSame(await sessionsOf(driver), [record("bare")]);
    }
  },
  {
    promise: "updateSession replaces the whole record: what is undefined in the new one is gone",
    otherwise: "a session that was destroyed and resumed stays destroyed",
    facts: [3],
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(FULL);
      const next = record("full", { agent: "second", lastConnectionId: "later" });
      await driver.updateSession({ ...FULL, ...next, ...cleared() });
      assertSame(await driver.getSession("full"), next);
      assertSame(await sessionsOf(driver), [next]);
    }
  },
  {
    promise: "modes that are null stay null, and modes that are absent stay absent",
    otherwise: "an agent that has no modes looks like one whose modes are not known",
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(record("s", { modes: null }));
      import_strict11.default.equal((await driver.getSession("s"))?.modes, null);
      await driver.updateSession(record("s"));
      import_strict11.default.equal((await driver.getSession("s"))?.modes, void 0);
    }
  },
  {
    promise: "a record that the caller changes after updateSession, or after reading it, is stored unchanged",
    otherwise: "a change that was never written shows up in the store",
    async check(store) {
      const driver = await store.open();
      const mine = record("mine", { agent: "before" });
      await driver.updateSession(mine);
      mine.agent = "after";
      const read = await driver.getSession("mine");
      import_strict11.default.equal(read?.agent, "before");
      read.agent = "after";
      import_strict11.default.equal((await driver.getSession("mine"))?.agent, "before");
    }
  },
  {
    promise: "listSessions is in order of createdAt, then of id, however the sessions were stored",
    otherwise: "lists of sessions jump about, and pages of them miss some",
    async check(store) {
      const driver = await store.open();
      const at = (createdAt, id) => record(id, { createdAt });
      const inOrder = [at(0, "m"), at(9, "j"), at(10, "a"), at(10, "b"), at(10, "c"), at(100, "h"), at(2e12, "e")];
      for (const n of [4, 1, 6, 2, 0, 5, 3]) await driver.updateSession(inOrder[n]);
      import_strict11.default.deepEqual(ids(await sessionsOf(driver)), ids(inOrder));
    }
  },
  {
    promise: "a session is in the list once, at the place of the record that it has now",
    otherwise: "a session that was updated is listed twice, or where it no longer belongs",
    facts: [3],
    async check(store) {
      const driver = await store.open();
      for (const id of ["a", "b", "c"]) await driver.updateSession(record(id));
      await driver.updateSession(record("b", { agent: "second" }));
      await driver.updateSession(record("a", { createdAt: 2e12 }));
      import_strict11.default.deepEqual(ids(await sessionsOf(driver)), ["b", "c", "a"]);
    }
  }
];
function cleared() {
  return {
    destroyedAt: void 0,
    sandboxId: void 0,
    sessionInit: void 0,
    configOptions: void 0,
    modes: void 0
  };
}

// lib/conformance/cases/several-writers.ts
var import_strict12 = __toESM(require("node:assert/strict"));
var severalWriters = [
  {
    promise: "drivers that are opened at once on an empty store all work",
    otherwise: "of several processes that are deployed together, some do not start",
    async check(store) {
      const drivers = await Promise.all(range(0, 6).map(() => store.open()));
      await Promise.all(drivers.map((driver, n) => driver.updateSession(record(`session-${n}`))));
      const all = range(0, 6).map((n) => `session-${n}`);
      for (const driver of drivers) import_strict12.default.deepEqual(ids(await sessionsOf(driver)), all);
    }
  },
  {
    promise: "what one driver has written, the other reads",
    otherwise: "a session cannot be resumed by another process",
    facts: [5],
    async check(store) {
      const [one, other] = await openTwo(store);
      await one.updateSession(record("s"));
      await insert(one, "s", [1, 2]);
      assertSame(await other.getSession("s"), record("s"));
      import_strict12.default.deepEqual(indexes(await eventsOf(other, "s")), [1, 2]);
      await insert(other, "s", [3]);
      await other.updateSession(record("s", { agent: "second" }));
      await insert(one, "s", [4]);
      import_strict12.default.deepEqual(indexes(await eventsOf(one, "s")), [1, 2, 3, 4]);
      import_strict12.default.deepEqual(indexes(await eventsOf(other, "s")), [1, 2, 3, 4]);
      import_strict12.default.equal((await one.getSession("s"))?.agent, "second");
      import_strict12.default.deepEqual(ids(await sessionsOf(one)), ["s"]);
    }
  },
  {
    promise: "drivers that write to sessions of their own at once lose nothing",
    otherwise: "events are lost as soon as there are two processes",
    facts: [2, 6],
    async check(store) {
      const drivers = await openTwo(store);
      const sessions2 = range(0, 8).map((n) => `session-${n}`);
      await Promise.all(sessions2.map((id, n) => insert(drivers[n % 2], id, range(1, 16))));
      for (const [n, id] of sessions2.entries()) {
        import_strict12.default.deepEqual(indexes(await eventsOf(drivers[(n + 1) % 2], id)), range(1, 16));
      }
    }
  },
  {
    promise: "an event at an index that the other driver has taken is stored too, or refused in the SDK's words",
    otherwise: "one of the two events is lost",
    facts: [6],
    async check(store) {
      const [one, other] = await openTwo(store);
      const stored = [
        await insertAsSdk(one, "s", 1, "one"),
        await insertAsSdk(other, "s", 1, "other"),
        await insertAsSdk(one, "s", 2, "one")
      ];
      for (const driver of [one, other]) {
        import_strict12.default.deepEqual(ids(await eventsOf(driver, "s")).sort(), ids(stored).sort());
      }
    }
  },
  {
    promise: "events that two drivers insert at one index at the same moment are both stored",
    otherwise: "one of the two events is lost",
    facts: [6],
    async check(store) {
      const drivers = await openTwo(store);
      const stored = [];
      for (const index of range(1, 11).map((n) => n * 10)) {
        const both = drivers.map((driver, n) => insertAsSdk(driver, "s", index, `driver-${n}`));
        stored.push(...ids(await Promise.all(both)));
      }
      import_strict12.default.deepEqual(ids(await eventsOf(drivers[0], "s", 7)).sort(), stored.sort());
    }
  }
];
async function openTwo(store) {
  const one = await store.open();
  await one.listSessions();
  return [one, await store.open()];
}

// lib/conformance/cases/unknown-fields.ts
var FIELDS = { fromNewerSdk: { deep: [1, null, "text"] }, zero: 0, no: false };
var unknownFields = [
  {
    promise: "a field of a record that this release of the SDK does not have is kept",
    otherwise: "after an update of the SDK, sessions lack what it needs",
    async check(store) {
      const driver = await store.open();
      const newer = { ...FULL, ...FIELDS };
      await driver.updateSession(newer);
      assertSame(await driver.getSession(FULL.id), newer);
    }
  },
  {
    promise: "a field of an event that this release of the SDK does not have is kept",
    otherwise: "after an update of the SDK, events lack what it needs",
    async check(store) {
      const driver = await store.open();
      const newer = { ...event("s", 1), ...FIELDS };
      await driver.insertEvent("s", newer);
      assertSame(await eventsOf(driver, "s"), [newer]);
    }
  }
];

// lib/conformance/groups.ts
var REQUIRED = { sessions, events, pages, values };
var OPTIONAL = {
  durable,
  "several writers": severalWriters,
  "exact JSON": exactJson,
  "cursors under writes": cursorsUnderWrites,
  retries,
  "deep copies": deepCopies,
  "unknown fields": unknownFields,
  "large values": largeValues
};

// lib/conformance/suite.ts
var TIMEOUT_MS = 6e4;
var CLOSING_MS = 5e3;
function testSessionPersistDriver(open, options = {}) {
  const { name = "session persist driver", skip = [], timeoutMs = TIMEOUT_MS } = options;
  const { test = testOfNode(), describe = require("node:test").describe } = options;
  for (const group of skip) {
    if (!Object.hasOwn(OPTIONAL, group)) {
      throw new TypeError(`skip names "${group}": the groups are "${Object.keys(OPTIONAL).join('", "')}"`);
    }
  }
  const skipped = new Set(skip);
  for (const [group, cases] of Object.entries({ ...REQUIRED, ...OPTIONAL })) {
    describe(`${name}: ${group}`, () => {
      for (const each of cases) {
        const run = () => runCase(each, open, timeoutMs, options.remove);
        if (skipped.has(group)) test.skip(nameOf(each), run);
        else test(nameOf(each), run, timeoutMs + 2 * CLOSING_MS);
      }
    });
  }
}
function testOfNode() {
  const { test } = require("node:test");
  return Object.assign(
    (name, run, timeout) => test(name, timeout ? { timeout } : {}, run),
    { skip: (name, run) => test.skip(name, run) }
  );
}
async function runCase(each, open, timeoutMs, remove) {
  const name = newStoreName();
  const closers = /* @__PURE__ */ new Map();
  const store = {
    open: async () => {
      const opened = await open(name);
      const driver = driverOf(opened);
      closers.set(driver, () => opened.close?.());
      return driver;
    },
    close: async (driver) => {
      const close = closers.get(driver);
      closers.delete(driver);
      await close?.();
    }
  };
  const end = async () => {
    const failures2 = [];
    const attempt = async (act) => {
      try {
        await act();
      } catch (error) {
        failures2.push(error);
      }
    };
    for (const driver of [...closers.keys()].reverse()) await attempt(() => store.close(driver));
    await attempt(() => remove?.(name));
    return failures2;
  };
  try {
    await within(timeoutMs, each.check(store));
  } catch (error) {
    await within(CLOSING_MS, end()).catch(() => {
    });
    throw error;
  }
  const failures = await end();
  if (failures.length > 0) throw failures[0];
}
function driverOf(opened) {
  if (typeof opened === "object" && opened !== null) {
    if ("insertEvent" in opened) return opened;
    if (typeof opened.driver === "object" && opened.driver !== null) return opened.driver;
  }
  throw new TypeError("what opens a driver must give a driver, or an object with the fields driver and close");
}
async function within(milliseconds, work) {
  let timer;
  const over = new Promise((_, reject) => {
    const refuse = () => reject(new Error(`the driver has not answered within ${milliseconds} ms`));
    timer = setTimeout(refuse, milliseconds);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
var stores = 0;
function newStoreName() {
  return `conformance_${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}_${stores += 1}`;
}
// Annotate the CommonJS export names for ESM import in node:
0 && (module.exports = {
  testSessionPersistDriver
});
