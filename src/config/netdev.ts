/** One entry for every string that says what the guest's network is, whichever program it was written for. */
import type { SlirpOptions } from "../slirp-options.js";
import { parseBhyveSlirp } from "./bhyve-slirp.js";
import { parseNetdevUser } from "./netdev-user.js";
import { SourceText } from "./source-text.js";

/**
 * Reads QEMU's `user,…` or bhyve's `slirp,…`, told apart by the word before the first comma: "userx" is neither.
 * @throws SlirpError `invalidConfiguration` or `unsupportedOption`, as `parseNetdevUser` and `parseBhyveSlirp` do
 */
export function parseNetdev(netdev: string): SlirpOptions {
  const source = SourceText.of("netdev", netdev);
  const kind = /^[^,]*/.exec(netdev)?.[0];
  if (kind === "user") return parseNetdevUser(netdev);
  if (kind === "slirp") return parseBhyveSlirp(netdev);
  const remedy = 'write "user,…" (QEMU\'s options) or "slirp,…" (bhyve\'s)';
  throw source.error(`there is no network of the kind ${JSON.stringify(kind)}`, remedy);
}
