/** A network that takes time: what a PostgreSQL server answers arrives later. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface FarServer {
  /** The way to a database of the server, through this network. */
  urlOf(url: string): string;
  /** How long answers take from now on; with `Infinity`, until this is called again. */
  answersAfter(milliseconds: number): void;
  /** Ends every connection that is there. */
  cut(): void;
  close(): Promise<void>;
}

export async function putFarAway(server: { host: string; port: number }, milliseconds: number): Promise<FarServer> {
  let wait = milliseconds;
  let held = Promise.resolve();
  let release = () => {};
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (client) => {
    const near = connect({ ...server, noDelay: true });
    for (const [one, other] of [
      [client, near],
      [near, client],
    ]) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    client.pipe(near);
    // What was sent first arrives first, also when the network gets quicker in between.
    const underWay: Buffer[] = [];
    near.on("data", (bytes) => {
      underWay.push(bytes);
      const arrived = Number.isFinite(wait) ? delay(wait) : held;
      void arrived.then(() => client.write(underWay.shift()!));
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    urlOf: (url) => {
      const through = new URL(url);
      through.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
      return through.href;
    },
    answersAfter: (milliseconds) => {
      release();
      wait = milliseconds;
      held = new Promise((resolve) => (release = resolve));
    },
    cut,
    close: async () => {
      listener.close();
      cut();
      await once(listener, "close");
    },
  };
}
