// @ts-check
// Finds the links of Markdown files that lead nowhere: to a file that is not there, or to a heading that is not in it.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

/**
 * What is wrong with the links of these files to other files of the directory. Links to the web are not looked at.
 *
 * @param {string} directory
 * @param {string[]} files Markdown files, as paths in the directory
 * @returns {string[]} one sentence a link
 */
export function brokenLinks(directory, files) {
  return files.flatMap((file) =>
    linksOf(readFileSync(path.join(directory, file), "utf8")).flatMap((link) => {
      const problem = problemOf(directory, file, link);
      return problem ? [`${file} links to ${link}: ${problem}`] : [];
    }),
  );
}

/**
 * @param {string} directory
 * @param {string} from the file with the link
 * @param {string} link
 * @returns {string | undefined}
 */
function problemOf(directory, from, link) {
  if (/^[a-z]+:/.test(link)) return undefined;
  const [name = "", heading] = link.split("#");
  const file = name ? path.join(path.dirname(from), name) : from;
  if (file.startsWith("..")) return "it leads out of the package";
  if (!existsSync(path.join(directory, file))) return "there is no such file";
  if (heading === undefined) return undefined;
  return headingsOf(readFileSync(path.join(directory, file), "utf8")).includes(heading)
    ? undefined
    : "there is no such heading";
}

/** The targets of the links and pictures in a text. @param {string} markdown */
function linksOf(markdown) {
  const prose = withoutCode(markdown).replace(/`[^`]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}

/** The headings of a text, as they stand behind a `#`: in the way of GitHub. @param {string} markdown */
function headingsOf(markdown) {
  return [...withoutCode(markdown).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-"),
  );
}

/** @param {string} markdown */
function withoutCode(markdown) {
  return markdown.replace(/^```[\s\S]*?^```$/gm, "");
}
