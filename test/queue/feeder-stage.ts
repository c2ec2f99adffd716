import type { BreakerPolicy } from '../../src/core/batch.ts';
import { DEFAULT_BREAKER } from '../../src/core/batch.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import type { JobData } from '../../src/queue/contract.ts';
import { Feeder, type FeederEvent } from '../../src/queue/feeder.ts';
import type { MayGoOn } from '../../src/queue/lease.ts';
import { RevokeQueue } from '../../src/queue/revoke-queue.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import { certificatesOf, LedgerRoom, letterOf } from '../ledger/ledger-room.ts';

export { certificatesOf };
export const ACCOUNT = 'fleet';

export interface FeederSettings {
  readonly lowWater: number;
  readonly owned?: readonly string[];
  readonly breaker?: BreakerPolicy;
  /** The stage's own when not given. */
  readonly queue?: RevokeQueue;
  readonly mayGoOn?: MayGoOn;
  /** Asked besides `halted`. */
  readonly halts?: (instanceId: string) => boolean;
}

/** A feeder whose clock and halts the test holds. */
export interface StagedFeeder {
  readonly feeder: Feeder;
  readonly events: FeederEvent[];
  readonly halted: Set<string>;
  readonly pass: (ms: number) => void;
}

/** A ledger and the real queue of one account, without a worker: the test ends the items. */
export class FeederStage extends LedgerRoom {
  readonly connection = connect({ options: this.keys.options }, 'worker', () => undefined);
  readonly queue = new RevokeQueue(this.connection, this.keys.prefix, ACCOUNT);

  feeder(settings: FeederSettings): StagedFeeder {
    const { lowWater, owned = ['post-cn-a', 'post-cn-b'], breaker = DEFAULT_BREAKER, queue = this.queue } = settings;
    const { mayGoOn = () => Promise.resolve(true), halts = () => false } = settings;
    const events: FeederEvent[] = [];
    const halted = new Set<string>();
    let nowMs = 0;
    const owns = (instanceId: string): boolean => owned.includes(instanceId);
    const feeder = new Feeder({
      account: { name: ACCOUNT },
      redis: this.redis,
      ledger: this.ledger,
      chunks: new ChunkReader(this.ledger),
      queue,
      lowWater,
      breaker,
      owns,
      mayGoOn,
      mayFeed: (instanceId) => owns(instanceId) && !halted.has(instanceId) && !halts(instanceId),
      monotonicMs: () => nowMs,
      tell: (event) => events.push(event),
    });
    return { feeder, events, halted, pass: (ms) => void (nowMs += ms) };
  }

  /** What the queue holds, in the order in which it would run. */
  async jobs(): Promise<{ id: string; data: JobData; priority: number }[]> {
    const jobs = await this.queue.bull.getJobs(['prioritized', 'waiting'], 0, -1, true);
    const held = jobs.map((job) => ({
      id: job.id ?? '',
      data: job.data as JobData,
      priority: job.opts.priority ?? 0,
    }));
    return held.toSorted((a, b) => a.priority - b.priority);
  }

  async ordinals(batch: string): Promise<number[]> {
    const held = (await this.jobs()).flatMap(({ data }) => (data.batch === batch ? [data.n ?? -1] : []));
    return held.toSorted((a, b) => a - b);
  }

  /** Ends what the queue holds, at most so many, as a worker would; `isChosen` says which. */
  async work(
    outcome: 'revoked' | 'dead',
    atMost = Number.POSITIVE_INFINITY,
    isChosen: (data: JobData) => boolean = () => true,
  ): Promise<void> {
    const held = await this.queue.bull.getJobs(['prioritized', 'waiting'], 0, -1, true);
    const jobs = held.filter((job) => isChosen(job.data as JobData));
    const end = async (job: (typeof jobs)[number]): Promise<void> => {
      const { batch = '', n = 0, key, instanceId, caSn, deviceSn } = job.data as JobData;
      const history = await this.ledger.history(batch, n);
      const letter = { letter: JSON.stringify({ ...letterOf({ instanceId, caSn, deviceSn }), history }) };
      const rest = { ...(outcome === 'dead' && letter), ...(key !== undefined && { jobId: key }) };
      await this.ledger.settle(this.settlement(batch, n, outcome, rest));
      await job.remove();
    };
    await Promise.all(jobs.slice(0, atMost).map(end));
  }

  /** Redis loses every job. */
  async loseJobs(): Promise<void> {
    await this.queue.bull.obliterate({ force: true });
  }

  async close(): Promise<void> {
    await this.queue.close();
    this.connection.disconnect();
    await this.cleanup();
  }
}
