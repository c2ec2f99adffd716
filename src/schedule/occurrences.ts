import { CronExpressionParser } from 'cron-parser';
import { localOfUtc, localTimeOf, momentOf, utcOf, type LocalTime } from './local-time.ts';

/** When a schedule runs. */
export interface Timetable {
  readonly name: string;
  readonly cron: string;
  readonly timezone: string;
}

/** One time that a schedule is to run. */
export interface Occurrence {
  /** `<name>@<local time>[<zone>]`: the same on hosts that know the zone differently, and one for a local time that comes twice. */
  readonly id: string;
  readonly local: LocalTime;
  /** Unix milliseconds by this host's knowledge of the zone. */
  readonly dueMs: number;
}

export function occurrenceId({ name, timezone }: Timetable, local: string): string {
  return `${name}@${local}[${timezone}]`;
}

/** So many that were missed are named, the latest ones: a worker may have been away for a year. */
const MOST_MISSED = 100;

/**
 * Those that should have run by now, the latest first, and none twice.
 * @param sinceMs - those of that moment and before do not count
 * @param after - nor does one up to this local time, which was dealt with
 */
export function dueOccurrences(
  timetable: Timetable,
  { sinceMs, after = '' }: { readonly sinceMs: number; readonly after?: LocalTime | undefined },
  nowMs: number,
): Occurrence[] {
  // A second behind: the minute that is now counts.
  const times = cronFrom(timetable, utcOf(localTimeOf(nowMs, timetable.timezone)) + 1_000);
  const due: Occurrence[] = [];
  while (due.length < MOST_MISSED) {
    const occurrence = occurrenceAt(timetable, localOfUtc(times.prev().getTime()));
    if (occurrence.local <= after || occurrence.dueMs <= sinceMs) break;
    if (occurrence.dueMs <= nowMs) due.push(occurrence);
  }
  return due;
}

/** The next ones from now on. */
export function upcomingOccurrences(timetable: Timetable, nowMs: number, count: number): Occurrence[] {
  const times = cronFrom(timetable, utcOf(localTimeOf(nowMs, timetable.timezone)) - 1_000);
  const upcoming: Occurrence[] = [];
  while (upcoming.length < count) {
    const occurrence = occurrenceAt(timetable, localOfUtc(times.next().getTime()));
    // Its first time may be past where the clock was set back.
    if (occurrence.dueMs > nowMs) upcoming.push(occurrence);
  }
  return upcoming;
}

/**
 * The expression says what the clock on the wall shows. So it is read as if in UTC, where every minute comes once, and what the zone makes of a local
 * time is ours to say.
 */
function cronFrom({ cron }: Timetable, unixMs: number): ReturnType<typeof CronExpressionParser.parse> {
  return CronExpressionParser.parse(cron, { currentDate: new Date(unixMs), tz: 'UTC' });
}

function occurrenceAt(timetable: Timetable, local: LocalTime): Occurrence {
  return { id: occurrenceId(timetable, local), local, dueMs: momentOf(local, timetable.timezone) };
}
