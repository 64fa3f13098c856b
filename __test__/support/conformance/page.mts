/** The measured parts of docs/conformance.md: its table, and the list of what fails. */
import { HEAD, type Row } from "./measured.mts";

/** What stands between two marks. */
const part = (name: string) => new RegExp(`(<!-- ${name} -->\n)([\\s\\S]*?)(<!-- end of ${name} -->)`);

/** The page with what was measured. A driver that could not be had keeps what the page says of it. */
export function withMeasured(page: string, rows: Map<string, Row | undefined>): string {
  const known = rowsOf(page);
  const all = [...rows].map(([name, row]) => row ?? known.get(name)).filter((row) => row !== undefined);
  const table = [...HEAD, ...all.map(({ cells }) => cells)].join("\n");
  const failures = all.flatMap(({ failures }) => failures ?? []).join("\n");
  return page
    .replace(part("table"), (_, begin, __, end) => `${begin}\n${table}\n\n${end}`)
    .replace(part("failures"), (_, begin, __, end) => `${begin}\n${failures}\n\n${end}`);
}

/** What the page says of each driver. */
export function rowsOf(page: string): Map<string, Row> {
  const table = part("table").exec(page)?.[2] ?? "";
  const failures = part("failures").exec(page)?.[2] ?? "";
  const lines = table.split("\n").filter((line) => line.startsWith("| "));
  return new Map(
    lines.slice(2).map((line) => {
      const cells = line.split("|").map((cell) => cell.trim());
      const name = cells[1]!;
      const [list] = failures.split("\n- ").flatMap((each) => {
        const entry = `- ${each.replace(/^\s*(- )?/, "").trim()}`;
        return entry.startsWith(`- ${name}:`) ? [entry] : [];
      });
      return [name, { cells: `| ${cells.slice(1, -1).join(" | ")} |`, failures: list }];
    }),
  );
}
