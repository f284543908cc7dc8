/**
 * Backends by name, as bhyve opens them: the name begins with a prefix that says which kind is meant, and the kind reads the rest.
 * `tap0`, `tap:name=tap0`, `vale0:guest`, `wss://relay.example.org/l2/room`, `user,hostfwd=tcp::8080-:80`.
 *
 * A kind that needs more than every host has is registered by its entry file, so that who does not import it does not load it:
 *
 *     // src/tap.ts
 *     registerBackend({
 *       prefixes: ["tap", "vmnet"],
 *       usage: "tap:tap0",
 *       open: (name, { signal }) => openTap(parseTapName(name), signal),
 *     });
 *
 * and the entry file is listed under `sideEffects` in package.json, else bundlers leave it out. `openBackend` of the entries knows
 * those that need no registering beside: stacks and WebSockets.
 */
import type { NetBackend } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { SlirpOptions } from "../slirp-options.js";
import type { WebSocketClass } from "../web-socket.js";

/** What is given beside the name. A kind takes what concerns it. */
export interface OpenBackendOptions {
  /** Ends the opening: it rejects with the signal's reason, and nothing stays open. */
  readonly signal?: AbortSignal;
  /** For `ws` and `wss`. Default: the global WebSocket. */
  readonly webSocket?: WebSocketClass;
  /** Makes the stack of `user` and `slirp`. Entries that have a host network fill it in. */
  readonly createSlirp?: (options: SlirpOptions) => Promise<NetBackend>;
}

/** A kind of backend. */
export interface BackendKind {
  /**
   * What names begin with. Of several kinds the one with the longest prefix is meant. Whether the rest makes sense, and whether there
   * may be none, is for `open` to say.
   */
  readonly prefixes: readonly string[];
  /** An example of a name, for the message of an error: `tap:tap0`. */
  readonly usage: string;
  /** Opens the backend of that name, prefix included. @throws SlirpError `invalidConfiguration` that points at the place in it. */
  open(name: string, options: OpenBackendOptions): Promise<NetBackend>;
}

/** By prefix. */
const registered = new Map<string, BackendKind>();

/** Kinds that have an entry of their own, so that an error can tell what to import. */
const KNOWN_ENTRIES: Readonly<Record<string, string>> = {
  bridge: "slirp-wasm/tap",
  tap: "slirp-wasm/tap",
  vmnet: "slirp-wasm/tap",
};

/** From now on names with its prefixes are this kind's. One that had them before has them no more. */
export function registerBackend(kind: BackendKind): void {
  for (const prefix of kind.prefixes) registered.set(prefix, kind);
}

/** What names may begin with, sorted; `builtIn` among them. */
export function backendPrefixes(builtIn: readonly BackendKind[] = []): string[] {
  return [
    ...new Set([...builtIn.flatMap(({ prefixes }) => prefixes), ...registered.keys()]),
  ].sort();
}

/**
 * Opens a backend by its name: of the kinds that are registered, and of those given.
 * @throws SlirpError `unknownBackend` where no kind has the name's prefix, and lists what there is; what the kind's `open` throws.
 */
export async function openRegisteredBackend(
  name: string,
  options: OpenBackendOptions,
  builtIn: readonly BackendKind[],
): Promise<NetBackend> {
  options.signal?.throwIfAborted();
  const kind = findKind(name, builtIn);
  if (kind) return kind.open(name, options);
  throw new SlirpError(ErrorCode.unknownBackend, unknownText(name, builtIn));
}

function findKind(name: string, builtIn: readonly BackendKind[]): BackendKind | undefined {
  let found: BackendKind | undefined;
  let longest = 0;
  const consider = (prefix: string, kind: BackendKind): void => {
    if (prefix.length <= longest || !name.startsWith(prefix)) return;
    longest = prefix.length;
    found = kind;
  };
  for (const kind of builtIn) for (const prefix of kind.prefixes) consider(prefix, kind);
  for (const [prefix, kind] of registered) consider(prefix, kind);
  return found;
}

function unknownText(name: string, builtIn: readonly BackendKind[]): string {
  const kinds = new Set([...builtIn, ...registered.values()]);
  const examples = [...kinds].map(({ usage }) => `"${usage}"`).join(", ");
  const missing = Object.entries(KNOWN_ENTRIES).find(([prefix]) => name.startsWith(prefix));
  const remedy = missing
    ? `import "${missing[1]}", which has ${missing[0]}`
    : `a name looks like ${examples}`;
  const there = backendPrefixes(builtIn).join(", ");
  return `there is no backend ${JSON.stringify(name)}: there are ${there}; ${remedy}`;
}
