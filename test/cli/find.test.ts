import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProducer } from '../../src/index.ts';
import type { FoundItem } from '../../src/app/find.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';

const KEYS = ledgerKeys(KEY_PREFIX);
const PENDING = { outcome: null, code: null, requestId: null, settledAt: null };
const CANCELLED = { outcome: 'cancelled', code: '', requestId: '', settledAt: expect.any(String) };

const of = (deviceSn: string, caSn = 'CA01'): { instanceId: string; caSn: string; deviceSn: string } => {
  return { instanceId: INSTANCE, caSn, deviceSn };
};
/** Two chunks. */
const MANY = certificates(1_100);
const [FAR = of(''), DYING = of('')] = [MANY.at(-7), MANY.at(234)];

let fleet: Fleet;
beforeAll(async () => {
  const refuse = { kind: 'code' as const, code: 'ParameterCheckFailed' };
  const dies = { ...refuse, deviceSns: [DYING.deviceSn], times: 2 };
  const operations = ['DeleteDeviceCertificate' as const, 'GetDeviceCertificate' as const];
  const unreadable = { ...refuse, deviceSns: ['unreadable'], times: Number.POSITIVE_INFINITY, operations };
  const registry = [...MANY, ...['single', 'back', 'away', 'unreadable', 'seen', 'lossy'].map((sn) => of(sn))];
  fleet = await openFleet({ sandbox: { registry, plan: { seed: 1, faults: [dies, unreadable] } } });
  await fleet.holdRedis();
});
afterAll(() => fleet.remove());

