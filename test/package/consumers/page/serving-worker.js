// A worker that has stacks for the page, on a host network that the page cannot send.

import { createFetchHostNetwork, serveSlirp } from "slirp-wasm/worker";

serveSlirp((asked) => ({ ...asked, hostNetwork: createFetchHostNetwork(), ownsNetwork: true }));
