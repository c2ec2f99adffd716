import { pendingOf } from '../core/batch.ts';
import type { Stop } from '../limiter/contract.ts';
import { clearStop, readStop, setStop } from '../limiter/halts/stop.ts';
import { acting, lacksReason, type Motive, type ReasonRequired } from './acting.ts';
import type { Store } from './store.ts';

export type { Stop } from '../limiter/contract.ts';

/** `isNew` is false where all was stopped before: then that stop stands. */
export interface Stopped {
  readonly kind: 'stopped';
  readonly isNew: boolean;
  readonly stop: Stop;
}

/** What would continue. */
export interface StartPreview {
  readonly stop: Stop;
  /** Batches that run and have items pending. */
  readonly running: number;
  /** Items of them. */
  readonly pending: number;
}

export interface StartDeed extends Motive {
  /** Asked whether that is meant, since certificates will be deleted again. Without it, nobody is asked. */
  readonly confirm?: (preview: StartPreview) => Promise<boolean>;
}

export type StartOutcome =
  | { readonly kind: 'started'; readonly stop: Stop }
  | { readonly kind: 'not-stopped' | 'unconfirmed' }
  /** While the operator thought, it was started and stopped again: that stop stands. */
  | { readonly kind: 'another-stop' }
  | ReasonRequired;

/**
 * Stops every call of every account on all hosts; none leaves two seconds later. It stands until `startAll`, also over restarts. It needs no reason,
 * since it may be an emergency.
 */
export async function stopAll(store: Store, motive: Motive = {}): Promise<Stopped> {
  return acting(store, async () => ({ kind: 'stopped', ...(await setStop(store.redis, store.prefix, motive)) }));
}

/** Lets calls be made again: batches continue where they were. */
export async function startAll(store: Store, { confirm, ...motive }: StartDeed = {}): Promise<StartOutcome> {
  const { redis, prefix, ledger } = store;
  const stop = await readStop(redis, prefix);
  if (stop === undefined) return { kind: 'not-stopped' };
  if (lacksReason(store, motive)) return { kind: 'reason-required' };
  if (confirm !== undefined) {
    const running = (await ledger.batches.active()).filter(({ state }) => state === 'running');
    const pending = running.reduce((sum, { counts }) => sum + pendingOf(counts), 0);
    if (!(await confirm({ stop, running: running.length, pending }))) return { kind: 'unconfirmed' };
  }
  const kind = await acting(store, () => clearStop(redis, prefix, stop, motive));
  return kind === 'started' ? { kind, stop } : { kind };
}

/** Undefined while calls may be made. */
export async function stopOf({ redis, prefix }: Store): Promise<Stop | undefined> {
  return readStop(redis, prefix);
}
