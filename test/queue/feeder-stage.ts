import type { BreakerPolicy } from '../../src/core/batch.ts';
import { DEFAULT_BREAKER } from '../../src/core/batch.ts';
import { FIRST_ATTEMPT } from '../../src/core/decide.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import type { ItemReport } from '../../src/ledger/items.ts';
import type { Block } from '../../src/queue/contract.ts';
import { parseBlock } from '../../src/queue/contract.ts';
import { Feeder, type FeederEvent } from '../../src/queue/feed/feeder.ts';
import type { MayGoOn } from '../../src/queue/lease.ts';
import { AccountQueues } from '../../src/queue/queues.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import { certificatesOf, LedgerRoom, letterOf } from '../ledger/ledger-room.ts';

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

/** A block that is ready, and the items of its lane in it that have not ended. */
export interface ReadyBlock extends Block {
  readonly id: string;
  readonly ordinals: readonly number[];
}

/** A ledger and the real queues of one account, without a worker: the test ends the items. */
export class FeederStage extends LedgerRoom {
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

  /** Blocks that are ready, urgent ones first, each queue in the order in which it would run. */
  async blocks(): Promise<ReadyBlock[]> {
    const { urgent, bulk } = this.queues.blocks;
    const jobs = (await Promise.all([urgent, bulk].map((queue) => queue.getJobs(['waiting'], 0, -1, true)))).flat();
    return Promise.all(
      jobs.map(async ({ id = '', data }) => {
        const block = parseBlock(data);
        if (block === undefined) throw new Error(`the job ${id} is no block`);
        return { id, ...block, ordinals: await this.openOf(block) };
      }),
    );
  }

  /** The ordinals of a batch's items in blocks that are ready. */
  async ordinals(batch: string): Promise<number[]> {
    const blocks = (await this.blocks()).filter((block) => block.batch === batch);
    return blocks.flatMap(({ ordinals }) => ordinals).toSorted((a, b) => a - b);
  }

  /** Ends what the blocks hold, at most so many, as a worker would; `isChosen` says which. */
  async work(
    outcome: 'revoked' | 'dead',
    atMost = Number.POSITIVE_INFINITY,
    isChosen: (item: { readonly batch: string; readonly n: number }) => boolean = () => true,
  ): Promise<void> {
    let left = atMost;
    for (const block of await this.blocks()) {
      const { id, batch, instanceId, ordinals } = block;
      const chosen = ordinals.filter((n) => isChosen({ batch, n })).slice(0, left);
      left -= chosen.length;
      const reports = chosen.map((n): ItemReport => {
        const letter = JSON.stringify(letterOf({ instanceId, caSn: 'c', deviceSn: `${n}` })).slice(0, -1);
        const how = { outcome, code: 'OK', requestId: `R-${n}`, attempt: FIRST_ATTEMPT, isUncalled: true };
        const run = { kind: 'job', lockKey: `${this.keys.prefix}:none`, token: '' } as const;
        return { n, instanceId, run, end: { kind: 'settle', ...how, ...(outcome === 'dead' && { letter }) } };
      });
      if (reports.length > 0) await this.ledger.items.report(batch, reports);
      if (chosen.length < ordinals.length) continue;
      await Promise.all(Object.values(this.queues.blocks).map((queue) => queue.remove(id)));
    }
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

  protected async openOf({ batch, instanceId, from, to }: Block): Promise<number[]> {
    const chunks = new ChunkReader(this.ledger);
    const ordinals = Array.from({ length: to - from }, (_, at) => from + at);
    const known = await Promise.all(
      ordinals.map(async (n) => {
        const certificate = await chunks.certificate(batch, n);
        const isSettled = await this.redis.getbit(this.ledger.keys.of(batch).settled, n);
        return certificate?.instanceId === instanceId && isSettled === 0;
      }),
    );
    return ordinals.filter((_, at) => known[at]);
  }
}
