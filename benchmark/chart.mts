/** Draws the bench's own figures as the charts of the docs: grouped bars, the sides beside each other. */

export interface Bars {
  label: string;
  values: { side: string; value: number }[];
}

const COLOURS: Record<string, string> = { ours: "#2f6fde", tuned: "#8d99ae", pasted: "#c9a227" };
const WIDTH = 760;
const LEFT = 250;
const BAR = 18;

/** An SVG picture that reads on a light page and on a dark one. The longest bar is the highest of all, or of its group. */
export function chart(title: string, note: string, longest: "all" | "group", groups: Bars[]): string {
  const highestOf = (some: Bars[]) => Math.max(...some.flatMap((group) => group.values.map((bar) => bar.value)));
  const lines: string[] = [];
  let y = 64;
  for (const group of groups) {
    const highest = highestOf(longest === "all" ? groups : [group]);
    lines.push(text(16, y + 13, group.label, "bold"));
    for (const { side, value } of group.values) {
      const width = Math.max(1, (value / highest) * (WIDTH - LEFT - 90));
      lines.push(
        text(LEFT - 8, y + 13, side, "normal", "end"),
        `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 3}" rx="2" fill="${COLOURS[side]}"/>`,
        text(LEFT + width + 6, y + 13, Math.round(value).toLocaleString("en-US"), "normal"),
      );
      y += BAR;
    }
    y += 12;
  }
  const height = y + 12;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="13">
<title>${title}</title>
<rect width="${WIDTH}" height="${height}" rx="6" fill="#ffffff"/>
${text(16, 26, title, "bold")}
${text(16, 46, note, "normal")}
${lines.join("\n")}
</svg>
`;
}

function text(x: number, y: number, content: string, weight: string, anchor = "start"): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y}" font-weight="${weight}" text-anchor="${anchor}" fill="#1f2430">${escaped}</text>`;
}
