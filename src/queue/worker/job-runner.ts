import type { Job as BullJob } from 'bullmq';
import type { Run } from '../../ledger/call-notes.ts';
import type { ChunkReader } from '../../ledger/chunk-reader.ts';
import { BeingCancelled, HourlyLimitReached } from '../../ledger/direct-items.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Limiter } from '../../limiter/contract.ts';
import type { BatchStateCache } from '../batch-state-cache.ts';
import { DelayedError, WaitingError } from '../bullmq.ts';
import { JOB_PRIORITY, parseBlock, queueName, type Block } from '../contract.ts';
import type { Item } from '../process/item.ts';
import type { ItemRunner } from '../process/item-runner.ts';
import { resolveBlock } from '../process/resolve-block.ts';
import { placedData, type JobResolver, type Unusable } from '../process/resolve-job.ts';

/** How long a job is locked for the process that has it, unless that renews the lock. */
export const LOCK_MS = 6_000;

/** Told once: items wait for an account that has the instance. */
export interface UnownedEvent {
  readonly kind: 'unowned';
  readonly instanceId: string;
}

/** More was to be taken in within an hour than may be: the direct batch is paused. */
export interface LimitPaused {
  readonly kind: 'limit-paused';
  readonly batch: string;
}

export type RunnerEvent =
  | UnownedEvent
  | LimitPaused
  | { readonly kind: 'trouble'; readonly during: string; readonly error: Error };

export interface JobRunnerParts {
  readonly ledger: Pick<Ledger, 'former' | 'items' | 'lanes' | 'retirements' | 'waiting'>;
  readonly chunks: ChunkReader;
  readonly states: BatchStateCache;
  readonly resolver: JobResolver;
  readonly items: ItemRunner;
  /** Whether the account's configuration names the instance. */
  readonly owns: (instanceId: string) => boolean;
  /** The account to which the configuration gives the instance. */
  readonly ownerOf: (instanceId: string) => string | undefined;
  /** What may be called for of the instance. */
  readonly admits: Limiter['admits'];
  /** A block with this many open items is in hand. */
  readonly onBlock: (items: number) => void;
  readonly tell: (event: RunnerEvent) => void;
}

/** Before a block is looked at again that the feeder has not noted. */
const NOT_YET_MS = 1_000;
/** Before a job is looked at again that Redis or this program could not work on. */
const TROUBLE_MS = 2_000;
/** Before a job is looked at again that its direct batch does not take in. */
const CLOSED_MS = 5_000;
/** A job in hand when this host stops is ready for the other workers so soon; not at once, or this one would take it again while it stops. */
const GIVEN_BACK_MS = 1_000;
/** A block that has stalled this often continues one item at a time, so that what kills its worker ends alone. */
const STALLS_IN_PARALLEL = 3;

/** What is to become of a job, once its items are dealt with. */
type JobEnd = { readonly kind: 'done' } | { readonly kind: 'again'; readonly inMs: number };
const DONE: JobEnd = { kind: 'done' };

/**
 * Speaks BullMQ for the processor: takes jobs apart into items, and turns their outcomes into BullMQ's calls and exceptions. Nobody else throws
 * for flow.
 */
export class JobRunner {
  readonly #parts: JobRunnerParts;
  readonly #unowned = new Set<string>();

  constructor(parts: JobRunnerParts) {
    this.#parts = parts;
  }

