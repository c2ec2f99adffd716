/** What a clock on the wall shows in some time zone, to the minute: `2026-03-02T03:00`. The later it is, the later it sorts. */
export type LocalTime = string;

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Making one takes longer than using it. */
const formats = new Map<string, Intl.DateTimeFormat>();

/** @throws RangeError where the zone is unknown */
export function localTimeOf(unixMs: number, zone: string): LocalTime {
  const part: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {};
  for (const { type, value } of formatOf(zone).formatToParts(unixMs)) part[type] = value;
  const { year = '', month = '', day = '', hour = '', minute = '' } = part;
  return `${year.padStart(4, '0')}-${month}-${day}T${hour}:${minute}`;
}

/**
 * The moment of a local time, Unix milliseconds: the first one where clocks were set back and it comes twice, and where they were set forward and it
 * never comes, the first moment behind the gap.
 */
export function momentOf(local: LocalTime, zone: string): number {
  const asUtc = utcOf(local);
  // No zone changes its clock twice within two days.
  const before = asUtc - offsetAt(asUtc - DAY_MS, zone);
  const after = asUtc - offsetAt(asUtc + DAY_MS, zone);
  const [first, second] = before < after ? [before, after] : [after, before];
  for (const moment of [first, second]) if (localTimeOf(moment, zone) === local) return moment;
  // Before the gap stands what the later offset makes of it, behind the gap what the earlier one does.
  let low = first;
  let high = second;
  while (high - low > MINUTE_MS) {
    const middle = low + Math.floor((high - low) / MINUTE_MS / 2) * MINUTE_MS;
    if (localTimeOf(middle, zone) < local) low = middle;
    else high = middle;
  }
  return high;
}

/** Like `03:00`. */
export function timeOfDay(local: LocalTime): string {
  return local.slice('2026-03-02T'.length);
}

/** As if it were one in UTC, Unix milliseconds: for arithmetic with the hands of the clock. */
export function utcOf(local: LocalTime): number {
  return Date.parse(`${local}:00Z`);
}

/** The other way round. */
export function localOfUtc(unixMs: number): LocalTime {
  return new Date(unixMs).toISOString().slice(0, 16);
}

function offsetAt(unixMs: number, zone: string): number {
  const minute = Math.floor(unixMs / MINUTE_MS) * MINUTE_MS;
  return utcOf(localTimeOf(minute, zone)) - minute;
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    const digits = '2-digit';
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'iso8601',
      hourCycle: 'h23',
      year: 'numeric',
      month: digits,
      day: digits,
      hour: digits,
      minute: digits,
    });
    formats.set(zone, format);
  }
  return format;
}
