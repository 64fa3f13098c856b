#!/usr/bin/env node
// Hands the arguments of the process to the command line, which is in the addon (src/cli/), and a wish to end with them.
import { isatty } from "node:tty";

type Native = typeof import("./native.ts");

const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));

/**
 * Ends the process, once nothing runs any more or at once. Where its terminal has gone, Node would abort as it resets that, and leave
 * a core file: the signal that says so ends the process as it ends any other.
 */
function end(code: number, exit: (code: number) => void): void {
  if (terminals.every((descriptor) => isatty(descriptor))) return exit(code);
  process.removeAllListeners("SIGHUP");
  process.kill(process.pid, "SIGHUP");
}

function run({ CommandLine }: Native): Promise<number> {
  const commandLine = new CommandLine();
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.on(signal, () => {
      if (commandLine.stop(code)) end(code, process.exit);
    });
  }
  return commandLine.run(process.argv.slice(2));
}

// Loaded here, and not when this file is: where there is no addon for this machine, that is an error of one line too.
import("./native.ts").then(run).then(
  (code) => {
    end(code, () => {
      process.exitCode = code;
    });
  },
  (error: unknown) => {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
