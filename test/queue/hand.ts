import { AsyncLocalStorage } from 'node:async_hooks';
import type { Job as BullJob } from 'bullmq';
import { CA_ACTIVE } from '../../src/core/retirement.ts';
import type { Action } from '../../src/core/action.ts';
import type { Run } from '../../src/ledger/call-notes.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import type { Claim } from '../../src/ledger/waiting.ts';
import { BatchStateCache } from '../../src/queue/batch-state-cache.ts';
import { ItemReports } from '../../src/queue/process/item-reports.ts';
import { ItemRunner } from '../../src/queue/process/item-runner.ts';
import type { Item } from '../../src/queue/process/item.ts';
import type { RevocationClient } from '../../src/queue/process/item-calls.ts';
import { createProcessor, type ProcessorParts } from '../../src/queue/process/processor.ts';
import { resolveClaim } from '../../src/queue/process/resolve-claim.ts';
import { JobResolver } from '../../src/queue/process/resolve-job.ts';
import { JobRunner } from '../../src/queue/worker/job-runner.ts';
import { ACCOUNT, INSTANCES, type FeedStage } from './feed/feed-stage.ts';
import { HandPacer, type GrantPlan, type InHand } from './hand-pacer.ts';
import { Stops, type StopPlan } from './stops.ts';
import { Turns } from './turns.ts';
import { LONG_MS, type AnswerKind, type World } from './world.ts';

export { ITEM_POINTS, JOB_POINTS, type Point, type StopPlan } from './stops.ts';
export { ANSWERS, World, type AnswerKind } from './world.ts';

/** Tries before an item is dead. */
export const ATTEMPTS = 3;

/** What the world has ready for a process. */
export interface RunPlan {
  /** One for each call of an item, the next item beginning with the second; honest ones after them. */
  readonly answers: readonly AnswerKind[];
  readonly grant: GrantPlan;
  /** Slots of each pulse; as many as are wanted when not given. */
  readonly slots?: number;
  /** It does not know yet that the account is halted when it takes a job. */
  readonly isUnaware?: boolean;
}

/** A process that sees no outage: every endpoint judges a read. */
export const HEALTHY: ProcessorParts['host'] = {
  isHalted: false,
  admit: () => 'go',
  hear: () => undefined,
  hearRead: () => undefined,
  mayEndDead: () => Promise.resolve(true),
  keeps: () => false,
};

/** Which item the code at hand is about. One for all: each further storage would slow down every promise. */
const CONTEXT = new AsyncLocalStorage<InHand>();
let hands = 0;

/** A process with the real processor and job runner, and a job or some claimed items in hand, which can be stopped, for ever or for a while. */
export class Hand {
  /** No other has it. */
  readonly id = (hands += 1);
  readonly #stage: FeedStage;
  readonly #world: World;
  readonly #plan: RunPlan;
  readonly #states: BatchStateCache;
  readonly #chunks: ChunkReader;
  readonly #reports: ItemReports;
  readonly #items: ItemRunner;
  readonly #jobs: JobRunner;
  readonly #stops: Stops;
  readonly #begun = new Map<Item, InHand>();
  #isLeaving = false;