async function find(deviceSn: string, ...flags: string[]): Promise<(FoundItem & { live?: string | null })[]> {
  const { code, stdout, stderr } = await fleet.run(['find', deviceSn, '--json', ...flags]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as FoundItem[];
}

describe('certsweep find', () => {
  it('has each batch with the device, the newest first, and how it ended there as its report has it', async () => {
    const first = await fleet.submit(MANY, '--requested-by', 'eve', '--reason', 'ticket 1');
    const dropped = await fleet.submit([of('dropped'), FAR], '--reason', 'a mistake');
    await fleet.run(['cancel', dropped]);
    const eve = { requestedBy: 'eve', reason: 'ticket 1' };
    const [, pending] = await find(FAR.deviceSn);
    expect(pending).toEqual({ batch: first, n: 1_093, action: 'delete', ...PENDING, ...eve });
    await fleet.startWorker();
    await fleet.settled(first);
    const second = await fleet.submit([of('other'), FAR]);
    await fleet.settled(second);
    await fleet.settled(dropped);
    const rows = await Promise.all([second, first].map((batch) => fleet.report(batch)));
    const ends = rows.map((all) => {
      const { outcome, code, requestId, settledAt } = all.find(({ deviceSn }) => deviceSn === FAR.deviceSn) ?? {};
      return { outcome, code, requestId, settledAt };
    });
    const someone = { requestedBy: expect.any(String), action: 'delete' };
    expect(await find(FAR.deviceSn)).toEqual([
      { batch: second, n: 1, ...someone, ...ends[0], reason: null },
      { batch: dropped, n: 1, ...someone, ...CANCELLED, reason: 'a mistake' },
      { batch: first, n: 1_093, ...someone, ...ends[1], ...eve },
    ]);
    expect(ends).toMatchObject([
      { outcome: 'already-gone', code: 'FindDeviceBySnError' },
      { outcome: 'revoked', code: 'OK' },
    ]);
  });

  it('has the last end of an item that was dead and retried', async () => {
    const [dead] = await find(DYING.deviceSn);
    expect(dead).toMatchObject({ outcome: 'dead', code: 'ParameterCheckFailed' });
    const batch = dead?.batch ?? '';
    for (const end of ['dead', 'revoked']) {
      const settledBefore = (await find(DYING.deviceSn))[0]?.settledAt;
      await fleet.run(['dead', 'retry', '--batch', batch, '--yes']);
      await fleet.settled(batch);
      const [after] = await find(DYING.deviceSn);
      expect(after).toMatchObject({ batch, outcome: end });
      expect(after?.settledAt).not.toBe(settledBefore);
    }
  });

  it('has single certificates, with who asked for each and why', async () => {
    const producer = await createProducer({ config: `${fleet.folder}/certsweep.yaml` });
    try {
      await producer.submit(of('single'), { requestedBy: 'a service', reason: 'lost' });
      await fleet.settled('direct-fleet');
      await producer.submit(of('single'));
      await fleet.settled('direct-fleet');
    } finally {
      await producer.close();
    }
    expect(await find('single')).toMatchObject([
      { batch: 'direct-fleet', n: 0, outcome: 'revoked', requestedBy: 'a service', reason: 'lost' },
      { batch: 'direct-fleet', n: 1, outcome: 'already-gone' },
    ]);
  });

  it('compares whole serial numbers to the letter, whatever characters they have', async () => {
    const serials = ['00ab', 'q"uo\\te', '設備', 'CA77', '00AB', '0ab', '00ab0'];
    const rows = serials.map((deviceSn) => `${JSON.stringify(of(deviceSn, 'CA77'))}\n`);
    const manifest = await fleet.file('odd.ndjson', rows.join(''));
    const { stdout } = await fleet.run(['submit', manifest, '--execute', '--yes', '--json']);
    const { batch: odd } = JSON.parse(stdout) as { batch: string };
    await fleet.settled(odd);
    for (const [n, deviceSn] of serials.slice(0, 4).entries())
      expect({ deviceSn, found: await find(deviceSn) }).toMatchObject({ deviceSn, found: [{ batch: odd, n }] });
    expect(await find(INSTANCE)).toEqual([]);
  });

  it('asks the cloud with --live, and says where it did not answer', async () => {
    const batch = await fleet.submit([of('back'), of('away'), of('unreadable')]);
    await fleet.settled(batch);
    fleet.sandbox.register(of('back'));
    expect(await find('back', '--live')).toMatchObject([{ outcome: 'revoked', live: 'active' }]);
    expect(await find('away', '--live')).toMatchObject([{ outcome: 'revoked', live: 'not-registered' }]);
    const refused = await fleet.run(['find', 'unreadable', '--live', '--json']);
    expect({ ...refused, stdout: JSON.parse(refused.stdout) }).toMatchObject({
      code: 3,
      stdout: [{ outcome: 'dead', live: null }],
      stderr: expect.stringContaining('ParameterCheckFailed'),
    });
    const keyless = await fleet.run(['find', 'away', '--live'], { env: { FLEET_KEY_ID: undefined } });
    expect(keyless).toMatchObject({ code: 3, stderr: expect.stringContaining('FLEET_KEY_ID is not set') });
    expect(keyless.stdout).toContain('now: not known');
  });

  it('says who and why to people, without control characters, and what it could not search', async () => {
    const batch = await fleet.submit([of('seen')], '--requested-by', 'eve', '--reason', 'lost\u202e\u001b[31m');
    await fleet.settled(batch);
    const { code, stdout, stderr } = await fleet.run(['find', 'seen']);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(`^${batch}  item 0  delete  revoked\n  ${INSTANCE} CA01 seen\n  settled \\S+Z\n  code OK, `),
    );
    expect(stdout).toContain('  requested by eve\n  reason: lost\\u{202e}\\u{1b}[31m\n');
    expect(stderr).toMatch(/1 of \d+ batches has the device "seen"/);
    const redis = await fleet.redis();
    await fleet.run(['forget', batch]);
    const gone = await fleet.run(['find', 'seen']);
    expect(gone).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('1 batch was forgotten') });
    const lossy = await fleet.submit([of('lossy')]);
    await fleet.settled(lossy);
    await redis.del(KEYS.of(lossy).chunks);
    const lost = await fleet.run(['find', 'lossy', '--json']);
    expect(lost).toMatchObject({
      code: 3,
      stdout: '[]\n',
      stderr: expect.stringContaining(`lost items of batch ${lossy}`),
    });
    const blank = await fleet.submit([of('blank')]);
    await fleet.settled(blank);
    await redis.del(KEYS.of(blank).ledger);
    const endless = await fleet.run(['find', 'blank', '--json']);
    expect(endless).toMatchObject({ code: 3, stdout: '[]\n', stderr: expect.stringContaining('lost its outcome') });
    const wrong = await fleet.run(['find', ' seen']);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('white space') });
  });
});
