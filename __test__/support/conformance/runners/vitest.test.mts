/** The suite of conformance as vitest runs it. conformance-runners.test.mts starts it. */
import { describe, test } from "vitest";

import { testSessionPersistDriver } from "sandbox-agent-persist/conformance";

import { open, SKIP } from "./driver.mts";

testSessionPersistDriver(open, { skip: SKIP, test, describe });
