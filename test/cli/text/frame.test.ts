import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeEvent } from '../../../src/cli/text/event.ts';
import { columnsOf } from '../../../src/cli/text/fit.ts';
import { frameOf, inFull, withHappening, type Line, type Repeated } from '../../../src/cli/text/frame.ts';

const AT_MS = new Date(2026, 10, 27, 12, 3, 1).getTime();
const news = (text: string): Repeated => ({ atMs: AT_MS, text, isProblem: false, times: 1 });
const problem = (text: string): Repeated => ({ ...news(text), isProblem: true });
const LIVE: readonly Line[] = [{ text: 'certsweep worker' }, { text: '' }, { text: 'prod  271 of 280' }];
const LONG = 'account prod is halted, its jobs wait: InvalidAccessKeyId.NotFound: Specified access key is not found.';
const textOf = (lines: readonly Line[]): string[] => lines.map(({ text }) => text);

describe('what just happened', () => {
  it('stands below the live lines: news cut, a problem in full', () => {
    const happened = [news(`a ${'long '.repeat(30)}line`), problem(LONG)];
    const { lines, left } = frameOf(LIVE, happened, { columns: 80, rows: 24 });
    expect(left).toEqual([]);
    expect(textOf(lines)).toEqual([
      ...textOf(LIVE),
      '',
      'Just happened',
      `12:03:01  a ${'long '.repeat(13)}l…`,
      '12:03:01  account prod is halted, its jobs wait: InvalidAccessKeyId.NotFound:',
      '          Specified access key is not found.',
    ]);
    expect(textOf(frameOf(LIVE, happened, { columns: 120, rows: 40 }).lines).at(-1)).toBe(`12:03:01  ${LONG}`);
  });

  it('is counted where it comes again', () => {
    const twice = withHappening(withHappening([], problem('no')), { ...problem('no'), atMs: AT_MS + 2_000 });
    expect(textOf(inFull(twice[0] ?? news(''), 80))).toEqual(['12:03:03  2 times: no']);
    expect(withHappening(twice, news('yes'))).toHaveLength(2);
  });

  it('leaves, oldest first, where there is no room: every problem is either shown in full or handed on', () => {
    const happening = fc.record({ text: fc.lorem({ maxCount: 40 }), isProblem: fc.boolean() });
    const size = fc.record({ columns: fc.integer({ min: 20, max: 130 }), rows: fc.integer({ min: 5, max: 50 }) });
    fc.assert(
      fc.property(fc.array(happening), size, (heard, { columns, rows }) => {
        const happened = heard.map((one) => ({ ...one, atMs: AT_MS, times: 1 }));
        const { lines, left } = frameOf(LIVE, happened, { columns, rows });
        expect(lines.length).toBeLessThan(rows);
        expect(lines.every(({ text }) => columnsOf(text) < columns)).toBe(true);
        expect(left).toEqual(happened.slice(0, left.length));
        const shown = textOf(lines).join('\n');
        for (const one of happened.slice(left.length).filter(({ isProblem }) => isProblem))
          expect(shown).toContain(textOf(inFull(one, columns)).join('\n'));
      }),
    );
  });
});

describe('an event in words', () => {
  it('has all fields of a problem, whatever its name', () => {
    expect(
      describeEvent('error', { event: 'batch-paused', account: 'prod', dead: 7, message: 'too many are dead' }),
    ).toBe('too many are dead (batch-paused, account prod, dead 7)');
    expect(describeEvent('warn', { event: 'slots-void', kind: 'slots-void', account: 'prod', count: 3 })).toMatch(
      /^Pace lost: .* \(slots-void, account prod, count 3\)$/,
    );
    expect(describeEvent('warn', { event: 'not-yet-known', ratio: 0.123 })).toBe(
      'not-yet-known (not-yet-known, ratio 0.1)',
    );
    // The only record of an item's end.
    const settled = { event: 'settled-unrecorded', deviceSn: '00ff', outcome: 'revoked', message: 'not known' };
    expect(describeEvent('error', settled)).toContain('deviceSn 00ff, outcome revoked');
  });

  it('is none for what is only counted', () => {
    expect(describeEvent('info', { event: 'settled', outcome: 'revoked' })).toBeUndefined();
    expect(describeEvent('debug', { event: 'answer', verdict: 'retry' })).toBeUndefined();
    expect(describeEvent('info', { event: 'batch-completed', batch: 'b-1' })).toBe('batch b-1 is completed');
  });

  it('cannot move the cursor', () => {
    expect(describeEvent('error', { event: 'halted', message: 'a\u001B[2Jb' })).toBe(String.raw`a\u{1b}[2Jb (halted)`);
  });
});
