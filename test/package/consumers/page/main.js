// A page: a stack of its own, one in a worker of its own, one in the package's worker, one in a worker with a script of its own. Tells all
// answers in the document's title.

/* global Worker, URL, document */

import { createSlirp } from "slirp-wasm/browser";
import { askForGateway } from "./exchange.js";

const options = { relay: "ws://127.0.0.1:9/", slirp: { ipv6: false } };

const inPage = await askForGateway(await createSlirp(options));

const worker = new Worker(new URL("./own-worker.js", import.meta.url), { type: "module" });
const inOwnWorker = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
});

const inWorker = await askForGateway(await createSlirp({ ...options, worker: true }));

const startServing = () =>
  new Worker(new URL("./serving-worker.js", import.meta.url), { type: "module" });
const { slirp } = options;
const served = await askForGateway(await createSlirp({ slirp, worker: startServing }));

document.title = [inPage, inOwnWorker, inWorker, served].join(" ");
