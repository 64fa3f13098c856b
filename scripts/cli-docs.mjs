// @ts-check
// Writes docs/cli.md: the help of the command line, as a page. `.ci/run` compares it with the committed one.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";

import { root } from "./run.mjs";

const INTRODUCTION = `# Command line

Made of the help texts by \`npm run docs:cli\`: change those, in src/cli/, not this page.

\`\`\`sh
npx sandbox-agent-persist sessions --store ./agent.db
\`\`\`

\`npx\` runs it where the package is installed. [Moving sessions](moving.md) shows how to copy, export and import, and
[Operations](operations.md) when to prune, compact and back up.
`;

const text = help();
const commands = [...(text.split(/^Commands:$/m)[1]?.split(/^\S/m)[0] ?? "").matchAll(/^ {2}(\S+) /gm)];
const names = commands.map(([, name]) => name ?? "");
if (names.length === 0) throw new Error("the help names no commands");

// They stand once, at the beginning of the page.
const everywhere = /^Options of every command:\n(?:(?:[ \t].*)?\n)*/m;
const ofCommand = (/** @type {string} */ name) => block(help(name).replace(everywhere, ""));
const parts = [INTRODUCTION, block(text), ...names.map((name) => `## ${name}\n\n${ofCommand(name)}`)];
writeFileSync(path.join(root, "docs", "cli.md"), parts.join("\n"));

/**
 * The help of the program, or of one of its commands.
 *
 * @param {string[]} command
 * @returns {string}
 */
function help(...command) {
  const program = path.join(root, "cli.js");
  // No variable of whoever runs this gets into the page: neither a width nor a store.
  const env = { PATH: process.env["PATH"] };
  return execFileSync(process.execPath, [program, ...command, "--help"], { encoding: "utf8", env });
}

/**
 * @param {string} help
 * @returns {string}
 */
function block(help) {
  const lines = help.split("\n").map((line) => line.trimEnd());
  return `\`\`\`text\n${lines.join("\n").trim()}\n\`\`\`\n`;
}
