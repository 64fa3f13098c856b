/** The page that the bench writes: lines of Markdown, printed as they come. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { median, root, type Figures } from "./measure.mts";

const lines: string[] = [];

export function say(line: string): void {
  console.log(line);
  lines.push(line);
}

export function table(head: string[], rows: string[][]): void {
  say(`| ${head.join(" | ")} |`);
  say(`| ${head.map(() => "---").join(" | ")} |`);
  for (const row of rows) say(`| ${row.join(" | ")} |`);
  say("");
}

/** `median (lowest to highest)`. */
export function spread(figures: Figures[], name: string, digits = 0): string {
  const values = figures.map((figure) => figure[name] ?? Number.NaN);
  const show = (value: number) =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${show(median(figures, name))} (${show(Math.min(...values))} to ${show(Math.max(...values))})`;
}

/** What the project promises itself, and whether that is missed. */
export function wanted(met: boolean, target: string): string {
  return `${met ? "" : "missed, "}wanted ${target}`;
}

/** A ratio beside what the project promises itself. */
export function ratio(value: number, target: number): string {
  return `${value.toFixed(1)}x (${wanted(value >= target, `${target}x`)})`;
}

/** The same of what is to stay low. */
export function atMost(value: number, target: number, digits: number): string {
  const shown = value.toFixed(digits);
  return `${shown}x (${wanted(Number(shown) <= target, `at most ${target}x`)})`;
}

/** `spread`, and how much more that is than the base, beside what it may be. */
export function spreadOver(figures: Figures[], name: string, base: Figures[], target: number): string {
  const more = median(figures, name) - median(base, name);
  const signed = `${more < 0 ? "" : "+"}${more.toFixed(1)}`;
  return `${spread(figures, name, 1)}: ${signed} (${wanted(more <= target, `at most +${target}`)})`;
}

/** How far a server is said to be, and how far it is. */
export function distance(milliseconds: number, ping: number): string {
  return `${milliseconds === 0 ? "none" : `${milliseconds} ms`} (${ping.toFixed(2)} ms)`;
}

/** The version in a `package.json` of this folder of the project; its own one's, if none is named. */
export function versionIn(folder = ""): string {
  const { version } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as { version: string };
  return version;
}

/** All that was said. */
export function page(): string {
  return `${lines.join("\n").trimEnd()}\n`;
}
