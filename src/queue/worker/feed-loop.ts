import type { Redis } from 'ioredis';
import { standingHalts } from '../../limiter/halts/halt-store.ts';
import { SAMPLE_EVERY_MS, takeSample } from '../../limiter/pace/samples.ts';
import { Feeder, type FeederParts } from '../feed/feeder.ts';
import { feedLease } from '../feeding-lease.ts';
import { every, type Repeated } from './repeat.ts';

export interface FeedLoopParts extends Omit<
  FeederParts,
  'account' | 'lowWater' | 'mayGoOn' | 'mayFeed' | 'monotonicMs'
> {
  readonly redis: Redis;
  readonly prefix: string;
  readonly account: { readonly name: string; readonly qps: number; readonly instances: readonly string[] };
  readonly egress: { readonly id: string; readonly qps: number };
}

export interface FeedLoop extends Repeated {
  /** Since its last round ended well, milliseconds; undefined while another process feeds. */
  readonly lagMs: number | undefined;
}

const FEED_EVERY_MS = 250;
/** The lease is good for three times as long. */
const HOLD_EVERY_MS = 1_000;
/** Ten seconds of work; bounded for paces that no cloud allows. */
const LOW_WATER_SECONDS = 10;
const LOW_WATER_MAX = 20_000;

/** Feeds the account's queues as long as this process is the one that does. */
export function feedRepeatedly(parts: FeedLoopParts, onError: (error: Error) => void): FeedLoop {
  const { redis, prefix, ledger, account, egress, owns } = parts;
  const lease = feedLease(redis, prefix, account.name);
  let halted = new Set<string | undefined>();
  let heldAtMs = Number.NEGATIVE_INFINITY;
  let isMine = false;
  let wellAtMs: number | undefined;
  const feeder = new Feeder({
    ...parts,
    lowWater: Math.min(LOW_WATER_MAX, Math.ceil(account.qps * LOW_WATER_SECONDS)),
    mayGoOn: () => lease.hold(),
    mayFeed: (instanceId) => owns(instanceId) && !halted.has(instanceId) && !halted.has(undefined),
    monotonicMs: () => performance.now(),
  });
  let sampledAtMs = Number.NEGATIVE_INFINITY;
  const sample = async (): Promise<void> => {
    if (performance.now() - sampledAtMs < SAMPLE_EVERY_MS) return;
    sampledAtMs = performance.now();
    await takeSample(redis, prefix, { account: account.name }, account.qps);
    await takeSample(redis, prefix, { egress: egress.id }, egress.qps);
  };
  const rounds = every(
    FEED_EVERY_MS,
    async () => {
      if (performance.now() - heldAtMs >= HOLD_EVERY_MS) {
        heldAtMs = performance.now();
        isMine = await lease.hold();
      }
      // Not yet `undefined` where Redis does not answer: then the lag is what there is to see.
      wellAtMs = isMine ? (wellAtMs ?? performance.now()) : undefined;
      if (!isMine) return;
      await sample();
      if ((await redis.zcard(ledger.keys.active)) > 0) {
        halted = new Set((await standingHalts(redis, prefix, account.name)).map(({ instanceId }) => instanceId));
        await feeder.feed();
      }
      wellAtMs = performance.now();
    },
    onError,
  );
  return {
    get lagMs() {
      return wellAtMs === undefined ? undefined : performance.now() - wellAtMs;
    },
    soon: () => rounds.soon(),
    async stop() {
      await rounds.stop();
      wellAtMs = undefined;
      await lease.release().catch(onError);
    },
  };
}
