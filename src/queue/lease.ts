import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { script } from '../runtime/redis/script.ts';

const extend =
  script<number>(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0`);
const release = script<number>(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`);

/** Makes one of many processes the one that does a thing. When it dies, another takes over within `ttlMs`. */
export class Lease {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #ttlMs: number;
  readonly #holder = randomUUID();

  constructor(redis: Redis, key: string, ttlMs: number) {
    this.#redis = redis;
    this.#key = key;
    this.#ttlMs = ttlMs;
  }

  /** Takes it, or keeps it for another `ttlMs`. Not a lock: a holder that stalls for longer may overlap with the next one. */
  async hold(): Promise<boolean> {
    return (await extend(this.#redis, [this.#key], [this.#holder, this.#ttlMs])) === 1;
  }

  async release(): Promise<void> {
    await release(this.#redis, [this.#key], [this.#holder]);
  }
}

/** Asked before each step of a task that only one process is to be at: false when another one has taken over. */
export type MayGoOn = () => Promise<boolean>;

/** How long a process that dies in its turn keeps the others waiting. */
const TURN_MS = 10_000;

/**
 * Does the task unless another process is at it.
 * @returns what the task does, or 0 when it is another's turn
 */
export async function inTurn(redis: Redis, key: string, task: (isMyTurn: MayGoOn) => Promise<number>): Promise<number> {
  const turn = new Lease(redis, key, TURN_MS);
  if (!(await turn.hold())) return 0;
  try {
    return await task(() => turn.hold());
  } finally {
    await turn.release();
  }
}
