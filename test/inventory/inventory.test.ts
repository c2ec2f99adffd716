import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { worstWindow } from '../../src/core/pace.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import type { NewDevice } from '../../src/sandbox/listed-registry.ts';
import { LOOPBACK_CERTIFICATE } from '../sandbox/loopback-certificate.ts';
import type { RunningCommand } from '../support/command.ts';
import { certificates, openFleet, type Fleet, type FleetOptions } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';
import { recordSends } from '../support/recorded-sends.ts';

let fleet: Fleet;
afterEach(() => fleet?.remove());

const open = async (sandbox: Partial<SandboxOptions>, settings: object = {}): Promise<void> => {
  const options: FleetOptions = { sandbox, settings: { limiter: { lateMs: 200 }, ...settings } };
  fleet = await openFleet(options);
  await fleet.holdRedis();
};

interface Counts {
  readonly instance: string;
  readonly certificates: number;
  readonly state: string;
  readonly stepsBack: number;
  readonly calls: number;
}

interface Taken {
  readonly code: number | null;
  readonly json: Counts;
  readonly rows: string[][];
  readonly stderr: string;
}

const inventory = (...flags: string[]): Promise<Taken> => inventoryTo('inventory.csv', ...flags);

/** Runs the command and reads what it wrote. */
async function inventoryTo(name: string, ...flags: string[]): Promise<Taken> {
  const out = join(fleet.folder, name);
  const { code, stdout, stderr } = await fleet.run(['inventory', INSTANCE, '--out', out, '--json', ...flags]);
  if (stdout === '') throw new Error(stderr);
  const [head, ...lines] = (await readFile(out, 'utf8')).trimEnd().split('\n');
  expect(head).toBe('instanceId,caSn,deviceSn,deviceName,status,validBegin,validEnd');
  return { code, json: JSON.parse(stdout) as Counts, rows: lines.map((line) => line.split(',')), stderr };
}

const serials = (rows: readonly string[][]): string[] => rows.map(([, , deviceSn = '']) => deviceSn);

