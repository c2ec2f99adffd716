import { pendingOf, type BatchState } from '../core/batch.ts';
import { directBatchOf } from '../ledger/direct-items.ts';
import { accountsOverview, type AccountsOverview } from './paces.ts';
import type { Store } from './store.ts';
import { listWorkers, type WorkerSeen } from './workers.ts';

/** What Redis holds at one moment, in numbers: what no process can say by itself. */
export interface Measures extends AccountsOverview {
  readonly workers: readonly WorkerSeen[];
  /** Items without an outcome, by the state of their batches. */
  readonly pending: Readonly<Record<BatchState, number>>;
  /** Batches that nobody has resumed yet. */
  readonly pausedBatches: number;
  /** When the batch that has had items pending for longest began to, Unix milliseconds; undefined where nothing pends. */
  readonly pendingSince: number | undefined;
  /** Dead letters that somebody should retry or discard. */
  readonly deadLetters: number;
  /** For Redis to answer the first question, milliseconds. */
  readonly roundTripMs: number;
}

/** @throws the client's error where Redis does not answer */
export async function measure(store: Store): Promise<Measures> {
  const { config, ledger, redis } = store;
  const askedMs = performance.now();
  await redis.ping();
  const roundTripMs = performance.now() - askedMs;
  const [paces, workers, active, direct, deadLetters, pendingSince] = await Promise.all([
    accountsOverview(store),
    listWorkers(store),
    ledger.batches.active(),
    Promise.all(config.accounts.map(({ name }) => ledger.batches.find(directBatchOf(name)))),
    ledger.deadLetters.count(),
    ledger.batches.pendingSince(),
  ]);
  // A direct batch stays paused also where nothing of it pends.
  const others = direct.filter((batch) => batch !== undefined && active.every(({ id }) => id !== batch.id));
  const batches = [...active, ...others.filter((batch) => batch !== undefined)];
  const pending: Record<BatchState, number> = { planned: 0, running: 0, paused: 0, completed: 0, cancelled: 0 };
  for (const { state, counts } of active) pending[state] += pendingOf(counts);
  return {
    ...paces,
    workers,
    pending,
    pausedBatches: batches.filter(({ state }) => state === 'paused').length,
    pendingSince,
    deadLetters,
    roundTripMs,
  };
}
