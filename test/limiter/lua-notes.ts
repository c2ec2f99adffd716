import type { Redis } from 'ioredis';
import type { CallNotes } from '../../src/limiter/contract.ts';

export interface NotedVerdict {
  readonly kind: 'go' | 'settled' | 'paused' | 'cancelled';
}

/** What the script did with a call. */
export interface NoteEvent {
  readonly kind: 'looked' | 'noted' | 'back';
  readonly call: string;
}

/** How long a claim lasts. */
const CLAIM_MS = 5_000;

/** The notes in their smallest form: each call has a verdict that a test sets, and a log tells what was done with it. */
const LUA = `local function openCalls(request, firstKey, nowMs, claimMs)
  local verdictsKey, logKey, claimsKey = KEYS[firstKey], KEYS[firstKey + 1], KEYS[firstKey + 2]
  for _, call in ipairs(request.back) do redis.call('RPUSH', logKey, 'back ' .. call) end
  local verdicts, callable = {}, {}
  for at, call in ipairs(request.calls) do
    verdicts[at] = redis.call('HGET', verdictsKey, call) or 'go'
    redis.call('RPUSH', logKey, 'looked ' .. call)
    if verdicts[at] == 'go' then callable[#callable + 1] = at end
  end
  local function note(count)
    for at = 1, count do
      local call = request.calls[callable[at]]
      redis.call('RPUSH', logKey, 'noted ' .. call)
      redis.call('HSET', claimsKey, call, string.format('%.0f', nowMs + claimMs))
    end
  end
  return verdicts, callable, note
end`;

/** Notes of calls that are texts, on a Redis of the tests. */
export class LuaNotes implements CallNotes<string, NotedVerdict> {
  readonly lua = LUA;
  readonly claimMs = CLAIM_MS;
  /** Told by the limiter: when each call's claim ends. */
  readonly claimEnds = new Map<string, number>();
  readonly #redis: Redis;
  readonly #keys: readonly [verdicts: string, log: string, claims: string];

  /** @param prefix - of keys that nobody else has */
  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#keys = [`${prefix}:verdicts`, `${prefix}:log`, `${prefix}:claims`];
  }

  request(calls: readonly (string | undefined)[], back: readonly string[]): { keys: readonly string[]; json: string } {
    return { keys: this.#keys, json: JSON.stringify({ calls: calls.map((call) => call ?? ''), back }) };
  }

  read(verdict: string): NotedVerdict {
    return { kind: verdict as NotedVerdict['kind'] };
  }

  noted(call: string, claimEndMs: number): void {
    this.claimEnds.set(call, claimEndMs);
  }

  /** Sets what is said of these calls from now on. */
  async judge(calls: readonly string[], verdict: NotedVerdict['kind']): Promise<void> {
    await this.#redis.hset(this.#keys[0], Object.fromEntries(calls.map((call) => [call, verdict])));
  }

  async log(): Promise<NoteEvent[]> {
    const lines = await this.#redis.lrange(this.#keys[1], 0, -1);
    return lines.map((line) => {
      const [kind = '', call = ''] = line.split(' ');
      return { kind: kind as NoteEvent['kind'], call };
    });
  }

  /** The ends of claims as they stand in Redis. */
  async claims(): Promise<Map<string, number>> {
    const claims = Object.entries(await this.#redis.hgetall(this.#keys[2]));
    return new Map(claims.map(([call, endMs]) => [call, Number(endMs)]));
  }
}

/** The calls of which a note stands. */
export function standing(log: readonly NoteEvent[]): Set<string> {
  const noted = new Set<string>();
  for (const { kind, call } of log) {
    if (kind === 'noted') noted.add(call);
    if (kind === 'back') noted.delete(call);
  }
  return noted;
}

export function countOf(log: readonly NoteEvent[], kind: NoteEvent['kind']): number {
  return log.filter((event) => event.kind === kind).length;
}
