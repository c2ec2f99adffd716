import { describe, expect, it } from 'vitest';
import { columnsOf } from '../../../src/cli/text/fit.ts';
import {
  sandboxHappenings,
  sandboxLines,
  type SandboxNow,
  type SandboxSeen,
} from '../../../src/cli/text/sandbox-lines.ts';

const SEEN: SandboxSeen = {
  calls: 4_210,
  byCode: { InternalError: 50, OK: 4_148, 'Throttling.User': 12 },
  byFault: { code: 50, throttle: 12 },
  deletions: 4_148,
  accounts: { 'sandbox-key-id': { worstSecond: 280, overQuota: 0 } },
  egress: { '127.0.0.1': { worstSecond: 280, overQuota: 0, blocked: false } },
};
const NOW: SandboxNow = {
  url: 'http://127.0.0.1:8787',
  upSeconds: 20,
  rate: 270.6,
  seen: SEEN,
  registered: 1_980,
  limits: { accountQps: 500, egressQps: 300 },
  hasEnded: false,
};
const textOf = (now: SandboxNow, columns: number): string[] =>
  sandboxLines(now, { columns, rows: 24 }).map(({ text }) => text);

describe('the live lines of a sandbox', () => {
  it('say calls, answers, what is left, and faults', () => {
    expect(textOf(NOW, 80)).toEqual([
      'certsweep sandbox on http://127.0.0.1:8787  up 20 s  Ctrl-C stops it',
      '',
      'calls   271/s  4,210 in all  deleted 4,148  registered 1,980',
      'answers OK 4,148  InternalError 50  Throttling.User 12',
      'faults  code 50  throttle 12',
      'busiest sandbox-key-id 280 of 500 a second  127.0.0.1 280 of 300 a second',
    ]);
  });

  it('say in words that a quota was passed', () => {
    const egress = { '127.0.0.1': { worstSecond: 301, overQuota: 1, blocked: true } };
    expect(textOf({ ...NOW, seen: { ...SEEN, egress } }, 80).at(-1)).toBe(
      'OVER QUOTA address 127.0.0.1: 1 call beyond it. BLOCKED now.',
    );
  });

  it.each([80, 120])('fit %i columns, however many codes there are', (columns) => {
    const many = Object.fromEntries(Array.from({ length: 90 }, (_, at) => [`Some.Code.${at}`.padEnd(90, 'x'), at]));
    const lines = textOf({ ...NOW, seen: { ...SEEN, byCode: many, byFault: many } }, columns);
    expect(lines.every((line) => columnsOf(line) < columns)).toBe(true);
    expect(lines.length).toBeLessThan(16);
  });
});

it('says what happened between two reads, OK not counted', () => {
  const after: SandboxSeen = {
    ...SEEN,
    byCode: { OK: 5_000, InternalError: 53, 'Forbidden.RiskControl': 1, 'Throttling.User': 12 },
    byFault: { code: 53, throttle: 12, hang: 1 },
    egress: { '127.0.0.1': { worstSecond: 301, overQuota: 1, blocked: true } },
  };
  expect(sandboxHappenings(SEEN, after, 7)).toEqual([
    { atMs: 7, text: 'played faults: code 3 times, hang', isProblem: false },
    { atMs: 7, text: 'answered InternalError 3 times, Forbidden.RiskControl', isProblem: false },
    { atMs: 7, text: 'the address 127.0.0.1 passed its quota and is blocked', isProblem: true },
  ]);
  expect(sandboxHappenings(SEEN, SEEN, 7)).toEqual([]);
});
