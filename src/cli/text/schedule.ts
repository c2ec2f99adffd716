import type { OccurrenceEnd, ScheduleLine } from '../../app/schedules.ts';
import { printable } from '../../core/printable.ts';
import { table } from './terminal.ts';

/** All schedules, a line each, and below them why one is paused. */
export function describeSchedules(lines: readonly ScheduleLine[]): string {
  const rows = lines.map(({ schedule, cron, timezone, next, state }) => [
    schedule,
    cron,
    timezone,
    minuteOf(next),
    state,
  ]);
  const reasons = lines.flatMap(({ schedule, reason }) =>
    reason === null ? [] : [printable(`${schedule} is paused: ${reason}`)],
  );
  return [table(['schedule', 'cron', 'time zone', 'next', 'state'], rows), ...reasons].join('\n');
}

/** A schedule runs at a full minute; its time without seconds leaves room for long names. */
function minuteOf(iso: string): string {
  return iso.replace(/:00\.000Z$/u, 'Z');
}

export function describeUpcoming(upcoming: readonly { readonly occurrence: string; readonly at: string }[]): string {
  return table(
    ['occurrence', 'at'],
    upcoming.map(({ occurrence, at }) => [occurrence, minuteOf(at)]),
  );
}

/** How runs ended, a line each, and below it why. */
export function describeHistory(
  ends: readonly Pick<OccurrenceEnd, 'occurrence' | 'batch' | 'state' | 'reason'>[],
): string {
  return ends
    .map(({ occurrence, batch, state, reason }) => {
      const why = [...(batch === null ? [] : [`batch ${batch}`]), ...(reason === '' ? [] : [reason])].join(': ');
      return [`${occurrence}  ${state}`, ...(why === '' ? [] : [`  ${why}`])].map(printable).join('\n');
    })
    .join('\n');
}
