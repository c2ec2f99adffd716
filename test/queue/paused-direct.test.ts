import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { reopenDeadLetter } from '../../src/ledger/dead-letters.ts';
import { CONTRACT_VERSION } from '../../src/queue/contract.ts';
import { standingBatchOf } from '../../src/queue/item.ts';
import { ACCOUNT, certificates, expectEmptied, Workshop } from './workshop.ts';

const STANDING = standingBatchOf(ACCOUNT);
const WITHIN = { timeout: 20_000, interval: 20 };
let shop: Workshop;
beforeEach(async () => {
  // Long enough to pause while a call is on its way.
  shop = await Workshop.open({ latency: { kind: 'fixed', ms: 300 } });
});
afterEach(() => shop.close());

const jobOf = (certificate: Certificate): object => ({ v: CONTRACT_VERSION, ...certificate });
const calls = (): number => shop.sandbox.seen().calls;
const delayed = async (): Promise<number> => (await shop.queue.backlog()).delayed;

/** The only call is on its way when the batch is paused, and its item settles. */
async function pauseInFlight(outcome: 'revoked' | 'dead'): Promise<void> {
  shop.start();
  await expect.poll(calls, WITHIN).toBe(1);
  expect(await shop.ledger.change(STANDING, 'pause')).toEqual({ kind: 'changed', state: 'paused' });
  await shop.until(STANDING, ({ counts }) => counts[outcome] === 1);
}

it('stays paused when its last call in flight settles: the next job waits until it is resumed', async () => {
  const [first, second] = certificates(2) as [Certificate, Certificate];
  await shop.addJob(jobOf(first));
  await pauseInFlight('revoked');
  expect(await shop.until(STANDING, () => true)).toMatchObject({ state: 'paused' });
  await shop.addJob(jobOf(second));
  // Its worker has looked at it, and has it wait.
  await expect.poll(delayed, WITHIN).toBe(1);
  expect(calls()).toBe(1);
  expect(await shop.until(STANDING, () => true)).toMatchObject({ state: 'paused', counts: { accepted: 2 } });
  await shop.ledger.change(STANDING, 'resume');
  const revoked = async (): Promise<number> => {
    // Not for its time: its worker may hear of the change a moment later.
    await shop.queue.bull.promoteJobs();
    return (await shop.until(STANDING, () => true)).counts.revoked;
  };
  await expect.poll(revoked, { ...WITHIN, interval: 200 }).toBe(2);
  expect(await shop.until(STANDING, () => true)).toMatchObject({ state: 'completed' });
});

it('keeps a retried dead letter waiting until it is resumed', async () => {
  const [item] = certificates(1) as [Certificate];
  shop.faults({ kind: 'code', code: 'ParameterCheckFailed', times: 1 });
  await shop.addJob(jobOf(item));
  await pauseInFlight('dead');
  await expectEmptied(shop);
  expect(await reopenDeadLetter(shop.redis, shop.ledger, STANDING, 0)).toBe('reopened');
  expect(await shop.until(STANDING, () => true)).toMatchObject({ state: 'paused', counts: { dead: 0 } });
  await shop.ledger.change(STANDING, 'resume');
  expect(await shop.settled(STANDING, 1)).toMatchObject({ state: 'completed', counts: { revoked: 1 } });
  expect(calls()).toBe(2);
});
