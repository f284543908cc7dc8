/** The script of the worker that `createSlirp({ worker: true })` starts. */
import { serveSlirp } from "./worker.js";

serveSlirp();
