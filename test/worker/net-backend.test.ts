/** A stack in a worker is a NetBackend like any other: the contract, on a worker of Node. */
import { afterAll, beforeAll } from "vitest";
import { describeNetBackend } from "../net-backend-contract/suite.js";
import { batchOf } from "../support/frames.js";
import {
  createInWorker,
  makeWorkerScript,
  NodeWorker,
  type WorkerScript,
} from "../support/node-worker.js";
import { askForGateway, frameFromGuest } from "../support/noting-network.js";
import { prependZeroedHeader } from "../../src/virtio-net.js";

let script: WorkerScript | undefined;

beforeAll(async () => {
  const imports = 'import { createNotingNetwork } from "./noting-network.js";';
  script = await makeWorkerScript(
    imports,
    "createNotingNetwork((index) => parentPort.postMessage(index))",
  );
});

afterAll(async () => {
  await script?.[Symbol.asyncDispose]();
});

describeNetBackend("slirp in a worker", async () => {
  const arrived: number[] = [];
  const worker = new NodeWorker(script?.path ?? "");
  worker.onPosted = (index) => arrived.push(index as number);
  // Without IPv6 there are no router advertisements: only what the suite provokes comes.
  const backend = await createInWorker(() => worker, { slirp: { ipv6: false } });
  let stations = 0;
  return {
    backend,
    frameFromGuest,
    arrivedFromGuest: () => arrived,
    provokeFrames: async (count, headerLength) => {
      const asked = Array.from({ length: count }, () => askForGateway(++stations));
      const requests = asked.map(({ request }) => prependZeroedHeader(request, headerLength));
      backend.sendBatch(batchOf(requests));
      // Messages keep their order: with the answer the frames are there.
      await backend.neighborInfo();
      return asked.map(({ answer }) => answer);
    },
    provokingSends: true,
    close: async () => {
      await worker.thread.terminate();
    },
  };
});
