// Measures which promises the drivers that people use keep, and writes the table of docs/conformance.md. What cannot be had
// here keeps its row: `node:sqlite` needs Node 22.13 or newer.
//
//   node --import tsx scripts/conformance.mts                 all
//   node --import tsx scripts/conformance.mts node:sqlite     those whose name holds it

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { format, resolveConfig } from "prettier";

import { withMeasured } from "../__test__/support/conformance/page.mts";
import { measure } from "../__test__/support/conformance/measured.mts";
import { root } from "./run.mjs";

const page = path.join(root, "docs", "conformance.md");
const words = process.argv.slice(2);
const text = withMeasured(readFileSync(page, "utf8"), await measure(words.length > 0 ? words : undefined));
writeFileSync(page, await format(text, { ...(await resolveConfig(page)), filepath: page }));
