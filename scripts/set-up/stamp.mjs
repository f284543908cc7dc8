// Tells whether a step has anything to do. A step's stamp is the SHA-256 of all that goes into it: when it
// equals the one that was kept after the step's last success, and what the step makes is still there, the
// step is skipped. Content counts, never a time stamp: a fresh clone, a checkout and a touch all agree.

import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** Every file in `folder`, however deep, sorted by path. */
export function listFiles(folder) {
  const files = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...listFiles(path));
    else files.push(path);
  }
  return files.sort();
}

/**
 * The stamp of a step's inputs.
 *
 * @param {string} root folder that relative names start from
 * @param {string[]} inputs each either the name of a file or a folder (its content counts), or any other
 *   string (the string itself counts: a version, an option). A file that is not there counts as its name.
 * @returns {string} SHA-256 in hexadecimal
 */
export function computeStamp(root, inputs) {
  const hash = createHash("sha256");
  const add = (label, content) => {
    // The lengths keep "ab" + "c" apart from "a" + "bc".
    hash.update(`${label.length}:${label}:${content.length}:`);
    hash.update(content);
  };
  for (const input of inputs) {
    const path = input.includes("\n") || input === "" ? undefined : resolve(root, input);
    const stats = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory()) {
      for (const file of listFiles(path)) add(relative(root, file), readFileSync(file));
    } else if (stats?.isFile()) {
      add(relative(root, path), readFileSync(path));
    } else {
      add("text", Buffer.from(input));
    }
  }
  return hash.digest("hex");
}

/** Stamps of steps, one file each in `folder`. */
export class StampStore {
  /** @param {string} folder made when the first stamp is kept */
  constructor(folder) {
    this.folder = folder;
  }

  #path(step) {
    return join(this.folder, `${step}.json`);
  }

  /** @returns {string | undefined} the stamp kept for the step; undefined when there is none */
  read(step) {
    try {
      return JSON.parse(readFileSync(this.#path(step), "utf8")).stamp;
    } catch {
      // Not there, or cut off by a power failure: either way the step has to run.
      return undefined;
    }
  }

  keep(step, stamp) {
    mkdirSync(dirname(this.#path(step)), { recursive: true });
    writeFileSync(this.#path(step), JSON.stringify({ step, stamp }) + "\n");
  }

  /** A step that is about to run has no stamp: should it be cut short, it runs again. */
  forget(step) {
    rmSync(this.#path(step), { force: true });
  }
}

/** Which of the paths that a step makes are not there. */
export function missingOutputs(root, outputs) {
  return outputs.filter((path) => !existsSync(resolve(root, path)));
}
