import { afterEach, describe, expect, it } from 'vitest';
import type { AuditEntry } from '../../src/audit/entry.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import type { Ended } from '../support/command.ts';
import { INSTANCE } from '../support/installation.ts';

const CA = { instanceId: INSTANCE, caSn: 'CA01', name: 'plant\u202e one', validBeginMs: 0, validEndMs: 86_400_000 };
const OTHER = { instanceId: INSTANCE, caSn: '00ff', name: '', state: 'inactive' } as const;
const REGISTRY = [CA, OTHER, ...certificates(230)];
const CHANGES = ['InactivateCaCertificate', 'ActiveCaCertificate', 'DeleteCaCertificate'];

let fleet: Fleet;
afterEach(() => fleet?.remove());

async function open(sandbox: Partial<SandboxOptions> = {}, settings: object = {}): Promise<void> {
  fleet = await openFleet({
    sandbox: { registry: REGISTRY, ...sandbox },
    settings: { limiter: { lateMs: 200 }, ...settings },
  });
  await fleet.holdRedis();
}

const ca = (...words: string[]): Promise<Ended> => fleet.run(['ca', ...words]);
const jsonOf = ({ stdout, stderr }: Ended): unknown => {
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
};
/** Calls that changed a CA, by operation. */
const changes = (): object =>
  Object.fromEntries(Object.entries(fleet.sandbox.seen().byOperation).filter(([name]) => CHANGES.includes(name)));
const statusOf = async (caSn: string): Promise<unknown> =>
  (jsonOf(await ca('show', INSTANCE, caSn, '--json')) as { status: string }).status;
async function audited(): Promise<AuditEntry[]> {
  const { stdout } = await fleet.run(['audit', '--json']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditEntry);
}

describe('certsweep ca list and show', () => {
  it('print the CAs, and of one how many certificates it has', async () => {
    await open();
    const first = {
      caSn: 'CA01',
      name: CA.name,
      status: 'active',
      validBegin: '1970-01-01T00:00:00.000Z',
      validEnd: '1970-01-02T00:00:00.000Z',
    };
    const [listed, shown, { stdout }] = await Promise.all([
      ca('list', INSTANCE, '--json'),
      ca('show', INSTANCE, 'CA01', '--json'),
      ca('list', INSTANCE),
    ]);
    expect(jsonOf(listed)).toEqual([
      first,
      { caSn: '00ff', name: '', status: 'inactive', validBegin: expect.any(String), validEnd: expect.any(String) },
    ]);
    expect(jsonOf(shown)).toEqual({ ...first, certificates: 230 });
    expect(stdout).toContain('plant\\u{202e} one');
    expect(changes()).toEqual({});
  });

  it('of more CAs than a page has lists each once', async () => {
    const many = Array.from({ length: 230 }, (_, at) => ({ instanceId: INSTANCE, caSn: `CA${at}` }));
    await open({ registry: many });
    const listed = jsonOf(await ca('list', INSTANCE, '--json')) as { caSn: string }[];
    expect(listed.map(({ caSn }) => caSn)).toEqual(many.map(({ caSn }) => caSn));
  });
});

