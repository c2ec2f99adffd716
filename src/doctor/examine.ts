import type { Redis } from 'ioredis';
import { refuseNewerLayout } from '../ledger/layout.ts';
import { Ledger } from '../ledger/ledger.ts';
import { readHalts, type Halt } from '../limiter/halts/halt-store.ts';
import { readHostHalts } from '../limiter/halts/host-halts.ts';
import type { CredentialSource } from '../mqtt/credentials.ts';
import { KEY_PREFIX } from '../queue/contract.ts';
import { missingCredentials, type AccountConfig, type Config, type Environment } from '../runtime/config/config.ts';
import { redisPlaceOf } from '../runtime/config/redis-place.ts';
import { connect } from '../runtime/redis/connection.ts';
import { RedisUnavailable } from '../runtime/redis/describe-error.ts';
import type { RedisNotice } from '../runtime/redis/notice.ts';
import { openRedis, type OpenRedis } from '../runtime/redis/open-redis.ts';
import { attempt, fail, warn, type Check } from './check.ts';
import { checkConfiguration, checkDisk, checkVerification } from './configuration.ts';
import { checkCredentials, checkEndpoint, untriedCredentials } from './endpoints.ts';
import { checkAccountQuota, checkEgressQuota } from './quotas.ts';
import { checkBatches, checkHalts, checkRedisClock, checkServer } from './redis.ts';
import { describeStop, readStop } from '../limiter/halts/stop.ts';
import { openSlots } from './slots.ts';

export interface Patient {
  readonly config: Config;
  readonly environment: Environment;
  readonly credentialsOf: (account: AccountConfig) => CredentialSource;
  /** Hears what the embedded Redis does on its way up and down. */
  readonly notice: (event: RedisNotice) => void;
}

/**
 * Checks everything a worker needs, one check after the other; a failed check does not stop the next. Changes nothing: the calls it makes are reads,
 * with slots of the limiter. An embedded Redis is started for it where none runs, and stopped again.
 * @throws NewerLayout
 */
export async function* examine(patient: Patient): AsyncGenerator<Check> {
  const { config, environment, notice } = patient;
  const unverified = checkVerification(environment);
  if (unverified !== undefined) {
    yield unverified;
    return;
  }
  yield* checkConfiguration(config, environment);
  const { url, sentinel, cluster } = config.redis;
  const isEmbedded = url === undefined && sentinel === undefined && cluster === undefined;
  if (isEmbedded) yield checkDisk(config);
  let open: OpenRedis;
  try {
    open = await openRedis(redisPlaceOf(config, environment), notice);
  } catch (error) {
    if (!(error instanceof RedisUnavailable)) throw error;
    const fix = isEmbedded
      ? 'follow its message, or set redis.url to a Redis of your own'
      : 'start it, or correct redis in the configuration (CERTSWEEP_REDIS_URL)';
    yield fail('redis', error.message, fix);
    yield* examineCalls(patient, undefined, []);
    return;
  }
  // The limiter wants one that rides out an outage, everything else an answer within seconds.
  const redis = connect(open, 'producer', () => undefined);
  const forSlots = connect(open, 'worker', () => undefined);
  try {
    await refuseNewerLayout(redis, KEY_PREFIX);
    yield* await attempt('redis', () => checkServer(redis, open.describe));
    yield* await attempt('redis clock', () => checkRedisClock(redis));
    let halts: readonly Halt[] = [];
    yield* await attempt('halts', async () => {
      halts = await readHalts(redis, KEY_PREFIX);
      const stop = await readStop(redis, KEY_PREFIX);
      if (stop !== undefined) return fail('halts', describeStop(stop), 'certsweep audit shows who did it, and why');
      return checkHalts([...halts, ...(await readHostHalts(redis, KEY_PREFIX))]);
    });
    yield* await attempt('batches', () => checkBatches(new Ledger(redis, KEY_PREFIX)));
    yield* examineCalls(patient, { redis, forSlots }, halts);
  } finally {
    forSlots.disconnect();
    redis.disconnect();
    await open.close();
  }
}

/** What needs the endpoints, and what is known of the pace of calls to them. */
async function* examineCalls(
  { config, environment, credentialsOf }: Patient,
  connections: { readonly redis: Redis; readonly forSlots: Redis } | undefined,
  halts: readonly Halt[],
): AsyncGenerator<Check> {
  const { accounts } = config;
  const slots = connections === undefined ? undefined : openSlots(connections.forSlots, config, halts);
  const takeSlot = slots?.take;
  const answering = new Map<string, boolean>();
  for (const account of accounts) {
    const { endpoint } = account;
    if (!answering.has(endpoint)) {
      // Where Redis has no slots, this one call goes without: it tells whether the network is at fault as well.
      const slot = await takeSlot?.(account);
      const checks =
        typeof slot === 'string'
          ? [warn('endpoint', `${endpoint}: not tried, ${slot}`, 'run this again')]
          : await checkEndpoint(endpoint, config);
      answering.set(
        endpoint,
        checks.every(({ name, state }) => name !== 'endpoint' || state === 'ok'),
      );
      yield* checks;
    }
    if (missingCredentials(account, environment).length > 0) {
      yield untriedCredentials(account, 'its variables are not set');
    } else if (takeSlot === undefined) {
      yield untriedCredentials(account, 'without Redis there are no slots, and no signed call is made without one');
    } else if (answering.get(endpoint) !== true) {
      yield untriedCredentials(account, `${endpoint} does not answer`);
    } else {
      yield* await checkCredentials(account, config, credentialsOf(account), takeSlot);
    }
  }
  await slots?.close();
  // Last: by now the limiter has told Redis what is configured here.
  for (const account of accounts) {
    yield* await attempt('account quota', () => checkAccountQuota(connections?.redis, account));
  }
  yield* await attempt('egress quota', () => checkEgressQuota(connections?.redis, config));
}
