/** A network that fails on command: a TCP proxy on loopback, between clients and a PostgreSQL server. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

import { asksForEncryption, type Message, Messages } from "./messages.mts";

const HOST = "127.0.0.1";

type From = "client" | "server";

/** What is to happen to the next connection that sends a certain statement. */
interface Order {
  sql: RegExp;
  /** Lost on the way there, so that nothing is done, or on the way back, when all is done. */
  lost: "request" | "answer";
  then: "cut" | "silence";
  resolve(): void;
  reject(error: Error): void;
}

/** How many more bytes get through. */
interface Limit {
  bytes: number;
  from: From;
  resolve(): void;
}

/** What the connections of a proxy look at, and count. */
interface Plan {
  orders: Order[];
  limit?: Limit;
  /** How many bytes have come from the server. */
  received: number;
}

export interface Target {
  host: string;
  port: number;
}

/** Starts a proxy on a free port. Clients that speak TLS through it, or HTTP, can only be silenced or cut, not understood. */
export async function startProxy(target: Target): Promise<NetworkProxy> {
  const proxy = new NetworkProxy(target);
  await proxy.accept();
  return proxy;
}

export class NetworkProxy {
  readonly host = HOST;
  port = 0;
  /** Where new connections lead. */
  target: Target;
  /** How many connections have been opened so far. */
  opened = 0;

  #listener?: Server;
  #links = new Set<Link>();
  #paused = false;
  #plan: Plan = { orders: [], received: 0 };

  constructor(target: Target) {
    this.target = target;
  }

  /** How many connections are open. */
  get open(): number {
    return this.#links.size;
  }

  /** How many bytes the server has sent so far, on all connections. */
  get received(): number {
    return this.#plan.received;
  }

  /** The way through this proxy for a URL of its target. */
  urlOf(url: string): string {
    const through = new URL(url);
    through.host = `${this.host}:${this.port}`;
    return through.href;
  }

  /** Every connection, those to come too, is open and silent. Not even its end is heard on the other side. */
  pause(): void {
    this.#paused = true;
    this.pauseExisting();
  }

