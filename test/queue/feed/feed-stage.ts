import type { Job as BullJob, Queue } from 'bullmq';
import type { BreakerPolicy, Outcome } from '../../../src/core/batch.ts';
import { DEFAULT_BREAKER } from '../../../src/core/batch.ts';
import type { Certificate } from '../../../src/core/certificate.ts';
import { FIRST_ATTEMPT } from '../../../src/core/decide.ts';
import { CHUNK_ITEMS, chunkOf } from '../../../src/ledger/chunk.ts';
import { ChunkReader } from '../../../src/ledger/chunk-reader.ts';
import { parseBlock, type JobData } from '../../../src/queue/contract.ts';
import { Feeder, type FeederEvent } from '../../../src/queue/feed/feeder.ts';
import type { MayGoOn } from '../../../src/queue/lease.ts';
import { AccountQueues } from '../../../src/queue/queues.ts';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { certificatesOf, LedgerRoom } from '../../ledger/ledger-room.ts';
import { liveRun } from '../note-calls.ts';

export { certificatesOf };
export const ACCOUNT = 'fleet';
export const INSTANCES = ['post-cn-a', 'post-cn-b'] as const;

export interface FeederSettings {
  readonly lowWater: number;
  readonly owned?: readonly string[];
  readonly breaker?: BreakerPolicy;
  /** The stage's own when not given. */
  readonly queues?: AccountQueues;
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

/** An item that a block or job holds, or that waits. */
export interface HeldItem {
  readonly batch: string;
  readonly n: number;
  readonly certificate: Certificate;
  /** A direct item: what it was adopted under. */
  readonly key?: string;
}

/** Items ended in one step. */
const PAGE = 500;

/** A ledger and the real queues of one account, without a worker: the test ends the items. */
export class FeedStage extends LedgerRoom {
  readonly connection = connect({ options: this.keys.options }, 'worker', () => undefined);
  readonly queues = new AccountQueues(this.connection, this.keys.prefix, ACCOUNT);

