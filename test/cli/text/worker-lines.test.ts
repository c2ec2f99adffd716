import { describe, expect, it } from 'vitest';
import { columnsOf } from '../../../src/cli/text/fit.ts';
import { clock } from '../../../src/cli/text/frame.ts';
import { workerLines, type AccountNow, type WorkerNow } from '../../../src/cli/text/worker-lines.ts';

const SINCE = new Date(2026, 10, 27, 12, 3, 1).getTime();
const PROD: AccountNow = {
  account: 'prod',
  rate: 271.4,
  paceQps: 280,
  inHand: 31,
  settled: { revoked: 1_234_567, 'already-gone': 41, dead: 59 },
  isThrottled: false,
};
const NOW: WorkerNow = {
  version: '0.1.0',
  host: 'here',
  pid: 4711,
  upSeconds: 61,
  phase: 'working',
  accounts: [PROD],
  work: { halts: [], running: 2, pending: 12_345, paused: [] },
  isRedisAway: false,
};
const HALT = {
  account: 'prod',
  code: 'InvalidAccessKeyId.NotFound',
  message: 'Specified access key is not found.',
  since: SINCE,
  nextProbeAt: SINCE,
};
const SMALL = { columns: 80, rows: 24 };
const LARGE = { columns: 120, rows: 40 };
const textOf = (now: WorkerNow, size = SMALL): string[] => workerLines(now, size).map(({ text }) => text);

describe('the live lines of a worker', () => {
  it('are one for each account, below the worker itself', () => {
    expect(textOf(NOW)).toEqual([
      'certsweep worker 0.1.0, process 4711  up 2 min',
      '2 batches running, 12,345 pending  Ctrl-C stops it',
      '',
      'account  state    calls/s     in hand    revoked  gone  dead',
      'prod     working  271 of 280       31  1,234,567    41    59',
    ]);
    expect(textOf(NOW, LARGE)[0]).toBe(
      'certsweep worker 0.1.0, process 4711  up 2 min  2 batches running, 12,345 pending  Ctrl-C stops it',
    );
  });

  it.each([
    ['starting', { phase: 'starting' }],
    ['stopping', { phase: 'stopping' }],
    ['NO REDIS', { isRedisAway: true }],
    ['throttled', { accounts: [{ ...PROD, isThrottled: true }] }],
    ['idle', { accounts: [{ ...PROD, rate: 0 }] }],
    ['HALTED', { work: { halts: [HALT], running: 1, pending: 1, paused: [] } }],
    ['HALTED in part', { work: { halts: [{ ...HALT, instanceId: 'post-cn-1' }], running: 1, pending: 1, paused: [] } }],
    // Of another host alone: this one goes on.
    ['working', { work: { halts: [{ ...HALT, host: 'there', pid: 1 }], running: 1, pending: 1, paused: [] } }],
  ] as const)('say the state as a word: %s', (word, change) => {
    const lines = textOf({ ...NOW, ...change });
    expect(lines.find((line) => line.startsWith('prod'))).toMatch(new RegExp(`^prod +${word}  `));
  });

  it('say in words what holds work up, and what to do', () => {
    const paused = [{ batch: 'b-1', pending: 1_200 }];
    const lines = workerLines({ ...NOW, work: { halts: [HALT], running: 1, pending: 1, paused } }, SMALL);
    const warnings = lines.slice(lines.findIndex(({ text }) => text.startsWith('prod')) + 1);
    expect(warnings.map(({ text }) => text)).toEqual([
      '',
      'HALTED account prod since 12:03:01: InvalidAccessKeyId.NotFound: Specified',
      '  access key is not found. Its items wait. Fix the cause (certsweep doctor',
      '  helps to find it); it then continues by itself.',
      'PAUSED batch b-1, 1,200 pending, by an operator. certsweep resume b-1 continues',
      '  it.',
    ]);
    expect(warnings.slice(1).every(({ isLoud }) => isLoud)).toBe(true);
    expect(clock(SINCE)).toBe('12:03:01');
  });

  it.each([SMALL, LARGE])('fit $columns columns and $rows rows, however much there is', (size) => {
    const accounts = Array.from({ length: 60 }, (_, at) => ({
      ...PROD,
      account: `an-account-with-a-long-name-${at}`,
      cancelled: 12_345_678,
      dead: 12_345_678,
      alreadyGone: 12_345_678,
    }));
    const halted = { ...HALT, account: 'an-account-with-a-long-name-59', message: 'x'.repeat(3_000) };
    const work = { halts: Array.from({ length: 9 }, () => halted), running: 9, pending: 9, paused: [] };
    const lines = textOf({ ...NOW, accounts, work }, size);
    expect(lines.every((line) => columnsOf(line) < size.columns)).toBe(true);
    expect(lines.length).toBeLessThan(size.rows);
    // The one in trouble is shown, and cut where it must be.
    expect(lines.filter((line) => / HALTED  /.test(line))).toHaveLength(1);
    expect(lines.some((line) => line.includes('…'))).toBe(true);
    expect(lines.at(-1)).toMatch(/^… and 8 more warnings: certsweep status$/);
  });
});
