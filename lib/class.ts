// The decorator of the public classes: a class that is called without `new` says so, as every other wrong call does.
import { createError } from "./realm.ts";

/** Has the class throw an error with a `code` when it is called without `new`. The language's own error has none. */
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
