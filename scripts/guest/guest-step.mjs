// What the steps of set-up that make guests have in common, whichever machine the guest is for.

import { buildInitrd, guestSources } from "./initrd.mjs";
import { partsBelow } from "./parts.mjs";

/** Of a step: what it takes, and what makes it run again. */
export const GUEST_STEP = {
  needs: [
    { command: "apt-get", package: "apt" },
    { command: "dpkg-deb", package: "dpkg" },
  ],
  optional: true,
  inputs: (ctx) => guestSources(ctx.root),
};

/** The initrd of the parts that a step has fetched: those below `programs/`, and those below `modules/` in the order of loading. */
export function buildInitrdOf(ctx, parts) {
  ctx.progress("writing the initrd");
  return buildInitrd(ctx.root, {
    files: partsBelow(parts, "programs/"),
    modules: partsBelow(parts, "modules/"),
  });
}