describe('certsweep ca inactivate and activate', () => {
  it('look at first, and change the CA with --execute', async () => {
    await open();
    const place = { instanceId: INSTANCE, caSn: 'CA01', action: 'inactivate', certificates: 230 };
    const look = await ca('inactivate', INSTANCE, 'CA01', '--json');
    expect({ code: look.code, json: jsonOf(look) }).toEqual({ code: 0, json: { ...place, requestId: null } });
    expect(look.stderr).toContain('Nothing was changed');
    expect(changes()).toEqual({});
    expect(jsonOf(await ca('inactivate', INSTANCE, 'CA01', '--execute', '--yes', '--json'))).toEqual({
      ...place,
      requestId: expect.stringMatching(/./),
    });
    expect(await statusOf('CA01')).toBe('inactive');
    const again = await ca('inactivate', INSTANCE, 'CA01', '--execute', '--yes', '--json');
    expect(jsonOf(again)).toEqual({ ...place, requestId: null });
    expect(again.stderr).toContain('already');
    expect(changes()).toEqual({ InactivateCaCertificate: 1 });
    await ca('activate', INSTANCE, 'CA01', '--execute', '--yes', '--reason', 'ticket 4711');
    expect(await statusOf('CA01')).toBe('active');
    expect(await audited()).toMatchObject([
      { event: 'ca-inactivate', batch: null, ca: { instanceId: INSTANCE, caSn: 'CA01' }, reason: null },
      { event: 'ca-activate', batch: null, ca: { instanceId: INSTANCE, caSn: 'CA01' }, reason: 'ticket 4711' },
    ]);
    expect((await fleet.run(['audit', '--verify'])).code).toBe(0);
  });

  it('want an answer, a reason where the configuration does, and a CA that is there', async () => {
    await open({}, { audit: { requireReason: true } });
    const cases = [
      [['inactivate', INSTANCE, 'CA01', '--execute', '--reason', 'r'], 3, 'add --yes'],
      [['inactivate', INSTANCE, 'CA01', '--execute', '--yes'], 3, 'audit.requireReason'],
      [['inactivate', INSTANCE, 'CA01', '--yes'], 2, 'Without --execute nothing is changed'],
      [['inactivate', INSTANCE, 'CA09', '--execute', '--yes', '--reason', 'r'], 2, 'certsweep ca list'],
      [['show', INSTANCE, 'CA09'], 2, 'has no CA "CA09"'],
      [['list', 'post-cn-nobody'], 2, 'accounts.<name>.instances'],
    ] as const;
    const refused = cases.map(async ([words, code, message]) => {
      const ended = await ca(...words);
      expect({ words, code: ended.code, stderr: ended.stderr }).toEqual({
        words,
        code,
        stderr: expect.stringContaining(message),
      });
    });
    await Promise.all(refused);
    expect(changes()).toEqual({});
  });

  it('are told of what was done although the answer was lost', async () => {
    await open({
      plan: {
        seed: 1,
        faults: [
          { kind: 'answer-lost-after', operations: ['InactivateCaCertificate'], times: Number.POSITIVE_INFINITY },
        ],
      },
    });
    const ended = await ca('inactivate', INSTANCE, 'CA01', '--execute', '--yes', '--json');
    expect({ code: ended.code, json: jsonOf(ended) }).toMatchObject({ code: 0, json: { requestId: null } });
    expect(ended.stderr).toContain('the answer was lost, but the CA shows it');
    expect(changes()).toEqual({ InactivateCaCertificate: 1 });
  });

  it('end with 4 where nobody knows, with 3 where the cloud refused, and both are on record', async () => {
    await open({
      plan: {
        seed: 1,
        faults: [
          { kind: 'html', operations: ['InactivateCaCertificate'], times: Number.POSITIVE_INFINITY },
          { kind: 'code', code: 'Forbidden.RAM', operations: ['ActiveCaCertificate'], times: Number.POSITIVE_INFINITY },
        ],
      },
    });
    const unknown = await ca('inactivate', INSTANCE, 'CA01', '--execute', '--yes');
    expect({ code: unknown.code, stderr: unknown.stderr }).toEqual({
      code: 4,
      stderr: expect.stringContaining(`certsweep ca show ${INSTANCE} CA01`),
    });
    const refused = await ca('activate', INSTANCE, '00ff', '--execute', '--yes');
    expect({ code: refused.code, stderr: refused.stderr }).toEqual({
      code: 3,
      stderr: expect.stringContaining('grant mq:ActiveCaCertificate'),
    });
    expect(changes()).toEqual({ InactivateCaCertificate: 1, ActiveCaCertificate: 1 });
    expect((await audited()).map(({ event, reason }) => [event, reason])).toEqual([
      ['ca-inactivate', null],
      ['ca-failed', expect.stringContaining('nobody knows')],
      ['ca-activate', null],
      ['ca-failed', expect.stringContaining('Forbidden.RAM')],
    ]);
  });
});

describe('certsweep ca delete', () => {
  it('wants the serial number and the number of certificates, and nothing else will do', async () => {
    await open();
    const look = await ca('delete', INSTANCE, 'CA01', '--json');
    expect(jsonOf(look)).toEqual({
      instanceId: INSTANCE,
      caSn: 'CA01',
      action: 'delete',
      certificates: 230,
      requestId: null,
    });
    expect(look.stderr).toContain('--confirm CA01:230');
    const wrong = [[], ['--yes'], ['--confirm', '230'], ['--confirm', 'CA01'], ['--confirm', 'CA01:229']];
    const refused = wrong.map(async (flags) => {
      const { code, stderr } = await ca('delete', INSTANCE, 'CA01', '--execute', ...flags);
      expect({ flags, code, stderr }).toEqual({ flags, code: 3, stderr: expect.stringContaining('CA01:230') });
    });
    await Promise.all(refused);
    expect(changes()).toEqual({});
    expect(fleet.sandbox.registeredCount).toBe(230);
    const done = await ca('delete', INSTANCE, 'CA01', '--execute', '--yes', '--confirm', 'CA01:230', '--json');
    expect({ code: done.code, json: jsonOf(done) }).toMatchObject({
      code: 0,
      json: { certificates: 230, requestId: expect.stringMatching(/./) },
    });
    expect(done.stderr).toContain('any that register before the call');
    expect(fleet.sandbox.registeredCount).toBe(0);
    expect(await audited()).toMatchObject([{ event: 'ca-delete', counts: { certificates: 230 } }]);
  });

  it('makes no call where the number changes between the question and the call', async () => {
    let reads = 0;
    await open({
      journal({ operation }) {
        // The first count takes more pages than one, so this is in the second.
        if (operation !== 'ListDeviceCertificateByCaSn') return;
        reads += 1;
        if (reads === 6) fleet.sandbox.register({ instanceId: INSTANCE, caSn: 'CA01', deviceSn: 'late' });
      },
    });
    const first = await ca('delete', INSTANCE, 'CA01');
    expect(first.code).toBe(0);
    const perCount = reads;
    reads = 6 - perCount;
    const { code, stderr } = await ca('delete', INSTANCE, 'CA01', '--execute', '--confirm', 'CA01:230');
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('231 certificates now, not 230') });
    expect(changes()).toEqual({});
  });

  it('does not count a listing whose order changes', async () => {
    await open({ order: 'changing', registry: [CA, ...certificates(500)] });
    const { code, stderr } = await ca('delete', INSTANCE, 'CA01', '--execute', '--confirm', 'CA01:500');
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('could not be counted') });
    expect(changes()).toEqual({});
  });
});
