// What the classes of this package have in common as JavaScript classes.
import { createError } from "./realm.ts";

/** Has a class say with a `code` that it was called without `new`, as every other wrong call does. */
export function needsNew<Class extends abstract new (...given: never[]) => object>(
  target: Class,
  { name }: ClassDecoratorContext<Class>,
): Class {
  const constructor = new Proxy(target, {
    apply() {
      throw createError("ERR_PERSIST_INVALID_ARGUMENT", `${name} was called without new: write new ${name}(options)`);
    },
  });
  Object.defineProperty(target.prototype, "constructor", { value: constructor, writable: true, configurable: true });
  return constructor;
}
