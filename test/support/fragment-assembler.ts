/** Puts IPv4 fragments together (RFC 791 3.2), as strictly as the rest of the raw guest looks at frames. */
import { addressText, type Ipv4Fragment, type Packet } from "./packet.js";
import { FrameFault, parseTransport } from "./parse-frame.js";

/** See the top of the file. */
export class FragmentAssembler {
  private readonly incomplete = new Map<string, Ipv4Fragment[]>();

  /**
   * Takes a fragment; answers the packet when it was the last one missing.
   * @throws FrameFault where fragments overlap, or the packet is wrong.
   */
  add(fragment: Ipv4Fragment): Packet | undefined {
    const key = `${addressText(fragment.source)} ${fragment.protocol} ${fragment.id}`;
    const pieces = this.incomplete.get(key) ?? [];
    pieces.push({ ...fragment, payload: fragment.payload.slice() });
    pieces.sort((a, b) => a.offset - b.offset);
    this.incomplete.set(key, pieces);
    let end = 0;
    for (const { offset, payload } of pieces) {
      if (offset < end) throw new FrameFault("IPv4: fragments overlap");
      if (offset > end) return undefined;
      end += payload.length;
    }
    if (pieces.at(-1)?.more !== false) return undefined;
    this.incomplete.delete(key);
    const whole = Buffer.concat(pieces.map(({ payload }) => payload));
    const { family, source, destination, hopLimit } = fragment;
    return parseTransport({ family, source, destination, hopLimit }, fragment.protocol, whole);
  }
}
