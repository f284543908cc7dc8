/**
 * Command lines that an ordinary user runs. He may not read everything that root may, a checkout in root's home among it: what is his to use is
 * put within his reach in a mount namespace, where nobody else sees it.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../house/scratch.js";

/** The user `nobody`. */
const NOBODY = "65534";

/** The words of a command line that make an ordinary user of root. */
export const BECOME_NOBODY = [
  "setpriv",
  `--reuid=${NOBODY}`,
  `--regid=${NOBODY}`,
  "--clear-groups",
] as const;

const FOR_OTHERS_TO_ENTER = 0o001;

/** Runs a command line as `nobody`, with a /dev/net/tun that everybody may open, as on desktop systems. */
export function asNobody(words: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "tun-"));
  process.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const script = `set -e
    mknod -m 666 "$0/tun" c 10 200
    chmod 755 "$0"
    mount --bind "$0/tun" /dev/net/tun
    ${bringWithinReach(folder)}
    exec "$@"`;
  return ["unshare", "--mount", "sh", "-c", script, folder, ...BECOME_NOBODY, ...words];
}

/**
 * Shell commands that let everybody reach the checkout and Node, as they are; none where everybody can. For a mount namespace of one's own.
 * @param folder for whatever it takes
 */
export function bringWithinReach(folder: string): string {
  const hidden = [ROOT, dirname(dirname(process.execPath))].flatMap((path, i) => {
    const cover = coverOf(path);
    return cover === undefined
      ? []
      : [{ path: quote(path), cover: quote(cover), kept: quote(join(folder, `kept${String(i)}`)) }];
  });
  const covers = new Set(hidden.map(({ cover }) => cover));
  return [
    "umask 022",
    ...hidden.map(({ path, kept }) => `mkdir -p ${kept}; mount --bind ${path} ${kept}`),
    ...[...covers].map((cover) => `mount -t tmpfs -o mode=755 none ${cover}`),
    ...hidden.map(
      ({ path, kept }) => `mkdir -p ${path}
        for entry in ${kept}/*; do
          place=${path}/"\${entry##*/}"
          if [ -d "$entry" ]; then mkdir "$place"; else : > "$place"; fi
          mount --bind "$entry" "$place"
        done`,
    ),
  ].join("\n");
}

/** The uppermost folder on the way to `path`, itself included, that others may not enter. */
function coverOf(path: string): string | undefined {
  const above = path === "/" ? undefined : coverOf(dirname(path));
  if (above !== undefined) return above;
  return (statSync(path).mode & FOR_OTHERS_TO_ENTER) === 0 ? path : undefined;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
