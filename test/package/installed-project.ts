/**
 * The package as npm publishes it, and an empty project that has installed it from that file: what is not packed, or depends on
 * something of the checkout, is missing there.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { ROOT, runProgram, writeFiles, type ProgramResult } from "../house/scratch.js";

/** Packs the checkout into `folder`; answers the file's path. `npm run build` must have been run. */
export async function packPackage(folder: string): Promise<string> {
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const { stdout } = await runSuccessfully("npm", args);
  const [packed] = JSON.parse(stdout) as [{ filename: string }];
  return join(folder, packed.filename);
}

/** Runs a program that must succeed. @throws Error with all it said when it does not. */
export async function runSuccessfully(
  program: string,
  args: readonly string[],
  options?: { readonly cwd?: string },
): Promise<ProgramResult> {
  const result = await runProgram(program, args, options);
  if (result.status === 0) return result;
  const command = [program, ...args].join(" ");
  throw new Error(
    `${command} ended with ${String(result.status)}:\n${result.stdout}${result.stderr}`,
  );
}

/** A project outside of the checkout, with the packed file installed and nothing else. */
export interface InstalledProject {
  readonly folder: string;
  /** The packed file. */
  readonly tarball: string;
  /** Puts files into the project (content by name). */
  write(files: Readonly<Record<string, string>>): void;
}

/** Makes one project for all tests of a `describe` block, and removes it after them. */
export function shareInstalledProject(): () => InstalledProject {
  let project: InstalledProject | undefined;
  let scratch = "";
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), "slirp-wasm-package-"));
    const tarball = await packPackage(scratch);
    const folder = join(scratch, "project");
    writeFiles(folder, { "package.json": '{ "name": "consumer", "type": "module" }\n' });
    await runSuccessfully(
      "npm",
      ["install", "--prefer-offline", "--no-audit", "--no-fund", tarball],
      {
        cwd: folder,
      },
    );
    project = {
      folder,
      tarball,
      write: (files) => {
        writeFiles(folder, files);
      },
    };
  });
  afterAll(async () => {
    await rm(scratch, { recursive: true, force: true });
  });
  return () => {
    if (!project) throw new Error(`the package was not installed (checkout ${ROOT})`);
    return project;
  };
}
