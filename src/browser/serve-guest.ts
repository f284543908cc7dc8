/**
 * The page's half of the bridge to the guest's web servers: answers what the service worker asks (guest-bridge.ts tells how they talk).
 */
import { ErrorCode, SlirpError } from "../errors.js";
import {
  BridgeMessage,
  formatGuestPlace,
  type BridgeAnswer,
  type BridgeRequest,
  type BridgeWelcome,
} from "../guest-bridge.js";

/** Who can ask the guest: a `Slirp`. */
export interface GuestFetcher {
  /** As `SlirpBackend.fetch`. */
  fetch(url: string, init: RequestInit): Promise<Response>;
}

/** A guest whose web servers can be seen. */
export interface ServedGuest extends Disposable {
  /** The path under which the guest appears: `/guest/`. */
  readonly path: string;
  /** The URL of a server in the guest: for an iframe, or a tab. Default path: `/`. */
  url(port: number, path?: string): string;
  /** Answers no more. */
  close(): void;
}

/** A worker that is just being started answers late; one that is not ours never. */
const WELCOME_TIMEOUT_MS = 10_000;

/**
 * Shows the guest's web servers through a service worker that has called `installGuestBridge`. Fulfilled when the worker runs and knows of us.
 * @throws SlirpError `missingRequirement` where the worker does not answer, or there is none.
 */
export async function serveGuest(
  guest: GuestFetcher,
  registration: ServiceWorkerRegistration,
): Promise<ServedGuest> {
  const worker = await activeWorker(registration);
  const container = navigator.serviceWorker;
  const onMessage = (event: MessageEvent): void => {
    const { type } = (event.data ?? {}) as { type?: unknown };
    const [port] = event.ports;
    if (!port) return;
    if (type === BridgeMessage.find) port.postMessage({});
    if (type === BridgeMessage.request) void answer(guest, event.data as BridgeRequest, port);
  };
  const close = (): void => {
    container.removeEventListener("message", onMessage);
  };
  container.addEventListener("message", onMessage);
  container.startMessages();
  try {
    const { path } = await announce(worker);
    const url = (port: number, target = "/"): string =>
      new URL(formatGuestPlace(path, port, target), location.href).href;
    return { path, url, close, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

async function activeWorker(registration: ServiceWorkerRegistration): Promise<ServiceWorker> {
  const coming = registration.installing ?? registration.waiting;
  const worker = coming ?? registration.active;
  if (!worker) throw missing("the registration has no service worker");
  while (worker.state !== "activated") {
    if (worker.state === "redundant") throw missing("the service worker could not be installed");
    await new Promise((resolve) => {
      worker.addEventListener("statechange", resolve, { once: true });
    });
  }
  return worker;
}

async function announce(worker: ServiceWorker): Promise<BridgeWelcome> {
  const { port1, port2 } = new MessageChannel();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise<BridgeWelcome>((resolve, reject) => {
      port1.onmessage = (event: MessageEvent<BridgeWelcome>) => {
        resolve(event.data);
      };
      timer = setTimeout(() => {
        reject(missing("the service worker does not answer; does it call installGuestBridge()?"));
      }, WELCOME_TIMEOUT_MS);
      worker.postMessage({ type: BridgeMessage.announce }, [port2]);
    });
  } finally {
    clearTimeout(timer);
    port1.close();
  }
}

async function answer(
  guest: GuestFetcher,
  { url, method, headers, body }: BridgeRequest,
  port: MessagePort,
): Promise<void> {
  try {
    const init = { method, headers, redirect: "manual", ...(body && { body }) } as const;
    const response = await guest.fetch(url, init);
    const { status, statusText } = response;
    const fields = [...response.headers];
    const head = { kind: "response" as const, status, statusText, headers: fields };
    try {
      post(port, { ...head, body: response.body }, response.body ? [response.body] : []);
    } catch {
      // A browser that cannot transfer streams.
      const gathered = await response.arrayBuffer();
      post(port, { ...head, body: gathered }, [gathered]);
    }
  } catch (error) {
    post(port, { kind: "error", message: error instanceof Error ? error.message : String(error) });
  }
}

function post(port: MessagePort, message: BridgeAnswer, transfer: Transferable[] = []): void {
  port.postMessage(message, transfer);
}

function missing(problem: string): SlirpError {
  return new SlirpError(ErrorCode.missingRequirement, `serve the guest: ${problem}`);
}
