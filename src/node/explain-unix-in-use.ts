/**
 * Why a unix socket's path is in use: somebody listens there, or a server that has ended left it behind. Only asking tells.
 */
import { connect } from "node:net";
import type { UnixEndpoint } from "../address.js";
import { codeOf } from "./errno-of.js";
import { systemError } from "./node-endpoints.js";

/** A path that is in use while nobody listens there was left behind: says so, since it only needs to be removed. */
export async function explainUnixInUse(local: UnixEndpoint, error: unknown): Promise<void> {
  if (codeOf(error) !== "EADDRINUSE") return;
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect({ path: local.path });
    probe.once("error", (probeError) => resolve(codeOf(probeError) === "ECONNREFUSED"));
    probe.once("connect", () => {
      resolve(false);
      probe.destroy();
    });
  });
  if (!refused) return;
  const message = `cannot bind unix:${local.path}: a server that has ended left it behind; remove it`;
  throw systemError("EADDRINUSE", `${message} (EADDRINUSE)`, error);
}
