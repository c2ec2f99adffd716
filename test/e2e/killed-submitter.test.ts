import { PassThrough } from 'node:stream';
import { afterEach, expect, it, vi } from 'vitest';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { certificates, expectAccounted, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

it('a submitter that is killed while it writes leaves a plan that no worker sees; the manifest can be submitted again', async () => {
  fleet = await openFleet();
  await fleet.startWorker();
  const items = certificates(3_000);
  const half = new PassThrough();
  half.write(manifestOf(items.slice(0, 2_500)));
  const submitter = fleet.start(['submit', '-', '--execute', '--yes'], { stdin: half });

  const redis = await fleet.redis();
  const keys = ledgerKeys(KEY_PREFIX);
  const plan = await vi.waitFor(async () => {
    const [batch = ''] = await redis.zrange(keys.batches, '0', '-1');
    expect(await redis.hlen(keys.of(batch).chunks)).toBeGreaterThanOrEqual(2);
    return batch;
  }, 60_000);
  submitter.kill('SIGKILL');
  await submitter.ended;

  const batch = await fleet.submit(items);
  expect(batch).not.toBe(plan);
  await expectAccounted(fleet, batch, items);
  // By now the workers have fed and finished a whole batch, and not one call was for the plan.
  expect(fleet.sandbox.seen().calls).toBe(items.length);
  const { state, revoked } = await fleet.until(plan, () => true);
  expect({ state, revoked }).toEqual({ state: 'planned', revoked: 0 });
  expect(await redis.ttl(keys.of(plan).record)).toBeGreaterThan(0);
  expect(await redis.ttl(keys.of(plan).chunks)).toBeGreaterThan(0);
});
