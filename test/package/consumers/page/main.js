// A page: a stack of its own, and one in a worker of its own; tells both answers in the document's title.
/* global Worker, URL, document */

import { createSlirp } from "slirp-wasm/browser";
import { askForGateway } from "./exchange.js";

const slirp = await createSlirp({ relay: "ws://127.0.0.1:9/", slirp: { ipv6: false } });
const inPage = await askForGateway(slirp);

const worker = new Worker(new URL("./own-worker.js", import.meta.url), { type: "module" });
const inWorker = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
});

document.title = `${inPage} ${inWorker}`;
