/** A network that takes time: what a PostgreSQL server answers arrives later. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface FarServer {
  /** The way to a database of the server, through this network. */
  urlOf(url: string): string;
  /** How long answers take from now on. */
  answersAfter(milliseconds: number): void;
  /** Ends every connection that is there. */
  cut(): void;
  close(): Promise<void>;
}

export async function putFarAway(server: { host: string; port: number }, milliseconds: number): Promise<FarServer> {
  let wait = milliseconds;
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
      setTimeout(() => client.write(underWay.shift()!), wait);
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
    answersAfter: (milliseconds) => (wait = milliseconds),
    cut,
    close: async () => {
      listener.close();
      cut();
      await once(listener, "close");
    },
  };
}
