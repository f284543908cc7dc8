/**
 * The suite of the contract `HostNetwork`: each sentence of `src/host-network.ts` as a case, against real peers on
 * loopback. Every implementation passes it:
 *
 *     describeHostNetwork("node", { make: () => createNodeHostNetwork(), … });
 */
import { describe } from "vitest";
import { describeBackpressure } from "./backpressure.js";
import { describeDatagrams } from "./datagrams.js";
import { describeEventLoop } from "./event-loop.js";
import type { HostNetworkFixture } from "./fixture.js";
import { describeListeners } from "./listeners.js";
import { describeOwnProcess } from "./own-process.js";
import { describeStreamEnds } from "./stream-ends.js";
import { describeStreams } from "./streams.js";
import { SuiteContext } from "./suite-context.js";

export function describeHostNetwork(name: string, fixture: HostNetworkFixture): void {
  describe(`host network "${name}"`, () => {
    const suite = new SuiteContext(fixture);
    describeStreams(suite);
    describeStreamEnds(suite);
    describeBackpressure(suite);
    describeListeners(suite);
    describeDatagrams(suite);
    describeEventLoop(suite);
    describeOwnProcess(suite);
  });
}