describe('an inventory', () => {
  it.each(['oldest', 'newest', 'shuffled'] as const)(
    'of a listing that is %s has each certificate once',
    async (order) => {
      const all = certificates(1_234);
      await open({ registry: all, order });
      const { code, json, rows } = await inventory();
      expect(json).toEqual({
        instance: INSTANCE,
        certificates: 1_234,
        state: 'stable',
        stepsBack: 0,
        calls: expect.any(Number),
      });
      expect(code).toBe(0);
      expect(json.calls).toBeLessThan(30);
      expect(serials(rows).toSorted()).toEqual(all.map(({ deviceSn }) => deviceSn).toSorted());
      expect(fleet.sandbox.seen().byOperation).toEqual({ ListDeviceCertificate: json.calls });
    },
  );

  it('misses nothing that stayed while three certificates change with each call', async () => {
    const all = certificates(2_000);
    const spare = certificates(3_000, 9);
    const gone = new Set<string>();
    let at = 0;
    await open({
      registry: all,
      order: 'shuffled',
      journal() {
        for (let n = 0; n < 3; n += 1, at += 1) {
          const [old, fresh] = [all[(at * 7) % all.length], spare[at]];
          if (at % 3 === 0 && fresh !== undefined) fleet.sandbox.register(fresh);
          else if (old !== undefined) {
            fleet.sandbox.unregister(old);
            gone.add(old.deviceSn);
          }
        }
      },
    });
    const { json, rows } = await inventory();
    const found = new Set(serials(rows));
    expect(found.size).toBe(rows.length);
    expect(all.filter(({ deviceSn }) => !gone.has(deviceSn) && !found.has(deviceSn))).toEqual([]);
    expect(json.state).toBe('stable');
    expect(gone.size).toBeGreaterThan(20);
  });

  it('of an order that changes with each call ends moved, and says what that means', async () => {
    await open({ registry: certificates(500), order: 'changing' });
    const { code, json, stderr } = await inventory();
    expect(json.state).toBe('moved');
    expect(code).toBe(0);
    expect(stderr).toContain('run this again');
  });

  it('is a manifest that submit takes as it is', async () => {
    await open({
      registry: [...certificates(150), { instanceId: INSTANCE, caSn: 'CA01', deviceSn: '0a', name: '=1,"+2' }],
    });
    await inventory();
    const { code, stdout } = await fleet.run(['submit', join(fleet.folder, 'inventory.csv'), '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ accepted: 151, rejected: 0 });
  });

  it('goes to standard output without --out, as NDJSON too', async () => {
    await open({ registry: certificates(2) });
    const { stdout } = await fleet.run(['inventory', INSTANCE, '--format', 'ndjson']);
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(rows).toMatchObject(certificates(2).map((one) => ({ ...one, status: 'active' })));
  });

  it('tries again what fails for a while, and slows down where it is throttled', async () => {
    await open({
      registry: certificates(300),
      plan: {
        seed: 1,
        faults: [
          { kind: 'code', code: 'InternalError', operations: ['ListDeviceCertificate'] },
          { kind: 'throttle', retryAfterMs: 100, operations: ['ListDeviceCertificate'] },
          { kind: 'html', operations: ['ListDeviceCertificate'] },
        ],
      },
    });
    const { json } = await inventory();
    expect(json).toMatchObject({ certificates: 300, state: 'stable' });
    expect(fleet.sandbox.seen().byFault).toMatchObject({ throttle: expect.any(Number), html: expect.any(Number) });
  });
});

describe('the selectors', () => {
  const DAY_MS = 24 * 3_600_000;
  const device = (deviceSn: string, more: object = {}, caSn = 'CA01'): NewDevice => ({
    instanceId: INSTANCE,
    caSn,
    deviceSn,
    validEndMs: Date.now() + 1_000 * DAY_MS,
    ...more,
  });
  const serial = new X509Certificate(LOOPBACK_CERTIFICATE).serialNumber;
  const REGISTRY = [
    device('plain'),
    device('off', { state: 'inactive' }),
    device('old', { validEndMs: Date.now() - 40 * DAY_MS }),
    device('stale', { validEndMs: Date.now() - 20 * DAY_MS }),
    device('soon', { validEndMs: Date.now() + 20 * DAY_MS }),
    device('pump', { name: 'the pump, "two"' }),
    device('text', { pem: LOOPBACK_CERTIFICATE }),
    device('other', {}, 'CA02'),
  ];

  it('select what fits all that are given', async () => {
    await open({ registry: REGISTRY });
    const names = await fleet.file('names.txt', 'the pump, "two"\n');
    const except = await fleet.file('except.csv', 'caSn,deviceSn\nCA01,plain\nCA01,old\n');
    const pem = await fleet.file(
      'some.pem',
      `-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n${LOOPBACK_CERTIFICATE}`,
    );
    const all = REGISTRY.map(({ deviceSn }) => deviceSn).toSorted();
    const selections: [flags: string[], found: string[]][] = [
      [['--ca', 'CA02'], ['other']],
      [['--ca', 'CA02', 'CA01'], all],
      [['--status', 'inactive'], ['off']],
      [['--expired-for', '30d'], ['old']],
      [['--expires-within', '30d'], ['soon']],
      [['--names', names], ['pump']],
      [
        ['--except', except],
        ['off', 'other', 'pump', 'soon', 'stale', 'text'],
      ],
      [['--pem', pem], ['text']],
      [['--pem', pem, '--status', 'inactive'], []],
    ];
    // At once: most of the time they wait for the first second of their limiters.
    const found = selections.map(async ([flags], at) => {
      const { rows } = await inventoryTo(`${at}.csv`, ...flags);
      return [flags, serials(rows).toSorted()];
    });
    expect(await Promise.all(found)).toEqual(selections);
  });

  it('find a PEM by its number where the cloud has no text of it, and name what was not found', async () => {
    await open({ registry: [device(serial.toLowerCase()), device('b')] });
    const pem = await fleet.file('some.pem', LOOPBACK_CERTIFICATE);
    const names = await fleet.file('names.txt', 'nobody\n');
    expect(serials((await inventory('--pem', pem)).rows)).toEqual([serial.toLowerCase()]);
    const { code, stderr } = await inventory('--names', names);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('Not found: name nobody') });
    fleet.sandbox.register(device(`00${serial}`, {}, 'CA02'));
    const doubtful = await inventory('--pem', pem);
    expect({ code: doubtful.code, rows: doubtful.rows }).toEqual({ code: 1, rows: [] });
    expect(doubtful.stderr).toContain('which may mean several certificates');
  });
});

