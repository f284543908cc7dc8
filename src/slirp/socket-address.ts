/**
 * Reads and writes the C library's socket addresses (musl, <netinet/in.h> and <sys/un.h>, little-endian host):
 * family u16 | port u16 big-endian | IPv4: address 4 | IPv6: flow u32, address 16, scope u32 | unix: path, NUL.
 */
import { ipAddressFromBytes, ipEndpoint, type HostEndpoint, type IpEndpoint } from "../address.js";

/** Address families of the C library. */
export const AddressFamily = { unix: 1, ipv4: 2, ipv6: 10 } as const;

/** Size of the largest address, sockaddr_storage. */
export const SOCKET_ADDRESS_BYTES = 128;

const PATH_BYTES = 108;
const decoder = new TextDecoder();

/** The address at `pointer`. A family that is none of ours is a RangeError. */
export function readSocketAddress(memory: Uint8Array, pointer: number): HostEndpoint {
  const family = (memory[pointer] ?? 0) | ((memory[pointer + 1] ?? 0) << 8);
  if (family === AddressFamily.unix) {
    const path = memory.subarray(pointer + 2, pointer + 2 + PATH_BYTES);
    const end = path.indexOf(0);
    return { family: "unix", path: decoder.decode(end < 0 ? path : path.subarray(0, end)) };
  }
  const port = ((memory[pointer + 2] ?? 0) << 8) | (memory[pointer + 3] ?? 0);
  if (family === AddressFamily.ipv4) {
    return ipEndpoint(ipAddressFromBytes(memory.subarray(pointer + 4, pointer + 8)), port);
  }
  if (family === AddressFamily.ipv6) {
    return ipEndpoint(ipAddressFromBytes(memory.subarray(pointer + 8, pointer + 24)), port);
  }
  throw new RangeError(`address family ${String(family)} is none that the stack uses`);
}

/** The same where it is known to be an IP address; NULL, or another family, is undefined. */
export function readIpEndpoint(memory: Uint8Array, pointer: number): IpEndpoint | undefined {
  if (pointer === 0) return undefined;
  const endpoint = readSocketAddress(memory, pointer);
  return endpoint.family === "unix" ? undefined : endpoint;
}

/** True where the IP address and port at `pointer` are this endpoint's: the way to know it again without making an object. */
export function isSocketAddressOf(
  memory: Uint8Array,
  pointer: number,
  endpoint: IpEndpoint,
): boolean {
  const wanted = endpoint.family === 4 ? AddressFamily.ipv4 : AddressFamily.ipv6;
  if (memory[pointer] !== wanted) return false;
  if ((((memory[pointer + 2] ?? 0) << 8) | (memory[pointer + 3] ?? 0)) !== endpoint.port)
    return false;
  const start = pointer + (endpoint.family === 4 ? 4 : 8);
  for (let i = 0; i < endpoint.bytes.length; i++) {
    if (memory[start + i] !== endpoint.bytes[i]) return false;
  }
  return true;
}

/** Writes an IP address and port. */
export function writeSocketAddress(
  memory: Uint8Array,
  pointer: number,
  endpoint: IpEndpoint,
): void {
  memory.fill(0, pointer, pointer + 28);
  memory[pointer] = endpoint.family === 4 ? AddressFamily.ipv4 : AddressFamily.ipv6;
  memory[pointer + 2] = endpoint.port >> 8;
  memory[pointer + 3] = endpoint.port & 0xff;
  memory.set(endpoint.bytes, pointer + (endpoint.family === 4 ? 4 : 8));
}
