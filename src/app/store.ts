import type { Redis } from 'ioredis';
import { AuditFile } from '../audit/own-file.ts';
import { refuseNewerLayout } from '../ledger/layout.ts';
import { Ledger } from '../ledger/ledger.ts';
import { KEY_PREFIX } from '../queue/contract.ts';
import type { Config } from '../runtime/config/config.ts';
import { redisPlaceOf } from '../runtime/config/redis-place.ts';
import { environment } from '../runtime/environment.ts';
import { connect, type RedisRole } from '../runtime/redis/connection.ts';
import { keepOpen } from '../runtime/redis/keep-open.ts';
import type { RedisNotice } from '../runtime/redis/notice.ts';
import { openRedis } from '../runtime/redis/open-redis.ts';

export { NewerLayout } from '../ledger/layout.ts';

/** An open store: what everything works on that a user can ask for. */
export interface Store {
  readonly config: Config;
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly prefix: string;
  /** Which Redis it is, for people. */
  readonly where: string;
  /** What this process changes is appended to it; absent where the configuration names none. */
  readonly auditFile?: AuditFile;
  /** Hears what went wrong beside the work, which went on. */
  readonly tellTrouble?: (error: Error) => void;
}

/** A store that has more connections where one needs them. */
export interface OpenStore extends Store, Pick<OpenConnection, 'another' | 'close'> {}

/** Called with what happens to Redis while it is open. */
export interface RedisListeners {
  /** Hears what the embedded Redis does on its way up and down. */
  readonly notice: (event: RedisNotice) => void;
  /** Hears the errors of the connection. Default: nobody. */
  readonly onError?: (error: Error) => void;
  /** Hears what went wrong beside the work, which went on. Default: nobody. */
  readonly onTrouble?: (error: Error) => void;
}

/** An open Redis with one connection. */
export interface OpenConnection {
  readonly redis: Redis;
  /** Which Redis it is, for people. */
  readonly where: string;
  /** Resolves, for a worker, with why its Redis does not come back. */
  readonly gone: Promise<Error>;
  /** Another connection to the same Redis; it ends with this one. */
  another(role: RedisRole): Redis;
  /** Ends the connection, and an embedded Redis that nobody else uses. */
  close(): Promise<void>;
}

/**
 * Opens Redis as the configuration says.
 * @throws RedisUnavailable, or NewerLayout where a newer version works on it; then nothing stays open
 */
export async function openConnection(
  config: Config,
  role: RedisRole,
  { notice, onError = () => undefined }: RedisListeners,
): Promise<OpenConnection> {
  const place = redisPlaceOf(config, environment);
  // A worker outlives its Redis; a producer, which waits for an answer, gets an error instead.
  const open =
    role === 'worker'
      ? await keepOpen(place, notice, onError)
      : { ...(await openRedis(place, notice)), gone: new Promise<never>(() => undefined) };
  const redis = connect(open, role, onError);
  const others: Redis[] = [];
  const another = (of: RedisRole): Redis => {
    const other = connect(open, of, onError);
    others.push(other);
    return other;
  };
  const close = async (): Promise<void> => {
    for (const other of others) other.disconnect();
    redis.disconnect();
    await open.close();
  };
  try {
    await refuseNewerLayout(redis, KEY_PREFIX);
  } catch (error) {
    await close();
    throw error;
  }
  return { redis, where: open.describe, gone: open.gone, another, close };
}

/**
 * Opens the store that the configuration names.
 * @throws RedisUnavailable within seconds, or NewerLayout; then nothing stays open
 */
export async function openStore(config: Config, listeners: RedisListeners): Promise<OpenStore> {
  const open = await openConnection(config, 'producer', listeners);
  const store = storeOn(config, open, open.redis, listeners);
  return {
    ...store,
    close: () => open.close(),
    another: (role) => open.another(role),
  };
}

/**
 * The store on a Redis that is open already.
 * @param redis - a connection of the `producer` role to it
 */
export function storeOn(
  config: Config,
  { where }: Pick<OpenConnection, 'where'>,
  redis: Redis,
  { onTrouble }: Pick<RedisListeners, 'onTrouble'>,
): Store {
  const ledger = new Ledger(redis, KEY_PREFIX);
  const { file } = config.audit;
  const auditFile = file === undefined ? undefined : new AuditFile(file, redis, ledger.keys.audit);
  return {
    config,
    redis,
    ledger,
    prefix: KEY_PREFIX,
    where,
    ...(auditFile !== undefined && { auditFile }),
    ...(onTrouble !== undefined && { tellTrouble: onTrouble }),
  };
}
