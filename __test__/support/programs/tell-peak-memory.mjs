// Imported by a program, it has it tell at its end how much memory it had at most, in KiB. Linux only; what getrusage tells there counts
// the memory of whoever has started it, too.
import { readFileSync } from "node:fs";

process.on("exit", () =>
  console.error(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1], "KiB at most"),
);
