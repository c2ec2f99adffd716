import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** The files of this many runs of a schedule stay, however old they are. */
const KEPT_RUNS = 20;
/** And those of younger runs, however many they are: a plan waits for a person, who may be away for some days. */
const KEPT_FOR_MS = 7 * 24 * 3_600_000;

/** What a run writes, by the local time that names it: manifest, plan and report, and what it was writing when it was killed. */
const OF_A_RUN = /^(\d{4}-\d\d-\d\dT\d{4}(?:\d\d)?)\.(?:ndjson|plan|plan\.part|json)$/;

interface RunFiles {
  readonly paths: string[];
  /** When the last of them was written, Unix milliseconds. */
  atMs: number;
}

/**
 * Removes from the folder of a schedule what earlier runs left there, but for the latest ones. What no run has written stays.
 * @throws what the file system throws
 */
export async function prunePlans(folder: string, nowMs: number): Promise<void> {
  const runs = new Map<string, RunFiles>();
  for (const name of await readdir(folder)) {
    const [, run] = OF_A_RUN.exec(name) ?? [];
    if (run === undefined) continue;
    const path = join(folder, name);
    // A run by hand on another host may have just finished with it.
    const atMs = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (atMs === undefined) continue;
    const files = runs.get(run) ?? { paths: [], atMs };
    files.paths.push(path);
    files.atMs = Math.max(files.atMs, atMs);
    runs.set(run, files);
  }
  // By when they were written: local times go back when clocks do, and when the time zone is changed.
  const latestFirst = [...runs.values()].toSorted((a, b) => b.atMs - a.atMs);
  for (const { paths, atMs } of latestFirst.slice(KEPT_RUNS)) {
    if (nowMs - atMs < KEPT_FOR_MS) continue;
    for (const path of paths) await rm(path, { force: true });
  }
}
