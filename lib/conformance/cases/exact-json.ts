// What JSON can say and many databases cannot hold, or change.
import assert from "node:assert/strict";

import type { Case } from "../case.ts";
import { event, eventsOf, FULL, message } from "../records.ts";
import { assertSame, assertSameText } from "../same.ts";
import { comesBack } from "./values.ts";

export const exactJson: Case[] = [
  comesBack("\\u0000, in text and in names", "an agent that reads a binary file loses that event", [
    { text: "a\u0000b", "\u0000": "\u0000" },
  ]),
  comesBack("half a surrogate pair", "an emoji that was cut in two by streaming loses both events", [
    { text: "\ud83d", rest: "\ude00", "\udead": "\udc00\ud800" },
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
    },
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
      assertSameText((read?.payload as { params?: unknown } | undefined)?.params, JSON.parse(text));
      assert.equal(({} as { polluted?: number }).polluted, undefined);
    },
  },
  {
    promise: "\\u0000 and half surrogates in a record come back equal",
    otherwise: "a session whose options hold them cannot be stored, and is gone",
    async check(store) {
      const driver = await store.open();
      const given = {
        ...FULL,
        sessionInit: { cwd: "/srv/\u0000", mcpServers: [] },
        modes: { currentModeId: "\ud800", availableModes: [] },
      };
      await driver.updateSession(given);
      assertSame(await driver.getSession(given.id), given);
    },
  },
];
