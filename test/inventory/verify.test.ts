import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { worstWindow } from '../../src/core/pace.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';
import { recordSends } from '../support/recorded-sends.ts';

let fleet: Fleet;
afterEach(() => fleet?.remove());

async function open(sandbox: Partial<SandboxOptions>, settings: object = {}): Promise<void> {
  fleet = await openFleet({ sandbox, settings: { limiter: { lateMs: 200 }, ...settings } });
  await fleet.holdRedis();
}

interface Verification {
  readonly batch: string;
  readonly checked: number;
  readonly remaining: { readonly deviceSn: string; readonly status: string }[];
}

async function verify(
  batch: string,
  ...flags: string[]
): Promise<{ code: number | null; json: Verification; stderr: string }> {
  const { code, stdout, stderr } = await fleet.run(['verify', batch, '--json', ...flags]);
  if (stdout === '') throw new Error(stderr);
  return { code, json: JSON.parse(stdout) as Verification, stderr };
}

/** Revokes the certificates to the last. */
async function revoke(rows: Parameters<Fleet['submit']>[0]): Promise<string> {
  const batch = await fleet.submit(rows);
  await fleet.settled(batch);
  return batch;
}

const serials = (rows: readonly { deviceSn: string }[]): string[] => rows.map(({ deviceSn }) => deviceSn).toSorted();

describe('devices that reconnect', () => {
  it('are named by verify while their CA is active, and none comes back once it is inactive', async () => {
    const all = certificates(400);
    const bystanders = certificates(150, 7);
    await open({ registry: [...all, ...bystanders], devicesPerSecond: 400, seed: 3 });
    await fleet.startWorker();
    const batch = await revoke(all);
    const back = (): typeof all => all.filter((one) => fleet.sandbox.has(one));
    await vi.waitFor(() => expect(back().length).toBeGreaterThan(20), { timeout: 60_000, interval: 20 });
    const { code } = await fleet.run(['ca', 'inactivate', INSTANCE, 'CA01', '--execute', '--yes']);
    expect(code).toBe(0);
    // Nobody comes back from here on, though devices go on trying.
    const returned = back();
    expect(returned.length).toBeLessThanOrEqual(all.length);
    const out = join(fleet.folder, 'returned.json');
    const found = await verify(batch, '--out', out);
    expect(found.code).toBe(1);
    expect(found.stderr).toContain('certsweep ca inactivate');
    expect({ ...found.json, remaining: serials(found.json.remaining) }).toEqual({
      batch,
      checked: 400,
      remaining: serials(returned),
    });
    expect(found.json.remaining[0]).toEqual({
      ...returned.find(({ deviceSn }) => deviceSn === found.json.remaining[0]?.deviceSn),
      status: 'active',
    });
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(found.json);

    const report = await fleet.run(['report', batch, '--returned', out]);
    const [head, ...lines] = report.stdout.trimEnd().split('\n');
    expect(head).toBe('ordinal,instanceId,caSn,deviceSn,outcome,code,requestId,attempts,settledAt,remaining');
    expect(lines).toHaveLength(400);
    const marked = lines.filter((line) => line.endsWith(',active')).map((line) => line.split(',')[3] ?? '');
    expect(marked.toSorted()).toEqual(serials(returned));

    const second = await revoke(returned);
    expect(await Promise.all([verify(second), verify(batch)])).toMatchObject([
      { code: 0, json: { checked: returned.length, remaining: [] } },
      { code: 0, json: { checked: 400, remaining: [] } },
    ]);
  });
});

describe('verify', () => {
  it('names what could not be deleted, leaves out what was cancelled, and takes a deleted CA for empty', async () => {
    const [ours, theirs] = [certificates(30), certificates(30, 2).map((one) => ({ ...one, caSn: 'CA02' }))];
    await open({
      registry: [...ours, ...theirs],
      plan: {
        seed: 1,
        faults: [
          {
            kind: 'code',
            code: 'ParameterCheckFailed',
            deviceSns: [ours[0]?.deviceSn ?? ''],
            times: Number.POSITIVE_INFINITY,
          },
        ],
      },
    });
    await fleet.startWorker();
    const batch = await revoke([...ours, ...theirs]);
    await fleet.run(['ca', 'delete', INSTANCE, 'CA02', '--execute', '--confirm', 'CA02:0']);
    const [{ code, json }, { stdout }] = await Promise.all([verify(batch), fleet.run(['verify', batch])]);
    expect({ code, json }).toEqual({
      code: 1,
      json: { batch, checked: 60, remaining: [{ ...ours[0], status: 'active' }] },
    });
    expect(stdout).toBe(`${INSTANCE} CA01 ${ours[0]?.deviceSn}  active\n`);
  });

  it('does not look for what was cancelled', async () => {
    await open({ registry: certificates(20) });
    const batch = await fleet.submit(certificates(20));
    await fleet.run(['cancel', batch]);
    await fleet.startWorker();
    await fleet.settled(batch);
    expect(await verify(batch)).toMatchObject({ code: 0, json: { checked: 0, remaining: [] } });
  });

  it('is not content with a listing whose order changes', async () => {
    await open({ registry: [...certificates(300), ...certificates(400, 5)], order: 'changing' });
    await fleet.startWorker();
    const batch = await revoke(certificates(300));
    const { code, stderr } = await verify(batch);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('verify again') });
  });

  it('takes a quarter of the pace while a batch is running', async () => {
    const listed: number[] = [];
    await open(
      {
        registry: [...certificates(20), ...certificates(2_500, 4)],
        journal: ({ operation, arrivedMs }) =>
          void (operation === 'ListDeviceCertificateByCaSn' && listed.push(arrivedMs)),
      },
      { egress: { qps: 40, raisedLimit: true } },
    );
    const worker = await fleet.startWorker();
    const batch = await revoke(certificates(20));
    worker.kill('SIGTERM');
    await worker.ended;
    // Nobody works on it.
    await fleet.submit(certificates(10, 4));
    const { options, times } = recordSends(fleet.folder);
    await fleet.run(['verify', batch, '--json'], options);
    expect(listed.length).toBeGreaterThan(20);
    const sends = await times();
    expect(sends).toHaveLength(listed.length);
    expect(worstWindow(sends)).toBeLessThanOrEqual(10);
  });

  it('and a report that is joined to another file or batch end with 2 and the next step', async () => {
    await open({ registry: certificates(3) });
    // Nothing of it need be revoked.
    const batch = await fleet.submit(certificates(3));
    const other = await fleet.file('other.json', JSON.stringify({ batch: 'x', checked: 0, remaining: [] }));
    const foreign = await fleet.file('foreign.json', '{}');
    const cases = [
      [['verify', 'nobody'], 'There is no batch "nobody"'],
      [['report', batch, '--returned', other], 'is of batch "x"'],
      [['report', batch, '--returned', foreign], 'is not a result of certsweep verify'],
      [['report', batch, '--returned', '/nowhere'], 'cannot be read (ENOENT)'],
    ] as const;
    for (const [words, message] of cases) {
      const { code, stderr } = await fleet.run([...words]);
      expect({ words, code, stderr }).toEqual({ words, code: 2, stderr: expect.stringContaining(message) });
    }
  });
});
