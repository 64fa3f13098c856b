/** Builds the bench's Rust programs: the `[[bench]]` targets of Cargo.toml. */
import { execFileSync } from "node:child_process";

import { root } from "./measure.mts";

/** Builds the program of that name, unless it is built already, and gives its path. */
export function buildProgram(name: "limit" | "delay"): string {
  const messages = execFileSync(
    "cargo",
    ["bench", "--quiet", "--no-run", "--bench", name, "--message-format", "json"],
    {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      maxBuffer: 64 << 20,
    },
  );
  const program = messages
    .split("\n")
    .filter((line) => line.includes('"executable":"'))
    .map((line) => JSON.parse(line) as { target: { name: string }; executable: string })
    .find((message) => message.target.name === name);
  if (!program) throw new Error(`cargo built no program named ${name}`);
  return program.executable;
}
