#!/usr/bin/env node
// Hands the arguments of the process to the command line, which is in the addon (src/cli/), and a wish to end with them.
import { CommandLine } from "./native.ts";

const commandLine = new CommandLine();

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => {
    if (commandLine.stop(code)) process.exit(code);
  });
}

void commandLine.run(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
