import { expect, it } from 'vitest';
import { onOwnRedis } from '../own-redis.ts';
import { certificates, expectAccounted, type Workshop } from '../workshop.ts';

const WITHIN = { interval: 20 };

/** As where too few replicas are there: reads go on, and each write is refused. */
async function refuseWrites(shop: Workshop, isRefusing: boolean): Promise<void> {
  await shop.redis.config('SET', 'min-replicas-to-write', isRefusing ? '1' : '0');
}

it.concurrent.each([
  ['revoked', []],
  ['already-gone', ['FindDeviceBySnError']],
  ['dead', ['FindCaBySnError']],
] as const)('an answer that is heard while Redis refuses writes is settled as heard: %s', (outcome, codes) =>
  onOwnRedis(async (shop) => {
    const items = certificates(4);
    const batch = await shop.submit(items);
    shop.faults(...codes.map((code) => ({ kind: 'code', code, times: 'always' }) as const));
    const client = shop.client();
    let refused: Promise<void> | undefined;
    const { events } = shop.start({
      client: {
        ...client,
        async deleteDeviceCertificate(...call) {
          const answer = await client.deleteDeviceCertificate(...call);
          // A slot that ended unused has told nothing.
          if (answer.kind === 'not-sent') return answer;
          refused ??= refuseWrites(shop, true);
          await refused;
          return answer;
        },
      },
    });
    const troubles = (): number =>
      events.filter((event) => event.kind === 'trouble' && event.during === 'settling').length;
    await expect.poll(troubles, WITHIN).toBeGreaterThanOrEqual(3);
    const { calls } = shop.sandbox.seen();
    expect((await shop.until(batch, () => true)).counts).toMatchObject({ revoked: 0, alreadyGone: 0, dead: 0 });
    await refuseWrites(shop, false);
    const rows = await expectAccounted(shop, batch, items);
    expect(rows.map((row) => `${row.outcome} ${row.attempts}`)).toEqual(items.map(() => `${outcome} 1`));
    expect((await shop.until(batch, () => true)).confirmedByAbsence).toBe(0);
    // Nothing that had an answer was called for again.
    expect(calls).toBeGreaterThan(0);
    expect(shop.sandbox.seen()).toMatchObject({ calls: items.length, certificates: { calledAgain: 0 } });
  }),
);
