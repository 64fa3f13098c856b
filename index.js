// Made of lib/ by `npm run build:front`: change that, not this.

"use strict";
var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __knownSymbol = (name, symbol) => (symbol = Symbol[name]) ? symbol : /* @__PURE__ */ Symbol.for("Symbol." + name);
var __typeError = (msg) => {
  throw TypeError(msg);
};
var __defNormalProp = (obj, key, value) => key in obj ? __defProp(obj, key, { enumerable: true, configurable: true, writable: true, value }) : obj[key] = value;
var __name = (target, value) => __defProp(target, "name", { value, configurable: true });
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
var __decoratorStart = (base) => [, , , __create(base?.[__knownSymbol("metadata")] ?? null)];
var __decoratorStrings = ["class", "method", "getter", "setter", "accessor", "field", "value", "get", "set"];
var __expectFn = (fn) => fn !== void 0 && typeof fn !== "function" ? __typeError("Function expected") : fn;
var __decoratorContext = (kind, name, done, metadata, fns) => ({ kind: __decoratorStrings[kind], name, metadata, addInitializer: (fn) => done._ ? __typeError("Already initialized") : fns.push(__expectFn(fn || null)) });
var __decoratorMetadata = (array, target) => __defNormalProp(target, __knownSymbol("metadata"), array[3]);
var __runInitializers = (array, flags, self, value) => {
  for (var i = 0, fns = array[flags >> 1], n = fns && fns.length; i < n; i++) flags & 1 ? fns[i].call(self) : value = fns[i].call(self, value);
  return value;
};
var __decorateElement = (array, flags, name, decorators, target, extra) => {
  var fn, it, done, ctx, access, k = flags & 7, s = !!(flags & 8), p = !!(flags & 16);
  var j = k > 3 ? array.length + 1 : k ? s ? 1 : 2 : 0, key = __decoratorStrings[k + 5];
  var initializers = k > 3 && (array[j - 1] = []), extraInitializers = array[j] || (array[j] = []);
  var desc = k && (!p && !s && (target = target.prototype), k < 5 && (k > 3 || !p) && __getOwnPropDesc(k < 4 ? target : { get [name]() {
    return __privateGet(this, extra);
  }, set [name](x) {
    return __privateSet(this, extra, x);
  } }, name));
  k ? p && k < 4 && __name(extra, (k > 2 ? "set " : k > 1 ? "get " : "") + name) : __name(target, name);
  for (var i = decorators.length - 1; i >= 0; i--) {
    ctx = __decoratorContext(k, name, done = {}, array[3], extraInitializers);
    if (k) {
      ctx.static = s, ctx.private = p, access = ctx.access = { has: p ? (x) => __privateIn(target, x) : (x) => name in x };
      if (k ^ 3) access.get = p ? (x) => (k ^ 1 ? __privateGet : __privateMethod)(x, target, k ^ 4 ? extra : desc.get) : (x) => x[name];
      if (k > 2) access.set = p ? (x, y) => __privateSet(x, target, y, k ^ 4 ? extra : desc.set) : (x, y) => x[name] = y;
    }
    it = (0, decorators[i])(k ? k < 4 ? p ? extra : desc[key] : k > 4 ? void 0 : { get: desc.get, set: desc.set } : target, ctx), done._ = 1;
    if (k ^ 4 || it === void 0) __expectFn(it) && (k > 4 ? initializers.unshift(it) : k ? p ? extra = it : desc[key] = it : target = it);
    else if (typeof it !== "object" || it === null) __typeError("Object expected");
    else __expectFn(fn = it.get) && (desc.get = fn), __expectFn(fn = it.set) && (desc.set = fn), __expectFn(fn = it.init) && initializers.unshift(fn);
  }
  return k || __decoratorMetadata(array, target), desc && __defProp(target, name, desc), p ? k ^ 4 ? extra : desc : target;
};
var __accessCheck = (obj, member, msg) => member.has(obj) || __typeError("Cannot " + msg);
var __privateIn = (member, obj) => Object(obj) !== obj ? __typeError('Cannot use the "in" operator on this value') : member.has(obj);
var __privateGet = (obj, member, getter) => (__accessCheck(obj, member, "read from private field"), getter ? getter.call(obj) : member.get(obj));
var __privateSet = (obj, member, value, setter) => (__accessCheck(obj, member, "write to private field"), setter ? setter.call(obj, value) : member.set(obj, value), value);
var __privateMethod = (obj, member, method) => (__accessCheck(obj, member, "access private method"), method);

// lib/index.ts
var lib_exports = {};
__export(lib_exports, {
  PostgresSessionPersistDriver: () => PostgresSessionPersistDriver,
  SQLiteSessionPersistDriver: () => SQLiteSessionPersistDriver,
  copySessions: () => copySessions
});
module.exports = __toCommonJS(lib_exports);

// <define:PLATFORMS>
var define_PLATFORMS_default = ["linux-x64-gnu", "linux-arm64-gnu", "linux-x64-musl", "linux-arm64-musl", "darwin-x64", "darwin-arm64", "win32-x64-msvc"];

// lib/driver.ts
var import_node_crypto = require("node:crypto");

// lib/channels.ts
var import_node_diagnostics_channel = __toESM(require("node:diagnostics_channel"));
var NAME = "sandbox-agent-persist";
var { assign } = Object;
var points = {
  commit: point("commit"),
  reassigned: point("reassigned"),
  retry: point("retry"),
  reconnected: point("reconnected"),
  slow: point("slow"),
  warning: point("warning")
};
function isWatched() {
  return points.commit.hasSubscribers || points.reassigned.hasSubscribers || points.retry.hasSubscribers || points.reconnected.hasSubscribers || points.slow.hasSubscribers || points.warning.hasSubscribers;
}
function publish({ store, notices }) {
  for (const { channel, message } of notices) {
    if (points[channel].hasSubscribers) points[channel].publish(assign(message, store));
  }
}
function point(name) {
  return import_node_diagnostics_channel.default.channel(`${NAME}:${name}`);
}
var tracing = {
  backup: tracingOf("backup"),
  check: tracingOf("check"),
  close: tracingOf("close"),
  compactSession: tracingOf("compactSession"),
  compactSessions: tracingOf("compactSessions"),
  copySessions: tracingOf("copySessions"),
  deleteSession: tracingOf("deleteSession"),
  flush: tracingOf("flush"),
  forkSession: tracingOf("forkSession"),
  getLabels: tracingOf("getLabels"),
  getSession: tracingOf("getSession"),
  insertEvent: tracingOf("insertEvent"),
  listEvents: tracingOf("listEvents"),
  listSessions: tracingOf("listSessions"),
  pruneSessions: tracingOf("pruneSessions"),
  ready: tracingOf("ready"),
  rebuild: tracingOf("rebuild"),
  setLabels: tracingOf("setLabels"),
  stats: tracingOf("stats"),
  tailEvents: tracingOf("tailEvents"),
  updateSession: tracingOf("updateSession"),
  vacuum: tracingOf("vacuum")
};
function tracingOf(method) {
  const channel = (event) => import_node_diagnostics_channel.default.channel(`tracing:${NAME}:${method}:${event}`);
  return {
    start: channel("start"),
    end: channel("end"),
    asyncStart: channel("asyncStart"),
    asyncEnd: channel("asyncEnd"),
    error: channel("error")
  };
}

