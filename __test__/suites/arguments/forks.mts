/** What a fork may not be asked for. */
import { describe, test } from "node:test";
import type { Drivers } from "./drivers.mts";
import { record, refused } from "./refusals.mts";
import { NOT_OBJECTS, NOT_STRINGS } from "./wrong-values.mts";

export function forks({ opened, zero }: Drivers): void {
  describe("forks", () => {
    for (const [what, wrong, kind] of NOT_STRINGS) {
      test(`the id of a session that is ${what} is refused`, async (t) => {
        await refused(() => opened(t).forkSession(wrong as string), /^id must be a string, it is /, kind);
      });

      if (wrong === undefined) continue;
      test(`the id of a copy that is ${what} is refused`, async (t) => {
        const fork = () => opened(t).forkSession("s", { id: wrong as string });
        await refused(fork, /^options\.id must be a string, it is /, kind);
      });
    }

    for (const [what, wrong, kind] of NOT_OBJECTS) {
      if (wrong === undefined || wrong === null) continue;
      test(`options that are ${what} are refused`, async (t) => {
        await refused(() => opened(t).forkSession("s", wrong as never), /^options must be an object, it is /, kind);
      });
    }

    for (const [what, options, message] of [
      ["an empty id", { id: "" }, /^options\.id must not be empty$/],
      ["an id with a lone surrogate", { id: "\ud800" }, /^options\.id must be well-formed Unicode/],
      ["an index that is text", { throughIndex: "1" }, /^options\.throughIndex must be an integer, it is a string$/],
      ["an index that is null", { throughIndex: null }, /^options\.throughIndex must be an integer, it is null$/],
      ["a negative index", { throughIndex: -1 }, /^options\.throughIndex must not be negative, it is -1$/],
      ["an index with a fraction", { throughIndex: 1.5 }, /^options\.throughIndex must be an integer .* 1\.5$/],
      ["an index that is NaN", { throughIndex: NaN }, /^options\.throughIndex must be an integer .* NaN$/],
      ["an index that is not safe", { throughIndex: 2 ** 53 }, /^options\.throughIndex must be an integer no larger/],
      [
        "a field of another name",
        { throughindex: 1 },
        /^options\.throughindex is not a field of forkSession; the fields are id, throughIndex$/,
      ],
    ] as const) {
      test(`options with ${what} are refused`, async (t) => {
        await refused(() => opened(t).forkSession("s", options as never), message);
      });
    }

    test("a session whose id no label can hold cannot be forked", async (t) => {
      const driver = opened(t);
      for (const id of ["é".repeat(512) + "x", "a\0b"]) {
        await refused(
          () => driver.forkSession(id),
          /^session .* cannot be forked: a fork keeps the id of its source in its label "forkedFrom", which holds at most 1024 bytes/,
        );
      }
    });

    test("fields that are undefined are none, and an id may hold what other ids may", async (t) => {
      const driver = opened(t);
      await driver.updateSession(record());
      await driver.forkSession("s", { id: undefined, throughIndex: undefined, other: undefined } as object);
      await driver.forkSession("s", {});
      const odd = driver.forkSession("s", { id: "a\0b" });
      if (zero) await odd;
      else await refused(() => odd, /must not hold U\+0000: Postgres cannot store it/);
    });

    test("what a getter or a proxy throws is the cause", async (t) => {
      const cause = new Error("thrown");
      const fails = () => {
        throw cause;
      };
      const driver = opened(t);
      for (const options of [
        Object.defineProperty({}, "id", { get: fails, enumerable: true }),
        new Proxy({}, { ownKeys: fails }),
      ]) {
        const error = await refused(() => driver.forkSession("s", options), /threw \(see `cause`\)/);
        if (error.cause !== cause) throw error;
      }
    });
  });
}
