// A worker that has stacks for the page.

import { serveSlirp } from "slirp-wasm/worker";

serveSlirp();
