/**
 * Entry `slirp-wasm/node`: the stack on Node's sockets.
 *
 *     const slirp = await createSlirp({ slirp: { hostForwards: parseHostForwards("tcp::8080-:80") } });
 */
import { readFile } from "node:fs/promises";
import type { NetBackend } from "./backend.js";
import type { OpenBackendOptions as OpenOn } from "./backends/registry.js";
import type { HostNetwork } from "./host-network.js";
import {
  createSlirp as createSlirpOn,
  openBackend as openBackendOn,
  type CreateSlirpOptions as CreateOn,
} from "./index.js";
import { createNodeHostNetwork, type NodeHostNetworkOptions } from "./node/node-host-network.js";
import { loadModule } from "./slirp/load-module.js";
import type { Slirp } from "./slirp/slirp.js";

export * from "./index.js";
export {
  createNodeHostNetwork,
  NodeHostNetwork,
  type NodeHostNetworkOptions,
  type SocketChoice,
} from "./node/node-host-network.js";

/** As everywhere, but the host network may be left out, or given as options for Node's. */
export interface CreateSlirpOptions extends Omit<CreateOn, "hostNetwork"> {
  /** Default: one of the stack's own on Node's sockets, closed with it. One that is given stays open, unless `ownsNetwork`. */
  readonly hostNetwork?: HostNetwork | NodeHostNetworkOptions;
}

function isHostNetwork(network: HostNetwork | NodeHostNetworkOptions): network is HostNetwork {
  return "connectStream" in network;
}

/**
 * Makes a stack on Node's sockets. Where no host network is given, it has its own and closes it with itself.
 * @throws as `createSlirp` of `slirp-wasm`
 */
export async function createSlirp(options: CreateSlirpOptions = {}): Promise<Slirp> {
  const { hostNetwork = {}, ...rest } = options;
  // `fetch` knows no file: URLs in Node.
  const wasm = await loadModule(options.wasm, (url) =>
    url.protocol === "file:"
      ? readFile(url)
      : fetch(url).then((response) => response.arrayBuffer()),
  );
  if (isHostNetwork(hostNetwork)) return createSlirpOn({ ...rest, wasm, hostNetwork });
  const network = createNodeHostNetwork(hostNetwork);
  try {
    return await createSlirpOn({ ...rest, wasm, hostNetwork: network, ownsNetwork: true });
  } catch (error) {
    await network.close();
    throw error;
  }
}

/** As everywhere, and how a stack is made. */
export interface OpenBackendOptions extends OpenOn {
  /** For `user` and `slirp`. */
  readonly stack?: Omit<CreateSlirpOptions, "slirp">;
}

/** As in `slirp-wasm`; stacks are made with {@link createSlirp} of this entry. @throws as there */
export function openBackend(name: string, options: OpenBackendOptions = {}): Promise<NetBackend> {
  const { stack, ...rest } = options;
  return openBackendOn(name, { createSlirp: (slirp) => createSlirp({ ...stack, slirp }), ...rest });
}
