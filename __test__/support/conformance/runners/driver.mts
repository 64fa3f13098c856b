/** What the runners run the suite on: the example's driver, and the same with an order of its own where the environment asks for it. */
import { join } from "node:path";

import type { OpenDriver, OptionalGroup } from "sandbox-agent-persist/conformance";

import { JsonLinesDriver } from "../../../../examples/conformance/driver.mts";

export const SKIP: OptionalGroup[] = ["several writers"];

export const open: OpenDriver = (store) => {
  const driver = new JsonLinesDriver(join(process.env["STORES"]!, store));
  if (!process.env["BROKEN"]) return driver;
  const listEvents: typeof driver.listEvents = async (request) => {
    const page = await driver.listEvents(request);
    return { ...page, items: page.items.reverse() };
  };
  return Object.assign(driver, { listEvents });
};
