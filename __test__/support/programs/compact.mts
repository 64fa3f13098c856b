/** Compacts the session that it is told of, says when the first step is done, and goes on until it is killed. */
import { openPersist, type Storage } from "../storage.mts";

process.once("message", async ({ storage, session, again }: { storage: Storage; session: string; again?: boolean }) => {
  const driver = openPersist(storage);
  let said = false;
  const onProgress = () => {
    if (!said) process.send?.("step");
    said = true;
  };
  do {
    await driver.compactSession(session, { onProgress });
    onProgress();
  } while (again);
});
// When the test is gone, so is this.
process.once("disconnect", () => process.exit());
process.send?.("loaded");
