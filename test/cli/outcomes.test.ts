import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Ended } from '../support/command.ts';
import { certificates, expectAccounted, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';

const ITEMS = certificates(6);
const [GONE, BAD, ORPHAN] = ITEMS.map(({ deviceSn }) => deviceSn) as [string, string, string];
const COLUMNS = 'ordinal,instanceId,caSn,deviceSn,outcome,code,requestId,attempts,settledAt';

let fleet: Fleet;
let submitted: Ended;
let batch: string;

/** One batch that is through: three revoked, one already gone, two dead. */
beforeAll(async () => {
  const faults = [
    { kind: 'code' as const, code: 'FindDeviceBySnError', deviceSns: [GONE] },
    { kind: 'code' as const, code: 'ParameterFieldCheckFailed', deviceSns: [BAD] },
    { kind: 'code' as const, code: 'FindCaBySnError', deviceSns: [ORPHAN] },
  ];
  fleet = await openFleet({ sandbox: { plan: { seed: 1, faults } } });
  const worker = await fleet.startWorker();
  const manifest = await fleet.file('six.csv', manifestOf(ITEMS));
  submitted = await fleet.run(['submit', manifest, '--execute', '--confirm', '6', '--wait', '--json']);
  ({ batch } = JSON.parse(submitted.stdout) as { batch: string });
  // Keeps the Redis up for the commands below.
  await (await fleet.redis()).ping();
  worker.kill('SIGTERM');
  await worker.ended;
});
afterAll(() => fleet.remove());

const rowsOf = (csv: string): string[][] =>
  csv
    .trimEnd()
    .split('\n')
    .map((line) => line.split(','));

it('submit --wait ends with 1 when something is dead, and shows no more than text', () => {
  expect(submitted).toMatchObject({ code: 1 });
  expect(submitted.stdout).toBe(`{"batch":"${batch}","action":"delete","accepted":6,"duplicates":0,"rejected":0}\n`);
  expect(submitted.stderr).toContain(`Batch ${batch} completed: 3 revoked, 1 already gone, 2 dead, 0 cancelled.`);
  expect(submitted.stderr).not.toContain('No worker');
  expect(submitted.stderr).not.toContain('\u001B');
  expect(submitted.stderr).not.toContain('\r');
});

describe('status', () => {
  const counts = { accepted: 6, revoked: 3, alreadyGone: 1, dead: 2, cancelled: 0, pending: 0 };

  it('prints one object for a batch, with the names in this order, and ends with 1', async () => {
    const { code, stdout, stderr } = await fleet.run(['status', batch, '--json']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const status = {
      batch,
      state: 'completed',
      ...counts,
      forgotten: 0,
      ratePerSecond: 0,
      etaSeconds: 0,
      action: 'delete',
    };
    expect(stdout).toBe(`${JSON.stringify(status)}\n`);
  });

  it('--watch ends by itself when the batch is done', async () => {
    const { code, stdout, stderr } = await fleet.run(['status', batch, '--watch']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatch(/state {11}completed\n(.*\n)*dead {12}2\n/);
    expect(stdout).not.toContain('\u001B');
  });

  it('of all batches ends with 0', async () => {
    const { code, stdout } = await fleet.run(['status']);
    expect(code).toBe(0);
    expect(stdout).toContain(`${batch}  completed\n  6 of 6  revoked 3  already gone 1  dead 2\n`);
  });
});

describe('report', () => {
  it('has these columns, and a row for each item', async () => {
    const { code, stdout, stderr } = await fleet.run(['report', batch]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [head, ...rows] = rowsOf(stdout);
    expect(head?.join(',')).toBe(COLUMNS);
    const inOrder = rows.toSorted((a, b) => Number(a[0]) - Number(b[0]));
    const outcomes = ['already-gone', 'dead', 'dead', 'revoked', 'revoked', 'revoked'];
    expect(inOrder.map((row) => row.slice(0, 5))).toEqual(
      ITEMS.map(({ caSn, deviceSn }, n) => [String(n), INSTANCE, caSn, deviceSn, outcomes[n]]),
    );
    for (const [, , , , outcome, code2, requestId, attempts, settledAt] of rows) {
      expect(code2 === 'OK' || code2 === '').toBe(outcome === 'revoked');
      expect(requestId).toMatch(/^[0-9A-F-]{36}$/);
      expect(attempts).toBe('1');
      expect(settledAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
  });

  it('of one outcome as NDJSON has the same names', async () => {
    const { code, stdout } = await fleet.run(['report', batch, '--format', 'ndjson', '--outcome', 'dead']);
    expect(code).toBe(0);
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows.map((row) => Object.keys(row).join(','))).toEqual([COLUMNS, COLUMNS]);
    expect(new Set(rows.map((row) => row['deviceSn']))).toEqual(new Set([BAD, ORPHAN]));
  });

  it('--out writes a file that is there only when it is whole', async () => {
    const path = join(fleet.folder, 'report.csv');
    expect(await fleet.run(['report', batch, '--out', path])).toMatchObject({ code: 0, stdout: '' });
    expect(rowsOf(await readFile(path, 'utf8'))).toHaveLength(7);
    expect(existsSync(`${path}.part`)).toBe(false);
    const nowhere = join(fleet.folder, 'no-folder', 'report.csv');
    const failed = await fleet.run(['report', batch, '--out', nowhere]);
    expect(failed).toMatchObject({ code: 3, stdout: '' });
    expect(failed.stderr).toContain(`could not be written to ${nowhere}`);
    expect(failed.stderr).toContain('choose another place with --out');
  });

  it('is quiet when its reader has had enough', async () => {
    expect(await fleet.run(['report', batch], { isRead: false })).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  it.skipIf(!existsSync('/dev/full'))('says so when there is no room for it', async () => {
    for (const args of [
      ['report', batch],
      ['status', batch, '--json'],
    ]) {
      const ended = await fleet.run(args, { stdoutTo: '/dev/full' });
      expect(ended).toMatchObject({ code: 3, signal: null });
      expect(ended.stderr).toContain('Standard output cannot be written (ENOSPC)');
    }
  });
});

describe('a batch that is not there', () => {
  it.each([['status'], ['report'], ['pause'], ['cancel'], ['dead', 'retry', '--batch']])('%s', async (...args) => {
    const ended = await fleet.run([...args, 'no-such']);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(
      /^There is no batch "no-such" in embedded Redis in \/.+\/redis: certsweep status lists all of them\.\n$/,
    );
  });
});

describe('dead', () => {
  const json = async (...args: string[]) => {
    const isAsked = args[0] !== 'list' && !args.includes('--confirm');
    const { code, stdout } = await fleet.run(['dead', ...args, '--json', ...(isAsked ? ['--yes'] : [])]);
    expect(code).toBe(0);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };

  it('lists, discards and retries; what is discarded stays dead, what is retried ends again', async () => {
    const letters = await json('list', '--batch', batch, '--instance', INSTANCE);
    expect(letters.map(({ batch: of, n, code, calls, history }) => ({ of, n, code, calls, history }))).toEqual(
      expect.arrayContaining([
        { of: batch, n: 1, code: 'ParameterFieldCheckFailed', calls: 1, history: [] },
        { of: batch, n: 2, code: 'FindCaBySnError', calls: 1, history: [] },
      ]),
    );
    expect(await json('list', '--code', 'Other')).toEqual([]);
    const shown = await fleet.run(['dead', 'list', '--code', 'FindCaBySnError']);
    expect(shown.stdout).toContain(`${batch}  item 2\n  ${INSTANCE} CA01 ${ORPHAN}\n  died `);

    const unsaid = await fleet.run(['dead', 'retry']);
    expect(unsaid).toMatchObject({ code: 2, stdout: '' });
    expect(unsaid.stderr).toContain('Say which dead letters: --batch, --code or --instance narrow them, --all');
    expect(await fleet.run(['dead', 'discard', '--all', '--code', 'x'])).toMatchObject({ code: 2, stdout: '' });
    const kept = await fleet.run(['forget', batch]);
    expect(kept).toMatchObject({ code: 3, stdout: '' });
    expect(kept.stderr).toContain(`certsweep dead discard --batch ${batch}`);

    for (const name of ['retry', 'discard']) {
      const unasked = await fleet.run(['dead', name, '--batch', batch]);
      expect(unasked).toMatchObject({ code: 3, stdout: '' });
      expect(unasked.stderr).toContain('There is no terminal to ask on: add --confirm 2 (or --yes)');
      const wrong = await fleet.run(['dead', name, '--batch', batch, '--confirm', '3']);
      expect(wrong).toMatchObject({ code: 3, stdout: '' });
      expect(wrong.stderr).toContain('--confirm 3 is not the number of dead letters, which is 2. Nothing was touched.');
    }
    expect(await json('list')).toHaveLength(2);

    expect(await json('discard', '--code', 'FindCaBySnError', '--confirm', '1')).toEqual([{ discarded: 1 }]);
    expect(await json('retry', '--batch', batch)).toEqual([{ retried: 1, cancelled: 0, unknown: 0, refused: 0 }]);
    expect(await json('retry', '--batch', batch)).toEqual([{ retried: 0, cancelled: 0, unknown: 0, refused: 0 }]);
    expect(await fleet.until(batch, () => true)).toMatchObject({ state: 'running', dead: 1, pending: 1 });

    const worker = await fleet.startWorker();
    const rows = await expectAccounted(fleet, batch, ITEMS);
    expect(rows.map(({ outcome }) => outcome)).toEqual([
      'already-gone',
      'revoked',
      'dead',
      ...Array.from({ length: 3 }, () => 'revoked'),
    ]);
    expect(await json('list')).toEqual([]);
    expect(await json('retry', '--all')).toEqual([{ retried: 0, cancelled: 0, unknown: 0, refused: 0 }]);
    expect(await fleet.run(['forget', batch])).toMatchObject({ code: 0, stdout: '' });
    worker.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 0 });
  });
});