// lib/drain.ts
var import_node_timers2 = __toESM(require("node:timers"));

// lib/realm.ts
var import_node_timers = __toESM(require("node:timers"));

// lib/password.ts
var failures = /* @__PURE__ */ new Map();
var count = 0;
async function askPassword(ask, settle) {
  try {
    const password = await ask();
    if (typeof password !== "string")
      throw new TypeError(`options.password returned ${kindOf(password)}, not a string`);
    if (/[\0\p{Surrogate}]/u.test(password))
      throw new TypeError("options.password returned a string with a NUL character or a lone surrogate");
    settle(password, 0);
  } catch (failure2) {
    count += 1;
    failures.set(count, failure2);
    if (!settle(void 0, count)) failures.delete(count);
  }
}
function failureOf(number) {
  return failures.get(number);
}
function forgetFailure(number) {
  failures.delete(number);
}
function kindOf(value) {
  return value === null ? "null" : value === void 0 ? "undefined" : `a value of type ${typeof value}`;
}

// lib/realm.ts
var { stringify, parse } = JSON;
var { setImmediate } = import_node_timers.default;
var { defineProperty, entries } = Object;
var OwnError = Error;
var OwnTypeError = TypeError;
function createError(code, message, details = {}) {
  const error = code === "ERR_PERSIST_INVALID_ARGUMENT" ? new OwnTypeError(message) : new OwnError(message);
  OwnError.captureStackTrace?.(error, createError);
  define(error, "code", code);
  for (const [name, value] of entries(details)) define(error, name, value);
  return error;
}
function abortError(cause) {
  const error = new OwnError("The operation was aborted");
  OwnError.captureStackTrace?.(error, abortError);
  for (const [name, value] of entries({ name: "AbortError", code: "ABORT_ERR", cause })) define(error, name, value);
  return error;
}
function databaseError(message) {
  return new OwnError(message);
}
function define(error, name, value) {
  defineProperty(error, name, { value, writable: true, enumerable: true, configurable: true });
}
async function sendAfterTurn(driver) {
  await void 0;
  driver.send();
}
var realm = {
  stringify,
  parse,
  createError,
  databaseError,
  askPassword,
  failureOf,
  forgetFailure,
  setImmediate,
  sendAfterTurn,
  publish
};

// lib/drain.ts
var { clearTimeout, setImmediate: setImmediate2, setTimeout } = import_node_timers2.default;
var QUIET_TURNS = 10;
var QUIET_MS = 250;
var Drain = class {
  #native;
  #timer;
  #hasTime = true;
  /** Ends the wait that is going on. */
  #giveUp = () => {
  };
  constructor(native) {
    this.#native = native;
    this.#timer = setTimeout(() => {
      this.#hasTime = false;
      this.#giveUp();
    }, native.drainTimeoutMs);
  }
  stop() {
    clearTimeout(this.#timer);
  }
  /** Waits until no call has been pending for a few turns of the event loop; false when the time is over first. */
  async untilIdle() {
    let turns = 0;
    while (turns < QUIET_TURNS) {
      if (this.#native.pending > 0) {
        await this.#untilTimeOver((resolve) => void this.#native.whenIdle().then(resolve));
        if (!this.#hasTime) return false;
        turns = 0;
      }
      await new Promise((resolve) => setImmediate2(resolve));
      turns += 1;
    }
    return true;
  }
  /** Waits until all is idle and no write has come for a while (`QUIET_MS`); false when the time is over first. */
  async untilQuiet(writes) {
    while (this.#hasTime) {
      const before = writes();
      await this.#untilTimeOver((resolve) => void setTimeout(resolve, QUIET_MS));
      if (!this.#hasTime || !await this.untilIdle()) return false;
      if (writes() === before) return true;
    }
    return false;
  }
  /**
   * Waits until `resolve` is called, or the time is over. Not with `Promise.race` and one promise for the end of the time:
   * that would keep a part of each wait until then.
   */
  #untilTimeOver(start) {
    return new Promise((resolve) => {
      this.#giveUp = resolve;
      if (this.#hasTime) start(resolve);
      else resolve();
    });
  }
};
async function drainUntilQuiet(native, writes) {
  const drain = new Drain(native);
  try {
    if (await drain.untilQuiet(writes)) return;
  } finally {
    drain.stop();
  }
  throw createError(
    "ERR_PERSIST_TIMEOUT",
    `flushing the driver was given up after ${native.drainTimeoutMs} ms (options.drainTimeoutMs): in that time there were no ${QUIET_MS} ms in which no event came. What was handed over will be stored; call flush() again, once no prompt is running`
  );
}
async function drainAndClose(native) {
  const drain = new Drain(native);
  try {
    await drain.untilIdle();
  } finally {
    drain.stop();
  }
  return native.close();
}

// lib/abort.ts
function signalOf(given, name) {
  try {
    const signal = given?.signal;
    if (signal === void 0 || isSignal(signal)) return signal;
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "reading the field signal threw (see `cause`)", { cause });
  }
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", `${name}.signal must be an AbortSignal`);
}
function isSignal(value) {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value;
  return typeof aborted === "boolean" && typeof addEventListener === "function" && typeof removeEventListener === "function";
}
var listening = /* @__PURE__ */ new WeakMap();
function whenAborted(signal, act) {
  const { acts, stop } = listening.get(signal) ?? listen(signal);
  acts.add(act);
  return () => {
    acts.delete(act);
    if (acts.size === 0) stop();
  };
}
function listen(signal) {
  const acts = /* @__PURE__ */ new Set();
  const onAbort = () => {
    for (const act of acts) act();
  };
  try {
    signal.addEventListener("abort", onAbort);
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "listening to the signal threw (see `cause`)", { cause });
  }
  const stop = () => {
    listening.delete(signal);
    signal.removeEventListener("abort", onAbort);
  };
  const begun = { acts, stop };
  listening.set(signal, begun);
  return begun;
}

