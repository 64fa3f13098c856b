// Finds and loads the native addon.
import type { Addon } from "./addon.ts";
import { createError } from "./realm.ts";

const NAME = "sandbox-agent-persist";

/** Set by scripts/front.mjs, from package.json: the version of the package, and the platforms that it is built for. */
declare const VERSION: string;
declare const PLATFORMS: string[];

/** The platforms whose binary may fit this machine. On Linux that depends on its C library, so both are tried. */
const fitting = PLATFORMS.filter((platform) => `${platform}-`.startsWith(`${process.platform}-${process.arch}-`));

export const { CommandLine, Copying, Driver } = load();

function load(): Addon {
  const given = process.env["NAPI_RS_NATIVE_LIBRARY_PATH"];
  if (given) return loadGiven(given);
  const problems: string[] = [];
  for (const platform of fitting) {
    const packageName = `${NAME}-${platform}`;
    for (const file of [`./${NAME}.${platform}.node`, packageName]) {
      try {
        const loaded = require(file) as Addon;
        if (file === packageName) checkVersion(packageName);
        return loaded;
      } catch (error) {
        if (!isAbsent(error, file)) problems.push(`${file}: ${messageOf(error)}`);
      }
    }
  }
  throw createError("ERR_PERSIST_NO_BINARY", explain(problems));
}

/** For a debugger, or a build of one's own. */
function loadGiven(file: string): Addon {
  try {
    const loaded = require(file) as Partial<Addon>;
    if (!loaded.Driver) throw new Error(`it is not the native part of ${NAME}`);
    return loaded as Addon;
  } catch (error) {
    throw createError(
      "ERR_PERSIST_NO_BINARY",
      `${file} could not be loaded: ${messageOf(error)}. NAPI_RS_NATIVE_LIBRARY_PATH names it: correct or unset that variable`,
    );
  }
}

/** Packages of two versions, in one lock file or one cache, would fail in odd ways later. */
function checkVersion(packageName: string): void {
  const { version } = require(`${packageName}/package.json`) as { version: string };
  if (version !== VERSION) throw new Error(`it has version ${version}, and ${NAME} has version ${VERSION}`);
}

/** The first line, without its full stop: those after it say who called `require`. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1).join().replace(/\.$/, "");
}

function isAbsent(error: unknown, file: string): boolean {
  const { code, message = "" } = error as NodeJS.ErrnoException;
  return code === "MODULE_NOT_FOUND" && message.includes(`'${file}'`);
}

function explain(problems: string[]): string {
  const machine = `${process.platform} ${process.arch}${libc()}, Node ${process.versions.node}`;
  const binaries = `There are binaries for ${PLATFORMS.join(", ")}.`;
  if (problems.length > 0) {
    const advice = problems.some((problem) => problem.includes("loading addons is disabled"))
      ? "Run Node with --allow-addons beside --permission, and let it read node_modules and use the database's files."
      : `Remove node_modules and the lock file, and install ${NAME} again; the system may also be too old for the binary (docs/runtimes.md).`;
    return `the native part of ${NAME} could not be loaded on ${machine}: ${problems.join("; ")}. ${advice}`;
  }
  if (fitting.length === 0) {
    return `${NAME} has no binary for this machine: ${machine}. ${binaries} For another, build it from source (CONTRIBUTING.md).`;
  }
  return (
    `the native part of ${NAME} is not installed for ${machine}. ${binaries} It is an optional dependency, ` +
    `${fitting.map((platform) => `${NAME}-${platform}`).join(" or ")}: install without --omit=optional (--no-optional), on ` +
    `the system that runs it; and do not let a bundler take it in (docs/bundlers.md).`
  );
}

/** The C library, where there may be several. */
function libc(): string {
  if (process.platform !== "linux") return "";
  try {
    // Looking up the names of all network peers may take seconds.
    Object.assign(process.report, { excludeNetwork: true });
    const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
    return header.glibcVersionRuntime ? `, glibc ${header.glibcVersionRuntime}` : ", no glibc (musl)";
  } catch {
    return ""; // not every runtime can tell
  }
}
