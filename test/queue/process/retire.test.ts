import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { pendingOf } from '../../../src/core/batch.ts';
import { CA_ACTIVE } from '../../../src/core/retirement.ts';
import type { WorkerEvent } from '../../../src/queue/worker/account-worker.ts';
import { certificates, expectEmptied, INSTANCE, Workshop } from '../workshop.ts';

/** With which the cloud refuses what is done already. */
const CODE = 'DeviceStateConflict';
const HOUR_MS = 3_600_000;
/** Were inactive before anybody asked, expired long ago, or are not there at all. */
const [INACTIVE, EXPIRED, ABSENT] = [new Set([3, 4]), new Set([5, 6, 7]), new Set([8])];

let shop: Workshop;
let items: Certificate[];
let events: WorkerEvent[];
beforeEach(async () => {
  items = certificates(30);
  const registry = items.flatMap((item, n) => {
    if (ABSENT.has(n)) return [];
    const validEndMs = Date.now() + (EXPIRED.has(n) ? -HOUR_MS : HOUR_MS);
    return [{ ...item, state: INACTIVE.has(n) ? ('inactive' as const) : ('active' as const), validEndMs }];
  });
  shop = await Workshop.open({ registry, inactiveAgainCode: CODE });
  ({ events } = shop.start());
});
afterEach(() => shop.close());

const troubles = (): WorkerEvent[] =>
  events.filter(({ kind }) => ['defect', 'trouble', 'host-halted', 'halted'].includes(kind));

async function soaking(soakMs: number, deviceDestroyed = false): Promise<string> {
  const batch = await shop.submit(items, 'bulk', 'retire', { soakMs, deviceDestroyed });
  await shop.until(batch, ({ retirement }) => retirement?.phase === 'soaking');
  return batch;
}

/** How the items ended, each outcome with its code, once nothing is left. */
async function endsOf(batch: string): Promise<Record<string, number[]>> {
  await shop.settled(batch, items.length);
  const ends: Record<string, number[]> = {};
  for (const { ordinal, outcome, code } of await shop.rows(batch)) (ends[`${outcome} ${code}`] ??= []).push(ordinal);
  await expectEmptied(shop);
  expect(troubles()).toEqual([]);
  return ends;
}

function statusOf({ deviceSn }: Certificate): string | undefined {
  const rows = [...shop.sandbox.registryLines()].map((line) => JSON.parse(line) as Record<string, string>);
  return rows.find((row) => row['deviceSn'] === deviceSn)?.['status'];
}

async function caBecomes(change: 'inactivate' | 'delete'): Promise<void> {
  const client = shop.client();
  const answer = await (change === 'delete'
    ? client.deleteCaCertificate(INSTANCE, 'CA01')
    : client.inactivateCaCertificate(INSTANCE, 'CA01'));
  expect(answer.kind).toBe('accepted');
  client.close();
}

const others = (...sets: readonly ReadonlySet<number>[]): number[] =>
  [...items.keys()].filter((n) => !sets.some((set) => set.has(n)));

describe('retiring', () => {
  it('waits without a call or a job, and under an active CA deletes only what has expired', async () => {
    const batch = await soaking(1_500);
    const { calls } = shop.sandbox.seen();
    // Another process may ask at any time.
    expect(await shop.ledger.retirements.next(batch)).toMatchObject({ phase: 'soaking', isNew: false });
    const { counts, retirement, state } = await shop.until(batch, () => true);
    expect({ state, pending: pendingOf(counts), counts, passed: retirement?.passed }).toMatchObject({
      state: 'running',
      pending: 29,
      counts: { accepted: 30, revoked: 0, inactivated: 0, alreadyInactive: 0, alreadyGone: 1, keptActive: 0 },
      passed: 29,
    });
    await expectEmptied(shop);
    expect(shop.sandbox.seen().calls).toBe(calls);
    const ends = await endsOf(batch);
    const { soakUntil = Number.NaN } = retirement ?? {};
    const early = (await shop.rows(batch)).filter(({ settledAt }) => !(Date.parse(settledAt) >= soakUntil));
    expect(early.map(({ ordinal }) => ordinal)).toEqual([...ABSENT]);
    expect(ends).toEqual({
      [`inactivated ${CA_ACTIVE}`]: others(INACTIVE, EXPIRED, ABSENT),
      // An operator who undoes the batch must not activate what somebody else had inactivated.
      [`already-inactive ${CA_ACTIVE}`]: [...INACTIVE],
      'revoked OK': [...EXPIRED],
      'already-gone FindDeviceBySnError': [...ABSENT],
    });
    expect(shop.sandbox.seen().byOperation['DeleteDeviceCertificate']).toBe(EXPIRED.size);
    expect(await shop.until(batch, () => true)).toMatchObject({
      state: 'completed',
      counts: { accepted: 30, revoked: 3, inactivated: 24, alreadyInactive: 2, alreadyGone: 1, dead: 0, cancelled: 0 },
    });
  });

  it('deletes after the CA was inactivated, but not what somebody has activated meanwhile', async () => {
    const batch = await soaking(1_000);
    await caBecomes('inactivate');
    const [again] = items;
    if (again !== undefined) shop.sandbox.register({ ...again, state: 'active' });
    expect(await endsOf(batch)).toEqual({
      'kept-active OK': [0],
      'revoked OK': others(ABSENT, new Set([0])),
      'already-gone FindDeviceBySnError': [...ABSENT],
    });
    expect(again && statusOf(again)).toBe('active');
  });

  it('finds gone what was deleted with its CA', async () => {
    const batch = await soaking(1_000);
    await caBecomes('delete');
    const ends = Object.keys(await endsOf(batch));
    expect(ends.filter((end) => !end.startsWith('already-gone'))).toEqual([]);
  });

  it('deletes whatever the CA is where the operator says that the devices are destroyed', async () => {
    const ends = await endsOf(await soaking(1, true));
    expect(ends).toEqual({ 'revoked OK': others(ABSENT), 'already-gone FindDeviceBySnError': [...ABSENT] });
  });

  it('a cancel during the soak leaves inactive what was inactivated', async () => {
    const batch = await soaking(HOUR_MS);
    expect(await shop.ledger.batches.change(batch, 'cancel')).toMatchObject({ kind: 'changed' });
    expect(await endsOf(batch)).toEqual({
      'inactivated ': others(INACTIVE, ABSENT),
      'already-inactive ': [...INACTIVE],
      'already-gone FindDeviceBySnError': [...ABSENT],
    });
    expect(shop.sandbox.deletedCount).toBe(0);
  });

  it('a pause in the soak lasts until it is resumed, and nothing is deleted before', async () => {
    const batch = await soaking(500, true);
    await shop.ledger.batches.change(batch, 'pause');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await shop.until(batch, () => true)).toMatchObject({ state: 'paused', retirement: { phase: 'soaking' } });
    expect(shop.sandbox.deletedCount).toBe(0);
    await shop.ledger.batches.change(batch, 'resume');
    expect(Object.keys(await endsOf(batch))).toContain('revoked OK');
  });
});
