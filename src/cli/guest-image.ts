/**
 * The files of the guest that runs under v86: where they are, whether they belong together, and what makes them.
 *
 * `image.json` names them and has an `id`, the hash of all. A saved state is the memory of a machine that was booted from
 * them, so it is of use only to the same image, the same v86 and the same machine: `state-<nic>.json` says from which it
 * was made, and a state that does not fit is passed over.
 */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ErrorCode, SlirpError } from "../errors.js";
import type { describeMachine, V86Nic } from "./guest-machine.js";

/** `image.json`. */
export interface GuestImage {
  readonly id: string;
  /** What the kernel is told. */
  readonly commandLine: string;
  /** File names in the image's folder. */
  readonly files: Readonly<Record<"kernel" | "initrd" | "bios" | "vgaBios", string>>;
}

/** `state-<nic>.json`: what a saved state was made from. */
export interface StateStamp {
  readonly imageId: string;
  readonly v86Version: string;
  readonly machine: ReturnType<typeof describeMachine>;
}

/** Where set-up puts the image: `build/guest/v86` beside `src` or `dist`. */
export const DEFAULT_IMAGE_FOLDER = fileURLToPath(
  new URL("../../build/guest/v86", import.meta.url),
);

const HOW_TO_GET_IT = "run `npm run setup` in the checkout of slirp-wasm";

/** Names of the two files of a saved state. */
export function stateFileNames(nic: V86Nic): { state: string; stamp: string } {
  return { state: `state-${nic}.bin.zst`, stamp: `state-${nic}.json` };
}

/** @throws SlirpError `missingRequirement` when there is no image in the folder */
export async function readGuestImage(folder: string): Promise<GuestImage> {
  const path = join(folder, "image.json");
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new SlirpError(
      ErrorCode.missingRequirement,
      `there is no guest image: ${path} cannot be read; to make one, ${HOW_TO_GET_IT}`,
      { cause },
    );
  });
  return JSON.parse(text) as GuestImage;
}

/** Reads a file into a buffer of its own: v86 takes the whole ArrayBuffer. */
export async function readArrayBuffer(path: string): Promise<ArrayBuffer> {
  const bytes = await readFile(path);
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}

/**
 * The saved state for a NIC, if there is one that was made from exactly this.
 *
 * @returns undefined when there is none or it belongs to something else
 */
export async function readGuestState(
  folder: string,
  nic: V86Nic,
  wanted: StateStamp,
): Promise<ArrayBuffer | undefined> {
  const names = stateFileNames(nic);
  const stampPath = join(folder, names.stamp);
  const statePath = join(folder, names.state);
  if (!existsSync(stampPath) || !existsSync(statePath)) return undefined;
  const stamp = JSON.parse(await readFile(stampPath, "utf8")) as StateStamp;
  // The machine's properties stand in the same order in both: they come from the same function.
  const fits =
    stamp.imageId === wanted.imageId &&
    stamp.v86Version === wanted.v86Version &&
    JSON.stringify(stamp.machine) === JSON.stringify(wanted.machine);
  return fits ? readArrayBuffer(statePath) : undefined;
}

/** v86 as it is installed. */
export interface V86Installation {
  readonly V86: typeof import("v86").V86;
  readonly version: string;
  /** Its WebAssembly file, which it does not find by itself when it is loaded as an ES module in Node. */
  readonly wasmPath: string;
}

/** @throws SlirpError `missingRequirement` when the npm package `v86` is not installed */
export async function loadV86(): Promise<V86Installation> {
  try {
    const mainPath = createRequire(import.meta.url).resolve("v86");
    const { V86 } = await import("v86");
    const folder = dirname(mainPath);
    const description = await readFile(join(folder, "../package.json"), "utf8");
    const { version } = JSON.parse(description) as { version: string };
    return { V86, version, wasmPath: join(folder, "v86.wasm") };
  } catch (cause) {
    throw new SlirpError(
      ErrorCode.missingRequirement,
      "the npm package v86, which runs the guest, is not installed: `npm install v86`",
      { cause },
    );
  }
}
