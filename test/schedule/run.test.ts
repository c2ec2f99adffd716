import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { osUser } from '../../src/app/acting.ts';
import { listSchedules, runSchedule, scheduleHistory, type OccurrenceEnd } from '../../src/app/schedules.ts';
import { openStore, type OpenStore } from '../../src/app/store.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { Config } from '../../src/runtime/config/config.ts';
import { loadConfig } from '../../src/runtime/config/load-config.ts';
import type { NewDevice } from '../../src/sandbox/listed-registry.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import { startEndpointFront } from '../support/endpoint-front.ts';
import type { Ended } from '../support/command.ts';
import { manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { ACCOUNT_KEY, KEY_ENV } from '../support/installation.ts';

/** Each case has an instance and a schedule of its own, of the same name. */
const CASES = [
  'whole',
  'share',
  'items',
  'within',
  'missing',
  'bad',
  'hollow',
  'gone',
  'nothing',
  'back',
  'due',
] as const;
type Case = (typeof CASES)[number];

const QPS = 5_000;
const WIDE = { maxShareOfCa: 1, select: { status: 'active' } };
const INACTIVE = { select: { status: 'inactive' } };

const RULES: Readonly<Record<Case, object>> = {
  whole: { ...WIDE, except: 'keep.csv', execute: true },
  share: { ...INACTIVE, maxShareOfCa: 0.05 },
  items: { ...INACTIVE, maxShareOfCa: 1, maxItems: 50 },
  within: INACTIVE,
  missing: { ...WIDE, except: 'nowhere.csv' },
  bad: { ...WIDE, except: 'bad.csv' },
  hollow: { ...WIDE, except: 'hollow.csv' },
  gone: WIDE,
  nothing: { ...WIDE, select: { expiredFor: '30d' } },
  back: { ...WIDE, select: { returnedFrom: 'later' } },
  // The action is the default one.
  due: { ...WIDE, cron: '0 * * * *', execute: true, action: undefined },
};

function certificatesOf(name: string, count: number): Certificate[] {
  return [...generateCertificates(count, { seed: 1, instanceId: `post-cn-${name}`, caSn: 'CA01' })];
}

/** So many of them are inactive. */
function inactive(all: readonly Certificate[], count: number): NewDevice[] {
  return all.map((one, n) => ({ ...one, state: n < count ? 'inactive' : 'active' }));
}

const WHOLE = certificatesOf('whole', 30);
const GONE = certificatesOf('gone', 10);
const BACK = certificatesOf('back', 20);
const DUE = certificatesOf('due', 5);
const REGISTRY: readonly NewDevice[] = [
  ...WHOLE,
  ...inactive(certificatesOf('share', 1_000), 51),
  ...inactive(certificatesOf('items', 100), 51),
  ...inactive(certificatesOf('within', 1_000), 50),
  ...['missing', 'bad', 'hollow', 'nothing'].flatMap((name) => certificatesOf(name, 5)),
  ...GONE,
  ...BACK,
  ...DUE,
];

const rulesFor = (names: readonly string[], rules: Readonly<Record<string, object>>): object =>
  Object.fromEntries(
    names.map((name) => [
      name,
      {
        cron: '0 3 1 1 *',
        timezone: 'Asia/Shanghai',
        action: 'delete',
        instances: [`post-cn-${name}`],
        ...rules[name],
      },
    ]),
  );

const settingsOf = (url: string, instances: readonly string[], schedules: object): object => ({
  limiter: { lateMs: 200 },
  accounts: {
    fleet: { endpoint: url, instances, limits: { qps: QPS, raisedLimit: true }, credentials: KEY_ENV },
  },
  schedules,
});

/** A fleet whose account has an instance for each schedule, and a store in this process. */
async function openSchedules(
  names: readonly string[],
  rules: Readonly<Record<string, object>>,
  sandbox: object,
): Promise<{ fleet: Fleet; store: OpenStore }> {
  const instances = names.map((name) => `post-cn-${name}`);
  const opened = await openFleet({ sandbox: { accounts: [{ ...ACCOUNT_KEY, instances }], ...sandbox } });
  const settings = settingsOf(opened.sandbox.url, instances, rulesFor(names, rules));
  await opened.configure({ egress: { qps: QPS, raisedLimit: true }, ...settings });
  await opened.holdRedis();
  vi.stubEnv('FLEET_KEY_ID', ACCOUNT_KEY.accessKeyId).stubEnv('FLEET_KEY_SECRET', ACCOUNT_KEY.accessKeySecret);
  const config = await loadConfig({ path: join(opened.folder, 'certsweep.yaml'), environment: {} });
  return { fleet: opened, store: await openStore(config, { notice: () => undefined }) };
}

const never = new AbortController();

async function runIn(store: OpenStore, name: string, execute: boolean, change: object = {}): Promise<OccurrenceEnd> {
  const rule = store.config.schedules.find((one) => one.name === name);
  if (rule === undefined) throw new Error(`there is no schedule ${name}`);
  const motive = { requestedBy: 'ops', reason: 'ticket 1' };
  const request = { execute, motive, signal: never.signal, tellPlan: () => undefined };
  const ran = await runSchedule(store, { ...rule, ...change }, request);
  if (ran.kind !== 'ended') throw new Error(`the run is ${ran.kind}`);
  return ran.end;
}

/** As runs by hand have left them long ago, one a minute. */
async function leaveOldPlans({ dataDir }: Config, name: string, count: number): Promise<void> {
  const folder = join(dataDir, 'schedules', name);
  await mkdir(folder, { recursive: true });
  for (let n = 0; n < count; n += 1) {
    const path = join(folder, `2026-01-05T03${String(n).padStart(2, '0')}.plan`);
    await writeFile(path, '');
    await utimes(path, 1_767_582_000 + 60 * n, 1_767_582_000 + 60 * n);
  }
}

async function plansKept({ dataDir }: Config, name: string): Promise<number> {
  const files = await readdir(join(dataDir, 'schedules', name)).catch(() => []);
  return files.filter((file) => file.endsWith('.plan')).length;
}

describe('a run of a schedule', () => {
  let fleet: Fleet;
  let store: OpenStore;
  const early = new Map<Case, OccurrenceEnd>();
  beforeAll(async () => {
    ({ fleet, store } = await openSchedules(CASES, RULES, { registry: REGISTRY }));
    await fleet.file('keep.csv', manifestOf(WHOLE.slice(0, 3)));
    await fleet.file('bad.csv', 'instanceId,caSn,deviceSn\npost-cn-bad,CA01,\n');
    await fleet.file('hollow.csv', '');
    await leaveOldPlans(store.config, 'within', 25);
    // At once: most of a run is the first second of its limiters.
    const names = ['items', 'within', 'nothing', 'gone'] as const;
    await Promise.all(names.map(async (name) => early.set(name, await run(name, name !== 'gone'))));
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await store.close();
    await fleet.remove();
  });
  const run = (name: Case, execute = true, change: object = {}): Promise<OccurrenceEnd> =>
    runIn(store, name, execute, change);

  it('is a plan and a report, unless it is to be executed', async () => {
    const planned = await run('whole', false);
    expect(planned).toMatchObject({ batch: null, state: 'planned' });
    expect(planned.occurrence).toMatch(/^whole@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\[Asia\/Shanghai\]$/);
    expect(planned.reason).toMatch(/^27 certificates; the plan is .*\.plan$/);
    expect(await plansKept(store.config, 'whole')).toBe(1);
    expect(fleet.sandbox.seen().byOperation).not.toHaveProperty('DeleteDeviceCertificate');

    const ran = await run('whole');
    expect(ran).toMatchObject({ state: 'activated', reason: '27 certificates' });
    const batch = await store.ledger.batches.find(ran.batch ?? '');
    expect(batch).toMatchObject({ state: 'running', counts: { accepted: 27 }, requestedBy: 'ops', reason: 'ticket 1' });
    expect(await scheduleHistory(store, 'whole')).toMatchObject([
      { occurrence: ran.occurrence, state: 'activated', batch: ran.batch, reason: '27 certificates' },
      { occurrence: planned.occurrence, state: 'planned', batch: null },
    ]);
    // Its batch is not done.
    await expect(run('whole')).rejects.toThrow('batch-open');
  });

  it('is told by the command as it is, in the exit code too', async () => {
    const ended = await fleet.run(['schedule', 'run', 'share', '--execute', '--json']);
    expect(ended.code).toBe(3);
    const end = JSON.parse(ended.stdout) as OccurrenceEnd;
    expect(end).toMatchObject({ schedule: 'share', state: 'planned', batch: null });
    const words = '51 of the 1000 certificates of CA CA01 are more than maxShareOfCa (0.05)';
    expect(end.reason).toContain(words);
    expect(ended.stderr.replaceAll(/\s+/g, ' ')).toContain(words);
    expect(await plansKept(store.config, 'share')).toBe(1);
    expect(fleet.sandbox.seen().byOperation).not.toHaveProperty('DeleteDeviceCertificate');
    const [history, told, list] = await Promise.all([
      fleet.run(['schedule', 'history', 'share', '--json']),
      fleet.run(['schedule', 'history', 'share']),
      fleet.run(['schedule', 'list', '--json']),
    ]);
    expect(JSON.parse(history.stdout)).toEqual([end]);
    expect(told.stdout).toBe(`${end.occurrence}  planned\n  ${end.reason}\n`);
    const [first] = JSON.parse(list.stdout) as object[];
    expect(first).toEqual({
      schedule: 'whole',
      cron: '0 3 1 1 *',
      timezone: 'Asia/Shanghai',
      next: expect.stringMatching(/^\d{4}-12-31T19:00:00.000Z$/),
      state: 'active',
      reason: null,
    });
  });

  it('is paused and resumed by the command', async () => {
    const schedule = (...args: string[]): Promise<Ended> => fleet.run(['schedule', ...args]);
    const stateOf = async (name: string): Promise<object | undefined> =>
      (await listSchedules(store)).find((line) => line.schedule === name);
    const [pausedUnknown, resumedUnknown, notPaused, paused] = await Promise.all([
      schedule('pause', 'nosuch', '--json'),
      schedule('resume', 'nosuch', '--json'),
      schedule('resume', 'items', '--json'),
      schedule('pause', 'nothing', '--json', '--requested-by', 'ann', '--reason', 'migration'),
    ]);
    for (const { code, stdout, stderr } of [pausedUnknown, resumedUnknown]) {
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr.replaceAll(/\s+/g, ' ')).toContain('has no schedule "nosuch": it has whole, share,');
    }
    expect(notPaused).toMatchObject({ code: 0, stdout: '{"schedule":"items","state":"active"}\n' });
    expect(notPaused.stderr).toContain('Schedule items was not paused.');
    expect(paused).toMatchObject({ code: 0, stdout: '{"schedule":"nothing","state":"paused"}\n' });
    expect(paused.stderr.replaceAll(/\s+/g, ' ')).toContain(
      'Schedule nothing is paused: certsweep schedule resume continues it.',
    );
    expect(await stateOf('nothing')).toMatchObject({ state: 'paused', reason: 'paused by ann: migration' });

    // The first reason stays. The others are not paused.
    const again = await schedule('pause', 'nothing', '--reason', 'another');
    expect(again).toMatchObject({ code: 0, stdout: '' });
    expect(again.stderr).toContain('Schedule nothing was paused before.');
    const lines = await listSchedules(store);
    expect(lines.filter(({ state }) => state === 'paused')).toMatchObject([{ reason: 'paused by ann: migration' }]);

    const resumed = await schedule('resume', 'nothing', '--json', '--requested-by', ' ', '--reason', 'done');
    expect(resumed).toMatchObject({ code: 0, stdout: '{"schedule":"nothing","state":"active"}\n' });
    expect(resumed.stderr).toContain('Schedule nothing runs again at its next time.');
    expect(await stateOf('nothing')).toMatchObject({ state: 'active', reason: null });
    const entries = await store.redis.xrange(store.ledger.keys.audit.stream, '-', '+');
    const record = entries.map(([, fields]) => JSON.parse(fields[1] ?? '{}') as { schedule?: string });
    expect(record.filter((one) => one.schedule === 'nothing')).toMatchObject([
      { event: 'schedule-pause', requestedBy: 'ann', reason: 'migration' },
      { event: 'schedule-resume', requestedBy: osUser(), reason: 'done' },
    ]);
  });

  it('stops at the other cap, and runs within both', () => {
    const stopped = early.get('items');
    expect(stopped).toMatchObject({ state: 'planned', batch: null, isStopped: true });
    expect(stopped?.reason).toContain('51 certificates are more than maxItems (50)');
    expect(early.get('within')).toMatchObject({ state: 'activated', reason: '50 certificates' });
  });

  it('takes away the plans of old runs, but for the last 20', async () => {
    expect(await plansKept(store.config, 'within')).toBe(20);
  });

  it.each([
    { name: 'missing', why: 'ENOENT' },
    { name: 'bad', why: 'line 2' },
    { name: 'hollow', why: 'The manifest is empty' },
  ] as const)('fails without its except: $name', async ({ name, why }) => {
    const before = fleet.sandbox.seen().byOperation;
    const end = await run(name);
    expect(end).toMatchObject({ state: 'failed', batch: null });
    expect(end.reason).toContain(why);
    expect(fleet.sandbox.seen().byOperation).toEqual(before);
  });

  it('fails where the listing is empty, and the last one was not', async () => {
    expect(early.get('gone')).toMatchObject({ state: 'planned' });
    for (const one of GONE) fleet.sandbox.unregister(one);
    const end = await run('gone');
    expect(end).toMatchObject({ state: 'failed', batch: null });
    expect(end.reason).toContain('is empty, and had 10 certificates in the last run');
  });

  it('has nothing to do where nothing is selected', () => {
    const reason = 'nothing to do: no certificate is selected';
    expect(early.get('nothing')).toMatchObject({ state: 'skipped', reason });
  });

  it('is made by a worker when it is due', async () => {
    const worker = await fleet.startWorker();
    // The rule is new, so what was due before is past. As if it had been there for long:
    const { state } = store.ledger.keys.schedule('due');
    const seen = await vi.waitFor(async () => {
      const [field] = (await store.redis.hkeys(state)).filter((name) => name.startsWith('seen:'));
      if (field === undefined) throw new Error('not seen yet');
      return field;
    }, 60_000);
    await store.redis.hset(state, seen, `1 ${Date.now()}`);
    await worker.says('"schedule-activated"');
    const [last, ...missed] = await scheduleHistory(store, 'due');
    expect(last?.occurrence).toMatch(/^due@\d{4}-\d\d-\d\dT\d\d:00\[Asia\/Shanghai\]$/);
    expect(last).toMatchObject({ state: 'activated', reason: '5 certificates' });
    expect(new Set(missed.map((one) => one.state))).toEqual(new Set(['skipped']));
    await fleet.settled(last?.batch ?? '');
    expect(DUE.filter((one) => !fleet.sandbox.has(one))).toEqual([]);
    expect(fleet.sandbox.seen().byOperation).toMatchObject({ InactivateDeviceCertificate: 5 });
    const batch = await store.ledger.batches.find(last?.batch ?? '');
    expect(batch).toMatchObject({ requestedBy: 'schedule due', reason: last?.occurrence });
  });

  it('takes what came back of an earlier batch', async () => {
    const { batch } = await run('back', true, { select: { status: 'active', cas: [] } });
    await fleet.settled(batch ?? '');
    for (const one of BACK.slice(0, 4)) fleet.sandbox.register(one);
    const end = await run('back', false, { select: { returnedFrom: batch, cas: [] } });
    expect(end.reason).toMatch(/^4 certificates;/);
  });
});

