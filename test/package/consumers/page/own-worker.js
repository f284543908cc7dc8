// The whole package in a worker of the page's own.
/* global self */

import { createSlirp } from "slirp-wasm/browser";
import { askForGateway } from "./exchange.js";

const slirp = await createSlirp({ relay: "ws://127.0.0.1:9/", slirp: { ipv6: false } });
self.postMessage(await askForGateway(slirp));
