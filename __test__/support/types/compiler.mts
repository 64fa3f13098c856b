/** Compiles what types.test.mts looks at: index.d.ts, and the examples in it and in the documentation. */
import { fileURLToPath } from "node:url";
import ts from "typescript";

export const NODENEXT = { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext };

/** By module kind and name: whether a file is CommonJS or ESM depends on the first. */
const parsed = new Map<string, ts.SourceFile | undefined>();

/** A program under `strict`. `files` stand in for those on disk, or beside them. */
export function compile(roots: string[], options: ts.CompilerOptions, files: Record<string, string> = {}): ts.Program {
  const all: ts.CompilerOptions = {
    ...NODENEXT,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2022.d.ts"],
    types: [],
    strict: true,
    skipLibCheck: false,
    noEmit: true,
    ...options,
  };
  const host = ts.createCompilerHost(all);
  const { readFile: read, fileExists: exists } = host;
  host.readFile = (name) => files[name] ?? read(name);
  host.fileExists = (name) => name in files || exists(name);
  // Parsing the files of others takes most of the time, and they do not change.
  const { getSourceFile: parse } = host;
  host.getSourceFile = (name, ...rest) => {
    if (!name.includes("/node_modules/")) return parse(name, ...rest);
    const key = `${all.module} ${name}`;
    if (!parsed.has(key)) parsed.set(key, parse(name, ...rest));
    return parsed.get(key);
  };
  return ts.createProgram(roots, all, host);
}

/** Diagnostics as the compiler prints them. */
export function shown(diagnostics: readonly ts.Diagnostic[]): string {
  return ts.formatDiagnostics(diagnostics, {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => path("."),
    getNewLine: () => "\n",
  });
}

/** The TypeScript in a page of Markdown, or in the doc comments of declarations. */
export function examplesIn(text: string): string[] {
  const blocks = text.matchAll(/```ts\n([\s\S]*?)```/g);
  return [...blocks].map(([, code]) => code!.replaceAll(/^ *\* ?/gm, ""));
}

/** The errors of examples, each a module of its own. */
export function errorsOfExamples(examples: string[]): string {
  const files = Object.fromEntries(
    examples.map((text, n) => [path(`__test__/support/types/example-${n}.mts`), asModule(text)]),
  );
  const options = { types: ["node"], skipLibCheck: true, exactOptionalPropertyTypes: true };
  return shown(ts.getPreEmitDiagnostics(compile(Object.keys(files), options, files)));
}

/** An example as a module, with what it leaves to the reader declared. */
function asModule(example: string): string {
  const declared = {
    persist: 'declare const persist: import("../../../index.js").SQLiteSessionPersistDriver;',
    sdk: 'declare const sdk: import("sandbox-agent").SandboxAgent;',
    session: 'declare const session: import("sandbox-agent").Session;',
    event: 'declare const event: import("sandbox-agent").SessionEvent;',
    SQLiteSessionPersistDriver: 'import { SQLiteSessionPersistDriver } from "../../../index.js";',
    PostgresSessionPersistDriver: 'import { PostgresSessionPersistDriver } from "../../../index.js";',
  };
  const missing = Object.entries(declared).filter(
    ([name]) => !new RegExp(`(const|using|import \\{) ${name}\\b`).test(example),
  );
  return [...missing.map(([, line]) => line), example, "export {};"].join("\n");
}

/** A file of this project. */
export function path(relative: string): string {
  return fileURLToPath(new URL(`../../../${relative}`, import.meta.url));
}
