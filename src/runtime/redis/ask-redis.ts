import type { Redis } from 'ioredis';

const PINGS = 5;

/** The fields of INFO; none where it is forbidden. */
export async function askInfo(client: Redis): Promise<ReadonlyMap<string, string>> {
  const text = await unlessForbidden(client.info());
  const lines = (text ?? '').matchAll(/^([a-z_0-9]+):(.*?)\r?$/gm);
  return new Map([...lines].map((line) => [line[1] ?? '', line[2] ?? '']));
}

/** The settings that matter; undefined where CONFIG GET is forbidden. */
export async function askConfig(client: Redis): Promise<ReadonlyMap<string, string> | undefined> {
  const found = new Map<string, string>();
  // One by one: CONFIG GET of several names came with Redis 7.
  for (const name of ['maxmemory-policy', 'save', 'appendfsync', 'min-replicas-to-write']) {
    const reply = await unlessForbidden(client.config('GET', name));
    if (reply === undefined) return undefined;
    const [, value] = reply;
    if (value !== undefined) found.set(name, value);
  }
  return found;
}

/** An ACL answers NOPERM, a managed Redis mostly "unknown command". */
async function unlessForbidden<T>(reply: Promise<T>): Promise<T | undefined> {
  try {
    return await reply;
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    if (/^NOPERM|unknown (sub)?command|not (allowed|supported)|disabled|forbidden/i.test(message)) return undefined;
    throw error;
  }
}

/** The median of a few pings, milliseconds. */
export async function measureRoundTrip(client: Redis): Promise<number> {
  const times: number[] = [];
  for (let ping = 0; ping < PINGS; ping += 1) {
    const startMs = performance.now();
    await client.ping();
    times.push(performance.now() - startMs);
  }
  const median = times.toSorted((a, b) => a - b)[Math.floor(PINGS / 2)] ?? 0;
  return Math.round(median * 100) / 100;
}
