/**
 * The worker's end: makes stacks for whoever greets it, and serves each over the port that came along.
 *
 * The worker stands between two that can be slow. A stack that has no room leaves the page's parcels waiting here, in order, and the
 * page without credit. A page that does not give buffers back has the stack's receiving turned off: the stack keeps what it has room
 * for and holds its connections back.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import { PROTOCOL_VERSION, type Greeting } from "./messages.js";
import { StackPort, type MakeStack } from "./stack-port.js";

/** Where greetings come from: a worker's global scope. */
export interface GreetingSource {
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
}

/** Serves every page that greets, until the worker ends. */
export function serveStacks(makeStack: MakeStack, source: GreetingSource = globalThis): void {
  source.addEventListener("message", ({ data }) => {
    // Other messages are the worker's own business.
    if (!isGreeting(data)) return;
    const { port, lock } = data;
    const stack = new StackPort(port, makeStack);
    const sayHello = (): void => {
      stack.post({ kind: "hello", version: PROTOCOL_VERSION });
    };
    // Node has a navigator since version 21, and locks since 24.
    const locks = (globalThis as { navigator?: Partial<Navigator> }).navigator?.locks;
    if (!locks) {
      sayHello();
      return;
    }
    const held = locks.request(lock, () => {
      sayHello();
      return stack.ended;
    });
    // Locks may be forbidden here (a sandboxed frame): then the port alone tells.
    held.catch(sayHello);
  });
}

function isGreeting(data: unknown): data is Greeting {
  if (typeof data !== "object" || data === null || !("slirpWasm" in data)) return false;
  const { slirpWasm, port } = data as Partial<Greeting>;
  if (!(port instanceof MessagePort)) {
    throw new SlirpError(ErrorCode.protocolViolation, "a greeting of slirp-wasm has no port");
  }
  // Said by `hello`, so that the page can tell its user.
  return typeof slirpWasm === "number";
}
