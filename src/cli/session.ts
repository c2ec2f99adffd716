import type { Redis } from 'ioredis';
import { refuseNewerLayout } from '../ledger/layout.ts';
import { Ledger } from '../ledger/ledger.ts';
import { KEY_PREFIX } from '../queue/contract.ts';
import { loadConfig, type ConfigPlace } from '../runtime/config/load-config.ts';
import type { Config } from '../runtime/config/config.ts';
import { redisPlaceOf } from '../runtime/config/redis-place.ts';
import { environment } from '../runtime/environment.ts';
import { connect, type RedisRole } from '../runtime/redis/connection.ts';
import { keepOpen } from '../runtime/redis/keep-open.ts';
import { describeNotice, type RedisNotice } from '../runtime/redis/notice.ts';
import { openRedis } from '../runtime/redis/open-redis.ts';
import { say } from './terminal.ts';

/** The options every command has. */
export interface CommonOptions {
  readonly config?: string;
}

/** An open store: what most commands work on. */
export interface Store {
  readonly config: Config;
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly prefix: string;
  /** Which Redis it is, for people. */
  readonly where: string;
}

export function configOf(options: CommonOptions): Promise<Config> {
  const place: ConfigPlace = { environment, ...(options.config !== undefined && { path: options.config }) };
  return loadConfig(place);
}

/**
 * Opens Redis as the configuration says, runs the work and closes it again, whatever happens.
 * @throws ConfigError, RedisUnavailable, NewerLayout, and what the work throws
 */
export async function withStore<T>(options: CommonOptions, work: (store: Store) => Promise<T>): Promise<T> {
  const config = await configOf(options);
  return withRedis(config, 'producer', sayNotice, (redis, where) =>
    work({ config, redis, ledger: new Ledger(redis, KEY_PREFIX), prefix: KEY_PREFIX, where }),
  );
}

/** @param work - a worker also hears when its Redis has gone for good */
export async function withRedis<T>(
  config: Config,
  role: RedisRole,
  notice: (event: RedisNotice) => void,
  work: (redis: Redis, where: string, gone: Promise<Error>) => Promise<T>,
  onError: (error: Error) => void = () => undefined,
): Promise<T> {
  const place = redisPlaceOf(config, environment);
  // A worker outlives its Redis; who waits for an answer is told instead.
  const open =
    role === 'worker'
      ? await keepOpen(place, notice, onError)
      : { ...(await openRedis(place, notice)), gone: new Promise<never>(() => undefined) };
  const redis = connect(open, role, onError);
  try {
    await refuseNewerLayout(redis, KEY_PREFIX);
    return await work(redis, open.describe, open.gone);
  } finally {
    redis.disconnect();
    await open.close();
  }
}

/** For people only what takes time or went wrong is worth a line. */
export function sayNotice(event: RedisNotice): void {
  if (['unpacking', 'loading', 'lost', 'group-writable'].includes(event.kind)) say(describeNotice(event));
}
