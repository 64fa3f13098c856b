/** Two readers of a file that take turns, so that one of them always reads, until it is ended: `FILE MILLISECONDS`. */
import Database from "better-sqlite3";

const [, , filename, milliseconds] = process.argv;
const readers = [0, 1].map(() => new Database(filename!, { readonly: true }));
const begin = (reader: Database.Database) => {
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM sqlite_schema").get();
};

begin(readers[0]!);
process.send?.("reading");
for (let turn = 1; ; turn += 1) {
  await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
  begin(readers[turn % 2]!);
  readers[(turn + 1) % 2]!.exec("COMMIT");
}
