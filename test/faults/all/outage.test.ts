import { afterEach, expect, it, vi } from 'vitest';
import { startEndpointFront, type EndpointFront } from '../../support/endpoint-front.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../../support/fleet.ts';
import { INSTANCE, KEY_ENV } from '../../support/installation.ts';

/** Far longer than all tries together; with a halt in it, one of ten minutes is only longer. */
const OUTAGE_MS = 60_000;
const ITEMS = 5_000;
const SETTLED_WITHIN_MS = 120_000;

let fleet: Fleet;
let front: EndpointFront;
afterEach(async () => {
  await fleet.remove();
  await front.close();
});

it(
  'an outage in the middle of 5,000 items leaves no dead letter and needs no operator',
  async () => {
    fleet = await openFleet();
    await fleet.holdRedis();
    front = await startEndpointFront(fleet.sandbox.url);
    await fleet.configure({
      retry: { attempts: 3, baseMs: 50, capMs: 200 },
      // A busy machine needs time.
      limiter: { lateMs: 200 },
      accounts: { fleet: { endpoint: front.url, instances: [INSTANCE], credentials: KEY_ENV } },
    });
    const workers = [await fleet.startWorker(), await fleet.startWorker()];
    const items = certificates(ITEMS);
    const batch = await fleet.submit(items);
    await fleet.until(batch, ({ revoked }) => revoked >= ITEMS / 2, SETTLED_WITHIN_MS);
    await front.become('html');
    await Promise.all(workers.map((worker) => worker.says('"event":"halted"')));
    const halted = await fleet.until(batch, () => true);
    const asked = front.turnedAway.length;
    await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
    // Each worker has asked with a read each five seconds, and called for nothing.
    const meanwhile = front.turnedAway.slice(asked);
    expect(new Set(meanwhile)).toEqual(new Set(['GET']));
    expect(meanwhile.length).toBeLessThanOrEqual((2 * OUTAGE_MS) / 5_000 + 2);
    expect(await fleet.until(batch, () => true)).toMatchObject({ state: 'running', dead: 0, revoked: halted.revoked });
    await front.become('open');
    await fleet.settled(batch, SETTLED_WITHIN_MS);
    const rows = await expectAccounted(fleet, batch, items);
    expect(rows.filter(({ outcome }) => outcome !== 'revoked')).toEqual([]);
    await vi.waitFor(async () => expect((await fleet.run(['status'])).code).toBe(0), 60_000);
  },
  OUTAGE_MS + 2 * SETTLED_WITHIN_MS + 60_000,
);
