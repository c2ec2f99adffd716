import type { Redis } from 'ioredis';
import { askConfig, askInfo, measureRoundTrip } from './ask-redis.ts';
import { isCluster, keyOwner } from './cluster.ts';
import { isUnencrypted } from './encryption.ts';
import { FLAW, isPatched } from './patched.ts';
import { isOlder, OLDEST_VERSION } from './embedded/server-binary.ts';

export interface RedisFault {
  /** `refuse`: a worker does not start on it, since data would be lost silently or nothing would work. */
  readonly severity: 'refuse' | 'warn';
  /** The setting or state, in Redis' own word. */
  readonly thing: string;
  readonly value: string;
  /** The next step, for a person. */
  readonly remedy: string;
}

/** What survives a restart of Redis; `unknown` when the server does not let us ask. */
export type Persistence = 'aof' | 'rdb' | 'aof+rdb' | 'none' | 'unknown';

export interface RedisCheck {
  /** Like "redis 7.0.15"; "unknown" when not told. */
  readonly version: string;
  readonly policy: string;
  readonly persistence: Persistence;
  /** Median of a few, milliseconds. */
  readonly roundTripMs: number;
  /** Empty when all is well. */
  readonly faults: readonly RedisFault[];
}

/** What a server says about itself; a key is absent when it did not say. */
export interface ServerFacts {
  /** The fields of INFO; empty when it is forbidden. */
  readonly info: ReadonlyMap<string, string>;
  /** `save`, `appendfsync`, `maxmemory-policy` and `min-replicas-to-write` of CONFIG GET; undefined when it is forbidden, as managed Redis mostly does. */
  readonly config: ReadonlyMap<string, string> | undefined;
  readonly roundTripMs: number;
  /** It is our own, on a Unix socket. */
  readonly isEmbedded?: boolean;
  /** Data and password are on a network as they are. */
  readonly isUnencrypted?: boolean;
  /** What may put another server in its place. */
  readonly failover?: 'sentinel' | 'cluster';
}

/** Slots are void 25 ms after their moment, so a reply must come well within that. */
const SLOW_ROUND_TRIP_MS = 10;

/**
 * Asks a connected Redis, of a cluster the node that holds our keys, whether it can be trusted with the queue and the ledger. Changes nothing.
 * @throws the client's error when Redis does not answer; a forbidden command is not an error
 */
export async function checkRedis(client: Redis): Promise<RedisCheck> {
  const node = await keyOwner(client);
  const info = await askInfo(node);
  const config = await askConfig(node);
  const roundTripMs = await measureRoundTrip(node);
  const failover = isCluster(client) ? 'cluster' : node.options.sentinels === undefined ? undefined : 'sentinel';
  return judgeServer({
    info,
    config,
    roundTripMs,
    isUnencrypted: isUnencrypted(node.options),
    isEmbedded: node.options.path !== undefined,
    ...(failover && { failover }),
  });
}

/** The rules of the check, apart from the asking. */
export function judgeServer(facts: ServerFacts): RedisCheck {
  const { info, config, roundTripMs, isUnencrypted: isPlain = false } = facts;
  const policy = config?.get('maxmemory-policy') ?? info.get('maxmemory_policy') ?? 'unknown';
  const persistence = judgePersistence(facts);
  const faults = [
    ...versionFaults(facts),
    ...policyFaults(policy),
    ...stateFaults(facts),
    ...failoverFaults(facts),
    ...persistenceFaults(persistence, config),
    ...(isPlain ? [PLAIN] : []),
    ...(roundTripMs > SLOW_ROUND_TRIP_MS ? [slow(roundTripMs)] : []),
  ];
  const valkey = info.get('valkey_version');
  const redis = info.get('redis_version');
  const version = valkey !== undefined ? `valkey ${valkey}` : redis !== undefined ? `redis ${redis}` : 'unknown';
  return { version, policy, persistence, roundTripMs, faults };
}

function versionFaults({ info, isEmbedded = false }: ServerFacts): RedisFault[] {
  // Valkey tells the Redis version it is compatible with here, always 7.2 or newer.
  const version = info.get('redis_version');
  if (version === undefined)
    return [warn('redis_version', 'unknown', `allow the command INFO, or make sure it is at least ${OLDEST_VERSION}`)];
  if (isOlder(version, OLDEST_VERSION))
    return [refuse('redis_version', version, `use Redis ${OLDEST_VERSION} or newer, or Valkey`)];
  const valkey = info.get('valkey_version');
  const isMended = valkey === undefined ? isPatched('redis', version) : isPatched('valkey', valkey);
  // The embedded one is the distribution's, whose own version number tells; what was unpacked is renewed by itself.
  if (isEmbedded || isMended) return [];
  const name = valkey === undefined ? 'redis_version' : 'valkey_version';
  return [warn(name, valkey ?? version, PATCH_REMEDY)];
}