  /** The connections that are there go silent. New ones work. */
  pauseExisting(): void {
    for (const link of this.#links) link.silence();
  }

  /** What is silent speaks again, and what was held back gets through. */
  resume(): void {
    this.#paused = false;
    for (const link of this.#links) link.resume(this.target);
  }

  /** Ends every connection that is there, both ways: in good order, or as when a machine is gone. */
  cut(how: "close" | "reset" = "close"): void {
    for (const link of this.#links) link.cut(how);
  }

  /** New connections are refused. Those that are there go on. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  /** New connections are accepted, on the same port as before. */
  async accept(): Promise<void> {
    if (this.#listener) return;
    this.#listener = createServer({ pauseOnConnect: true }, (client) => {
      this.opened += 1;
      const link = new Link(client, this.#plan, () => this.#links.delete(link));
      this.#links.add(link);
      if (this.#paused) link.silence();
      else link.resume(this.target);
    });
    this.#listener.listen(this.port, HOST);
    await once(this.#listener, "listening");
    this.port = (this.#listener.address() as AddressInfo).port;
  }

  /**
   * The next statement that matches is carried out, but the client does not hear of it: its connection is cut, or goes
   * silent, when the server has answered. That is when the promise resolves.
   */
  dropAnswerOnce(sql: RegExp, then: "cut" | "silence" = "cut"): Promise<void> {
    return this.#order(sql, "answer", then);
  }

  /** The next statement that matches does not reach the server. To the client it looks as with `dropAnswerOnce`. */
  dropRequestOnce(sql: RegExp, then: "cut" | "silence" = "cut"): Promise<void> {
    return this.#order(sql, "request", then);
  }

  /** Lets so many more bytes through from that side, on whichever connection, and cuts the one on which they end. */
  cutAfter(bytes: number, from: From): Promise<void> {
    return new Promise((resolve) => (this.#plan.limit = { bytes, from, resolve }));
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.refuse();
    const links = [...this.#links];
    this.cut();
    await Promise.all(links.map((link) => link.ended));
  }

  #order(sql: RegExp, lost: Order["lost"], then: Order["then"]): Promise<void> {
    return new Promise((resolve, reject) => this.#plan.orders.push({ sql, lost, then, resolve, reject }));
  }
}

/** One connection of a client, and the one to the server that belongs to it. */
class Link {
  readonly ended: Promise<void>;

  #client: Socket;
  #server?: Socket;
  #plan: Plan;
  #silent = false;

  #requests = new Messages(false);
  #answers = new Messages(true);
  /** The SQL of the last statement that was parsed under a name, and of the one that is bound. */
  #statements = new Map<string, string>();
  #bound = "";
  /** Each request is answered in the end by a message that the server is ready, as the start is. */
  #requested = 1;
  #ready = 0;

  #order?: Order;
  /** Which "ready" ends the answer that must not get through. */
  #awaited = Infinity;
  #withheld: Buffer[] = [];

  constructor(client: Socket, plan: Plan, onEnd: () => void) {
    this.#client = client;
    this.#plan = plan;
    client.setNoDelay(true);
    client.on("error", () => {});
    client.on("data", (bytes) => this.#fromClient(bytes));
    client.on("end", () => this.#server?.end());
    this.ended = new Promise((resolve) => {
      client.on("close", () => {
        this.#server?.destroy();
        this.#order?.reject(new Error("The connection ended before the server had answered."));
        onEnd();
        resolve();
      });
    });
  }

  silence(): void {
    this.#silent = true;
    stopReading(this.#client);
    if (this.#server) stopReading(this.#server);
  }

  resume(target: Target): void {
    this.#silent = false;
    this.#server ??= this.#connect(target);
    for (const bytes of this.#withheld.splice(0)) this.#client.write(bytes);
    goOnReading(this.#client);
    goOnReading(this.#server);
  }

  cut(how: "close" | "reset" = "close"): void {
    this.#server?.destroy();
    if (how === "reset") this.#client.resetAndDestroy();
    else this.#client.destroy();
  }

  #connect({ host, port }: Target): Socket {
    const server = connect({ host, port, noDelay: true });
    server.on("error", () => this.#client.destroy());
    server.on("data", (bytes) => this.#fromServer(bytes));
    server.on("close", () => this.#client.end());
    return server;
  }

  #fromClient(bytes: Buffer): void {
    this.#requests.opaque ||= this.#answers.opaque;
    for (const message of this.#requests.read(bytes)) {
      const sql = this.#understand(message);
      const order = sql === undefined ? undefined : this.#plan.orders.find((order) => order.sql.test(sql));
      if (!order) continue;
      this.#plan.orders.splice(this.#plan.orders.indexOf(order), 1);
      if (order.lost === "request") {
        this.#fail(order);
        return;
      }
      this.#order = order;
      // A simple query has been counted; what is executed is answered together with the Sync that follows it.
      this.#awaited = message.type === "Q" ? this.#requested : this.#requested + 1;
    }
    this.#pass(bytes, "client");
  }

  #fromServer(bytes: Buffer): void {
    this.#plan.received += bytes.length;
    this.#answers.opaque ||= this.#requests.opaque;
    let through = this.#ready >= this.#awaited - 1 ? 0 : bytes.length;
    let answered = false;
    for (const { type, end } of this.#answers.read(bytes)) {
      if (type !== "Z") continue;
      this.#ready += 1;
      if (this.#ready === this.#awaited - 1) through = end;
      if (this.#ready === this.#awaited) answered = true;
    }
    if (through > 0) this.#pass(bytes.subarray(0, through), "server");
    if (through < bytes.length) this.#withheld.push(bytes.subarray(through));
    if (answered && this.#order) {
      const order = this.#order;
      this.#order = undefined;
      this.#awaited = Infinity;
      this.#fail(order);
    }
  }

  /** Takes note of a client's message, and gives the SQL that it has carried out, if it is of that kind. */
  #understand({ type, head }: Message): string | undefined {
    const [first, second] = head.toString("latin1").split("\0", 2);
    switch (type) {
      case "":
        this.#begin(head.readInt32BE());
        return undefined;
      case "P":
        this.#statements.set(first, second);
        return undefined;
      case "B":
        this.#bound = this.#statements.get(second) ?? "";
        return undefined;
      case "E":
        return this.#bound;
      case "S":
        this.#requested += 1;
        return undefined;
      case "Q":
        this.#requested += 1;
        return first;
      default:
        return undefined;
    }
  }

  /** Before the start-up message, which has no type, a client may ask for encryption. */
  #begin(code: number): void {
    if (asksForEncryption(code)) this.#answers.single += 1;
    else this.#requests.typed = true;
  }

  #pass(bytes: Buffer, from: From): void {
    const [source, sink] = from === "client" ? [this.#client, this.#server!] : [this.#server!, this.#client];
    const { limit } = this.#plan;
    if (limit?.from === from) {
      if (bytes.length >= limit.bytes) {
        this.#plan.limit = undefined;
        source.pause();
        sink.end(bytes.subarray(0, limit.bytes), () => {
          this.cut();
          limit.resolve();
        });
        return;
      }
      limit.bytes -= bytes.length;
    }
    if (sink.write(bytes)) return;
    source.pause();
    sink.once("drain", () => this.#silent || source.resume());
  }

  #fail({ then, resolve }: Order): void {
    if (then === "cut") this.cut();
    else this.silence();
    resolve();
  }
}

/** What Node has for a socket's reading; a stream's `pause` alone still reads on, and hears the other side's end. */
interface Handle {
  reading: boolean;
  readStart(): void;
  readStop(): void;
}

/** As if the network were gone: not even the end of the other side is heard. */
function stopReading(socket: Socket): void {
  socket.pause();
  const handle = (socket as Socket & { _handle?: Handle | null })._handle;
  handle?.readStop();
  if (handle) handle.reading = false;
}

function goOnReading(socket: Socket): void {
  const handle = (socket as Socket & { _handle?: Handle | null })._handle;
  if (handle && !socket.connecting) {
    handle.readStart();
    handle.reading = true;
  }
  socket.resume();
}
