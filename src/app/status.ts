import type { BatchState } from '../core/batch.ts';
import { isDirectBatch } from '../ledger/direct-items.ts';
import type { Lane } from '../ledger/lanes.ts';
import { readHalts, type Halt } from '../limiter/halts/halt-store.ts';
import { allHalts, type AnyHalt } from '../limiter/halts/host-halts.ts';
import { ownerIn, ownersOf, unattended } from './accounts.ts';
import { batchStatus, overview, type BatchDetail, type Overview } from './overview.ts';
import { loweredAccounts, type LoweredAccount } from './pace.ts';
import { stopOf, type Stop } from './stop.ts';
import type { Store } from './store.ts';

export { UNREACHABLE } from '../queue/process/host-watch.ts';
export type { AnyHalt } from '../limiter/halts/host-halts.ts';

/** `held`: something is stopped, halted, paused or lost, and continues only when that ends. `some-dead`: it is done, with dead items. */
export type Condition = 'fine' | 'held' | 'some-dead';

/** All batches and halts at one moment. */
export interface OverviewSnapshot extends Overview {
  /** Every call of every account is stopped. */
  readonly stop?: Stop;
  /** The accounts of this configuration whose pace is lowered for a time. */
  readonly lowered: readonly LoweredAccount[];
  readonly condition: Condition;
}

/** A batch at one moment, with what stands in its way. */
export interface BatchSnapshot {
  readonly detail: BatchDetail;
  readonly condition: Condition;
  /** Nothing of it is pending, and nothing will be unless somebody adds to it or retries. */
  readonly isDone: boolean;
  /** Every call of every account is stopped; not told once it is done. */
  readonly stop?: Stop;
  /** Of its accounts, those whose pace is lowered for a time; none once it is done. */
  readonly lowered: readonly LoweredAccount[];
  /** What stops some of its items; none once it is done. */
  readonly halts: readonly AnyHalt[];
  /** Redis has lost which instances it has: a worker reads them again from its chunks. */
  readonly lanesLost: boolean;
  /** The accounts of its items that no worker works for, while it should run. */
  readonly unattended: readonly string[];
}

export async function readOverview(store: Store): Promise<OverviewSnapshot> {
  const { config, redis, prefix, ledger } = store;
  const [all, stop, lowered] = await Promise.all([
    overview(redis, prefix, ledger),
    stopOf(store),
    loweredAccounts(store),
  ]);
  const isHeld = stop !== undefined || all.halts.length > 0 || all.batches.some(({ state }) => state === 'paused');
  const batches = await Promise.all(
    all.batches.map(async (detail) => {
      if (detail.etaSeconds === null || (stop === undefined && all.halts.length === 0)) return detail;
      return still(detail, stop, await ledger.lanes.of(detail.batch), all.halts, ownerIn(config));
    }),
  );
  return { ...all, batches, ...(stop !== undefined && { stop }), lowered, condition: isHeld ? 'held' : 'fine' };
}

/** What is halted now, of all accounts and hosts. */
export async function haltsNow({ redis, prefix }: Store): Promise<AnyHalt[]> {
  return allHalts(redis, prefix);
}

/** Undefined when there is no such batch. */
export async function readBatch(store: Store, id: string): Promise<BatchSnapshot | undefined> {
  const { config, redis, prefix, ledger } = store;
  const [detail, all, lanes, stop, paces] = await Promise.all([
    batchStatus(ledger, id),
    allHalts(redis, prefix),
    ledger.lanes.of(id),
    stopOf(store),
    loweredAccounts(store),
  ]);
  if (detail === undefined) return undefined;
  const isDone = isDrained(detail, 'paused');
  const accounts = ownersOf(config, lanes);
  const ownerOf = ownerIn(config);
  const halts = isDone ? [] : all.filter((halt) => lanes.some((lane) => stops(halt, lane, ownerOf)));
  const lanesLost = !isDone && detail.state !== 'planned' && !isDirectBatch(id) && lanes.length === 0;
  return {
    detail: still(detail, stop, lanes, halts, ownerOf),
    condition: conditionOf(detail, isDone, stop !== undefined || halts.length > 0 || lanesLost),
    isDone,
    ...(stop !== undefined && !isDone && { stop }),
    lowered: isDone ? [] : paces.filter(({ account }) => accounts.has(account)),
    halts,
    lanesLost,
    unattended: detail.state === 'running' && !isDone ? await unattended(store, accounts) : [],
  };
}

/** What somebody sees who waits for the end of a batch. */
export type WaitSnapshot =
  /** Every item is settled. */
  | { readonly kind: 'settled'; readonly detail: BatchDetail }
  /** It continues; `paused`, only when it is resumed: nobody should wait for that. */
  | {
      readonly kind: 'goes-on' | 'paused';
      readonly detail: BatchDetail;
      readonly stop?: Stop;
      /** Of all accounts. */
      readonly halts: readonly Halt[];
      readonly unattended: readonly string[];
    }
  /** Redis no longer has it. */
  | { readonly kind: 'gone' };

/** @param accounts - those of its items */
export async function readWhileWaiting(
  store: Store,
  batch: string,
  accounts: ReadonlySet<string>,
): Promise<WaitSnapshot> {
  const detail = await batchStatus(store.ledger, batch);
  if (detail === undefined) return { kind: 'gone' };
  if (isDrained(detail)) return { kind: 'settled', detail };
  const stop = await stopOf(store);
  return {
    kind: detail.state === 'paused' ? 'paused' : 'goes-on',
    ...(stop !== undefined && { stop }),
    detail,
    halts: await readHalts(store.redis, store.prefix),
    unattended: await unattended(store, accounts),
  };
}

/** @param other - a state in which it is not done either: a direct batch that is paused keeps what comes next waiting */
function isDrained({ pending, state }: BatchDetail, other?: BatchState): boolean {
  return pending === 0 && state !== 'planned' && state !== other;
}

function conditionOf({ state, dead }: BatchDetail, isDone: boolean, isStopped: boolean): Condition {
  if (isDone) return dead > 0 ? 'some-dead' : 'fine';
  return isStopped || state === 'paused' ? 'held' : 'fine';
}

type OwnerOf = (instanceId: string) => string | undefined;

function stops({ account, instanceId }: AnyHalt, lane: Lane, ownerOf: OwnerOf): boolean {
  return instanceId === undefined ? account === ownerOf(lane.instanceId) : instanceId === lane.instanceId;
}

/** Without an ETA where nothing of it is called for: what was settled in the last seconds says nothing of what is to come. */
function still(
  detail: BatchDetail,
  stop: Stop | undefined,
  lanes: readonly Lane[],
  halts: readonly AnyHalt[],
  ownerOf: OwnerOf,
): BatchDetail {
  // The workers of other hosts take the items of one that is halted alone.
  const isHalted = (lane: Lane): boolean => halts.some((halt) => !('host' in halt) && stops(halt, lane, ownerOf));
  const standsStill = stop !== undefined || (lanes.length > 0 && lanes.every(isHalted));
  return standsStill ? { ...detail, etaSeconds: null } : detail;
}
