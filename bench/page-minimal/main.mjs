/* global location */
// What a page must have for a guest with a network, the emulator left out: who has one gives it.
import { createSlirp } from "slirp-wasm/browser";
import { attachV86 } from "slirp-wasm/v86";

globalThis.startNetwork = async (emulator) => {
  const slirp = await createSlirp({ relay: new URL("/relay/", location.href).href });
  return attachV86(emulator, slirp);
};
