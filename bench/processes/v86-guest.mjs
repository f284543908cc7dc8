// A v86 guest with a virtio NIC, on a network of ours or on v86's own:
//   v86-guest.mjs slirp          attached to a stack in this process
//   v86-guest.mjs wisp URL       v86's wisp backend, to a server elsewhere
// It stands still while it is not asked for anything: an idle guest under v86 uses a third of a processor.

import { WebSocket } from "ws";
import { V86Guest } from "../../dist/cli/v86-guest.js";
import { createSlirp } from "../../dist/node.js";
import { attachV86 } from "../../dist/v86.js";
import { answerRequests } from "../support/child.mjs";

const [network, relayUrl] = process.argv.slice(2);

// Node 20 has none; v86 knows no other way to a relay.
globalThis.WebSocket ??= WebSocket;

const guest = await V86Guest.start({ nic: "virtio", relayUrl });
if (network === "slirp") attachV86(guest.emulator, await createSlirp(), { nic: "virtio" });
const { gateway } = await guest.configureNetwork();
await guest.emulator.stop();

answerRequests({
  /** The address that stands for the host's loopback. */
  gateway: () => gateway,
  /** Runs a command in the guest, which must succeed. */
  run: async (command) => {
    await guest.emulator.run();
    try {
      const { status, errorOutput } = await guest.capture(command);
      if (status !== 0) {
        throw new Error(`${command}: status ${status}: ${Buffer.from(errorOutput).toString()}`);
      }
    } finally {
      await guest.emulator.stop();
    }
  },
});
