import { localTimeOf } from './local-time.ts';
import { describeTimeSpan } from '../core/time-span.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { ScheduleConfig } from '../runtime/config/config.ts';
import { watchBatch } from './batch-watch.ts';
import { dueOccurrences, occurrenceId, type Occurrence } from './occurrences.ts';
import { ClaimedOccurrence, newHolder, type Run } from './run.ts';
import type { OccurrenceEnd, ScheduleState, ScheduleStore } from './schedule-store.ts';

export interface TickerParts {
  readonly ledger: Pick<Ledger, 'batches'>;
  readonly store: ScheduleStore;
  readonly run: Run;
  /** Unix milliseconds, the same on every host. */
  readonly now: () => Promise<number>;
  readonly tell: (event: ScheduleEvent) => void;
  /** Ends a run; what it was at is another's to take up. */
  readonly signal: AbortSignal;
}

/** What there is to say of a schedule. */
export type ScheduleEvent =
  | { readonly kind: 'ended'; readonly schedule: string; readonly end: OccurrenceEnd; readonly isPaused: boolean }
  | { readonly kind: 'paused'; readonly schedule: string; readonly reason: string };

/** A run that begins so late is on time. */
const ON_TIME_MS = 60_000;

/** Looks after one schedule in one process; any number of processes may do so. */
export class ScheduleTicker {
  readonly #rule: ScheduleConfig;
  readonly #parts: TickerParts;
  readonly #holder = newHolder();

  constructor(rule: ScheduleConfig, parts: TickerParts) {
    this.#rule = rule;
    this.#parts = parts;
  }

  /** Does what is due now. Called again and again, never twice at once. */
  async tick(): Promise<void> {
    const { store, now } = this.#parts;
    const { name } = this.#rule;
    const nowMs = await now();
    const { due } = await this.#read(nowMs);
    const [latest] = due;
    if (latest === undefined) return;
    if ((await store.claim(name, latest.id, this.#holder, nowMs)) !== 'claimed') return;
    try {
      await this.#settle(nowMs);
    } finally {
      await store.release(name, this.#holder);
    }
  }

  async #read(nowMs: number): Promise<{ state: ScheduleState; isOpen: boolean; due: readonly Occurrence[] }> {
    const { ledger, store, tell } = this.#parts;
    const state = await store.read(this.#rule, nowMs);
    const { isOpen, pausedBecause } = await watchBatch({ ledger, store }, this.#rule, state, nowMs);
    if (pausedBecause !== undefined) tell({ kind: 'paused', schedule: this.#rule.name, reason: pausedBecause });
    return { state, isOpen, due: this.#due(state, nowMs) };
  }

  async #settle(nowMs: number): Promise<void> {
    const { run, signal } = this.#parts;
    // Again, now that no other process is at it: one may have been until just now.
    const { state, isOpen, due } = await this.#read(nowMs);
    const [latest, ...missed] = due;
    if (latest === undefined) return;
    for (const occurrence of missed.toReversed()) await this.#skip(occurrence, missedBecause(occurrence, state));
    const why = this.#skipBecause(latest, state, { nowMs, isOpen });
    if (why !== undefined) return this.#skip(latest, why);
    if (!signal.aborted) this.#say(await this.#claimed(latest).run(run, signal));
  }

  #due({ sinceMs, cursor = '' }: ScheduleState, nowMs: number): Occurrence[] {
    const { name, timezone } = this.#rule;
    const local = cursor.slice(name.length + 1, cursor.indexOf('['));
    // One of another time zone says nothing.
    const after = cursor === occurrenceId({ ...this.#rule, timezone }, local) ? local : undefined;
    return dueOccurrences(this.#rule, { sinceMs, after }, nowMs);
  }

  #skipBecause(
    { dueMs }: Occurrence,
    { paused, endedAt, openBatch = '' }: ScheduleState,
    { nowMs, isOpen }: { readonly nowMs: number; readonly isOpen: boolean },
  ): string | undefined {
    const { catchUpForMs, timezone } = this.#rule;
    if (paused !== undefined) return `the schedule is paused: ${paused}`;
    if (dueMs <= endedAt)
      return `it would have overlapped the run before, which ended ${localTimeOf(endedAt, timezone)}`;
    if (isOpen) return `it would overlap batch ${openBatch}, which is not done`;
    const lateMs = nowMs - dueMs;
    if (lateMs <= Math.max(catchUpForMs, ON_TIME_MS)) return undefined;
    return `no worker was running for it, and it is ${describeTimeSpan(lateMs)} late: more than catchUpFor (${describeTimeSpan(catchUpForMs)}) allows`;
  }

  async #skip(occurrence: Occurrence, reason: string): Promise<void> {
    this.#say(await this.#claimed(occurrence).skip(reason));
  }

  #claimed({ id }: Occurrence): ClaimedOccurrence {
    const { store, now } = this.#parts;
    return new ClaimedOccurrence(store, this.#rule, now, { id, holder: this.#holder, isDue: true });
  }

  #say(end: OccurrenceEnd | undefined): void {
    if (end === undefined) return;
    this.#parts.tell({ kind: 'ended', schedule: this.#rule.name, end, isPaused: end.state === 'failed' });
  }
}

function missedBecause({ dueMs }: Occurrence, { endedAt, paused }: ScheduleState): string {
  if (paused !== undefined) return `the schedule is paused: ${paused}`;
  if (dueMs <= endedAt) return 'it would have overlapped the run before';
  return 'no worker was running for it, and a later one is due';
}
