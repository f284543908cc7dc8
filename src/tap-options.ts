/**
 * How a TAP device is come by and set up: what `slirp-wasm/tap` opens, and what option strings are read into.
 *
 * There are four ways to a device, which exclude each other: by name (the default), by a descriptor that was opened elsewhere (`fd`, `fds`),
 * and by a helper that may do what one may not (`helper`).
 */

/** Addresses, MTU and the like that the interface is given in the kernel, over netlink. */
export interface TapLinkOptions {
  /** `52:54:00:12:34:56`. Default: the kernel's choice. */
  readonly mac?: string;
  /** Bridge that the interface is put into; with `helper`, the one that the helper is asked for (default there: `br0`). */
  readonly bridge?: string;
  /** Addresses with prefix length, `10.0.5.1/24` or `fd00::1/64`. */
  readonly addresses?: readonly string[];
  /** Default routes through the interface: at most one IPv4 and one IPv6 address. */
  readonly gateways?: readonly string[];
  /** 68 to 65521 bytes. Default: the kernel's, 1500. */
  readonly mtuBytes?: number;
  /** Sets the interface up. Default: where addresses, a gateway or a bridge are given. */
  readonly up?: boolean;
}

/** How a TAP is opened: by name, by descriptor, or by a helper. */
export interface TapOptions extends TapLinkOptions {
  /**
   * The interface's name, at most 15 bytes; with `%d` in it the kernel puts the first free number there. An interface that is there already
   * (persistent) is attached to. Default `tap%d`.
   */
  readonly name?: string;
  /** Network namespace: a name as `ip netns` has them, a path, or `pid:4711`. Default: the process's own. */
  readonly namespace?: string;
  /** The device's file. Default `/dev/net/tun`. */
  readonly devicePath?: string;
  /**
   * Whether frames have a virtio-net header in the kernel, without which there are no offloads. Default `"auto"`: where the kernel can.
   * `true` fails where it cannot.
   */
  readonly vnetHeader?: boolean | "auto";
  /** Fail where the interface is there already, instead of attaching to it. Default false. */
  readonly exclusive?: boolean;

  /**
   * A descriptor that is attached to a TAP already. It is the backend's from then on; when opening fails it stays the caller's.
   * Offloads, header, byte order, carrier and steering are as of a new device then, whatever they were.
   */
  readonly fd?: number;
  /** The same for each queue of one device: 1 to 1024 of them. */
  readonly fds?: readonly number[];
  /**
   * A program that opens the device and hands it over, as QEMU's bridge helper does: its path, or, with a space in it, a command line for the
   * shell. As in QEMU it is given `--use-vnet --fd=N --br=BRIDGE`, a command line that has a `--br=` only the first two. `true`: QEMU's own.
   */
  readonly helper?: string | true;

  /** Queues of the device, 1 to 256. Default 1. */
  readonly queues?: number;
  /** The interface stays when it is closed. Default: as it is (new ones go). `false` makes one that stayed go. */
  readonly persistent?: boolean;
  /** User who may open the interface without privileges, a number. Default: nobody. The kernel can only change it to another. */
  readonly owner?: number;
  /** Group whose members may, a number. Default: none. Likewise. */
  readonly group?: number;
  /**
   * Bytes of frames from the guest that the kernel holds (in a queueing discipline, say) before `send` answers mustWait; 1 or more. Default:
   * no bound, as the kernel mostly passes frames on at once.
   */
  readonly sendBufferBytes?: number;

  /**
   * Whether frames go by vhost-net: a thread of the kernel moves them through rings in memory, instead of a system call each. `true` fails where
   * `/dev/vhost-net` is missing or not for us, `"auto"` goes without there. What the kernel then thinks of a frame comes too late for `send`,
   * which answers `dropped` only for what can be seen before. Default: false, as in QEMU, unless `vhostFd` or `vhostFds` is given.
   */
  readonly vhost?: boolean | "auto";
  /** A descriptor of `/dev/vhost-net` that was opened elsewhere. As with `fd`, the backend's once it is open. */
  readonly vhostFd?: number;
  /** As `vhostFd`, one for each of `fds`, beside which alone it may stand. */
  readonly vhostFds?: readonly number[];
  /** The file of vhost-net. Default `/dev/vhost-net`. */
  readonly vhostPath?: string;
  /** Microseconds for which vhost-net looks for more frames before it sleeps. Default 0. */
  readonly vhostBusyPollUs?: number;

  /** Program that is run with the interface's name when it is there. Default: none. */
  readonly upScript?: string;
  /**
   * The same before it is closed, and when opening fails after `upScript` would have been run. Who does not close has it run when the process
   * exits or is ended by a signal that nobody listens to; not by SIGKILL, and for backends of a worker not by a signal nor `terminate()`.
   * Default: none.
   */
  readonly downScript?: string;
}
