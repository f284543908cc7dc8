/** Frames that are under way to a page while its NIC agrees on something else. */
import { describe, expect, it } from "vitest";
import { Agreement } from "../../src/worker/agreement.js";
import { ParcelInbox } from "../../src/worker/parcel-inbox.js";
import { ParcelSender } from "../../src/worker/parcel-sender.js";
import { ParcelWord } from "../../src/worker/parcel.js";
import { VirtioNetFeature } from "../../src/virtio-net.js";
import { batchOf, numberedFrame } from "../support/frames.js";

const { guestChecksum, guestTso4 } = VirtioNetFeature;

function openBoth() {
  const [inWorker, inPage] = [new Agreement(), new Agreement()];
  let dropped = 0;
  let returned = 0;
  const inbox = new ParcelInbox({
    agreement: () => inPage.number,
    giveBack: () => returned++,
    onDropped: (frames) => (dropped += frames),
  });
  const port = {
    postMessage: (buffer: ArrayBuffer, transfer: ArrayBuffer[]) => {
      inbox.push(structuredClone(buffer, { transfer }));
    },
  };
  const sender = new ParcelSender(port, (words) => {
    words[ParcelWord.agreement] = inWorker.number;
  });
  const send = (): void => {
    sender.putRun(batchOf([numberedFrame(1), numberedFrame(2)]), 0, 2, true);
    sender.flush();
  };
  return { inWorker, inPage, inbox, send, counts: () => [dropped, returned] };
}

describe("frames of a stack in a worker", () => {
  it("are dropped, counted and given back where the NIC gave up a feature, the header being the same", () => {
    const { inWorker, inPage, inbox, send, counts } = openBoth();
    for (const end of [inWorker, inPage]) end.change(guestChecksum | guestTso4, 12);
    send();
    send();
    inbox.take(new Uint8Array(inbox.peek()));
    expect(counts()).toEqual([0, 0]);
    inPage.change(guestChecksum, 12);
    expect(inbox.peek(), "the rest of the parcel that was begun, and the other").toBe(0);
    expect(counts()).toEqual([3, 2]);
    inWorker.change(guestChecksum, 12);
    send();
    expect(inbox.peek()).toBe(60);
  });

  it("come on where the NIC takes more than before", () => {
    const { inPage, inWorker, inbox, send, counts } = openBoth();
    for (const end of [inWorker, inPage]) end.change(0n, 12);
    send();
    inPage.change(guestChecksum, 12);
    expect(inbox.takeBatch()?.count).toBe(2);
    expect(counts()).toEqual([0, 0]);
  });
});
