/** Guest and stack as they were, in the browser's storage. */
import type { Machine } from "./machine.js";

export interface KeptState {
  readonly machine: Machine;
  readonly guest: ArrayBuffer;
  /** What `Slirp.saveState` gave. */
  readonly stack: Uint8Array<ArrayBuffer>;
}

const CACHE = "kept-state";
const PARTS = { machine: "/kept/machine", guest: "/kept/guest", stack: "/kept/stack" } as const;

export async function writeKept({ machine, guest, stack }: KeptState): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.put(PARTS.machine, Response.json(machine));
  await cache.put(PARTS.guest, new Response(guest));
  await cache.put(PARTS.stack, new Response(stack));
}

export async function readKept(): Promise<KeptState> {
  const cache = await caches.open(CACHE);
  const part = async (name: string): Promise<Response> => {
    const response = await cache.match(name);
    if (!response) throw new Error("nothing was kept");
    return response;
  };
  return {
    machine: (await (await part(PARTS.machine)).json()) as Machine,
    guest: await (await part(PARTS.guest)).arrayBuffer(),
    stack: new Uint8Array(await (await part(PARTS.stack)).arrayBuffer()),
  };
}
