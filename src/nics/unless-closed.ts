/** A backend may be closed, or fail, under the NIC. That must not throw into whoever gave the frame: the cable is unplugged then. */
import { SlirpError } from "../errors.js";

/** Does something with a backend; where that answers with a SlirpError, `unplug` is called instead of passing it on. */
export function unlessClosed(act: () => void, unplug: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof SlirpError)) throw error;
    unplug();
  }
}
