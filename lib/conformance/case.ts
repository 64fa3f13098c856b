// What a case is: one promise of the SDK's interface, and how to see whether a driver keeps it.
import type { SessionPersistDriver } from "sandbox-agent" with { "resolution-mode": "import" };

export interface Case {
  /** What a driver does, and what happens to users of one that does not. Both are the case's name. */
  promise: string;
  otherwise: string;
  /** Why the SDK needs it: numbers in docs/sdk-contract.md, or none where "The interface" says it there. */
  facts?: number[];
  check(store: Store): Promise<void>;
}

/** The store of one case, which is empty when the case begins. */
export interface Store {
  /** Opens a driver on it. Each further call opens another one beside the first. */
  open(): Promise<SessionPersistDriver>;
  /** Closes one before the case ends. */
  close(driver: SessionPersistDriver): Promise<void>;
}

/** The name that runners show. */
export function nameOf({ promise, otherwise, facts = [] }: Case): string {
  const source = facts.length === 0 ? "interface" : `fact ${facts.join(", ")}`;
  return `${promise}; otherwise ${otherwise} (${source})`;
}
