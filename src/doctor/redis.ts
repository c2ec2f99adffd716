import type { Redis } from 'ioredis';
import type { Ledger } from '../ledger/ledger.ts';
import type { AnyHalt } from '../limiter/halts/host-halts.ts';
import { checkRedis } from '../runtime/redis/check-redis.ts';
import { keyOwner } from '../runtime/redis/cluster.ts';
import { fail, ok, warn, type Check } from './check.ts';

/** Whether this Redis can be trusted with the queue and the ledger. */
export async function checkServer(redis: Redis, describe: string): Promise<Check[]> {
  const { version, persistence, policy, roundTripMs, faults } = await checkRedis(redis);
  const found = `${describe}: ${version}, keeps ${persistence}, ${policy}, round trip ${roundTripMs} ms`;
  return [
    ok('redis', found),
    ...faults.map(({ severity, thing, value, remedy }) =>
      (severity === 'refuse' ? fail : warn)('redis', `${thing} is ${value}`, remedy),
    ),
  ];
}

/** Log lines and reports are hard to lay side by side beyond this; slots follow Redis' clock alone. */
const FAR_FROM_REDIS_MS = 2_000;

/** How far this host's clock is from the one that the ledger and the slots follow. */
export async function checkRedisClock(redis: Redis): Promise<Check> {
  const owner = await keyOwner(redis);
  const askedMs = Date.now();
  const [seconds, micros] = await owner.time();
  const answeredMs = Date.now();
  const theirMs = Number(seconds) * 1_000 + Number(micros) / 1_000;
  const skewMs = Math.round((askedMs + answeredMs) / 2 - theirMs);
  const found = describeSkew(skewMs, 'Redis');
  if (Math.abs(skewMs) <= FAR_FROM_REDIS_MS) return ok('redis clock', found);
  return warn('redis clock', found, `${SET_CLOCK}; on both hosts, since either may be wrong`);
}

export const SET_CLOCK = 'keep the clock right with NTP (timedatectl set-ntp true, or chrony)';

export function describeSkew(skewMs: number, whose: string): string {
  const size = Math.abs(skewMs);
  const text = size < 1_000 ? `${size} ms` : `${(size / 1_000).toFixed(size < 10_000 ? 1 : 0)} s`;
  return `this host is ${text} ${skewMs < 0 ? 'behind' : 'ahead of'} ${whose}`;
}

/** What is stopped: all calls of it would fail the same way. */
export function checkHalts(halts: readonly AnyHalt[]): Check[] {
  if (halts.length === 0) return [ok('halts', 'none')];
  return halts.map((halt) => {
    const { account, instanceId, code, message, since } = halt;
    const which = instanceId === undefined ? `account ${account}` : `instance ${instanceId} of account ${account}`;
    const where = 'host' in halt ? `${which} on ${halt.host} alone` : which;
    const found = `${where} is halted since ${new Date(since).toISOString()}: ${code}: ${message}`;
    return fail(
      'halts',
      found,
      'fix the cause, see credentials and clocks here; a probe of a worker lifts it within 30 s',
    );
  });
}

/** What waits for an operator. */
export async function checkBatches(ledger: Pick<Ledger, 'batches'>): Promise<Check[]> {
  const batches = await ledger.batches.all();
  const paused = batches.filter(({ state }) => state === 'paused');
  const running = batches.filter(({ state }) => state === 'running').length;
  if (paused.length === 0) return [ok('batches', `${running} running, none paused`)];
  return paused.map(({ id, pausedBecause = 'by an operator' }) =>
    warn(
      'batches',
      `${id} is paused: ${pausedBecause}`,
      `see certsweep dead list --batch ${id}, then certsweep resume ${id} or certsweep cancel ${id}`,
    ),
  );
}
