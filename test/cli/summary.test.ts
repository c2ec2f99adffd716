import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchSummary } from '../../src/app/summary.ts';
import { certificates, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';

const ALL = certificates(30);
const REGISTERED = ALL.slice(0, 28);
const DYING = ALL[3]?.deviceSn ?? '';
const REASON = 'ticket | 4711 <b>`x`\u202e\u001b[31m\n# no heading';
const MANIFEST = manifestOf(ALL);
const SHA256 = createHash('sha256').update(MANIFEST).digest('hex');

let fleet: Fleet;
let batch: string;
beforeAll(async () => {
  const dies = { kind: 'code' as const, code: 'ParameterCheckFailed', deviceSns: [DYING] };
  const faults = [{ ...dies, times: Number.POSITIVE_INFINITY }];
  fleet = await openFleet({ sandbox: { registry: REGISTERED, plan: { seed: 1, faults } } });
  await fleet.holdRedis();
  const manifest = await fleet.file('devices.csv', MANIFEST);
  const flags = ['--execute', '--yes', '--json', '--requested-by', 'eve', '--reason', REASON];
  const { stdout, stderr } = await fleet.run(['submit', manifest, ...flags]);
  ({ batch } = JSON.parse(stdout || JSON.stringify({ batch: stderr })) as { batch: string });
});
afterAll(() => fleet.remove());

async function summary(id = batch): Promise<BatchSummary> {
  const { stdout, stderr } = await fleet.run(['report', id, '--summary', '--format', 'json']);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as BatchSummary;
}

const ASKED = { action: 'delete', requestedBy: 'eve', reason: REASON, manifestSha256: SHA256, planId: null };

describe('certsweep report --summary', () => {
  it('says of a batch that has not begun that nothing is settled', async () => {
    expect(await summary()).toMatchObject({
      batch,
      state: 'running',
      ...ASKED,
      accepted: 30,
      pending: 30,
      codes: [],
      calls: 0,
      completedAt: null,
      durationSeconds: null,
      itemsPerSecond: null,
      verification: null,
    });
  });

  it('counts the codes of all items, and has the last verification', async () => {
    await fleet.startWorker();
    await fleet.settled(batch);
    const whole = await summary();
    expect(whole).toMatchObject({
      batch,
      state: 'completed',
      ...ASKED,
      accepted: 30,
      revoked: 27,
      alreadyGone: 2,
      dead: 1,
      pending: 0,
      codes: [
        { outcome: 'revoked', code: 'OK', items: 27 },
        { outcome: 'already-gone', code: 'FindDeviceBySnError', items: 2 },
        { outcome: 'dead', code: 'ParameterCheckFailed', items: 1 },
      ],
      calls: 30,
      verification: null,
    });
    const took = Date.parse(whole.completedAt ?? '') - Date.parse(whole.submittedAt);
    expect(whole.durationSeconds).toBeCloseTo(took / 1_000, 1);
    expect(whole.itemsPerSecond).toBeCloseTo((30 * 1_000) / took, 0);

    expect((await fleet.run(['verify', batch])).code).toBe(1);
    expect((await summary()).verification).toEqual({
      verifiedAt: expect.any(String),
      checked: 30,
      remaining: 1,
      pending: 0,
      isWhole: true,
    });
    const audit = await fleet.run(['audit', '--batch', batch, '--json']);
    const last = JSON.parse(audit.stdout.trimEnd().split('\n').at(-1) ?? '') as object;
    expect(last).toMatchObject({ event: 'verify', batch, counts: { checked: 30, remaining: 1, pending: 0 } });
    expect((await fleet.run(['audit', '--verify'])).code).toBe(0);
  });

  it('is a page of Markdown in which words of others mean nothing', async () => {
    const out = join(fleet.folder, 'batch.md');
    const { code } = await fleet.run(['report', batch, '--summary', '--out', out]);
    expect(code).toBe(0);
    const page = await readFile(out, 'utf8');
    expect(page).not.toMatch(/[^\P{C}\n]/u);
    const lines = page.split('\n');
    expect(lines[0]).toBe(`# Batch ${batch}`);
    expect(lines).toContain(String.raw`| reason | ticket \| 4711 \<b\>\`x\`\\u{202e}\\u{1b}\[31m\\u{a}\# no heading |`);
    expect(lines).toContain(`| SHA-256 of the manifest | ${SHA256} |`);
    expect(lines).toContain('| dead | ParameterCheckFailed | 1 |');
    expect(page).toContain('1 of 30 certificates was still registered.');
  });

  it('has the plan that a batch came from', async () => {
    const manifest = await fleet.file('few.csv', manifestOf(REGISTERED.slice(3, 4)));
    const plan = join(fleet.folder, 'it.plan');
    await fleet.run(['plan', manifest, '--out', plan]);
    const header = JSON.parse((await readFile(plan, 'utf8')).split('\n')[0] ?? '') as { id: string };
    const { stdout } = await fleet.run(['submit', '--plan', plan, '--execute', '--yes', '--json']);
    const planned = JSON.parse(stdout) as { batch: string };
    expect(await summary(planned.batch)).toMatchObject({ planId: header.id, accepted: 1 });
  });

  it('is refused for a batch that is not there, and with options that are for rows', async () => {
    const cases = [
      [['report', 'nobody', '--summary'], 'There is no batch "nobody"'],
      [['report', batch, '--summary', '--format', 'csv'], 'a summary is md or json'],
      [['report', batch, '--format', 'md'], 'rows come as csv or ndjson'],
      [['report', batch, '--summary', '--outcome', 'dead'], 'leave out --outcome'],
    ] as const;
    for (const [words, message] of cases) {
      const { code, stderr } = await fleet.run([...words]);
      expect({ words, code, stderr }).toEqual({ words, code: 2, stderr: expect.stringContaining(message) });
    }
  });
});
