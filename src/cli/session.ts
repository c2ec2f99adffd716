import { openStore, type OpenStore } from '../app/store.ts';
import { loadConfig, type ConfigPlace } from '../runtime/config/load-config.ts';
import type { Config } from '../runtime/config/config.ts';
import { environment } from '../runtime/environment.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { describeNotice, type RedisNotice } from '../runtime/redis/notice.ts';
import { say } from './text/terminal.ts';

/** The options every command has. */
export interface CommonOptions {
  readonly config?: string;
}

export function configOf(options: CommonOptions): Promise<Config> {
  const place: ConfigPlace = { environment, ...(options.config !== undefined && { path: options.config }) };
  return loadConfig(place);
}

/**
 * Opens Redis as the configuration says, runs the work and closes it again, whatever happens.
 * @throws ConfigError, RedisUnavailable, NewerLayout, and what the work throws
 */
export async function withStore<T>(options: CommonOptions, work: (store: OpenStore) => Promise<T>): Promise<T> {
  const store = await openStore(await configOf(options), {
    notice: sayNotice,
    onTrouble: (error) => say(`${describeRedisError(error)}\nWhat was changed is changed, and on record in Redis.`),
  });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** For people only what takes time or went wrong is worth a line. */
export function sayNotice(event: RedisNotice): void {
  if (['unpacking', 'renewing', 'not-renewed', 'loading', 'lost', 'group-writable'].includes(event.kind))
    say(describeNotice(event));
}
