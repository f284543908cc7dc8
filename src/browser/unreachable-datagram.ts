/**
 * A UDP socket where there is no UDP: everything that is sent is answered by "network unreachable", which the stack makes an ICMP message
 * for the guest. A socket that cannot be opened would be silence.
 */
import { Errno, type HostDatagram, type ReadyListener } from "../host-network.js";

/** See the top of the file. */
export class UnreachableDatagram implements HostDatagram {
  readonly localEndpoint = undefined;
  onReady: ReadyListener | undefined;

  sendTo(): number {
    return -Errno.ENETUNREACH;
  }

  nextLength(): number {
    return -Errno.EAGAIN;
  }

  receiveFrom(): number {
    return -Errno.EAGAIN;
  }

  takeError(): number {
    return 0;
  }

  close(): void {
    this.onReady = undefined;
  }
}
