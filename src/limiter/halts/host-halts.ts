import type { Redis } from 'ioredis';
import { z } from 'zod';
import { CLOCK, script } from '../../runtime/redis/script.ts';
import { readHalts, type Halt } from './halt-store.ts';

/** How long what a worker says of itself is valid, by Redis' clock. */
export const GOOD_FOR_MS = 10_000;

/** Each worker process has an entry here, JSON that begins with the time of its last word. */
export function workersKey(prefix: string): string {
  return `${prefix}:workers`;
}

/** The instances that workers have, and the accounts that own them: JSON, once for all workers that have the same. */
export function instancesKey(prefix: string): string {
  return `${workersKey(prefix)}:instances`;
}

/** Lua: whether an entry is good; `ARGV[1]` is `GOOD_FOR_MS`. One further ahead was written before Redis' clock went back. */
export const LIVE = `${CLOCK}
local now = clockMs()
local function isLive(entry)
  return math.abs(now - tonumber(string.match(entry, '^{"at":(%d+)'))) <= tonumber(ARGV[1])
end
`;

const readLive = script<string[]>(`${LIVE}
local live = {}
for _, entry in ipairs(redis.call('HVALS', KEYS[1])) do if isLive(entry) then live[#live + 1] = entry end end
return live`);

/** Times are Redis', milliseconds since 1970. */
const entrySchema = z.object({
  at: z.number(),
  /** Names its instances. */
  digest: z.string().optional(),
  host: z.string(),
  pid: z.number(),
  halts: z.array(z.object({ account: z.string(), code: z.string(), message: z.string(), since: z.number() })),
  /** When the last call left that proved access, by account. */
  proved: z.record(z.string(), z.number()),
});

const ownersSchema = z.record(z.string(), z.string());

/** Undefined where another version wrote it in another way. */
export function readEntry(text: string): z.infer<typeof entrySchema> | undefined {
  const parsed = entrySchema.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : undefined;
}

/** An account that one process alone has stopped calling. Times are milliseconds since 1970 by Redis' clock. */
export interface HostHaltSeen {
  readonly account: string;
  readonly instanceId?: undefined;
  readonly host: string;
  readonly pid: number;
  readonly code: string;
  readonly message: string;
  readonly since: number;
}

/** What live workers have stopped for themselves alone. */
export async function readHostHalts(redis: Redis, prefix: string): Promise<HostHaltSeen[]> {
  const entries = await readLive(redis, [workersKey(prefix)], [GOOD_FOR_MS]);
  return entries.flatMap((text) => {
    const entry = readEntry(text);
    return (entry?.halts ?? []).map((halt) => ({ ...halt, host: entry?.host ?? '', pid: entry?.pid ?? 0 }));
  });
}

/** Live workers, each with the accounts that it works for. */
export async function readWorkers(redis: Redis, prefix: string) {
  const [entries, owners] = await Promise.all([
    readLive(redis, [workersKey(prefix)], [GOOD_FOR_MS]),
    redis.hgetall(instancesKey(prefix)),
  ]);
  return entries.flatMap((text) => {
    const entry = readEntry(text);
    if (entry === undefined) return [];
    const { host, pid, at, halts, digest } = entry;
    const ownerOf = ownersSchema.parse(JSON.parse(owners[digest ?? ''] ?? '{}'));
    return [{ host, pid, seenAt: at, halts, accounts: [...new Set(Object.values(ownerOf))].toSorted() }];
  });
}

/** Of an account or an instance for all workers, or of an account for one host alone: that one has a `host`. */
export type AnyHalt = Halt | HostHaltSeen;

export async function allHalts(redis: Redis, prefix: string): Promise<AnyHalt[]> {
  const [halts, ofHosts] = await Promise.all([readHalts(redis, prefix), readHostHalts(redis, prefix)]);
  return [...halts, ...ofHosts];
}
