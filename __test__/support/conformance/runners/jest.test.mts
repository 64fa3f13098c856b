/** The suite of conformance as jest runs it. conformance-runners.test.mts starts it. */
import { describe, test } from "@jest/globals";

import { testSessionPersistDriver } from "sandbox-agent-persist/conformance";

import { open, SKIP } from "./driver.mts";

testSessionPersistDriver(open, { skip: SKIP, test, describe });
