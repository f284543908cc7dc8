/** The addon's sockets, where tests can have them. */
import { loadSocketAddon } from "../../src/node/socket-addon.js";

/** Undefined, or the reason to skip. */
export function whyNoNativeSockets(): string | undefined {
  try {
    loadSocketAddon();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
