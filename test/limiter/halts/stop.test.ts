import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { entryOf, storedEntries, verifyChain } from '../../../src/audit/chain.ts';
import { auditKeys, type AuditEntry } from '../../../src/audit/entry.ts';
import type { Grant, Stop } from '../../../src/limiter/contract.ts';
import { readHalts, standingHalts } from '../../../src/limiter/halts/halt-store.ts';
import { clearStop, readStop, setStop } from '../../../src/limiter/halts/stop.ts';
import { ANY, Fleet, slotOf, type Member } from '../fleet.ts';
import { SECOND_US, VirtualTime } from '../pace/virtual-time.ts';

const fleet = new Fleet();
const { client, prefix } = fleet.keys;
const pace = (name: string) => ({ account: { name, qps: 300 }, egress: { id: name, qps: 300 }, probeIntervalMs: 300 });
const KNOWN = { timeout: 60_000, interval: 20 };
/** After it no call may leave, milliseconds. */
const WITHIN_MS = 2_000;

beforeAll(() => fleet.prime([pace('one'), pace('two')]));
afterEach(async () => {
  const stop = await readStop(client, prefix);
  if (stop !== undefined) await clearStop(client, prefix, stop, {});
  await fleet.closeAll();
});
afterAll(() => fleet.keys.cleanup());

/** Takes slots until it is told that all is stopped; notes when the last of them could be used. */
async function callUntilStopped({ limiter }: Member, lastMs: { at: number }): Promise<Grant<never>> {
  for (;;) {
    const grant = await limiter.take(ANY);
    if (grant.kind !== 'slot') return grant;
    lastMs.at = Math.max(lastMs.at, grant.notAfterMs);
  }
}

it('no slot of any account can be used two seconds later, and all are told; then they go on', async () => {
  const members = await Promise.all(['one', 'one', 'two'].map((name) => fleet.open(pace(name))));
  const lastMs = { at: 0 };
  const callers = members.flatMap((member) => Array.from({ length: 40 }, () => callUntilStopped(member, lastMs)));
  await vi.waitUntil(() => lastMs.at > 0, KNOWN);
  const { isNew, stop } = await setStop(client, prefix, { requestedBy: 'ada', reason: 'wrong fleet' });
  const stoppedMs = performance.now();
  expect(isNew).toBe(true);
  const told = await Promise.all(callers);
  expect(lastMs.at).toBeLessThan(stoppedMs + WITHIN_MS);
  expect(new Set(told.map((grant) => (grant.kind === 'halted' ? `${grant.scope} ${grant.code}` : grant.kind)))).toEqual(
    new Set(['account stopped']),
  );
  expect(members.map(({ limiter }) => [limiter.isHalted, limiter.admits('any'), limiter.waiting])).toEqual(
    members.map(() => [true, 'none', 0]),
  );
  // One that begins now hears it too.
  const fresh = await fleet.open(pace('one'));
  expect(await fresh.limiter.take(ANY)).toMatchObject({
    kind: 'halted',
    message: expect.stringContaining('wrong fleet'),
  });
  expect(await clearStop(client, prefix, stop, {})).toBe('started');
  members.push(fresh);
  await vi.waitUntil(() => members.every(({ limiter }) => limiter.admits('any') === 'all'), KNOWN);
  for (const { limiter } of members) expect((await limiter.take(ANY)).kind).toBe('slot');
});

it('a probe of a halt gets none either, and none that waits is forgotten', async () => {
  const { limiter } = await fleet.open(pace('one'));
  await limiter.halt('account', 'any', 'Forbidden.RAM', 'not allowed');
  await vi.waitUntil(() => limiter.admits('any') === 'probe', KNOWN);
  const { stop } = await setStop(client, prefix, {});
  // Whether it knows of the stop or not.
  expect(await limiter.take(ANY)).toMatchObject({ kind: 'halted', code: 'stopped' });
  expect(await readHalts(client, prefix)).toMatchObject([{ account: 'one', code: 'Forbidden.RAM' }]);
  expect(await standingHalts(client, prefix, 'two')).toMatchObject([{ account: 'two', code: 'stopped' }]);
  await clearStop(client, prefix, stop, {});
  await vi.waitUntil(() => limiter.admits('any') === 'probe', KNOWN);
  const probe = await slotOf(limiter);
  expect(probe.isProbe).toBe(true);
  expect(await probe.report({ kind: 'proved' })).toBe('lifted');
});

it('the script itself gives no slot, whatever the process knows', async () => {
  const time = new VirtualTime(client, prefix);
  const by = { account: 'virtual', accountQps: 100, egress: 'virtual', egressQps: 100, lateMs: 25 };
  await time.reserve(by, 1);
  time.nowUs += 2 * SECOND_US;
  expect((await time.reserve(by, 1)).slots).toHaveLength(1);
  const { stop } = await setStop(client, prefix, {});
  time.nowUs += SECOND_US;
  expect(await time.reserve(by, 1)).toMatchObject({ slots: [], waitUs: 0 });
  await clearStop(client, prefix, stop, {});
  expect((await time.reserve(by, 1)).slots).toHaveLength(1);
});

it('a process hears of each stop once, and of its end', async () => {
  const heard: (Stop | undefined)[] = [];
  const { limiter } = await fleet.open({ ...pace('one'), onStop: (stop) => heard.push(stop) });
  await slotOf(limiter);
  const { stop } = await setStop(client, prefix, { requestedBy: 'ada' });
  await vi.waitUntil(() => heard.length === 1, KNOWN);
  await limiter.halt('instance', 'bad', 'InstanceNotExist', 'gone');
  await clearStop(client, prefix, stop, {});
  await vi.waitUntil(() => heard.length === 2, KNOWN);
  expect(heard).toEqual([{ since: stop.since, requestedBy: 'ada', reason: null }, undefined]);
});

it('stands once, is on record with its end, and is not ended by somebody who means an earlier one', async () => {
  const before = (await onRecord()).length;
  const first = await setStop(client, prefix, { requestedBy: 'ada', reason: 'wrong fleet' });
  expect(await setStop(client, prefix, { requestedBy: 'bob' })).toEqual({ isNew: false, stop: first.stop });
  expect(await clearStop(client, prefix, { since: first.stop.since - 1 }, {})).toBe('another-stop');
  expect(await readStop(client, prefix)).toEqual(first.stop);
  expect(await clearStop(client, prefix, first.stop, { requestedBy: 'bob', reason: 'it was the right one' })).toBe(
    'started',
  );
  expect(await clearStop(client, prefix, first.stop, {})).toBe('not-stopped');
  expect((await onRecord()).slice(before)).toMatchObject([
    { event: 'stop', batch: null, requestedBy: 'ada', reason: 'wrong fleet' },
    { event: 'start', batch: null, requestedBy: 'bob', reason: 'it was the right one' },
  ]);
  expect(await verifyChain(client, auditKeys(prefix))).toMatchObject({ kind: 'whole' });
});

async function onRecord(): Promise<(AuditEntry | undefined)[]> {
  const found = [];
  for await (const stored of storedEntries(client, auditKeys(prefix))) found.push(entryOf(stored));
  return found;
}
