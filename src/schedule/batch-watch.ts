import { describeWindow, isInside } from '../core/daily-window.ts';
import { localTimeOf, timeOfDay } from './local-time.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { ScheduleConfig } from '../runtime/config/config.ts';
import type { ScheduleState, ScheduleStore } from './schedule-store.ts';

/** Why a batch waits, as `status` shows it; undefined inside the window, or without one. */
export function waitsBecause({ name, window, timezone }: ScheduleConfig, nowMs: number): string | undefined {
  if (window === undefined || isInside(window, timeOfDay(localTimeOf(nowMs, timezone)))) return undefined;
  return `outside the window ${describeWindow(window)} of schedule ${name}`;
}

/**
 * Checks the last batch of a schedule: lets it wait outside of the window, and pauses the schedule if somebody has stopped the batch.
 * @returns whether the batch is not done yet, and why the schedule has paused, if it has just now
 */
export async function watchBatch(
  { ledger, store }: { readonly ledger: Pick<Ledger, 'batches'>; readonly store: ScheduleStore },
  rule: ScheduleConfig,
  { openBatch, isBlamed }: ScheduleState,
  nowMs: number,
): Promise<{ readonly isOpen: boolean; readonly pausedBecause?: string }> {
  if (openBatch === undefined) return { isOpen: false };
  const { name } = rule;
  const blame = async (because: string): Promise<{ pausedBecause?: string }> => {
    if (isBlamed) return {};
    const motive = { requestedBy: `schedule ${name}`, reason: because };
    return (await store.pause(name, because, nowMs, motive, openBatch)) ? { pausedBecause: because } : {};
  };
  const batch = await ledger.batches.find(openBatch);
  switch (batch?.state) {
    // Somebody has to approve it; where nobody does in time, it goes away.
    case 'planned':
      return { isOpen: true };
    case undefined:
    case 'completed':
      await store.isOver(name, openBatch);
      return { isOpen: false };
    case 'cancelled': {
      const paused = await blame(`batch ${openBatch} was cancelled`);
      await store.isOver(name, openBatch);
      return { isOpen: false, ...paused };
    }
    case 'running':
    case 'paused': {
      const waits = waitsBecause(rule, nowMs);
      const motive = { requestedBy: `schedule ${name}` };
      if (batch.state === 'running') {
        const deed = { ...motive, event: 'window-pause' } as const;
        if (waits !== undefined) await ledger.batches.change(openBatch, 'pause', { ...deed, pausedBecause: waits });
      } else if (batch.isOutsideWindow !== true) {
        const why = batch.pausedBecause === undefined ? '' : `: ${batch.pausedBecause}`;
        return { isOpen: true, ...(await blame(`batch ${openBatch} was paused${why}`)) };
      } else if (waits === undefined) {
        await ledger.batches.change(openBatch, 'resume', { ...motive, event: 'window-resume' });
      }
      return { isOpen: true };
    }
  }
}
