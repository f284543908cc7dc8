// A relay in a process of its own: `ours` or `wisp-js`, both open to loopback, where the server is.

import { createServer } from "node:http";
import { answerRequests } from "../support/child.mjs";

const starters = {
  ours: async () => {
    const { listenRelay } = await import("../../dist/relay.js");
    const { url } = await listenRelay({
      allow: ["127.0.0.1"],
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
