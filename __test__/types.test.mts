/**
 * The type declarations, through the TypeScript compiler: the class fits both supported SDKs, index.d.ts itself has no
 * errors (which `skipLibCheck` would hide), and every public name is documented, with examples that compile.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import ts from "typescript";

import { compile, errorsOfExamples, examplesIn, NODENEXT, path, shown } from "./support/types/compiler.mts";

const DECLARATIONS = path("index.d.ts");
const CONFORMANCE = path("conformance.d.ts");
const ASSIGNABLE = path("__test__/support/types/assignable.mts");
const SDKS = { "0.4.2": "sandbox-agent", "0.4.0": "sandbox-agent-0.4.0" } as const;

const BUNDLER = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
const NODE16 = { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 };
const RESOLUTIONS = Object.entries({ nodenext: NODENEXT, node16: NODE16, bundler: BUNDLER });

const declarations = await readFile(DECLARATIONS, "utf8");
const ofConformance = await readFile(CONFORMANCE, "utf8");

for (const [version, name] of Object.entries(SDKS)) {
  describe(`with sandbox-agent ${version}`, () => {
    const sdk = { paths: { "sandbox-agent": [path(`node_modules/${name}/dist/index.d.ts`)] } };

    test("it is the version that is installed", async () => {
      const manifest = await readFile(path(`node_modules/${name}/package.json`), "utf8");
      assert.equal(JSON.parse(manifest).version, version);
      const files = compile([DECLARATIONS], sdk).getSourceFiles();
      assert.ok(files.some(({ fileName }) => fileName.endsWith(`/node_modules/${name}/dist/index.d.ts`)));
    });

    for (const [resolution, options] of RESOLUTIONS) {
      test(`the class is what persist takes, under ${resolution}`, () => {
        // The SDK's dependencies do not compile without skipLibCheck; index.d.ts is checked by itself below.
        const program = compile([ASSIGNABLE], { ...sdk, ...options, types: ["node"], skipLibCheck: true });
        assert.equal(shown(ts.getPreEmitDiagnostics(program)), "");
      });

      test(`index.d.ts has no errors of its own, under ${resolution}`, () => {
        assert.equal(errorsOf(compile([DECLARATIONS], { ...sdk, ...options, types: ["node"] })), "");
      });

      test(`conformance.d.ts has no errors of its own, without @types/node too, under ${resolution}`, () => {
        for (const types of [["node"], []]) {
          const program = compile([CONFORMANCE], { ...sdk, ...options, types, exactOptionalPropertyTypes: true });
          assert.equal(errorsOf(program, CONFORMANCE), "");
        }
      });

      test(`index.d.ts has no errors of its own with exactOptionalPropertyTypes, under ${resolution}`, () => {
        assert.equal(errorsOf(compile([DECLARATIONS], { ...sdk, ...options, exactOptionalPropertyTypes: true })), "");
      });

      test(`index.d.ts has no errors of its own without @types/node, under ${resolution}`, () => {
        const program = compile([DECLARATIONS], { ...sdk, ...options, types: [] });
        assert.ok(program.getSourceFiles().every(({ fileName }) => !fileName.includes("/@types/node/")));
        assert.equal(errorsOf(program), "");
      });
    }
  });
}

describe("the checks of index.d.ts", () => {
  test("see a type that does not exist", () => {
    const errors = errorsOf(compile([DECLARATIONS], {}, changed("<SessionRecord | undefined>", "<SessionRecrod>")));
    assert.match(errors, /SessionRecrod/);
  });

  test("see a method that does not fit the SDK's interface, which skipLibCheck hides", () => {
    const files = changed("getSession(id: string)", "getSession(id: number)");
    assert.match(
      errorsOf(compile([DECLARATIONS], {}, files)),
      /is not assignable to the same property in base type 'SessionPersistDriver'/,
    );
    assert.equal(errorsOf(compile([DECLARATIONS], { skipLibCheck: true }, files)), "");
  });

  test("see a syntax error", () => {
    assert.match(
      errorsOf(compile([DECLARATIONS], {}, changed("close(): Promise<void>", "close(: Promise<void>"))),
      /TS1/,
    );
  });

  test("see a class that is not what persist takes", () => {
    const files = changed("insertEvent(sessionId: string, event: SessionEvent)", "insertEvent(event: SessionEvent)");
    const program = compile([ASSIGNABLE], { types: ["node"], skipLibCheck: true }, files);
    const errors = shown(ts.getPreEmitDiagnostics(program));
    assert.match(errors, /is not assignable to type 'SessionPersistDriver'/);
  });
});

describe("documentation", () => {
  test("every public name, option and method has its doc comment", () => {
    assert.deepEqual(undocumented(declarations), []);
    assert.deepEqual(undocumented(ofConformance), []);
  });

  test("the check names what is not documented", () => {
    const broken = `
      /** Documented. */
      export declare class Driver {
        constructor(options?: Options)
        /** No example. */
        ready(): Promise<void>
        // Not a doc comment.
        close(): Promise<void>
        /** */
        name: string
      }
      export interface Options {
        filename?: string
        /** No default. */
        readonly?: boolean
      }
      /** Merges with the class, whose comment it shares. */
      export interface Driver { [Symbol.asyncDispose](): Promise<void> }
      export declare const version: string
      export declare function open(): Driver
    `;
    assert.deepEqual(undocumented(broken), [
      "Driver.constructor has no doc comment",
      "Driver.constructor has no @example",
      "Driver.ready has no @example",
      "Driver.close has no doc comment",
      "Driver.close has no @example",
      "Driver.name has no doc comment",
      "Options has no doc comment",
      "Options.filename has no doc comment",
      "Options.filename has no @default",
      "Options.readonly has no @default",
      "Driver.[Symbol.asyncDispose] has no doc comment",
      "Driver.[Symbol.asyncDispose] has no @example",
      "version has no doc comment",
      "open has no doc comment",
      "open has no @example",
    ]);
  });

  test("the examples compile, with exactOptionalPropertyTypes", () => {
    const found = [...examplesIn(declarations), ...examplesIn(ofConformance)];
    assert.ok(found.length >= 8, `${found.length} examples`);
    assert.equal(errorsOfExamples(found), "");
  });

  test("an example that is wrong does not compile", () => {
    assert.match(errorsOfExamples(['await persist.getSesion("my-session");']), /getSesion/);
  });
});

/** The errors in the declarations themselves, and in the options of the program. */
function errorsOf(program: ts.Program, declared = DECLARATIONS): string {
  const file = program.getSourceFile(declared);
  assert.ok(file);
  return shown([
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ]);
}

/** index.d.ts with a mistake in it. */
function changed(before: string, after: string): Record<string, string> {
  assert.ok(declarations.includes(before), `index.d.ts has no ${before}`);
  return { [DECLARATIONS]: declarations.replace(before, after) };
}

/** What is missing in the documentation of the declarations in `text`. */
function undocumented(text: string): string[] {
  const file = ts.createSourceFile("index.d.ts", text, ts.ScriptTarget.ES2022, true);
  const missing: string[] = [];
  const documented = new Set<string>();
  const check = (name: string, node: ts.Node) => {
    const comments = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
    const tags = comments.flatMap(({ tags }) => tags?.map(({ tagName }) => tagName.text) ?? []);
    if (comments.some(({ comment }) => comment)) documented.add(name);
    if (!documented.has(name)) missing.push(`${name} has no doc comment`);
    if (isCallable(node) && !tags.includes("example")) missing.push(`${name} has no @example`);
    if (isOption(node) && !tags.includes("default")) missing.push(`${name} has no @default`);
  };
  // What is not exported stands here because something that is exported is made of it.
  for (const statement of file.statements) {
    if (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) continue;
    if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) check(name.getText(file), statement);
    } else if (ts.isClassDeclaration(statement) || ts.isInterfaceDeclaration(statement)) {
      const name = statement.name!.text;
      // An interface that merges with a class shares its comment, wherever in the file the class stands.
      if (!ts.isInterfaceDeclaration(statement) || !classes(file).has(name)) check(name, statement);
      for (const member of statement.members) {
        if (member.name && ts.isPrivateIdentifier(member.name)) continue;
        check(`${name}.${member.name?.getText(file) ?? "constructor"}`, member);
      }
    } else if (
      ts.isFunctionDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement) ||
      ts.isEnumDeclaration(statement)
    ) {
      check(statement.name!.text, statement);
    } else {
      missing.push(`${statement.getText(file).slice(0, 40)} is of a kind that this check does not know`);
    }
  }
  return missing;
}

function classes(file: ts.SourceFile): Set<string | undefined> {
  return new Set(file.statements.filter(ts.isClassDeclaration).map(({ name }) => name?.text));
}

function isCallable(node: ts.Node): boolean {
  return (
    ts.isConstructorDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isMethodSignature(node) ||
    ts.isFunctionDeclaration(node)
  );
}

function isOption(node: ts.Node): boolean {
  return ts.isPropertySignature(node) && node.questionToken !== undefined;
}
