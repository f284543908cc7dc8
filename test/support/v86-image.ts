/** Whether the guest under v86 can run here. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_IMAGE_FOLDER } from "../../src/cli/guest-image.js";

/**
 * Why it cannot, for `ctx.skip`.
 *
 * @returns undefined when it can
 */
export function v86ImageMissing(): string | undefined {
  if (existsSync(join(DEFAULT_IMAGE_FOLDER, "image.json"))) return undefined;
  return `the guest image in ${DEFAULT_IMAGE_FOLDER} is not there; \`npm run setup\` makes it`;
}
