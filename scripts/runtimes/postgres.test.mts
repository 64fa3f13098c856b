/** The contract suite against Postgres, on whichever runtime runs this file: the server is the one of DATABASE_URL. */
import { contract } from "../../__test__/suites/contract.mts";
import { opener, remove } from "../../__test__/suites/contract/postgres.mts";

const url = process.env["DATABASE_URL"];
if (!url) throw new Error("DATABASE_URL must name a server: scripts/test-runtimes.mjs starts one.");

contract("Postgres", opener(url), { ours: true, remove });
