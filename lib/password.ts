// The caller's function for the password of a new connection, as the native code asks it.
//
// Native code carries no JavaScript value to other threads. So what the function fails with stays here, under a number that
// goes through the store to the errors of all who waited.

const failures = new Map<number, unknown>();
let count = 0;

/** Takes a password, or the number of a failure; false if nobody waits for it any more. */
type Settle = (password: string | undefined, failure: number) => boolean;

/** Asks for the password. What comes of it, and when, goes to `settle`; this promise does not reject. */
export async function askPassword(ask: () => unknown, settle: Settle): Promise<void> {
  try {
    const password = await ask();
    if (typeof password !== "string")
      throw new TypeError(`options.password returned ${kindOf(password)}, not a string`);
    if (/[\0\p{Surrogate}]/u.test(password))
      throw new TypeError("options.password returned a string with a NUL character or a lone surrogate");
    settle(password, 0);
  } catch (failure) {
    count += 1;
    failures.set(count, failure);
    if (!settle(undefined, count)) failures.delete(count);
  }
}

/** What the caller's function failed with. */
export function failureOf(number: number): unknown {
  return failures.get(number);
}

export function forgetFailure(number: number): void {
  failures.delete(number);
}

function kindOf(value: unknown): string {
  return value === null ? "null" : value === undefined ? "undefined" : `a value of type ${typeof value}`;
}