describe('a refusal', () => {
  it('ends with 3, the code and the permission to grant, and halts nobody', async () => {
    await open({ registry: certificates(3) });
    fleet.sandbox.revokeKey('fleet-key-id', 'Forbidden.RAM');
    const { code, stderr } = await fleet.run(['inventory', INSTANCE]);
    expect(code).toBe(3);
    expect(stderr).toContain('Forbidden.RAM');
    expect(stderr).toContain('grant mq:ListDeviceCertificate');
    expect((await fleet.run(['status'])).code).toBe(0);
  });

  it('of the words ends with 2', async () => {
    await open({ registry: [] });
    const cases = [
      [['post-cn-nobody'], 'No account of the configuration has the instance "post-cn-nobody"'],
      [[INSTANCE, '--expired-for', 'soon'], '--expired-for soon is not a time'],
      [[INSTANCE, '--names', '/nowhere'], '--names /nowhere cannot be read (ENOENT)'],
      [[INSTANCE, '--resume'], '--resume needs the --out'],
    ] as const;
    for (const [words, message] of cases) {
      const { code, stderr } = await fleet.run(['inventory', ...words]);
      expect({ words, code, stderr }).toEqual({ words, code: 2, stderr: expect.stringContaining(message) });
    }
  });
});

it('takes a quarter of the pace while a batch is running', async () => {
  const listed: number[] = [];
  await open(
    {
      registry: certificates(2_500),
      journal: ({ operation, arrivedMs }) => void (operation === 'ListDeviceCertificate' && listed.push(arrivedMs)),
    },
    { egress: { qps: 40, raisedLimit: true } },
  );
  // Nobody works on it.
  await fleet.submit(certificates(10));
  const { options, times } = recordSends(fleet.folder);
  const out = join(fleet.folder, 'inventory.csv');
  const { stdout } = await fleet.run(['inventory', INSTANCE, '--out', out, '--json'], options);
  expect(JSON.parse(stdout)).toMatchObject({ certificates: 2_500 });
  const sends = await times();
  expect(sends).toHaveLength(listed.length);
  expect(worstWindow(sends)).toBeLessThanOrEqual(10);
});

it('continues after kill -9 where it was, and has each certificate once', async () => {
  const all = certificates(6_000);
  let out = '';
  let command: RunningCommand | undefined;
  // Killed by what it asks, so that it cannot end before, however busy the machine is.
  const journal = (): void => {
    if (command === undefined || !existsSync(`${out}.progress`)) return;
    const { walk } = JSON.parse(readFileSync(`${out}.progress`, 'utf8')) as { walk: { end: number } };
    if (walk.end >= 1_000) command.kill('SIGKILL');
  };
  // Seven seconds, of which the first two are enough on a quiet machine.
  await open({ registry: all, order: 'newest', journal }, { egress: { qps: 10 } });
  out = join(fleet.folder, 'inventory.csv');
  command = fleet.start(['inventory', INSTANCE, '--out', out, '--json']);
  expect(await command.ended).toMatchObject({ signal: 'SIGKILL' });
  command = undefined;
  await expect(readFile(out)).rejects.toThrow('ENOENT');
  const other = await fleet.run(['inventory', INSTANCE, '--out', out, '--resume', '--status', 'inactive']);
  expect({ code: other.code, stderr: other.stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining('belongs to another inventory'),
  });
  const before = fleet.sandbox.seen().byOperation['ListDeviceCertificate'] ?? 0;
  const { json, rows } = await inventory('--resume');
  expect(json).toMatchObject({ certificates: 6_000, state: 'stable' });
  expect(serials(rows).toSorted()).toEqual(all.map(({ deviceSn }) => deviceSn).toSorted());
  const calls = (fleet.sandbox.seen().byOperation['ListDeviceCertificate'] ?? 0) - before;
  // A whole one takes 74 and more.
  expect(calls).toBeLessThan(70);
  await expect(readFile(`${out}.progress`)).rejects.toThrow('ENOENT');
});
