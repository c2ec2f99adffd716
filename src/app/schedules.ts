import { every } from '../queue/worker/repeat.ts';
import { planUse } from '../ledger/plan-use.ts';
import { localTimeOf } from '../schedule/local-time.ts';
import type { ScheduleConfig } from '../runtime/config/config.ts';
import { watchBatch } from '../schedule/batch-watch.ts';
import { occurrenceId, upcomingOccurrences, type Occurrence } from '../schedule/occurrences.ts';
import { ClaimedOccurrence, newHolder } from '../schedule/run.ts';
import { ScheduleStore, type OccurrenceEnd } from '../schedule/schedule-store.ts';
import { ScheduleTicker, type ScheduleEvent } from '../schedule/ticker.ts';
import { acting, lacksReason, type Motive, type ReasonRequired } from './acting.ts';
import type { PlanReport } from './plan.ts';
import { scheduleRun } from './schedule-run.ts';
import type { OpenStore, Store } from './store.ts';

export type { Occurrence } from '../schedule/occurrences.ts';
export type { OccurrenceEnd } from '../schedule/schedule-store.ts';
export type { ScheduleEvent } from '../schedule/ticker.ts';

/** Between two reads of a schedule. */
const TICK_EVERY_MS = 1_000;

/** A schedule as it stands. */
export interface ScheduleLine {
  readonly schedule: string;
  readonly cron: string;
  readonly timezone: string;
  /** ISO 8601, UTC. */
  readonly next: string;
  readonly state: 'active' | 'paused';
  /** Why it is paused. */
  readonly reason: string | null;
}

export async function listSchedules(store: Store): Promise<ScheduleLine[]> {
  const nowMs = await nowOf(store);
  const schedules = new ScheduleStore(store.ledger);
  return Promise.all(
    store.config.schedules.map(async (rule) => {
      const { name: schedule, cron, timezone } = rule;
      const { paused = null } = await schedules.find(schedule);
      const [next] = upcomingOccurrences(rule, nowMs, 1);
      const at = new Date(next?.dueMs ?? 0).toISOString();
      return { schedule, cron, timezone, next: at, state: paused === null ? 'active' : 'paused', reason: paused };
    }),
  );
}

/** The next occurrences of a schedule. */
export async function nextOccurrences(store: Store, rule: ScheduleConfig, count: number): Promise<Occurrence[]> {
  return upcomingOccurrences(rule, await nowOf(store), count);
}

/** How the occurrences of a schedule ended, the last one first. */
export async function scheduleHistory({ ledger }: Store, name: string): Promise<OccurrenceEnd[]> {
  return new ScheduleStore(ledger).history(name);
}

/** A pause needs no reason: it may be an emergency. @returns whether it was running */
export async function pauseSchedule(store: Store, name: string, motive: Motive): Promise<boolean> {
  const by = `paused by ${motive.requestedBy ?? 'an operator'}`;
  const because = motive.reason === undefined ? by : `${by}: ${motive.reason}`;
  const nowMs = await nowOf(store);
  return acting(store, () => new ScheduleStore(store.ledger).pause(name, because, nowMs, motive));
}

/** @returns whether it was paused */
export async function resumeSchedule(store: Store, name: string, motive: Motive): Promise<boolean | ReasonRequired> {
  if (lacksReason(store, motive)) return { kind: 'reason-required' };
  const nowMs = await nowOf(store);
  return acting(store, () => new ScheduleStore(store.ledger).resume(name, nowMs, motive));
}

/** What became of a run that an operator asked for. */
export type ManualRun =
  | { readonly kind: 'ended'; readonly end: OccurrenceEnd }
  /** Another process is at a run of it. */
  | { readonly kind: 'held' }
  | { readonly kind: 'batch-open'; readonly batch: string }
  /** It was interrupted, or nobody knows its outcome: the history does, if it has ended. */
  | { readonly kind: 'left' }
  | ReasonRequired;

export interface ManualRunRequest {
  readonly execute: boolean;
  readonly motive: Motive;
  readonly signal: AbortSignal;
  readonly tellPlan: (report: PlanReport, file: string) => void;
}

/** Runs a schedule once, now, beside its timetable. */
export async function runSchedule(
  store: OpenStore,
  rule: ScheduleConfig,
  { execute, motive, signal, tellPlan }: ManualRunRequest,
): Promise<ManualRun> {
  if (execute && lacksReason(store, motive)) return { kind: 'reason-required' };
  const schedules = new ScheduleStore(store.ledger);
  const now = (): Promise<number> => nowOf(store);
  const nowMs = await now();
  const seconds = new Date(nowMs).toISOString().slice('2026-03-02T03:00'.length, '2026-03-02T03:00:00'.length);
  const claim = {
    id: occurrenceId(rule, `${localTimeOf(nowMs, rule.timezone)}${seconds}`),
    holder: newHolder(),
    isDue: false,
  };
  if ((await schedules.claim(rule.name, claim.id, claim.holder, nowMs)) !== 'claimed') return { kind: 'held' };
  try {
    const state = await schedules.find(rule.name);
    const { isOpen } = await watchBatch({ ledger: store.ledger, store: schedules }, rule, state, nowMs);
    if (isOpen) return { kind: 'batch-open', batch: state.openBatch ?? '' };
    const run = scheduleRun(store, { now, execute, motive, tellPlan });
    const end = await new ClaimedOccurrence(schedules, rule, now, claim).run(run, signal);
    return end === undefined ? { kind: 'left' } : { kind: 'ended', end };
  } finally {
    await schedules.release(rule.name, claim.holder);
  }
}

/** Runs all schedules of the configuration until it is closed. */
export function startSchedules(
  store: OpenStore,
  tell: (event: ScheduleEvent) => void,
  onError: (schedule: string, error: Error) => void,
): { close(): Promise<void> } {
  const ending = new AbortController();
  const now = (): Promise<number> => nowOf(store);
  const parts = {
    ledger: store.ledger,
    store: new ScheduleStore(store.ledger),
    run: scheduleRun(store, { now }),
    now,
    tell,
    signal: ending.signal,
  };
  const ticking = store.config.schedules.map((rule) => {
    const ticker = new ScheduleTicker(rule, parts);
    return every(
      TICK_EVERY_MS,
      () => ticker.tick(),
      (error) => onError(rule.name, error),
    );
  });
  return {
    async close() {
      ending.abort();
      await Promise.all(ticking.map((one) => one.stop()));
    },
  };
}

/** By Redis' clock: hosts may differ. */
async function nowOf({ ledger }: Pick<Store, 'ledger'>): Promise<number> {
  return (await planUse(ledger)).nowMs;
}
