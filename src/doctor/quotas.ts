import type { Redis } from 'ioredis';
import { CLOUD_ACCOUNT_QPS, CLOUD_EGRESS_QPS } from '../core/pace.ts';
import { readPace, type Pace } from '../limiter/pace/read-pace.ts';
import { KEY_PREFIX, queueName } from '../queue/contract.ts';
import type { AccountConfig, Config } from '../runtime/config/config.ts';
import { ok, warn, type Check } from './check.ts';

/** The pace that is configured for an account, and the one in use. */
export async function checkAccountQuota(redis: Redis | undefined, { name, qps }: AccountConfig): Promise<Check> {
  const found = `account ${name}: ${qps} calls a second${against(qps, CLOUD_ACCOUNT_QPS, 'throttles')}`;
  if (redis === undefined) return ok('account quota', found);
  const pace = await readPace(redis, KEY_PREFIX, { account: name });
  if (pace === undefined) return ok('account quota', `${found}, not used recently`);
  const { factor, heldForMs } = pace;
  if (factor >= 1 && heldForMs === 0) return ok('account quota', `${found}, ${inUse(qps, pace)}`);
  const held = heldForMs === 0 ? '' : `, and stopped for ${Math.ceil(heldForMs / 1_000)} s`;
  return warn(
    'account quota',
    `${found}, slowed to ${Math.round(factor * 100)}% by throttling answers${held}`,
    `wait: it recovers by 2% a second. If it comes back, something else uses this account's quota: lower accounts.${name}.limits.qps`,
  );
}

/** The pace of this host's address, and who shares it. */
export async function checkEgressQuota(redis: Redis | undefined, { egress, accounts }: Config): Promise<Check> {
  const { id, qps } = egress;
  const found = `egress ${id}: ${qps} calls a second${against(qps, CLOUD_EGRESS_QPS, 'blocks the address')}`;
  const shared = `shared by ${accounts.length} account${accounts.length === 1 ? '' : 's'}`;
  if (redis === undefined) return ok('egress quota', `${found}, ${shared}`);
  const pace = await readPace(redis, KEY_PREFIX, { egress: id });
  const workers = await connectedWorkers(redis, accounts);
  const used = pace === undefined ? 'not used recently' : inUse(qps, pace);
  const now = workers === undefined ? 'number of workers unknown' : `workers connected, of any egress: ${workers}`;
  return ok('egress quota', `${found}, ${used}, ${shared}; ${now}`);
}

function against(qps: number, limit: number, consequence: string): string {
  return qps < limit
    ? ` (at ${limit} the cloud ${consequence})`
    : ` (above the cloud's ${limit}: raisedLimit says that it was raised)`;
}

/** While configurations differ the strictest rules. */
function inUse(qps: number, pace: Pace): string {
  return pace.qps !== undefined && pace.qps < qps
    ? `held to ${pace.qps}, which another process is configured with`
    : 'not slowed down';
}

/** Worker processes, by the name that BullMQ gives their connections; undefined where CLIENT LIST is forbidden. */
async function connectedWorkers(redis: Redis, accounts: readonly AccountConfig[]): Promise<number | undefined> {
  let list: string;
  try {
    list = String(await redis.client('LIST'));
  } catch {
    return undefined;
  }
  const names = list.split('\n').flatMap((line) => / name=(\S*)/.exec(line)?.slice(1, 2) ?? []);
  // A worker has one for each account; accounts may differ between workers.
  const counts = accounts.map(({ name }) => {
    const its = `${KEY_PREFIX}:${Buffer.from(queueName(name)).toString('base64')}`;
    return names.filter((other) => other === its).length;
  });
  return Math.max(0, ...counts);
}
