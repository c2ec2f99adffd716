const UNITS_MS = { d: 24 * 3_600_000, h: 3_600_000, m: 60_000 } as const;

/** What a span of time looks like: `30d`, `12h`, `90m`. */
export const TIME_SPAN = /^(\d{1,6})([dhm])$/;

/** In milliseconds; undefined where the text is no span. */
export function timeSpanMs(text: string): number | undefined {
  const [, digits, unit] = TIME_SPAN.exec(text) ?? [];
  return digits === undefined || unit === undefined
    ? undefined
    : Number(digits) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

/** As people write one, in the largest unit that keeps it whole; less than a minute is `0m`. */
export function describeTimeSpan(ms: number): string {
  const minutes = Math.floor(ms / UNITS_MS.m);
  if (minutes % 1_440 === 0 && minutes > 0) return `${minutes / 1_440}d`;
  if (minutes % 60 === 0 && minutes > 0) return `${minutes / 60}h`;
  return minutes > 60 ? `${Math.floor(minutes / 60)}h${minutes % 60}m` : `${minutes}m`;
}
