/** Paging by `OFFSET` and `COUNT(*)`, for the pasted drivers. */
import type { ListPageRequest } from "sandbox-agent";

export function page(request: ListPageRequest): { offset: number; limit: number } {
  return { offset: Number.parseInt(request.cursor ?? "0", 10), limit: request.limit ?? 100 };
}

/** The next page's cursor, when there is a next page. */
export function next(offset: number, count: number): string | undefined {
  return offset < count ? String(offset) : undefined;
}
