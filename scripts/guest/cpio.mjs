// Reads and writes the "newc" cpio archives that the Linux kernel unpacks as its first root file system
// (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source). Written here
// because that is less than asking for the cpio program, and because owner, times and device nodes of an
// archive of ours do not depend on who makes it: the same inputs give the same bytes, without root.

const MAGIC = "070701";
const HEADER_LENGTH = 110;
const TRAILER = "TRAILER!!!";

/** File type bits of a mode, as in stat(2). */
const FileType = { folder: 0o040000, file: 0o100000, link: 0o120000, character: 0o020000 };

/** Header and data each end on a multiple of four bytes. */
const padding = (length) => (4 - (length % 4)) % 4;

/**
 * @typedef {object} CpioEntry
 * @property {string} path without a leading slash
 * @property {number} mode type and permission bits
 * @property {Uint8Array} data a file's content, a link's target; else empty
 * @property {[number, number]} [device] major and minor number of a device node
 */

/** Gathers entries and gives the archive's bytes. Folders come before what lies in them, by themselves. */
export class CpioWriter {
  /** @type {Map<string, CpioEntry>} */
  #entries = new Map();

  /** Adds a folder and those above it; one that is there already is left as it is. */
  folder(path, permissions = 0o755) {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (parent !== "" && !this.#entries.has(parent)) this.folder(parent);
    if (!this.#entries.has(path)) this.#add(path, FileType.folder | permissions);
    return this;
  }

  /** @param {string | Uint8Array} data */
  file(path, data, permissions = 0o644) {
    return this.#addInFolder(path, FileType.file | permissions, Buffer.from(data));
  }

  link(path, target) {
    return this.#addInFolder(path, FileType.link | 0o777, Buffer.from(target));
  }

  characterDevice(path, device, permissions = 0o600) {
    return this.#addInFolder(path, FileType.character | permissions, undefined, device);
  }

  #addInFolder(path, mode, data, device) {
    const end = path.lastIndexOf("/");
    if (end > 0) this.folder(path.slice(0, end));
    return this.#add(path, mode, data, device);
  }

  #add(path, mode, data = new Uint8Array(0), device = [0, 0]) {
    if (this.#entries.has(path)) throw new Error(`the archive has ${path} already`);
    this.#entries.set(path, { path, mode, data, device });
    return this;
  }

  /** @returns {Buffer} the whole archive */
  toBuffer() {
    const parts = [];
    let inode = 0;
    const write = ({ path, mode, data, device }, links) => {
      const name = Buffer.from(`${path}\0`);
      const fields = [links === 0 ? 0 : ++inode, mode, 0, 0, links, 0, data.length, 0, 0];
      const header = [...fields, device[0], device[1], name.length, 0]
        .map((value) => value.toString(16).toUpperCase().padStart(8, "0"))
        .join("");
      parts.push(Buffer.from(MAGIC + header), name);
      parts.push(Buffer.alloc(padding(HEADER_LENGTH + name.length)));
      parts.push(data, Buffer.alloc(padding(data.length)));
    };
    for (const entry of this.#entries.values()) write(entry, 1);
    write({ path: TRAILER, mode: 0, data: new Uint8Array(0), device: [0, 0] }, 0);
    return Buffer.concat(parts);
  }
}

/**
 * Walks an archive, or several one behind the other, with zeroes between them.
 *
 * @param {Buffer} archive uncompressed
 * @returns {Generator<CpioEntry>} data are views into `archive`
 * @throws {Error} when a header is not one
 */
export function* readCpio(archive) {
  let offset = 0;
  for (;;) {
    while (offset < archive.length && archive[offset] === 0) offset++;
    if (offset >= archive.length) return;
    const header = archive.toString("latin1", offset, offset + HEADER_LENGTH);
    if (!header.startsWith(MAGIC) || header.length < HEADER_LENGTH) {
      throw new Error(`no cpio header of the "newc" kind at byte ${offset} of the archive`);
    }
    const field = (index) => parseInt(header.slice(6 + 8 * index, 14 + 8 * index), 16);
    const nameLength = field(11);
    const size = field(6);
    const nameStart = offset + HEADER_LENGTH;
    const path = archive.toString("utf8", nameStart, nameStart + nameLength - 1);
    const start = nameStart + nameLength + padding(HEADER_LENGTH + nameLength);
    if (start + size > archive.length) throw new Error(`the archive ends within ${path}`);
    offset = start + size + padding(size);
    if (path === TRAILER) continue;
    yield { path, mode: field(1), data: archive.subarray(start, start + size) };
  }
}
