// A relay in a process of its own: `ours` or `wisp-js`, both open to loopback, where the server is.
//
// A guest on v86's own network cannot ask for 127.0.0.1: what it asks of its gateway goes there too.

import { createServer } from "node:http";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { answerRequests } from "../support/child.mjs";

/** What v86 gives its guests as gateway. */
const V86_GATEWAY = "192.168.86.1";

const connect = net.connect;
net.connect = (options, ...rest) =>
  connect(options.host === V86_GATEWAY ? { ...options, host: "127.0.0.1" } : options, ...rest);
syncBuiltinESMExports();

const starters = {
  ours: async () => {
    const { listenRelay } = await import("../../dist/relay.js");
    const { url } = await listenRelay({
      allow: ["127.0.0.1", V86_GATEWAY],
      limits: { connectsPerSecond: 1_000_000 },
    });
    return url;
  },
  "wisp-js": async () => {
    const { logging, server: wisp } = await import("@mercuryworkshop/wisp-js/server");
    logging.set_level(logging.ERROR);
    wisp.options.allow_private_ips = true;
    wisp.options.allow_loopback_ips = true;
    const server = createServer();
    server.on("upgrade", (request, socket, head) => wisp.routeRequest(request, socket, head));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `ws://127.0.0.1:${server.address().port}/`;
  },
};

answerRequests({ listen: () => starters[process.argv[2]]() });