// lib/tail.ts
var Tail = class {
  /** None once the iterator has ended. */
  #follower;
  #signal;
  /** Why it could not begin, until the first `next()` has said so. */
  #refusal;
  #page = [];
  /** How many events of the page were given. */
  #given = 0;
  /** The last call that waits. */
  #last;
  /** Whom to tell of its end, if anybody. */
  #ended;
  /** `follow` may throw, and so may what the caller's request does when it is read. */
  constructor(follow, request, ended) {
    this.#ended = ended;
    try {
      const follower = follow();
      this.#signal = signalOf(request, "request");
      this.#follower = follower;
    } catch (error) {
      this.#refusal = { error };
    }
  }
  async next() {
    try {
      const result = !this.#last && this.#take() || await this.#takeInTurn();
      if (result.done) this.#ended?.();
      return result;
    } catch (error) {
      this.#ended?.({ error });
      throw error;
    }
  }
  async return() {
    await this.#end();
    return { done: true, value: void 0 };
  }
  async throw(error) {
    await this.#end();
    throw error;
  }
  async [Symbol.asyncDispose]() {
    await this.#end();
  }
  [Symbol.asyncIterator]() {
    return this;
  }
  /** What can be said at once: the next event of the page, the end, or why there is none. */
  #take() {
    if (this.#refusal) {
      const { error } = this.#refusal;
      this.#refusal = void 0;
      throw error;
    }
    if (!this.#follower) return { done: true, value: void 0 };
    if (this.#signal?.aborted) {
      this.#page = [];
      this.#follower.end();
      throw abortError(this.#signal.reason);
    }
    const value = this.#page[this.#given];
    if (!value) return void 0;
    this.#given += 1;
    return { done: false, value };
  }
  async #takeInTurn() {
    const turn = this.#takeAfter(this.#last);
    this.#last = turn;
    try {
      return await turn;
    } finally {
      if (this.#last === turn) this.#last = void 0;
    }
  }
  /** Takes an event once the call before has taken its own: calls that wait at the same time keep their order. */
  async #takeAfter(before) {
    if (before) await settled(before);
    for (; ; ) {
      const taken = this.#take();
      if (taken) return taken;
      await this.#nextPage();
    }
  }
  async #nextPage() {
    const follower = this.#follower;
    if (!follower) return;
    const signal = this.#signal;
    const stopListening = signal && whenAborted(signal, () => follower.end());
    try {
      this.#page = [];
      this.#given = 0;
      const page = await follower.nextEvents();
      if (page) this.#page = page;
      else if (!signal?.aborted) this.#follower = void 0;
    } catch (error) {
      this.#follower = void 0;
      throw error;
    } finally {
      stopListening?.();
    }
  }
  /** Ends the iterator, and waits for the calls that wait: they have nothing more to come. */
  async #end() {
    this.#refusal = void 0;
    this.#follower?.end();
    this.#follower = void 0;
    this.#page = [];
    if (this.#last) await settled(this.#last);
    this.#ended?.();
  }
};
async function settled(call2) {
  try {
    await call2;
  } catch {
  }
}

// lib/trace.ts
function isTraced(method) {
  const { start, end, asyncStart, asyncEnd, error } = tracing[method];
  return start.hasSubscribers || end.hasSubscribers || asyncStart.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers;
}
function tracedCall(method, store, session) {
  const sessionId = idOf(session);
  return { method, ...sessionId !== void 0 && { sessionId }, ...store };
}
function idOf(session) {
  if (typeof session === "string") return session;
  try {
    if (session === void 0) return void 0;
    const id = "sessionId" in session ? session.sessionId : session.id;
    return typeof id === "string" ? id : void 0;
  } catch {
    return void 0;
  }
}
function trace(call2, work) {
  return begin(call2, () => awaited(work(), tellingEnd(call2)));
}
function traceLife(call2, work) {
  return begin(call2, () => work(tellingEnd(call2)));
}
function begin(call2, work) {
  const { start, end } = tracing[call2.method];
  const whole = () => {
    try {
      return work();
    } finally {
      end.publish(call2);
    }
  };
  if (start.runStores) return start.runStores(call2, whole);
  start.publish(call2);
  return whole();
}
async function awaited(promise, ended) {
  let result;
  try {
    result = await promise;
  } catch (error) {
    ended({ error });
    throw error;
  }
  ended();
  return result;
}
function tellingEnd(call2) {
  const { asyncStart, asyncEnd, error } = tracing[call2.method];
  let isOver = false;
  return (failure2) => {
    if (isOver) return;
    isOver = true;
    if (failure2) {
      call2.error = failure2.error;
      error.publish(call2);
    }
    asyncStart.publish(call2);
    asyncEnd.publish(call2);
  };
}

