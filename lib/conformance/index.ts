// `sandbox-agent-persist/conformance`: whether a driver keeps the promises that the SDK relies on. It knows no addon.
export {
  testSessionPersistDriver,
  type ConformanceOptions,
  type DescribeFunction,
  type OpenDriver,
  type OpenedDriver,
  type TestFunction,
} from "./suite.ts";
export type { OptionalGroup } from "./groups.ts";
