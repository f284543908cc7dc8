/**
 * Which page runs the guest, and asking it.
 *
 * A page that is closed says nothing: its ports fall silent. So while an answer is awaited, or a body streams, it is looked at whether the
 * page is still there.
 */
import { BridgeMessage, type BridgeAnswer, type BridgeRequest } from "../guest-bridge.js";

/** A page that emulates a processor may be busy for a while. */
const FIND_TIMEOUT_MS = 5000;

const LOOK_INTERVAL_MS = 1000;

type Body = ReadableStream<Uint8Array<ArrayBuffer>> | ArrayBuffer | null;

/** No page runs a guest, or the one that did was closed. */
export class PageGoneError extends Error {
  override readonly name = "PageGoneError";
}

const NOBODY =
  "No open page of this site runs a guest. Open the page that does, or reload it, and try again.";
const CLOSED =
  "The page that ran the guest was closed or reloaded before the answer was complete. Open it and try again.";

/** See the top of the file. */
export class GuestPages {
  private lastId: string | undefined;

  constructor(private readonly clients: Clients) {}

  /** This client runs a guest. The last to say so is asked. */
  remember(clientId: string): void {
    this.lastId = clientId;
  }

  /** @throws PageGoneError */
  async ask(request: BridgeRequest): Promise<{ answer: BridgeAnswer; body: Body }> {
    const page = await this.find();
    if (!page) throw new PageGoneError(NOBODY);
    const { port1, port2 } = new MessageChannel();
    const answered = nextMessage(port1) as Promise<BridgeAnswer>;
    page.postMessage(request, request.body ? [port2, request.body] : [port2]);
    const watch = this.watch(page.id);
    try {
      const answer = await Promise.race([answered, watch.gone]);
      if (answer.kind === "error" || !(answer.body instanceof ReadableStream)) {
        watch.stop();
        return { answer, body: answer.kind === "error" ? null : answer.body };
      }
      return { answer, body: guarded(answer.body, watch) };
    } catch (error) {
      watch.stop();
      throw error;
    } finally {
      port1.close();
    }
  }

  private async find(): Promise<Client | undefined> {
    const last = this.lastId === undefined ? undefined : await this.clients.get(this.lastId);
    if (last) return last;
    const all = await this.clients.matchAll({ includeUncontrolled: true, type: "all" });
    const found = all.map(async (client) => {
      const { port1, port2 } = new MessageChannel();
      const answered = nextMessage(port1);
      client.postMessage({ type: BridgeMessage.find }, [port2]);
      await answered;
      return client;
    });
    const nobody = new Promise<undefined>((resolve) => {
      setTimeout(() => {
        resolve(undefined);
      }, FIND_TIMEOUT_MS);
    });
    const page = await Promise.race([...found, nobody]);
    this.lastId = page?.id;
    return page;
  }

  private watch(clientId: string): { readonly gone: Promise<never>; stop(): void } {
    let timer: ReturnType<typeof setInterval> | undefined;
    const gone = new Promise<never>((_resolve, reject) => {
      timer = setInterval(() => {
        void this.clients.get(clientId).then((client) => {
          if (client) return;
          clearInterval(timer);
          reject(new PageGoneError(CLOSED));
        });
      }, LOOK_INTERVAL_MS);
    });
    gone.catch(() => undefined);
    return {
      gone,
      stop: () => {
        clearInterval(timer);
      },
    };
  }
}

function nextMessage(port: MessagePort): Promise<unknown> {
  return new Promise((resolve) => {
    port.onmessage = (event: MessageEvent<unknown>) => {
      resolve(event.data);
    };
  });
}

/** The stream, until it ends or the page is gone. */
function guarded(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  watch: { readonly gone: Promise<never>; stop(): void },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await Promise.race([reader.read(), watch.gone]);
        if (!done) {
          controller.enqueue(value);
          return;
        }
      } catch (error) {
        watch.stop();
        throw error;
      }
      watch.stop();
      controller.close();
    },
    cancel(reason) {
      watch.stop();
      return reader.cancel(reason);
    },
  });
}
