/**
 * Which requests are for the guest, and what they get.
 *
 * A request is for the guest when its path says so, or when a document of the guest makes it: a page at `/guest/80/` that asks for `/style.css`
 * means the guest's. Subresources are answered where they are asked for, since everything that such a document loads comes by here;
 * navigations, and scripts that become workers, are sent to their place under the path, so that what they load is known by it.
 *
 * What runs in the guest's pages runs in this site's origin. Who lets strangers' guests in gives the bridge an origin of its own.
 */
import {
  BridgeMessage,
  DEFAULT_BRIDGE_FOLDER,
  fieldsForBrowser,
  formatGuestPlace,
  guestUrl,
  readGuestPlace,
  type BridgeRequest,
  type BridgeWelcome,
  type GuestPlace,
} from "../guest-bridge.js";
import { errorPage } from "./error-page.js";
import { GuestPages, PageGoneError } from "./guest-pages.js";

/** How the bridge is set up. */
export interface GuestBridgeOptions {
  /** The path under which the guest appears, from the site's root on. Default: `guest/` in the worker's scope. */
  readonly path?: string;
}

/** Statuses whose answers have no body (https://fetch.spec.whatwg.org/#null-body-status). */
const NULL_BODY_STATUSES = [204, 205, 304];

/** Clients whose kind is remembered; what is forgotten is found out again. */
const MAX_KNOWN_CLIENTS = 256;

/** Makes the service worker that runs this a bridge. To be called at once, when its script runs. */
export function installGuestBridge(options: GuestBridgeOptions = {}): void {
  const scope = globalThis as unknown as ServiceWorkerGlobalScope;
  const folder = options.path ?? new URL(DEFAULT_BRIDGE_FOLDER, scope.registration.scope).pathname;
  const bridge = new GuestBridge(scope, `/${folder.replace(/^\/+|\/+$/g, "")}/`);
  scope.addEventListener("install", () => void scope.skipWaiting());
  scope.addEventListener("message", (event) => {
    bridge.receive(event);
  });
  scope.addEventListener("fetch", (event) => {
    const answer = bridge.answer(event);
    if (answer) event.respondWith(answer);
  });
}

class GuestBridge {
  private readonly pages: GuestPages;
  /** Clients seen, and the port of the guest that their document came from. */
  private readonly known = new Map<string, number | undefined>();

  constructor(
    private readonly scope: ServiceWorkerGlobalScope,
    private readonly path: string,
  ) {
    this.pages = new GuestPages(scope.clients);
  }

  receive(event: ExtendableMessageEvent): void {
    const { type } = (event.data ?? {}) as { type?: unknown };
    if (type !== BridgeMessage.announce || !(event.source instanceof Client)) return;
    this.pages.remember(event.source.id);
    const welcome: BridgeWelcome = { path: this.path };
    event.ports[0]?.postMessage(welcome);
  }

  /** Undefined where the request is not for the guest: the browser does as ever. */
  answer(event: FetchEvent): Promise<Response> | undefined {
    const { request, clientId } = event;
    const url = new URL(request.url);
    if (url.origin !== this.scope.location.origin) return undefined;
    const place = readGuestPlace(url, this.path);
    if (place) {
      this.note(event.resultingClientId, place.port);
      return this.answerFrom(place, event);
    }
    const target = url.pathname + url.search;
    if (request.mode === "navigate") {
      const port = this.portOf(request.referrer);
      return port === undefined ? undefined : Promise.resolve(this.sendTo(port, target));
    }
    if (clientId === "") return undefined;
    if (this.known.has(clientId)) {
      const port = this.known.get(clientId);
      return port === undefined ? undefined : this.answerSubresource(port, target, event);
    }
    return this.answerUnknown(clientId, target, event);
  }

  /** For the first request of a client since the worker was started: only now it can be asked who it is. */
  private async answerUnknown(
    clientId: string,
    target: string,
    event: FetchEvent,
  ): Promise<Response> {
    const client = await this.scope.clients.get(clientId);
    const port = client && this.portOf(client.url);
    this.note(clientId, port);
    return port === undefined ? fetch(event.request) : this.answerSubresource(port, target, event);
  }

  private async answerSubresource(
    port: number,
    target: string,
    event: FetchEvent,
  ): Promise<Response> {
    const { destination } = event.request;
    // A worker is a client of its own, known by the URL of its script.
    if (destination === "worker" || destination === "sharedworker")
      return this.sendTo(port, target);
    return this.answerFrom({ port, target }, event);
  }

  /** 307: a form keeps its method and body. */
  private sendTo(port: number, target: string): Response {
    const location = formatGuestPlace(this.path, port, target);
    return new Response(null, { status: 307, headers: { location } });
  }

  private portOf(url: string): number | undefined {
    if (!url.startsWith(`${this.scope.location.origin}/`)) return undefined;
    return readGuestPlace(new URL(url), this.path)?.port;
  }

  private note(clientId: string, port: number | undefined): void {
    if (clientId === "") return;
    this.known.delete(clientId);
    this.known.set(clientId, port);
    for (const oldest of this.known.keys()) {
      if (this.known.size <= MAX_KNOWN_CLIENTS) return;
      this.known.delete(oldest);
    }
  }

  private async answerFrom(place: GuestPlace, event: FetchEvent): Promise<Response> {
    if (place.target === undefined) return this.sendTo(place.port, "/");
    try {
      const { answer, body } = await this.pages.ask(await this.describe(place, event.request));
      if (answer.kind === "error") {
        return errorPage(502, "The guest did not answer", answer.message);
      }
      const { status, statusText } = answer;
      const headers = fieldsForBrowser(answer.headers, place, this.path);
      const content = NULL_BODY_STATUSES.includes(status) ? null : body;
      return new Response(content, { status, statusText, headers });
    } catch (error) {
      if (!(error instanceof PageGoneError)) throw error;
      return errorPage(503, "There is no guest", error.message);
    }
  }

  private async describe(place: GuestPlace, request: Request): Promise<BridgeRequest> {
    const { method } = request;
    const headers = [...request.headers];
    const from = this.portOf(request.referrer);
    if (from !== undefined) {
      const origin = readGuestPlace(new URL(request.referrer), this.path);
      if (origin) headers.push(["referer", guestUrl(origin)]);
    }
    const hasBody = method !== "GET" && method !== "HEAD";
    return {
      type: BridgeMessage.request,
      url: guestUrl(place),
      method,
      headers,
      // Gathered: that gives it a length, and small servers take no other.
      body: hasBody ? await request.arrayBuffer() : undefined,
    };
  }
}