// lib/driver.ts
var isDriver;
var nativeOf;
var addressOf;
var noteWrite;
var PersistDriver = class {
  #native;
  #address;
  /** How many writes were called. */
  #writes = 0;
  #closing;
  /** Whether the native part collects what it has to tell. */
  #watched = false;
  /** @internal */
  constructor(native) {
    this.#native = native;
    this.#address = native.address;
  }
  /**
   * Resolves once the database can be used and its tables are ready. There is no need to call it: every call waits for
   * that. It tells early whether the database can be used at all. After a failure the next call, whichever it is, tries
   * again. A Postgres server that cannot be reached, and never could, is told within two seconds, while writes go on trying
   * for `queryTimeoutMs`; one that was reached before is waited for as long.
   *
   * @throws SQLite: `ERR_PERSIST_UNAVAILABLE` (no such directory, no right), `ERR_PERSIST_CORRUPT` (not a database),
   * `ERR_PERSIST_BUSY`, `ERR_PERSIST_FULL`. Postgres: `ERR_PERSIST_UNAVAILABLE` (no server, no database, a wrong password,
   * no right), `ERR_PERSIST_TIMEOUT`. Both: `ERR_PERSIST_FOREIGN_TABLE`, `ERR_PERSIST_SCHEMA`, `ERR_PERSIST_READONLY`.
   * @example
   * ```ts
   * await persist.ready();
   * ```
   */
  ready() {
    return call(this, "ready", (native) => native.ready());
  }
  /**
   * The session's record, or `undefined` when there is none.
   *
   * @example
   * ```ts
   * const record = await persist.getSession("my-session");
   * ```
   */
  getSession(id) {
    return call(this, "getSession", (native) => native.getSession(id), id);
  }
  /**
   * A page of sessions, in order of `(createdAt, id)`: at most `limit` of them, 100 when `limit` is left out, not finite or
   * below 1. Pass `nextCursor` as `cursor` to get the next page, with the same `order` and filters; the last page has none.
   * Sessions that come or go meanwhile make no other session repeat or be skipped.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` for a field that there is none of, a value that it cannot have, and a `cursor` of
   * another list, or of another `order` or filters.
   * @example
   * ```ts
   * let cursor: string | undefined;
   * do {
   *   const page = await persist.listSessions({ limit: 50, ...(cursor && { cursor }) });
   *   for (const record of page.items) console.log(record.id);
   *   cursor = page.nextCursor;
   * } while (cursor);
   * ```
   */
  listSessions(request) {
    return call(this, "listSessions", (native) => native.listSessions(request));
  }
  /**
   * Stores the record, in place of the one with its id if there is one: a field that is absent now is cleared. Resolves
   * once it is on disk.
   *
   * @example
   * ```ts
   * const record = await persist.getSession("my-session");
   * if (record) await persist.updateSession({ ...record, destroyedAt: Date.now() });
   * ```
   */
  updateSession(session) {
    return write(this, "updateSession", (native) => native.updateSession(session), session);
  }
  /**
   * A page of one session's events, in order of `eventIndex`: at most `limit` of them, 100 when `limit` is left out, not
   * finite or below 1; fewer when their JSON text would pass 256 MiB. Pass `nextCursor` as `cursor` to get the next page,
   * with the same `order` and filters; the last page has none.
   *
   * It shows every write that has resolved. On Postgres there is one exception: what others replace, delete or insert in the
   * middle of the session may be missing from a page with a `cursor`, of all events in ascending order, for half a second.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` for a field that there is none of, a value that it cannot have, and a `cursor` of
   * another list, or of another `order` or filters.
   * @example
   * ```ts
   * // The last 50 events, the newest first, and then those before them.
   * const newest = await persist.listEvents({ sessionId: "my-session", order: "desc", limit: 50 });
   * if (newest.nextCursor) {
   *   const { nextCursor: cursor } = newest;
   *   const before = await persist.listEvents({ sessionId: "my-session", order: "desc", limit: 50, cursor });
   * }
   * ```
   */
  listEvents(request) {
    return call(this, "listEvents", (native) => native.listEvents(request), request);
  }
  /**
   * Stores the event. Resolves once it is on disk. Storing the same event again, by its `id` and `eventIndex`, replaces it.
   * When another event has its index, `onEventIndexConflict` decides: by default it goes after the session's last event,
   * and so do the events of this driver that come after it and ask for less. Retry with the object that you passed: it
   * carries the index that the event is stored at.
   *
   * On Postgres a write whose connection breaks is tried again on another one until it is known to be stored, once, or
   * `queryTimeoutMs` is over.
   *
   * @throws `ERR_PERSIST_INDEX_CONFLICT` with `onEventIndexConflict: "reject"`, and with `"reassign"` when the new index
   * cannot be set on a frozen object (the event is stored then). `ERR_PERSIST_FULL` when the disk is full.
   * `ERR_PERSIST_BUSY` when 512 MiB of calls wait already, when another process held the file's lock for longer than
   * `busyTimeoutMs` (SQLite), or others held a lock on rows of the session for longer than `queryTimeoutMs` (Postgres). On Postgres `ERR_PERSIST_UNAVAILABLE` and `ERR_PERSIST_TIMEOUT` when `queryTimeoutMs` is
   * over, and it is not known whether the event is stored.
   * @example
   * ```ts
   * await persist.insertEvent(event.sessionId, event);
   * ```
   */
  insertEvent(sessionId, event) {
    return write(this, "insertEvent", (native) => native.insertEvent(sessionId, event), sessionId);
  }
  /**
   * Sets labels of a session, and removes those that are `null`; all others stay. Resolves once that is on disk. The labels
   * say what the SDK's record has no field for, such as whose the session is; `updateSession` never touches them. They may be
   * set before the record exists.
   *
   * A session has at most 64 labels. A name has 1 to 128 bytes of UTF-8 and a value at most 1,024, both without U+0000. A label
   * that is `undefined` stays as it is.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when a bound is passed; then nothing is changed.
   * @example
   * ```ts
   * await persist.setLabels("my-session", { tenant: "acme", user: "u1", draft: null });
   * ```
   */
  setLabels(sessionId, labels) {
    return write(this, "setLabels", (native) => native.setLabels(sessionId, labels), sessionId);
  }
  /**
   * The labels of a session; an empty object when it has none.
   *
   * @example
   * ```ts
   * const { user } = await persist.getLabels("my-session");
   * ```
   */
  getLabels(sessionId) {
    return call(this, "getLabels", (native) => native.getLabels(sessionId), sessionId);
  }
  /**
   * Follows a session: yields its stored events after `afterIndex`, then new ones as they are committed, by whichever
   * process, in order of `eventIndex`, none missing and none twice. A session that does not exist yet is waited for.
   *
   * Events of one session that several processes write may become visible out of order for a moment. So where an index
   * is missing before a new event, the iterator waits 250 ms for it, then goes on: indexes may be missing for good. Before an
   * event that was created more than a minute ago it does not wait. What arrives there later is yielded when it arrives,
   * after events with higher indexes; the last 1,000 places where indexes were missing are watched.
   *
   * It ends when the session is deleted or the driver closed; `next()` that waits then gets what was stored before. A `break` or
   * `return()` ends it, and so does `signal`. An iterator that nobody waits for keeps nothing alive and holds at most a page
   * of events, about 1 MiB; a `next()` that is awaited keeps the process alive.
   *
   * It never throws: the first `next()` rejects. After an error the iterator has ended; go on with a new one, after the last
   * event that it yielded.
   *
   * @throws `AbortError` when `signal` is aborted. `ERR_PERSIST_INVALID_ARGUMENT`, `ERR_PERSIST_CLOSED`, and what `listEvents` rejects with.
   * @example
   * ```ts
   * for await (const event of persist.tailEvents({ sessionId: "my-session", afterIndex: 41 })) {
   *   console.log(event.eventIndex, event.payload);
   * }
   * ```
   */
  tailEvents(request) {
    const follow = () => {
      if (!isDriver(this)) throw failure(this, "tailEvents");
      return this.#native.follow(request);
    };
    const tail = (ended) => new Tail(follow, request, ended);
    if (!isDriver(this) || !isTraced("tailEvents")) return tail();
    return traceLife(tracedCall("tailEvents", this.#address, request), tail);
  }
  /**
   * Deletes a session: its record, its events and its labels, in one transaction. Resolves once that is on disk, with whether
   * there was anything. A session that others write to may be deleted too. On Postgres one with a million events takes seconds,
   * and may take longer than `queryTimeoutMs`, as long as the server works on it.
   *
   * The id cannot be used for 30 days: a write to it rejects with `ERR_PERSIST_NOT_FOUND`, so that whoever still writes to the
   * session does not bring it back. On SQLite, and in the driver that deletes, that holds at once. On Postgres other drivers learn
   * of it within about a second; what they store until then is removed again.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when a foreign key or trigger of the tables' owner forbids it, and on Postgres
   * `ERR_PERSIST_UNAVAILABLE` when the user has no right to delete. Nothing is deleted then.
   * @example
   * ```ts
   * await persist.deleteSession("my-session");
   * ```
   */
  deleteSession(id) {
    return write(this, "deleteSession", (native) => native.deleteSession(id), id);
  }
  /**
   * Copies a session under a new id: its record, its labels, and its events up to and including `throughIndex`. Resolves with
   * the copy's record once all of it is on disk; nothing of it is there before. Pass its id to the SDK's `resumeSession` to go
   * on from there in another direction. The session itself stays as it is.
   *
   * It copies what this driver was called to write before, and on Postgres all that others have committed. The events keep all
   * but their `id`, which is a new random UUID, and `sessionId`. The record keeps all, `createdAt` too, but its `id`, and
   * `destroyedAt`, which is cleared. Two labels say where a copy is from: `forkedFrom` has the id of the session that was
   * copied, and `forkedThrough` the highest `eventIndex` that was copied; it is absent when no event was. They come in addition
   * to the 64 that a session may have, and a copy of a copy has its own. Columns that a table's owner has added are not copied.
   *
   * The database does the work: 100,000 events take about a second. On SQLite all other writes to the file wait meanwhile; on
   * Postgres only those of this driver to the same session do, where `maxConnections` is 4 or more. It may take longer than
   * `queryTimeoutMs` while the server works on it. Write to the copy only once the promise has resolved.
   *
   * @throws `ERR_PERSIST_NOT_FOUND` when the session has no record. `ERR_PERSIST_INVALID_ARGUMENT` when `options.id` is that of
   * a record, of events, of labels, or of a session that was deleted less than 30 days ago; or when the session's id has more than 1,024
   * bytes of UTF-8, or U+0000, which `forkedFrom` cannot hold. `ERR_PERSIST_TIMEOUT` when the server's `statement_timeout` ends
   * it (Postgres). What `insertEvent` throws.
   * @example
   * ```ts
   * const copy = await persist.forkSession("my-session", { throughIndex: 12 });
   * const session = await sdk.resumeSession(copy.id);
   * ```
   */
  forkSession(id, options) {
    return write(this, "forkSession", (native) => native.forkSession(id, options, (0, import_node_crypto.randomUUID)()), id);
  }
  /**
   * Resolves once everything that was prompted is stored. Call it when the prompts are answered, before the SDK's
   * `dispose()`: the SDK answers a prompt while the last updates are still on their way to the driver, and `dispose()` cuts
   * that way off.
   *
   * It waits until the SDK has handed over nothing for 250 ms, and all that it did hand over is stored.
   *
   * @throws `ERR_PERSIST_TIMEOUT` when `drainTimeoutMs` is over before that.
   * @example
   * ```ts
   * await session.prompt([{ type: "text", text: "Hello" }]);
   * await persist.flush();
   * await sdk.dispose();
   * await persist.close();
   * ```
   */
  flush() {
    return call(this, "flush", (native) => drainUntilQuiet(native, () => this.#writes));
  }
  /**
   * Stores what the SDK still hands over, and releases everything: threads, connections, files. Resolves when that is
   * done. May be called twice. `await using persist = ...` calls it by itself.
   *
   * It goes on taking calls until none has been pending for a few turns of the event loop, at most for `drainTimeoutMs`.
   * Calls after that reject with `ERR_PERSIST_CLOSED`. An idle driver is closed at once.
   *
   * @example
   * ```ts
   * await persist.close();
   * ```
   */
  close() {
    return call(this, "close", (native) => this.#closing ??= drainAndClose(native));
  }
  /**
   * The same as `close`, for `await using`.
   *
   * @example
   * ```ts
   * await using persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
   * ```
   */
  async [Symbol.asyncDispose]() {
    if (!isDriver(this)) return refusal(this, "close");
    return this.close();
  }
  static {
    isDriver = (value) => typeof value === "object" && value !== null && #native in value;
    nativeOf = (driver) => {
      const watched = isWatched();
      if (watched !== driver.#watched) {
        driver.#watched = watched;
        driver.#native.listen(watched);
      }
      return driver.#native;
    };
    addressOf = (driver) => driver.#address;
    noteWrite = (driver) => driver.#writes += 1;
  }
};
function call(driver, method, work, session) {
  if (!isTraced(method) || !isDriver(driver)) return callNative(driver, method, work);
  return trace(tracedCall(method, addressOf(driver), session), () => callNative(driver, method, work));
}
function callNative(driver, method, work) {
  try {
    return work(nativeOf(driver));
  } catch (error) {
    return refusal(driver, method, error);
  }
}
function write(driver, method, work, session) {
  if (isDriver(driver)) noteWrite(driver);
  return call(driver, method, work, session);
}
function refusal(driver, method, cause) {
  return Promise.reject(failure(driver, method, cause));
}
function failure(driver, method, cause) {
  return isDriver(driver) ? createError(
    "ERR_PERSIST_INTERNAL",
    `${method} failed for a mistake of sandbox-agent-persist (see \`cause\`); please report it`,
    { cause }
  ) : createError(
    "ERR_PERSIST_INVALID_ARGUMENT",
    `${method} was called without its driver: call it as driver.${method}(...), on the driver itself and not on a Proxy`
  );
}

// lib/job.ts
async function finish(start, options) {
  const signal = signalOf(options, "options");
  const tell = callbackOf(options);
  if (signal?.aborted) throw abortError(signal.reason);
  let job;
  const stopListening = signal && whenAborted(signal, () => job?.end());
  try {
    job = start();
    if (signal?.aborted) throw abortError(signal.reason);
    for (; ; ) {
      const said = await job.next();
      if (said && "result" in said) return said.result;
      if (!said) throw abortError(signal?.reason);
      tell?.(said.progress);
    }
  } finally {
    job?.end();
    stopListening?.();
  }
}
function callbackOf(options) {
  let onProgress;
  try {
    onProgress = options?.onProgress;
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "reading the field onProgress threw (see `cause`)", { cause });
  }
  if (onProgress === void 0) return void 0;
  if (typeof onProgress === "function") return onProgress;
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", "options.onProgress must be a function");
}

// lib/native.ts
var NAME2 = "sandbox-agent-persist";
var fitting = define_PLATFORMS_default.filter((platform) => `${platform}-`.startsWith(`${process.platform}-${process.arch}-`));
var { CommandLine, Copying, Driver } = load();
function load() {
  const given = process.env["NAPI_RS_NATIVE_LIBRARY_PATH"];
  if (given) return loadGiven(given);
  const problems = [];
  for (const platform of fitting) {
    const packageName = `${NAME2}-${platform}`;
    for (const file of [`./${NAME2}.${platform}.node`, packageName]) {
      try {
        const loaded = require(file);
        if (file === packageName) checkVersion(packageName);
        return loaded;
      } catch (error) {
        if (!isAbsent(error, file)) problems.push(`${file}: ${messageOf(error)}`);
      }
    }
  }
  throw createError("ERR_PERSIST_NO_BINARY", explain(problems));
}
function loadGiven(file) {
  try {
    const loaded = require(file);
    if (!loaded.Driver) throw new Error(`it is not the native part of ${NAME2}`);
    return loaded;
  } catch (error) {
    throw createError(
      "ERR_PERSIST_NO_BINARY",
      `${file} could not be loaded: ${messageOf(error)}. NAPI_RS_NATIVE_LIBRARY_PATH names it: correct or unset that variable`
    );
  }
}
function checkVersion(packageName) {
  const { version } = require(`${packageName}/package.json`);
  if (version !== "0.1.0") throw new Error(`it has version ${version}, and ${NAME2} has version ${"0.1.0"}`);
}
function messageOf(error) {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1).join().replace(/\.$/, "");
}
function isAbsent(error, file) {
  const { code, message = "" } = error;
  return code === "MODULE_NOT_FOUND" && message.includes(`'${file}'`);
}
function explain(problems) {
  const machine = `${process.platform} ${process.arch}${libc()}, Node ${process.versions.node}`;
  const binaries = `There are binaries for ${define_PLATFORMS_default.join(", ")}.`;
  if (problems.length > 0) {
    const advice = problems.some((problem) => problem.includes("loading addons is disabled")) ? "Run Node with --allow-addons beside --permission, and let it read node_modules and use the database's files." : `Remove node_modules and the lock file, and install ${NAME2} again; the system may also be too old for the binary (docs/runtimes.md).`;
    return `the native part of ${NAME2} could not be loaded on ${machine}: ${problems.join("; ")}. ${advice}`;
  }
  if (fitting.length === 0) {
    return `${NAME2} has no binary for this machine: ${machine}. ${binaries} For another, build it from source (CONTRIBUTING.md).`;
  }
  return `the native part of ${NAME2} is not installed for ${machine}. ${binaries} It is an optional dependency, ${fitting.map((platform) => `${NAME2}-${platform}`).join(" or ")}: install without --omit=optional (--no-optional), on the system that runs it; and do not let a bundler take it in (docs/bundlers.md).`;
}
function libc() {
  if (process.platform !== "linux") return "";
  try {
    Object.assign(process.report, { excludeNetwork: true });
    const { header } = process.report.getReport();
    return header.glibcVersionRuntime ? `, glibc ${header.glibcVersionRuntime}` : ", no glibc (musl)";
  } catch {
    return "";
  }
}

// lib/source.ts
var LIMIT = 500;
var MOST_PAGES_WITHOUT = 1e3;
async function* sessionsOf(source) {
  let first;
  const seen = /* @__PURE__ */ new Set();
  const check = untilEndless("listSessions");
  for await (const items of pagesOf((page) => source.listSessions(page), "listSessions")) {
    if (first !== void 0 && items[0]?.id === first) throw endless("listSessions");
    first = items[0]?.id;
    const before = seen.size;
    for (const record of items) {
      const { id } = record;
      if (seen.has(id)) continue;
      seen.add(id);
      yield record;
    }
    check(seen.size > before);
  }
}
async function* sessionsByIds(source, ids) {
  for (const id of ids) {
    const record = await source.getSession(id);
    if (!record) throw createError("ERR_PERSIST_NOT_FOUND", `the source has no session ${JSON.stringify(id)}`);
    yield record;
  }
}
async function* eventsOf(source, sessionId) {
  let last;
  let place = 0;
  const check = untilEndless("listEvents");
  for await (const items of pagesOf((page) => source.listEvents({ sessionId, ...page }), "listEvents")) {
    const placed = [];
    for (const event of items) {
      if (event.id === last?.id && event.eventIndex === last.eventIndex) continue;
      if (last && event.eventIndex < last.eventIndex) throw outOfOrder(sessionId, last, event);
      const isTaken = last !== void 0 && event.eventIndex <= place;
      last = event;
      place = isTaken ? place + 1 : event.eventIndex;
      placed.push(isTaken ? { ...event, eventIndex: place } : event);
    }
    yield placed;
    check(placed.length > 0);
  }
}
async function* pagesOf(list, method) {
  let cursor;
  let remembered;
  for (let pages = 1; ; pages += 1) {
    const page = await list({ limit: LIMIT, ...cursor !== void 0 && { cursor } });
    const items = page?.items;
    if (!isPage(items)) {
      throw createError(
        "ERR_PERSIST_INVALID_ARGUMENT",
        `${method} of the source resolved to something else than a page`
      );
    }
    yield items;
    if (!page.nextCursor) return;
    cursor = page.nextCursor;
    if (cursor === remembered) throw endless(method);
    if ((pages & pages - 1) === 0) remembered = cursor;
  }
}
function untilEndless(method) {
  let without = 0;
  return (isNew) => {
    without = isNew ? 0 : without + 1;
    if (without > MOST_PAGES_WITHOUT) throw endless(method);
  };
}
function isPage(items) {
  return isArray(items) && Array.from(items).every((item) => typeof item === "object" && item !== null);
}
var { isArray } = Array;
function endless(method) {
  return createError(
    "ERR_PERSIST_INVALID_ARGUMENT",
    `${method} of the source never comes to an end: its nextCursor leads to pages that it gave before`
  );
}
function outOfOrder(sessionId, before, after) {
  return createError(
    "ERR_PERSIST_INVALID_ARGUMENT",
    `the source lists event ${after.eventIndex} of session ${JSON.stringify(sessionId)} after event ${before.eventIndex}: where somebody has written in the middle of it meanwhile, copy again; else listEvents must list by eventIndex`
  );
}

// lib/copy.ts
var LENGTH_AT_ONCE = 1 << 20;
var EVENTS_AT_ONCE = 5e3;
function copySessions(source, target, options) {
  if (!isDriver(target)) return refused("target must be a driver of this package, and no Proxy of one");
  if (!isSource(source)) return refused("source must have the methods getSession, listSessions and listEvents");
  return call(target, "copySessions", (native) => copied(source, native, options));
}
async function copied(source, target, options) {
  const ids = idsOf(options);
  const native = nativeSourceOf(source);
  if (native) await checkAllThere(source, ids);
  const reading = { isOver: false };
  const begin2 = () => {
    if (native) return Copying.between(native, target, options, ids);
    const copying = Copying.of(target, options);
    void handOver(source, ids, copying, reading);
    return copying;
  };
  try {
    return resultOf(await finish(begin2, options));
  } catch (error) {
    throw reading.failure ? reading.failure.error : error;
  } finally {
    reading.isOver = true;
  }
}
function nativeSourceOf(source) {
  if (!isDriver(source)) return void 0;
  const reading = ["getSession", "listSessions", "listEvents", "getLabels"];
  const isPlain = reading.every((method) => source[method] === PersistDriver.prototype[method]);
  return isPlain ? nativeOf(source) : void 0;
}
async function handOver(source, ids, copying, reading) {
  await void 0;
  try {
    await checkAllThere(source, ids);
    for await (const record of ids ? sessionsByIds(source, ids) : sessionsOf(source)) {
      const { id } = record;
      const labels = isDriver(source) ? await source.getLabels(id) : void 0;
      await copying.handSession(id, textOf(record, "a session"), labels);
      for await (const page of eventsOf(source, id)) {
        for (const texts of textsOf(page)) {
          await copying.handEvents(texts);
          if (reading.isOver) return;
        }
      }
      if (reading.isOver) return;
    }
    await copying.handEnd();
  } catch (error) {
    reading.failure = { error };
    copying.end();
  }
}
async function checkAllThere(source, ids = []) {
  for await (const _ of sessionsByIds(source, ids)) ;
}
function* textsOf(events) {
  let texts = [];
  let length = 0;
  for (const event of events) {
    const text = textOf(event, "an event");
    texts.push(text);
    length += text.length;
    if (length < LENGTH_AT_ONCE && texts.length < EVENTS_AT_ONCE) continue;
    yield texts;
    texts = [];
    length = 0;
  }
  if (texts.length > 0) yield texts;
}
function textOf(value, what) {
  let text;
  let cause;
  try {
    text = realm.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (text !== void 0) return text;
  throw createError(
    "ERR_PERSIST_INVALID_ARGUMENT",
    `${what} of the source cannot be turned into JSON text${cause === void 0 ? "" : " (see `cause`)"}`,
    cause === void 0 ? {} : { cause }
  );
}
function resultOf({ sessions, events, different, differences }) {
  if (different === 0) return { sessions, events };
  const [{ message } = { message: "" }] = differences;
  const others = different === 1 ? "" : ` (and ${different - 1} more: see \`differences\`)`;
  throw createError(
    "ERR_PERSIST_INDEX_CONFLICT",
    `${different} of the sessions were not copied, all others were: ${message}${others}`,
    { differences }
  );
}
function idsOf(options) {
  let ids;
  try {
    ids = options?.sessions;
    if (ids === void 0) return void 0;
    if (isArray2(ids) && ids.every((id) => typeof id === "string")) return [...new Set(ids)];
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "reading the field sessions threw (see `cause`)", { cause });
  }
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", "options.sessions must be an array of the ids of sessions");
}
function isSource(source) {
  if (typeof source !== "object" || source === null) return false;
  const { getSession, listSessions, listEvents } = source;
  return [getSession, listSessions, listEvents].every((method) => typeof method === "function");
}
async function refused(message) {
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", message);
}
var { isArray: isArray2 } = Array;

// lib/class.ts
function needsNew(target, { name }) {
  const constructor = new Proxy(target, {
    apply() {
      throw createError("ERR_PERSIST_INVALID_ARGUMENT", `${name} was called without new: write new ${name}(options)`);
    }
  });
  Object.defineProperty(target.prototype, "constructor", { value: constructor, writable: true, configurable: true });
  return constructor;
}

// lib/operations.ts
var import_node_crypto2 = require("node:crypto");
var OperatedDriver = class extends PersistDriver {
  /**
   * Gives the space of what was removed back to the file system.
   *
   * SQLite: a file that this driver made gives its free pages back in small steps, beside readers and writers. Of an older file,
   * and of one that another program made, the first call writes all that is in it anew: that takes about twice the space of its
   * contents for a while, readers go on, writers wait, and those of other processes may be rejected with `ERR_PERSIST_BUSY`.
   * Later calls take steps. `signal` cannot end the writing anew.
   *
   * Postgres: runs `VACUUM` on the tables, beside all else, which the server's autovacuum does by itself some time after much was
   * removed. It makes room for new rows, and gives back what is free at the end of the tables. It takes one of the connections for reads
   * meanwhile: with `maxConnections` of 4 or less pages have no other, and wait. It waits for whoever holds a table, without a
   * limit; `signal` does not end that, and `close` does.
   *
   * @throws `AbortError` when `signal` is aborted. `ERR_PERSIST_FULL` when there is not room enough to write a file anew; the message
   * says how much it takes, and nothing was changed. On Postgres `ERR_PERSIST_UNAVAILABLE` for a user who neither owns the tables nor
   * has the right MAINTAIN on them (Postgres 17 and newer).
   * @example
   * ```ts
   * const { bytes } = await persist.vacuum();
   * ```
   */
  vacuum(options) {
    return call(this, "vacuum", (native) => finish(() => native.vacuum(options), options));
  }
  /**
   * Removes sessions that nobody needs any more, or their older events, in small steps beside other writers. There must be one
   * condition at least.
   *
   * The oldest events go first; the newest, the labels and the record go with the last step. Each step looks at the conditions
   * again: a session that meets them no longer keeps what it has left. What was done when it ends, by `signal`, an error or a crash,
   * stays done, and another call goes on. The ids of removed sessions can be used again, unlike those of deleted ones. Gaps in the
   * indexes of a session that stays are legal: followers and `listEvents` pass over them. SQLite gives the space back at the end, as
   * `vacuum` does in steps.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` without a condition, for a field that there is none of, a value that it cannot have, and
   * where a rule of a table's owner forbids to remove something. `AbortError` when `signal` is aborted. `ERR_PERSIST_UNAVAILABLE` for
   * a user of Postgres without the right DELETE.
   * @example
   * ```ts
   * const month = 30 * 24 * 60 * 60 * 1000;
   * await persist.pruneSessions({ destroyedBefore: Date.now() - month });
   * ```
   */
  pruneSessions(options) {
    return call(this, "pruneSessions", (native) => finish(() => native.pruneSessions(options), options));
  }
  /**
   * Makes one event of each run of events that are pieces of one streamed message. Agents store a row for every few characters
   * that they say; afterwards there is one for each thing that was said. What the session says stays the same to the byte.
   *
   * A run is made of neighbouring events that differ in nothing but the text at `params.update.content.text` of their payload:
   * `session/update` notifications of the kinds `agent_message_chunk`, `agent_thought_chunk` and `user_message_chunk`, with the same
   * sender, connection and fields. Its last event stays, with its `id`, `eventIndex` and `createdAt`, and gets the text of all. A joined
   * text has at most 1 MiB, in bytes of its JSON text. Nothing else is ever joined. Indexes get gaps; the highest one of the session
   * stays.
   *
   * Only turns that are over are looked at: everything up to the agent's answer to the last `session/prompt` that it has
   * answered, and all of a session that has a `destroyedAt`. Where indexes are missing, a run goes on only across events that are older
   * than a minute, since what is missing may be on its way. Running it twice changes nothing.
   *
   * It works in small steps, each a transaction, beside writers and followers of any process: a write waits for one step at
   * most. What is done stays done when it ends, for whatever reason; call it again to go on. It undoes no newer write. A
   * follower that has the first events of a run already gets their text once more, with the rest, in the event that ends the run: so
   * does whoever comes back with `afterIndex` in the middle of one. Do not insert an event of such a turn again: its place may be free.
   * Columns that a table's owner has added keep what they have in the last event of a run, and go with the others.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when a foreign key or trigger of the tables' owner forbids it, and on Postgres
   * `ERR_PERSIST_UNAVAILABLE` when the user has no right to delete. What `insertEvent` throws. An `AbortError` when `signal` is aborted.
   * @example
   * ```ts
   * const { events, removed, bytes } = await persist.compactSession("my-session");
   * console.log(`${removed} of ${events} events and ${bytes} bytes are gone`);
   * ```
   */
  compactSession(id, options) {
    return call(this, "compactSession", (native) => finish(() => native.compactSession(id, options), options), id);
  }
  /**
   * Does what `compactSession` does to each session that meets all of the conditions, one after the other; without a condition
   * to all sessions. A session that was compacted before costs a look at each of its events: run it now and then, for those that
   * were idle or destroyed since the last time.
   *
   * @throws What `compactSession` throws, which ends it.
   * @example
   * ```ts
   * const yesterday = Date.now() - 24 * 60 * 60 * 1000;
   * const { sessions, removed } = await persist.compactSessions({ idleBefore: yesterday });
   * ```
   */
  compactSessions(options) {
    return call(this, "compactSessions", (native) => finish(() => native.compactSessions(options), options));
  }
  /**
   * What the store does and holds: for dashboards and alerts, and cheap enough to be asked for every second. It resolves also while
   * the database cannot be reached; then `database` is `undefined`. It is not counted itself.
   *
   * @throws `ERR_PERSIST_CLOSED` when the driver is closed.
   * @example
   * ```ts
   * const { database, queue, writeDurationMs } = await persist.stats();
   * console.log(database?.events, queue.calls, writeDurationMs.p99);
   * ```
   */
  stats() {
    return call(this, "stats", async (native) => {
      const database = await measured(native);
      return { ...native.counters(), database };
    });
  }
  /**
   * Looks for what an operator should know: damage, rows that cannot be read, indexes, who may open the files, and settings of the
   * database that break this driver's promise. It changes nothing, and goes through all sessions and events beside other calls: a
   * million events take some seconds. What matters most comes first; an empty list means that nothing was found.
   *
   * Of what is found in many rows there is one finding, with their number and the first sessions. Each part is read by itself, so
   * no part of the database is kept from being written to or tidied up meanwhile.
   *
   * @throws `AbortError` when `signal` is aborted.
   * @example
   * ```ts
   * for (const { severity, code, message, remedy } of await persist.check()) {
   *   console.log(`${severity} ${code}: ${message}. What to do: ${remedy}`);
   * }
   * ```
   */
  check(options) {
    return call(this, "check", (native) => finish(() => native.check(options), options));
  }
  /**
   * Makes a table of events that another program has made one like those that this driver makes, without its keys and other indexes,
   * which slow each write down. Everybody may go on writing, reading and following meanwhile, also in other processes: events are
   * copied in small steps, and writers wait only while the last changes are copied and the tables are switched. Killed, or ended by
   * `signal`, it leaves the table as it was; what it leaves beside it, the next rebuild removes, and so does the next driver that
   * opens the database more than a minute later. It needs as much free disk space as the table has.
   *
   * After that no key makes an event's `id` unique. So programs that write with `ON CONFLICT (id)`, as hand-written drivers do, are
   * refused by the database: stop them first.
   *
   * Resolves to `{ events: 0, bytes: 0 }` when the table needs none. Of two that run at once, the one that was called last goes on.
   * With Postgres the user must own the table, and be allowed to create tables in its schema.
   *
   * @throws `ERR_PERSIST_SCHEMA` when something of the owner's hangs on the table, such as a foreign key, a view or a trigger: the
   * message names each. `ERR_PERSIST_BUSY` when another rebuild was called meanwhile, or others held the table all the time.
   * `ERR_PERSIST_CORRUPT` when there are events without a session, an index or a time. `AbortError` when `signal` is aborted.
   * @example
   * ```ts
   * const { events } = await persist.rebuild({ onProgress: ({ events }) => console.log(`${events} events copied`) });
   * ```
   */
  rebuild(options) {
    return call(this, "rebuild", (native) => finish(() => native.rebuild(options, (0, import_node_crypto2.randomUUID)()), options));
  }
};
async function measured(native) {
  try {
    return await native.measure();
  } catch (error) {
    if (error.code === "ERR_PERSIST_CLOSED") throw error;
    return void 0;
  }
}

// lib/postgres.ts
var _PostgresSessionPersistDriver_decorators, _init, _a;
_PostgresSessionPersistDriver_decorators = [needsNew];
var PostgresSessionPersistDriver = class extends (_a = OperatedDriver) {
  /**
   * Reads the options; the first call connects, and makes the tables ready.
   *
   * @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option, or a parameter of the connection
   * string, is wrong or unknown.
   * @example
   * ```ts
   * const persist = new PostgresSessionPersistDriver({
   *   connectionString: "postgres://app:secret@db.example.com/app?sslmode=verify-full",
   *   schema: "agents",
   * });
   * ```
   */
  constructor(options) {
    super(Driver.postgres(options, realm));
  }
};
_init = __decoratorStart(_a);
PostgresSessionPersistDriver = __decorateElement(_init, 0, "PostgresSessionPersistDriver", _PostgresSessionPersistDriver_decorators, PostgresSessionPersistDriver);
__runInitializers(_init, 1, PostgresSessionPersistDriver);

// lib/sqlite.ts
var _SQLiteSessionPersistDriver_decorators, _init2, _a2;
_SQLiteSessionPersistDriver_decorators = [needsNew];
var SQLiteSessionPersistDriver = class extends (_a2 = OperatedDriver) {
  /**
   * Begins to open the database, in the background; every call waits for it.
   *
   * @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option is wrong or unknown.
   * @example
   * ```ts
   * const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db", durability: "full" });
   * ```
   */
  constructor(options) {
    super(Driver.sqlite(options, realm));
  }
  /**
   * Copies the whole database into a file, while others read and write. The copy holds every event whose promise had resolved when
   * this was called, and all of it is of one moment: of what each writer wrote one after another it has a beginning. It is one file,
   * which needs no other beside it, and which a driver can be opened on.
   *
   * The file appears at `path` once it is whole, on the disk, and checked (`PRAGMA integrity_check`), with mode 0600 from its first
   * byte. Until then it is written beside `path`, under that name and an ending `.0123456789abcdef.partial` of random digits: it is
   * removed when the backup fails, and when a process was killed, by the next backup to that `path`. Writers do not wait; with
   * `":memory:"` they wait while it is copied within memory, about a second for a GiB. A driver with `readonly: true` may back up as well.
   *
   * `close` ends it with `ERR_PERSIST_CLOSED`.
   *
   * @param path where the backup goes. A relative path is taken from the directory that the process is in. A symbolic link there is
   * a file that exists: it is replaced or not, and never followed.
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when there is a file already, unless `overwrite` is true; and in any case when `path` is a
   * directory, a pipe or a device, the driver's own file, or one that SQLite keeps beside it, or when SQLite would take a file beside `path` (`-wal`,
   * `-journal`) for a part of the backup. `ERR_PERSIST_UNAVAILABLE` when it cannot be written there, `ERR_PERSIST_FULL` when the disk
   * is full, `ERR_PERSIST_CORRUPT` when the copy is damaged, as the database then is. After each of them `path` is as it was.
   * @example
   * ```ts
   * const { bytes } = await persist.backup("/backups/sessions.db", {
   *   overwrite: true,
   *   onProgress: ({ phase, bytes, totalBytes }) => console.log(phase, Math.round((100 * bytes) / totalBytes), "%"),
   * });
   * ```
   */
  backup(path, options) {
    return call(this, "backup", (native) => finish(() => native.backup(path, options), options));
  }
};
_init2 = __decoratorStart(_a2);
SQLiteSessionPersistDriver = __decorateElement(_init2, 0, "SQLiteSessionPersistDriver", _SQLiteSessionPersistDriver_decorators, SQLiteSessionPersistDriver);
__runInitializers(_init2, 1, SQLiteSessionPersistDriver);
// Annotate the CommonJS export names for ESM import in node:
0 && (module.exports = {
  PostgresSessionPersistDriver,
  SQLiteSessionPersistDriver,
  copySessions
});
