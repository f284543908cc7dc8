// Stacks for QEMU guests that connect to a unix socket: what `slirp-wasm qemu` does.
//   qemu-stack.mjs PATH

import { createSlirp } from "../../dist/node.js";
import { listenQemu, OwnBackends } from "../../dist/qemu.js";
import { answerRequests } from "../support/child.mjs";

const [path] = process.argv.slice(2);
const server = await listenQemu({ path, backends: new OwnBackends(() => createSlirp()) });

answerRequests({ listening: () => server.address });