  constructor(stage: FeedStage, world: World, plan: RunPlan) {
    this.#stage = stage;
    this.#world = world;
    this.#plan = plan;
    const { ledger, redis } = stage;
    const { keys } = ledger;
    this.#states = new BatchStateCache(ledger);
    this.#chunks = new ChunkReader(ledger);
    this.#reports = new ItemReports({ items: ledger.items, tell: (event) => this.#hearTrouble(event) });
    const { slots } = plan;
    const parts = { redis, keys, world, reports: this.#reports, ...(slots !== undefined && { slots }) };
    const turns: Turns = new Turns({ ...parts, onStill: () => this.#stops.look() });
    this.#stops = new Stops(
      () => this.#items.inHand,
      () => turns.isStill,
    );
    this.#items = this.#openItems(turns);
    this.#jobs = new JobRunner({
      ledger,
      chunks: this.#chunks,
      states: this.#states,
      resolver: new JobResolver(ledger, this.#chunks, this.#states, ACCOUNT),
      items: this.#items,
      owns: (instanceId) => (INSTANCES as readonly string[]).includes(instanceId),
      ownerOf: () => undefined,
      admits: () => this.#admits(),
      onBlock: () => undefined,
      tell: (event) => this.#hearTrouble(event),
    });
  }

  /** Begins, and resolves when it has ended or is stopped. @returns whether it is stopped */
  begin(run: () => Promise<unknown>, stops: StopPlan = []): Promise<boolean> {
    return this.#stops.begin(run, stops);
  }

  /** Goes on to its end. */
  async goOn(): Promise<void> {
    // Word of a change has come meanwhile.
    this.#states.forget();
    await this.#stops.goOn();
  }

  /** Goes on as a process that leaves: nothing is called for any more, and nothing written. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    this.#reports.close();
    await this.goOn();
  }

  /** What BullMQ's worker calls. */
  async work(job: BullJob, token?: string): Promise<void> {
    const moveToDelayed = job.moveToDelayed.bind(job);
    const move: typeof moveToDelayed = async (...args) => {
      await this.#stops.reachJob('written');
      return moveToDelayed(...args);
    };
    Object.assign(job, { moveToDelayed: move });
    const isDirect = job.queueName === this.#stage.queues.direct.name;
    await (isDirect ? this.#jobs.runDirect(job, token) : this.#jobs.runBlock(job, token));
    await this.#stops.reachJob('ended');
  }

  /** Works on items taken from where they wait. */
  async workClaims(claims: readonly Claim[]): Promise<void> {
    const parts = { ledger: this.#stage.ledger, chunks: this.#chunks, states: this.#states };
    const items = await Promise.all(claims.map(async (claim) => resolveClaim(parts, claim)));
    await this.#items.runAll(items.flatMap((item) => (item === undefined ? [] : [this.#named(item)])));
  }

  /** So that a test knows whose claim it is. */
  #named(item: Item): Item {
    const { batch, n, run } = item;
    const named: Run = run.kind === 'claim' ? { ...run, name: `${batch}-${n}-${this.id}` } : run;
    return { ...item, run: named };
  }

  #openItems(turns: Turns): ItemRunner {
    const inHand = (): InHand => {
      const found = CONTEXT.getStore();
      if (found === undefined) throw new Error('no item is in hand');
      return found;
    };
    const { grant } = this.#plan;
    const isLeaving = (): boolean => this.#isLeaving;
    const pacer = new HandPacer({ world: this.#world, grant, turns, stops: this.#stops, inHand, isLeaving });
    const process = createProcessor({
      pacer,
      // Nothing that its world has expires, and its CA is as the world says.
      gate: {
        pass: async (_item, attempt, { requestId }) =>
          this.#world.isCaActive
            ? { kind: 'inactive', end: { code: CA_ACTIVE, requestId, attempt } }
            : { kind: 'open' },
      },
      host: HEALTHY,
      client: this.#client(inHand),
      refreshCredentials: () => undefined,
      policy: { attempts: ATTEMPTS, notFound: 'already-gone', baseMs: LONG_MS, capMs: LONG_MS },
      random: () => 0.5,
      tell: (event) => event.kind === 'defect' && this.#world.defects.push(event.error.message),
    });
    return new ItemRunner(async (item) => CONTEXT.run(this.#inHand(item), () => process(item)), {
      write: async (item, disposition) => {
        await this.#stops.reach('settling', this.#inHand(item));
        return turns.write(item, disposition);
      },
    });
  }

  #inHand(item: Item): InHand {
    const known = this.#begun.get(item);
    if (known !== undefined) return known;
    const { answers } = this.#plan;
    const index = this.#begun.size;
    const inHand = { item, index, answers: answers.slice(index % Math.max(1, answers.length)), wasUnused: false };
    this.#begun.set(item, inHand);
    this.#world.tell({ kind: 'begun', item });
    return inHand;
  }

  #client(inHand: () => InHand): RevocationClient {
    const call = async <A>(arrive: (item: Item, kind: AnswerKind) => A): Promise<A> => {
      const found = inHand();
      const { item, answers } = found;
      await this.#stops.reach('sent', found);
      const answer = arrive(item, answers.shift() ?? 'honest');
      await this.#stops.reach('answered', found);
      return answer;
    };
    const change = (action: Action) => () =>
      call((item, kind) => {
        // The world does what the item's batch is for: another call must not pass for it.
        if (item.action !== action) throw new Error(`${action} was called to ${item.action}`);
        return this.#world.call(item, kind);
      });
    return {
      deleteDeviceCertificate: change('delete'),
      inactivateDeviceCertificate: change('inactivate'),
      activateDeviceCertificate: change('activate'),
      getDeviceCertificate: () => call((item, kind) => this.#world.read(item, kind)),
    };
  }

  #admits(): 'all' | 'probe' | 'none' {
    if (!this.#world.isHalted || this.#plan.isUnaware === true) return 'all';
    return this.#plan.grant === 'probe' ? 'probe' : 'none';
  }

  #hearTrouble(event: { readonly kind: string; readonly error?: Error }): void {
    if (event.kind === 'trouble') this.#world.defects.push(event.error?.message ?? '');
  }
}