  feeder(settings: FeederSettings): StagedFeeder {
    const { lowWater, owned = INSTANCES, breaker = DEFAULT_BREAKER, queues = this.queues } = settings;
    const { mayGoOn = () => Promise.resolve(true), halts = () => false } = settings;
    const events: FeederEvent[] = [];
    const halted = new Set<string>();
    let nowMs = 0;
    const owns = (instanceId: string): boolean => owned.includes(instanceId);
    const feeder = new Feeder({
      account: { name: ACCOUNT, instances: owned },
      redis: this.redis,
      ledger: this.ledger,
      chunks: new ChunkReader(this.ledger),
      queues,
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

  /** Has no ramp in the batch, as after an operator's look. */
  async withoutRamp(batch: string): Promise<string> {
    for (const event of ['pause', 'resume'] as const) await this.ledger.batches.change(batch, event);
    return batch;
  }

  /** Blocks and jobs that are ready, in the order in which they would run. */
  async jobs(): Promise<BullJob[]> {
    const { direct, blocks } = this.queues;
    const ready = async (queue: Queue): Promise<BullJob[]> => {
      const jobs = await queue.getJobs(['prioritized', 'waiting', 'delayed'], 0, -1, true);
      return jobs.toSorted((a, b) => (a.opts.priority ?? 0) - (b.opts.priority ?? 0));
    };
    return (await Promise.all([direct, blocks.urgent, blocks.bulk].map(ready))).flat();
  }

  /** Items that blocks and jobs hold and that are not settled, in the order in which they would be called for. */
  async held(): Promise<HeldItem[]> {
    return (await Promise.all((await this.jobs()).map((job) => this.#itemsOf(job)))).flat();
  }

  /** Ordinals of a batch that wait without a job. */
  async parked(batch: string): Promise<number[]> {
    const members = await Promise.all(
      INSTANCES.map((instanceId) => this.redis.zrange(this.ledger.keys.waiting(instanceId), '0', '-1')),
    );
    const ordinals = members.flat().flatMap((member) => {
      const [of, n] = member.split(' ');
      return of === batch ? [Number(n)] : [];
    });
    return ordinals.toSorted((a, b) => a - b);
  }

  /** Ordinals of a batch that something holds: each once, or it would be called for twice. */
  async ordinals(batch: string): Promise<number[]> {
    const held = (await this.held()).flatMap((item) => (item.batch === batch ? [item.n] : []));
    return [...held, ...(await this.parked(batch))].toSorted((a, b) => a - b);
  }

  /** Ends what is held and what waits, at most so many, as a worker would; `isChosen` says which. */
  async work(
    outcome: 'revoked' | 'dead',
    atMost = Number.POSITIVE_INFINITY,
    isChosen: (certificate: Certificate) => boolean = () => true,
  ): Promise<void> {
    let left = atMost;
    for (const job of await this.jobs()) {
      const items = await this.#itemsOf(job);
      const chosen = items.filter(({ certificate }) => isChosen(certificate)).slice(0, left);
      left -= chosen.length;
      await this.#end(chosen, outcome, false);
      if (chosen.length === items.length) await job.remove();
    }
    const waiting = (await this.#waitingItems()).filter(({ certificate }) => isChosen(certificate));
    await this.#end(waiting.slice(0, left), outcome, true);
  }

  /** Settles one item as a worker would that has its job. */
  async end(item: HeldItem, outcome: Outcome): Promise<void> {
    await this.#end([item], outcome, false);
  }

  /** Redis loses every job. */
  async loseJobs(): Promise<void> {
    const { direct, blocks } = this.queues;
    for (const queue of [direct, blocks.urgent, blocks.bulk]) await queue.obliterate({ force: true });
  }

  async close(): Promise<void> {
    await this.queues.close();
    this.connection.disconnect();
    await this.cleanup();
  }

  /** Those of a job that do not wait: no call may be made for these. */
  async #itemsOf({ data }: BullJob): Promise<HeldItem[]> {
    const items = await this.#namedBy(data);
    const batch = items[0]?.batch ?? '';
    const places = items.map(({ n, certificate }) => ({ n, instanceId: certificate.instanceId }));
    const isWaiting = await this.ledger.waiting.areWaiting(batch, places);
    return items.filter((_, at) => !isWaiting[at]);
  }

  async #namedBy(data: unknown): Promise<HeldItem[]> {
    const block = parseBlock(data);
    if (block === undefined) {
      const { batch = '', n = 0, key, instanceId, caSn, deviceSn } = data as JobData;
      return [{ batch, n, certificate: { instanceId, caSn, deviceSn }, ...(key !== undefined && { key }) }];
    }
    const { batch, instanceId, from, to } = block;
    const chunk = chunkOf(from);
    const certificates = (await this.ledger.items.chunk(batch, chunk)) ?? [];
    const isSettled = await this.ledger.items.settledOfChunk(batch, chunk);
    return certificates.slice(from % CHUNK_ITEMS, to - chunk * CHUNK_ITEMS).flatMap((certificate, at) => {
      const n = from + at;
      return certificate.instanceId === instanceId && !isSettled(n % CHUNK_ITEMS) ? [{ batch, n, certificate }] : [];
    });
  }

  async #waitingItems(): Promise<HeldItem[]> {
    const chunks = new ChunkReader(this.ledger);
    const items: HeldItem[] = [];
    for (const instanceId of INSTANCES) {
      for (const member of await this.redis.zrange(this.ledger.keys.waiting(instanceId), '0', '-1')) {
        const [batch = '', n] = member.split(' ');
        const certificate = await chunks.certificate(batch, Number(n));
        const keys = new Map([...(await this.ledger.direct.jobs(batch))].map(([key, of]) => [of, key]));
        const key = keys.get(Number(n));
        if (certificate !== undefined)
          items.push({ batch, n: Number(n), certificate, ...(key !== undefined && { key }) });
      }
    }
    return items;
  }

  async #end(items: readonly HeldItem[], outcome: Outcome, isWaiting: boolean): Promise<void> {
    const run = await liveRun(this.ledger);
    for (const batch of new Set(items.map((item) => item.batch))) {
      const ofBatch = items.filter((item) => item.batch === batch);
      const reports = ofBatch.map(({ n, certificate, key }) => {
        const death = { code: 'ParameterCheckFailed', message: 'no such thing', requestId: `R-${n}`, calls: 1, at: 1 };
        const letter = outcome === 'dead' && { letter: JSON.stringify({ ...certificate, ...death }).slice(0, -1) };
        const attempt = { ...FIRST_ATTEMPT, calls: 1 };
        const how = { outcome, code: outcome === 'dead' ? death.code : 'OK', requestId: `R-${n}`, attempt };
        const end = { kind: 'settle', ...how, isUncalled: true, ...letter } as const;
        return { n, instanceId: certificate.instanceId, run, ...(key !== undefined && { key }), end };
      });
      for (let at = 0; at < reports.length; at += PAGE) {
        await this.ledger.items.report(batch, reports.slice(at, at + PAGE));
      }
    }
    await this.redis.del(run.lockKey);
    if (!isWaiting) return;
    for (const { batch, n, certificate } of items) {
      await this.redis.zrem(this.ledger.keys.waiting(certificate.instanceId), `${batch} ${n}`);
    }
  }
}
