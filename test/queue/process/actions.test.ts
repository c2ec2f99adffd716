import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { WorkerEvent } from '../../../src/queue/worker/account-worker.ts';
import type { NewDevice } from '../../../src/sandbox/listed-registry.ts';
import { certificates, expectEmptied, Workshop } from '../workshop.ts';

const ACTIVE = certificates(30);
const INACTIVE = certificates(20);
const LOST = certificates(20);
const ABSENT = certificates(3);
const ALL = [...ACTIVE, ...INACTIVE, ...LOST, ...ABSENT];
const DEVICES: NewDevice[] = [
  ...ACTIVE,
  ...LOST,
  ...INACTIVE.map((certificate) => ({ ...certificate, state: 'inactive' as const })),
];
const serials = (items: readonly Certificate[]): string[] => items.map(({ deviceSn }) => deviceSn);

let shop: Workshop;
afterEach(() => shop.stop());
afterAll(() => shop.close());

/** How the items of each kind ended: the outcome, its code and its calls. */
async function endsOf(batch: string): Promise<(items: readonly Certificate[]) => string[]> {
  const rows = await shop.rows(batch);
  expect(rows).toHaveLength(ALL.length);
  return (items) => {
    const those = new Set(serials(items));
    const ends = rows.filter(({ deviceSn }) => those.has(deviceSn));
    return [...new Set(ends.map(({ outcome, code, attempts }) => `${outcome} ${code} ${attempts}`))].toSorted();
  };
}

describe.each([
  { name: 'accepts', code: undefined },
  { name: 'refuses', code: 'DeviceStateConflict' },
])('where the cloud $name what is done already', ({ code }) => {
  it('a batch inactivates, and one activates again', async () => {
    shop = await Workshop.open({ registry: DEVICES, ...(code !== undefined && { inactiveAgainCode: code }) });
    shop.faults(
      { kind: 'reset-after', deviceSns: serials(LOST.slice(0, 10)) },
      { kind: 'answer-lost-after', deviceSns: serials(LOST.slice(10)) },
    );
    const { events } = shop.start();
    const batch = await shop.submit(ALL, 'bulk', 'inactivate');
    await shop.settled(batch, ALL.length);
    const of = await endsOf(batch);
    expect(of(ACTIVE)).toEqual(['inactivated OK 1']);
    // Their first call has worked, though nobody said so.
    expect(of(LOST)).toEqual([code === undefined ? 'inactivated OK 2' : `inactivated ${code} 3`]);
    expect(of(INACTIVE)).toEqual([code === undefined ? 'inactivated OK 1' : `already-inactive ${code} 2`]);
    expect(of(ABSENT)).toEqual(['dead FindDeviceBySnError 1']);
    const already = code === undefined ? 0 : INACTIVE.length;
    expect(await shop.until(batch, () => true)).toMatchObject({
      action: 'inactivate',
      state: 'completed',
      confirmedByAbsence: 0,
      counts: {
        revoked: 0,
        alreadyGone: 0,
        inactivated: 70 - already,
        alreadyInactive: already,
        dead: 3,
        cancelled: 0,
      },
    });
    expect(shop.sandbox.deletedCount).toBe(0);
    expectReads(events, code === undefined ? 0 : INACTIVE.length + LOST.length);

    const back = await shop.submit(ALL.slice(0, -ABSENT.length), 'bulk', 'activate');
    await shop.settled(back, 70);
    expect(await shop.until(back, () => true)).toMatchObject({
      action: 'activate',
      counts: { activated: 70, alreadyActive: 0, dead: 0 },
    });
    await expectEmptied(shop);
    expect(events.filter(({ kind }) => ['defect', 'trouble', 'host-halted', 'halted'].includes(kind))).toEqual([]);
  });
});

function expectReads(events: readonly WorkerEvent[], reads: number): void {
  const looks = events.filter((event) => event.kind === 'answer' && event.verdict.kind === 'unclear');
  expect(looks).toHaveLength(reads);
}