it('a run stops where the listing ends before its end', async () => {
  const registry = certificatesOf('short', 300);
  const { fleet, store } = await openSchedules(['short'], { short: WIDE }, { registry });
  // It goes on for 300 rows, says its total, and gives 150 of them.
  const front = await startEndpointFront(fleet.sandbox.url, (call, body) => {
    const answer = JSON.parse(body) as { Data?: { DeviceCertificateVOS?: unknown[] } };
    const from = (Number(call.get('PageNo')) - 1) * Number(call.get('PageSize'));
    answer.Data?.DeviceCertificateVOS?.splice(Math.max(0, 150 - from));
    return JSON.stringify(answer);
  });
  try {
    const [account] = store.config.accounts;
    if (account !== undefined) Object.assign(account, { endpoint: front.url });
    const end = await runIn(store, 'short', true);
    expect(end).toMatchObject({ state: 'planned', batch: null, isStopped: true });
    expect(end.reason).toContain('the listing is incomplete (it ended before its total was reached)');
    expect(await plansKept(store.config, 'short')).toBe(1);
    expect(await store.ledger.batches.all()).toEqual([]);
    expect(fleet.sandbox.seen().byOperation).not.toHaveProperty('DeleteDeviceCertificate');
  } finally {
    vi.unstubAllEnvs();
    await store.close();
    await fleet.remove();
    await front.close();
  }
});

it('a run stops where the order of the listing changes and certificates are lost', async () => {
  const registry = certificatesOf('moved', 500);
  const { fleet, store } = await openSchedules(['moved'], { moved: WIDE }, { registry, order: 'changing' });
  try {
    const end = await runIn(store, 'moved', true);
    expect(end).toMatchObject({ state: 'planned', batch: null, isStopped: true });
    expect(end.reason).toContain('the listing is incomplete (its order changed while it was read)');
    expect(await plansKept(store.config, 'moved')).toBe(1);
    expect(await store.ledger.batches.all()).toEqual([]);
  } finally {
    vi.unstubAllEnvs();
    await store.close();
    await fleet.remove();
  }
});
