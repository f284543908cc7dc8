/**
 * Gets descriptors that Node cannot get by itself, by way of native/netns-helper.c: of a TAP in another process's namespaces, of the
 * connection of a User Mode Linux.
 */
import { spawn } from "node:child_process";
import { loadNetnsAddon, netnsHelperPath } from "../../backends/netns-addon.js";
import { GATEWAY6, GUEST_ADDRESS6 } from "./netns-network.js";
import type { NetnsOptions, NetnsTarget } from "./netns-options.js";

/**
 * Makes the TAP and, with `--configure`, brings it up. Answers its descriptor; what went wrong the helper has said on standard error.
 * Rejects when `end` comes before it is done.
 * @throws SlirpError `addonUnavailable`, Error
 */
export async function openNamespaceTap(
  target: Extract<NetnsTarget, { kind: "namespace" }>,
  options: NetnsOptions,
  end: AbortSignal,
): Promise<number> {
  return askHelper(helperArguments(target, options), end);
}

/** Waits at a path for a User Mode Linux; answers the descriptor of its connection. @throws as {@link openNamespaceTap} */
export async function acceptBess(path: string, end: AbortSignal): Promise<number> {
  return askHelper(["accept", String(SOCKET_FD), path], end);
}

async function askHelper(words: readonly string[], end: AbortSignal): Promise<number> {
  const addon = loadNetnsAddon();
  const path = netnsHelperPath();
  const [own, theirs] = addon.makeSocketPair();
  try {
    await runHelper(path, words, theirs, end);
    const fd = addon.receiveDescriptor(own);
    if (fd < 0) throw new Error("the helper sent no descriptor");
    return fd;
  } finally {
    addon.closeDescriptor(own);
    addon.closeDescriptor(theirs);
  }
}

/** The helper's number of the socket. */
const SOCKET_FD = 3;

function helperArguments(
  { netnsPath, usernsPath }: Extract<NetnsTarget, { kind: "namespace" }>,
  { tapName, configure, network, mtuBytes, enableIpv6, macAddress }: NetnsOptions,
): string[] {
  const words = ["open", `--netns=${netnsPath}`, `--name=${tapName}`, "--vnet-header"];
  if (usernsPath !== undefined) words.push(`--userns=${usernsPath}`);
  if (configure) {
    words.push("--configure", `--mtu=${String(mtuBytes)}`);
    words.push(`--address=${network.guest.address}/${String(network.prefixLength)}`);
    words.push(`--gateway=${network.gateway.address}`);
    if (enableIpv6) words.push(`--address6=${GUEST_ADDRESS6}/64`, `--gateway6=${GATEWAY6}`);
    if (macAddress !== undefined) words.push(`--mac=${macAddress}`);
  }
  return [...words, String(SOCKET_FD)];
}

async function runHelper(
  path: string,
  words: readonly string[],
  socketFd: number,
  end: AbortSignal,
): Promise<void> {
  end.throwIfAborted();
  const helper = spawn(path, words, { stdio: ["ignore", "inherit", "inherit", socketFd] });
  // It is waited for even then: it takes away what it has made.
  const stop = (): void => void helper.kill();
  end.addEventListener("abort", stop);
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>(
    (resolve, reject) => {
      helper.once("error", reject);
      helper.once("exit", (...how) => {
        resolve(how);
      });
    },
  ).finally(() => {
    end.removeEventListener("abort", stop);
  });
  end.throwIfAborted();
  if (status !== 0) throw new Error(`child failed(${String(status ?? signal)})`);
}
