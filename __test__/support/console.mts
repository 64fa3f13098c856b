// Runs what a page shows of a shell, and compares what is printed with what the page says.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

import { program } from "./command-line.mts";

/** A command of a page, and what the page says that it prints. */
export interface Shown {
  command: string;
  printed: string;
}

/** Where the commands of a page run. */
export interface Surroundings {
  cwd: string;
  /** On top of a bare environment. */
  env?: Record<string, string>;
  /** What stands in the page, and what takes its place in the commands. */
  instead?: Record<string, string>;
}

/** The part of a page under this heading, down to the next one of its level or above. */
export function section(page: string, heading: string): string {
  const level = /^#+/.exec(heading)![0].length;
  const lines = page.split("\n");
  const begin = lines.indexOf(heading);
  assert.notEqual(begin, -1, `the page has the heading ${heading}`);
  const length = lines.slice(begin + 1).findIndex((line) => new RegExp(`^#{1,${level}} `).test(line));
  return lines.slice(begin, length === -1 ? undefined : begin + 1 + length).join("\n");
}

/** The blocks of some language in Markdown, as they stand there. */
export function blocks(markdown: string, language: string): string[] {
  return [...markdown.matchAll(new RegExp(`^( *)\`\`\`${language}\n([\\s\\S]*?)^\\1\`\`\``, "gm"))].map(
    ([, indent, block]) => block!.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
}

/** The commands in a block ```` ```console ````. Each begins with `$ `. */
export function commandsIn(block: string): Shown[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command, ...printed] = part.trimEnd().split("\n");
      return { command: command!, printed: printed.join("\n") };
    });
}

/** Runs commands in one shell, and gives what each has printed, on stdout or on stderr. */
export async function printedBy(commands: string[], { cwd, env = {}, instead = {} }: Surroundings): Promise<string[]> {
  const script = commands.map((command) => {
    const replaced = Object.entries(instead).reduce((command, [from, to]) => command.replaceAll(from, to), command);
    return `printf '\\x1e'; ${replaced}`;
  });
  const npx = `npx() { [ "$1" = sandbox-agent-persist ] || exit 99; shift; ${quoted(process.execPath)} ${quoted(program)} "$@"; }`;
  const child = spawn("bash", ["-c", ["exec 2>&1", npx, ...script].join("\n")], {
    cwd,
    env: { PATH: process.env["PATH"], HOME: cwd, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [, ...printed] = (await text(child.stdout)).split("\x1e");
  return printed.map((text) => text.trimEnd());
}

/** Runs a page's commands, and compares what they print with what stands there, but for what differs from run to run. */
export async function checkPrinted(shown: Shown[], surroundings: Surroundings): Promise<void> {
  const commands = shown.map(({ command }) => command);
  const printed = await printedBy(commands, surroundings);
  const here = new RegExp(surroundings.cwd, "g");
  assert.deepEqual(
    printed.map((text, at) => `$ ${commands[at]}\n${alike(text.replace(here, "/srv/app"))}`),
    shown.map(({ command, printed }) => `$ ${command}\n${alike(printed)}`),
  );
}

/** What differs from run to run is the same in all of them: the store's name, times, checksums and sizes. */
function alike(printed: string): string {
  return printed
    .replaceAll(/database "\w+" at [\w.]+:\d+(, schema "\w+")?|\/srv\/app\/\w+\.db/g, "STORE")
    .replaceAll(/\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?/g, "TIME")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "CHECKSUM")
    .replaceAll(/\b[\d,.]+ (bytes|B|kB|characters)\b/g, "SIZE")
    .replaceAll(/ +/g, " ");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
