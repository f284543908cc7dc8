// The whole package in a worker of the page's own.

/* global self */

import { createSlirp } from "slirp-wasm/browser";
import { askForGateway } from "./exchange.js";

// No await out here: bundlers make classic scripts of workers by default.
createSlirp({ relay: "ws://127.0.0.1:9/", slirp: { ipv6: false } })
  .then(askForGateway)
  .then((answer) => self.postMessage(answer));
