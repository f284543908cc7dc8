/** What the functions that the module imports work on; `host-calls.ts` puts them together. */
import type { HostEndpoint } from "../address.js";
import type { ModuleInstance } from "./module-instance.js";
import type { SocketTable } from "./socket-table.js";

/** See the top of the file. */
export interface HostCallContext {
  readonly instance: ModuleInstance;
  readonly table: SocketTable;
  /** Frames towards the guest are to be handed over now. */
  deliver(): void;
  log(level: number, text: string): void;
  /** Where a guest forward of this name connects to. */
  guestForwardTarget(name: string): HostEndpoint | undefined;
  /** Bytes from the guest for the guest channel of this number. */
  guestChannelData(id: number, bytes: Uint8Array): void;
}
