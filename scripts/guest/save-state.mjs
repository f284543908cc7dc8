// Boots the guest under v86 once and saves the machine as it is when the agent is ready. A program of its
// own, so that the states for both NICs can be made at the same time.
//   node save-state.mjs NIC FOLDER
// writes state-NIC.bin and state-NIC.json into FOLDER.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { V86Guest } from "../../dist/cli/v86-guest.js";

/** Left free while the rest of the memory is overwritten, so that the guest does not run out of it. */
const SPARE_KIB = 8 * 1024;
const BLOCK_KIB = 64;

/** What was used during the boot and is free now still has its content; as zeroes it costs nothing. */
const CLEAR_MEMORY = `
  mount -o remount,size=100% /tmp
  free=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)
  dd if=/dev/zero of=/tmp/zeroes bs=${BLOCK_KIB}k count=$(((free - ${SPARE_KIB}) / ${BLOCK_KIB}))
  rm /tmp/zeroes
  mount -o remount,size=50% /tmp`;

const [nic, folder] = process.argv.slice(2);

process.stdout.write(`booting the guest with ${nic}\n`);
const guest = await V86Guest.start({ nic, imageDir: folder, useState: false });
process.stdout.write(`saving the state of the guest with ${nic}\n`);
const cleared = await guest.capture(CLEAR_MEMORY);
if (cleared.status !== 0) {
  throw new Error(`the guest could not clear its memory: ${Buffer.from(cleared.errorOutput)}`);
}
writeFileSync(join(folder, `state-${nic}.bin`), await guest.saveState());
const stamp = JSON.stringify(guest.stateStamp, undefined, 2);
writeFileSync(join(folder, `state-${nic}.json`), `${stamp}\n`);
await guest.stop();
