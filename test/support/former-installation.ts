import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import type { Redis } from 'ioredis';

/** What a killed worker of an older version left behind; made by test/fixtures/make-installation.mjs, which says what is in it. */
export interface FormerInstallation {
  /** `main`: half done. `paused`: so since some of it was done. Beside them is `direct-fleet`. */
  readonly batches: { readonly main: string; readonly paused: string };
  /** Serial numbers of what the cloud has deleted, also by calls whose answers were lost. */
  readonly deleted: readonly string[];
  /** Redis commands that write every key; each text holds one byte a character. */
  readonly commands: readonly (readonly [name: string, ...args: string[]])[];
}

export async function readFormer(layout: 1 | 2): Promise<FormerInstallation> {
  const file = new URL(`../fixtures/layout-${layout}/installation.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(await readFile(file)).toString()) as FormerInstallation;
}

export async function restore({ commands }: FormerInstallation, redis: Redis): Promise<void> {
  const pipeline = redis.pipeline();
  for (const [name, ...args] of commands) pipeline.call(name, ...args.map((arg) => Buffer.from(arg, 'latin1')));
  for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
}
