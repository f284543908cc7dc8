// A wisp server, as v86 users run it: wisp-js with its defaults, except that it reaches loopback, where our servers are. The
// guest cannot ask for 127.0.0.1, so whatever address it asks for stands for that.

import { createServer } from "node:http";
import { logging, server as wisp } from "@mercuryworkshop/wisp-js/server";
import { NodeTCPSocket } from "../../node_modules/@mercuryworkshop/wisp-js/src/server/net.mjs";
import { answerRequests } from "../support/child.mjs";

class LoopbackSocket extends NodeTCPSocket {
  constructor(_hostname, port) {
    super("127.0.0.1", port);
  }
}

/** Listens on loopback and answers the URL. */
async function startWispServer() {
  logging.set_level(logging.ERROR);
  wisp.options.allow_private_ips = true;
  const server = createServer();
  server.on("upgrade", (request, socket, head) => {
    wisp.routeRequest(request, socket, head, { TCPSocket: LoopbackSocket });
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return `wisp://127.0.0.1:${server.address().port}/`;
}

answerRequests({ listen: startWispServer });