  /** What BullMQ calls for a block. */
  readonly runBlock = (job: BullJob, token?: string): Promise<void> =>
    this.#ended(job, token, async (run) => {
      const block = parseBlock(job.data);
      if (block === undefined) {
        this.#trouble('reading a block', new Error(`job ${job.id ?? ''} is not a block: it is dropped`));
        return DONE;
      }
      return this.#block(job, block, run);
    });

  /** What BullMQ calls for a job of contract version 1. */
  readonly runDirect = (job: BullJob, token?: string): Promise<void> =>
    this.#ended(job, token, async (run) => {
      const { priority } = job.opts;
      const isUrgent = priority === undefined || priority <= JOB_PRIORITY.urgent;
      const resolved = await this.#parts.resolver.resolve(Object.assign(startedOf(job), { isUrgent, run }));
      if (resolved.kind === 'stale') return DONE;
      // An adopted item's number goes into its job at once, so that a crash after settling it cannot adopt the job again.
      const data = placedData(job.data, resolved);
      if (data !== undefined) await job.updateData(data);
      if (resolved.kind === 'unusable') return this.#refuse(resolved);
      const { item } = resolved;
      if (!this.#parts.owns(item.certificate.instanceId)) return this.#passOn(item);
      return endOf([await this.#parts.items.run(item)]);
    });

  async #block(job: BullJob, block: Block, run: Run): Promise<JobEnd> {
    const { items, owns, states, admits, onBlock } = this.#parts;
    const { batch, instanceId } = block;
    const resolved = await resolveBlock(this.#parts, block, run);
    if (resolved.kind === 'not-yet') return { kind: 'again', inMs: NOT_YET_MS };
    if (resolved.kind === 'no-batch') return DONE;
    if (resolved.kind === 'lost') {
      this.#trouble(
        'reading a block',
        new Error(`Redis has lost ${resolved.what}: the block ${job.id ?? ''} is dropped`),
      );
      return DONE;
    }
    if (!owns(instanceId)) this.#tellUnowned(instanceId);
    // What cannot be called for now waits as one, in one step.
    const isPaused = (await states.of(batch))?.state === 'paused';
    if (isPaused || !owns(instanceId) || admits(instanceId) === 'none') {
      await this.#park(batch, instanceId, resolved.items);
      return DONE;
    }
    onBlock(resolved.items.length);
    const isCareful = job.stalledCounter >= STALLS_IN_PARALLEL;
    return endOf(isCareful ? await items.runOneByOne(resolved.items) : await items.runAll(resolved.items));
  }

  /** No call may be made for it. */
  async #refuse({ item, code, message }: Unusable): Promise<JobEnd> {
    return endOf([await this.#parts.items.endDead(item, { code, message })]);
  }

  /** The instance is not this account's, or not any more. */
  async #passOn(item: Item): Promise<JobEnd> {
    const { ownerOf } = this.#parts;
    const { instanceId } = item.certificate;
    const owner = ownerOf(instanceId);
    if (item.key !== undefined) {
      const message =
        owner === undefined
          ? `no account of this configuration has the instance ${instanceId}: add it under accounts.<name>.instances, then retry the dead letter`
          : `the instance ${instanceId} belongs to account ${owner}, and the job was in another one's queue: add it to ${queueName(owner)}, then discard the dead letter`;
      return endOf([await this.#parts.items.endDead(item, { code: 'unknown-instance', message })]);
    }
    if (owner === undefined) this.#tellUnowned(instanceId);
    // The account that has the instance, now or later, finds it where it waits.
    await this.#park(item.batch, instanceId, [item]);
    return DONE;
  }

  async #park(batch: string, instanceId: string, items: readonly Item[]): Promise<void> {
    const { ledger } = this.#parts;
    await ledger.waiting.park(
      batch,
      instanceId,
      items.map(({ n }) => n),
    );
  }

  async #ended(job: BullJob, token: string | undefined, work: (run: Run) => Promise<JobEnd>): Promise<void> {
    const { prefix, queueName: queue, id } = job;
    const run: Run = { kind: 'job', lockKey: `${prefix}:${queue}:${id ?? ''}:lock`, token: token ?? '' };
    let end: JobEnd;
    try {
      end = await work(run);
    } catch (error) {
      // What cannot be taken in for now waits in the queue.
      if (error instanceof HourlyLimitReached || error instanceof BeingCancelled) {
        if (error instanceof HourlyLimitReached && error.hasPaused) {
          this.#parts.tell({ kind: 'limit-paused', batch: error.batch });
        }
        end = { kind: 'again', inMs: CLOSED_MS };
      } else {
        this.#trouble(`working on job ${id ?? ''}`, error instanceof Error ? error : new Error(String(error)));
        end = { kind: 'again', inMs: TROUBLE_MS };
      }
    }
    if (end.kind === 'done') return;
    try {
      await job.moveToDelayed(Date.now() + end.inMs, token);
    } catch {
      // Its lock is lost, or Redis is away. BullMQ must not fail the job: left active, it is taken up when its lock has run out.
      throw new WaitingError();
    }
    throw new DelayedError();
  }

  #tellUnowned(instanceId: string): void {
    if (!this.#unowned.has(instanceId)) this.#parts.tell({ kind: 'unowned', instanceId });
    this.#unowned.add(instanceId);
  }

  #trouble(during: string, error: Error): void {
    this.#parts.tell({ kind: 'trouble', during, error });
  }
}

function startedOf({ id, data, attemptsStarted }: BullJob): {
  id: string | undefined;
  data: unknown;
  attemptsStarted: number;
} {
  return { id, data, attemptsStarted };
}

/** A job ends when each of its items has ended or left it. */
function endOf(results: readonly ('left' | 'stays')[]): JobEnd {
  return results.includes('stays') ? { kind: 'again', inMs: GIVEN_BACK_MS } : DONE;
}
