/** The implementation that the contract's suite tests, also in processes of its own: names and time in front of Node's sockets. */
import { withNames } from "../../src/browser/named-host-network.js";
import { withTime } from "../../src/browser/timed-host-network.js";
import type { HostNetwork } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";

export default function makeLayeredHostNetwork(): HostNetwork {
  const names = { static: { "host.test": "192.0.2.1" }, onQuery: () => undefined };
  return withTime(withNames(createNodeHostNetwork(), names));
}
