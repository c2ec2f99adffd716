import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isInside, parseDailyWindow } from '../../src/core/daily-window.ts';
import { localTimeOf, momentOf } from '../../src/schedule/local-time.ts';
import { dueOccurrences, upcomingOccurrences } from '../../src/schedule/occurrences.ts';

const HOUR_MS = 3_600_000;

function upcoming(timezone: string, cron: string, from: string, count: number): string[] {
  return upcomingOccurrences({ name: 'x', cron, timezone }, Date.parse(from), count).map(
    ({ id, dueMs }) => `${id} ${new Date(dueMs).toISOString().slice(0, 16)}Z`,
  );
}

describe('occurrences', () => {
  it('run at the next local time that exists on the day when clocks go forward', () => {
    expect(upcoming('Europe/Berlin', '30 2 * * *', '2026-03-28T12:00Z', 2)).toEqual([
      'x@2026-03-29T02:30[Europe/Berlin] 2026-03-29T01:00Z',
      'x@2026-03-30T02:30[Europe/Berlin] 2026-03-30T00:30Z',
    ]);
    expect(upcoming('America/New_York', '0,30 2,3 * * *', '2026-03-08T00:00Z', 5)).toEqual([
      'x@2026-03-08T02:00[America/New_York] 2026-03-08T07:00Z',
      'x@2026-03-08T02:30[America/New_York] 2026-03-08T07:00Z',
      'x@2026-03-08T03:00[America/New_York] 2026-03-08T07:00Z',
      'x@2026-03-08T03:30[America/New_York] 2026-03-08T07:30Z',
      'x@2026-03-09T02:00[America/New_York] 2026-03-09T06:00Z',
    ]);
  });

  it('run once on the day when clocks go back', () => {
    expect(upcoming('Europe/Berlin', '30 2 * * *', '2026-10-24T12:00Z', 2)).toEqual([
      'x@2026-10-25T02:30[Europe/Berlin] 2026-10-25T00:30Z',
      'x@2026-10-26T02:30[Europe/Berlin] 2026-10-26T01:30Z',
    ]);
    expect(upcoming('America/New_York', '30 * * * *', '2026-11-01T05:00Z', 3)).toEqual([
      'x@2026-11-01T01:30[America/New_York] 2026-11-01T05:30Z',
      'x@2026-11-01T02:30[America/New_York] 2026-11-01T07:30Z',
      'x@2026-11-01T03:30[America/New_York] 2026-11-01T08:30Z',
    ]);
    // In the second pass, what was dealt with in the first is not due again.
    const rule = { name: 'x', cron: '30 * * * *', timezone: 'America/New_York' };
    const secondPass = Date.parse('2026-11-01T06:45Z');
    expect(dueOccurrences(rule, { sinceMs: 0, after: '2026-11-01T01:30' }, secondPass)).toEqual([]);
  });

  it('are due once each, however the clock is stepped, in any zone', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Asia/Shanghai', 'Australia/Lord_Howe', 'UTC');
    const crons = fc.constantFrom('*/20 * * * *', '30 2 * * *', '0 */3 * * *', '15 1-3 * * 0');
    const days = fc.constantFrom('2026-03-07', '2026-03-28', '2026-04-04', '2026-10-03', '2026-10-24', '2026-10-31');
    fc.assert(
      fc.property(zones, crons, days, fc.array(fc.integer({ min: 1, max: 400 })), (timezone, cron, day, steps) => {
        const timetable = { name: 'x', cron, timezone };
        const from = Date.parse(`${day}T12:00Z`);
        const seen: string[] = [];
        let nowMs = from;
        let after: string | undefined;
        for (const minutes of [...steps, 1]) {
          nowMs += minutes * 60_000;
          const due = dueOccurrences(timetable, { sinceMs: from, after }, nowMs);
          for (const { local, dueMs } of due.toReversed()) {
            expect(dueMs).toBeLessThanOrEqual(nowMs);
            seen.push(local);
          }
          after = due[0]?.local ?? after;
        }
        const expected = upcomingOccurrences(timetable, from, seen.length + 1);
        expect(seen).toEqual(expected.slice(0, seen.length).map(({ local }) => local));
        expect(expected.at(-1)?.dueMs).toBeGreaterThan(nowMs);
      }),
      { numRuns: 60 },
    );
  });

  it('have a moment whose local time is theirs, unless it does not exist', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', 'Pacific/Apia');
    fc.assert(
      fc.property(zones, fc.integer({ min: 0, max: 25 * 365 * 24 * 12 }), (zone, fiveMinutes) => {
        const moment = Date.parse('2002-01-01T00:00Z') + fiveMinutes * 5 * 60_000;
        const first = momentOf(localTimeOf(moment, zone), zone);
        expect(localTimeOf(first, zone)).toBe(localTimeOf(moment, zone));
        expect([0, HOUR_MS]).toContain(moment - first);
      }),
      { numRuns: 300 },
    );
    // Samoa left out a whole day.
    expect(new Date(momentOf('2011-12-30T12:00', 'Pacific/Apia')).toISOString()).toBe('2011-12-30T10:00:00.000Z');
  });
});

describe('a daily window', () => {
  it.each([
    { window: '02:00-06:00', inside: ['02:00', '05:59'], outside: ['01:59', '06:00', '23:00'] },
    { window: '22:00-04:00', inside: ['22:00', '00:00', '03:59'], outside: ['04:00', '21:59'] },
  ])('$window', ({ window, inside, outside }) => {
    const parsed = parseDailyWindow(window);
    if (parsed === undefined) throw new Error('no window');
    expect(inside.filter((time) => !isInside(parsed, time))).toEqual([]);
    expect(outside.filter((time) => isInside(parsed, time))).toEqual([]);
  });

  it.each(['2:00-06:00', '02:00-24:00', '02:00', '02:00-02:00', ''])('is not %j', (text) => {
    expect(parseDailyWindow(text)).toBeUndefined();
  });
});
