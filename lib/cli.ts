#!/usr/bin/env node
// Hands the arguments of the process to the command line, which is in the addon (src/cli/), and a wish to end with them.
type Native = typeof import("./native.ts");

function run({ CommandLine }: Native): Promise<number> {
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
  return commandLine.run(process.argv.slice(2));
}

// Loaded here, and not when this file is: where there is no addon for this machine, that is an error of one line too.
import("./native.ts").then(run).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