const PATCH_REMEDY = `update it: anyone who may run a script there can run code on its host (${FLAW}); fixed in Redis 6.2.20, 7.2.11, 7.4.6, 8.0.4, 8.2.2 and newer, in Valkey 7.2.11, 8.0.6, 8.1.4, and by distributions under their own version numbers`;

function policyFaults(policy: string): RedisFault[] {
  if (policy === 'noeviction') return [];
  if (policy === 'unknown')
    return [warn('maxmemory-policy', policy, 'allow CONFIG GET or INFO, or make sure it is noeviction')];
  const remedy =
    "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or the provider's console: any other policy may throw jobs and outcomes away";
  return [refuse('maxmemory-policy', policy, remedy)];
}

function stateFaults({ info, failover }: ServerFacts): RedisFault[] {
  const faults: RedisFault[] = [];
  if (info.get('role') === 'slave')
    faults.push(refuse('role', 'replica', 'point redis.url at the primary: a replica takes no writes'));
  if (info.get('redis_mode') === 'cluster' && failover !== 'cluster') {
    const remedy = 'list its nodes under redis.cluster instead of redis.url: only then are its redirections followed';
    faults.push(refuse('redis_mode', 'cluster', remedy));
  }
  if (info.get('aof_last_write_status') === 'err') {
    faults.push(
      refuse(
        'aof_last_write_status',
        'err',
        'free space on the disk of the Redis data directory: writes are refused until then',
      ),
    );
  }
  if (info.get('rdb_last_bgsave_status') === 'err') {
    faults.push(
      warn(
        'rdb_last_bgsave_status',
        'err',
        'read the Redis log: the last snapshot failed, and Redis may refuse writes (MISCONF)',
      ),
    );
  }
  return faults;
}

/** Replicas copy after the answer, so a failover may drop what was acknowledged. */
function failoverFaults({ info, config, failover }: ServerFacts): RedisFault[] {
  const hasReplicas = Number(info.get('connected_slaves') ?? 0) > 0;
  if (failover === undefined || !hasReplicas || config?.get('min-replicas-to-write') !== '0') return [];
  const remedy =
    'with two replicas or more set it to 1, and min-replicas-max-lag to a few seconds, on every server: a primary that is cut off would keep accepting writes that the failover drops';
  return [warn('min-replicas-to-write', '0', remedy)];
}

function judgePersistence({ info, config }: ServerFacts): Persistence {
  const aof = info.get('aof_enabled');
  const save = config?.get('save');
  if (aof === '1') return save === undefined || save === '' ? 'aof' : 'aof+rdb';
  if (aof === undefined || save === undefined) return 'unknown';
  return save === '' ? 'none' : 'rdb';
}

function persistenceFaults(persistence: Persistence, config: ReadonlyMap<string, string> | undefined): RedisFault[] {
  const remedy = 'set appendonly yes';
  switch (persistence) {
    case 'none':
      return [warn('persistence', 'none', `${remedy}: a restart of Redis loses every batch and outcome`)];
    case 'rdb':
      return [warn('persistence', 'rdb', `${remedy}: a crash loses everything since the last snapshot`)];
    case 'unknown':
      return [
        warn(
          'persistence',
          'unknown',
          "CONFIG GET or INFO is forbidden here: make sure in the provider's console that an append-only file is kept",
        ),
      ];
    case 'aof':
    case 'aof+rdb': {
      const fsync = config?.get('appendfsync');
      if (fsync === 'no')
        return [
          warn(
            'appendfsync',
            fsync,
            'set it to everysec or always: a power cut loses what the system had not written yet',
          ),
        ];
      return fsync === undefined
        ? [warn('appendfsync', 'unknown', 'CONFIG GET is forbidden here: make sure it is everysec or always')]
        : [];
    }
  }
}

const PLAIN = warn(
  'encryption',
  'none',
  'use rediss://, or tls: true for sentinel and cluster: the password and every certificate are on the network as they are',
);

function slow(roundTripMs: number): RedisFault {
  const remedy =
    "run the worker nearer to Redis, or raise the limiter's lateMs: slots that arrive late are thrown away";
  return warn('round trip', `${roundTripMs} ms`, remedy);
}

function refuse(thing: string, value: string, remedy: string): RedisFault {
  return { severity: 'refuse', thing, value, remedy };
}

function warn(thing: string, value: string, remedy: string): RedisFault {
  return { severity: 'warn', thing, value, remedy };
}
