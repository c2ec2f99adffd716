import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { DirectRules } from '../../../src/core/direct-job.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { signatureOf } from '../../../src/queue/signature.ts';
import { submitDirect } from '../../../src/queue/submit/direct.ts';
import { ACCOUNT, certificates, expectEmptied, INSTANCE, OTHER_INSTANCE, Workshop } from '../workshop.ts';

const DIRECT = directBatchOf(ACCOUNT);
const KEY = 'k'.repeat(32);
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

const jobOf = (certificate: Certificate, more: object = {}): object => ({ v: 1, ...certificate, ...more });
const rulesOf = (policy: Partial<DirectRules['policy']>): DirectRules => ({
  policy: { accept: 'any', maxPerHour: 1_000, ...policy },
  jobKey: KEY,
});
const inAnHour = (): number => Math.floor(Date.now() / 1_000) + 3_600;

function signed(jobId: string, certificate: Certificate, more: object = {}): object {
  const claims = { requestedBy: 'me', expires: inAnHour(), ...more };
  return jobOf(certificate, { ...claims, sig: signatureOf(KEY, { jobId, ...certificate, ...claims }) });
}

async function codes(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { code } of await shop.letters(DIRECT)) found[code] = (found[code] ?? 0) + 1;
  return found;
}

describe('the hourly limit', () => {
  it('pauses the direct batch, and what was not taken in waits until it is resumed, and is not lost', async () => {
    const items = certificates(10);
    for (const item of items) await shop.addJob(jobOf(item));
    const { events } = shop.start({ direct: rulesOf({ maxPerHour: 4 }) });
    for (const accepted of [4, 8]) {
      await shop.until(DIRECT, ({ state, counts }) => state === 'paused' && counts.accepted === accepted);
      expect(shop.sandbox.deletedCount).toBeLessThanOrEqual(accepted);
      await shop.ledger.batches.change(DIRECT, 'resume');
    }
    expect((await shop.settled(DIRECT, 10)).counts).toMatchObject({ accepted: 10, revoked: 10 });
    await expectEmptied(shop);
    expect(items.filter((item) => shop.sandbox.has(item))).toEqual([]);
    expect(events.filter(({ kind }) => kind === 'limit-paused')).toHaveLength(2);
    expect(events.filter(({ kind }) => kind === 'trouble' || kind === 'defect')).toEqual([]);
  });

  it('counts the single certificates of the library, whose next one is refused', async () => {
    const items = certificates(3);
    const submit = (item: Certificate) =>
      submitDirect(shop, shop.queues, ACCOUNT, item, 'urgent', {}, rulesOf({ maxPerHour: 2 }));
    for (const item of items.slice(0, 2)) expect(await submit(item)).toMatchObject({ isNew: true });
    // What pends already is not counted again.
    for (const item of items.slice(0, 1)) expect(await submit(item)).toMatchObject({ isNew: false });
    for (const item of items.slice(2)) await expect(submit(item)).rejects.toThrow(`certsweep resume ${DIRECT}`);
    expect(await shop.ledger.batches.find(DIRECT)).toMatchObject({ state: 'paused', counts: { accepted: 2 } });
    expect((await shop.queues.backlog()).direct).toBe(2);
  });
});

describe('where only signed jobs are taken', () => {
  it('makes dead letters of the others, without a call', async () => {
    const items = certificates(9) as [Certificate, Certificate, Certificate, ...Certificate[]];
    const [good, alsoGood, expired, ...others] = items;
    await shop.addJob(signed('good', good), { jobId: 'good' });
    await shop.addJob(signed('also-good', alsoGood, { reason: 'Gerät' }), { jobId: 'also-good' });
    await shop.addJob(signed('expired', expired, { expires: inAnHour() - 3_601 }), { jobId: 'expired' });
    const [bare, byAnother, stolen, far, unnamed, numbered] = others as [
      Certificate,
      Certificate,
      Certificate,
      Certificate,
      Certificate,
      Certificate,
    ];
    await shop.addJob(jobOf(bare), { jobId: 'bare' });
    const sig = signatureOf('another key', { jobId: 'by-another', ...byAnother, expires: inAnHour() });
    await shop.addJob(jobOf(byAnother, { expires: inAnHour(), sig }), { jobId: 'by-another' });
    // The signature of a job for another certificate, and under another id.
    await shop.addJob({ ...signed('good', good), ...stolen }, { jobId: 'good-2' });
    await shop.addJob(signed('far', far, { expires: inAnHour() + 86_400 }), { jobId: 'far' });
    await shop.addJob(signed('', unnamed));
    // What names an item that the ledger does not have is taken in as any other.
    await shop.addJob(jobOf(numbered, { batch: 'no-batch-of-ours', n: 0 }), { jobId: 'mine' });
    const { events } = shop.start({ direct: rulesOf({ accept: 'signed' }) });
    await shop.settled(DIRECT, items.length);
    expect(await codes()).toEqual({ 'unsigned-job': 7 });
    expect(items.filter((item) => !shop.sandbox.has(item))).toEqual([good, alsoGood]);
    expect(shop.sandbox.seen().calls).toBe(2);
    expect(events.filter(({ kind }) => kind === 'defect')).toEqual([]);
  });

  it('makes no call for what was refused and not yet settled, also where a job names its number', async () => {
    const [claimed, left] = certificates(2) as [Certificate, Certificate];
    // As where the worker that refused them has died before it wrote their letters.
    for (const [n, item] of [claimed, left].entries()) {
      expect(await shop.ledger.direct.adopt(DIRECT, `job-${n}`, item, { refused: 'unsigned-job' })).toMatchObject({
        n,
      });
    }
    await shop.addJob(jobOf(claimed, { batch: DIRECT, n: 0 }), { jobId: 'mine' });
    await shop.ledger.waiting.park(DIRECT, left.instanceId, [1]);
    shop.start({ direct: rulesOf({ accept: 'signed' }) });
    await shop.until(DIRECT, ({ counts }) => counts.dead === 1);
    await expect.poll(() => shop.queues.direct.getJob('mine')).toBeUndefined();
    await shop.ledger.waiting.park(DIRECT, claimed.instanceId, [0]);
    await shop.settled(DIRECT, 2);
    expect(await codes()).toEqual({ 'unsigned-job': 2 });
    expect(shop.sandbox.seen().calls).toBe(0);
    // An operator may allow it.
    await shop.ledger.deadLetters.reopen(DIRECT, [0, 1]);
    expect((await shop.settled(DIRECT, 2)).counts).toMatchObject({ revoked: 2, dead: 0 });
  });

  it('ends nothing that was taken in under the name of a refused job', async () => {
    const [item] = certificates(1) as [Certificate];
    const rules = rulesOf({ accept: 'signed' });
    await submitDirect(shop, shop.queues, ACCOUNT, item, 'bulk', {}, rules);
    const { key = '' } = (await shop.ledger.direct.item(DIRECT, 0)) ?? {};
    // Before the other job: it has no priority.
    await shop.addJob(jobOf(item), { jobId: key });
    shop.start({ direct: rules });
    expect((await shop.settled(DIRECT, 2)).counts).toMatchObject({ revoked: 1, dead: 1 });
  });

  it('counts for the hourly limit only what it takes in, so that nobody without the key can use that up', async () => {
    const items = certificates(12);
    for (const [at, item] of items.slice(0, 10).entries()) await shop.addJob(jobOf(item), { jobId: `bare-${at}` });
    for (const [at, item] of items.slice(10).entries())
      await shop.addJob(signed(`good-${at}`, item), { jobId: `good-${at}` });
    await shop.addJob({ v: 'malformed' });
    shop.start({ direct: rulesOf({ accept: 'signed', maxPerHour: 2 }) });
    const { state, counts } = await shop.settled(DIRECT, 13);
    expect({ state, ...counts }).toMatchObject({ state: 'completed', revoked: 2, dead: 11 });
  });

  it('trusts what the ledger has taken in, and signs its own jobs', async () => {
    const [item, waits] = certificates(2) as [Certificate, Certificate];
    const rules = rulesOf({ accept: 'signed' });
    await submitDirect(shop, shop.queues, ACCOUNT, item, 'urgent', { reason: 'lost' }, rules);
    const [job] = await shop.queues.direct.getJobs(['prioritized']);
    const {
      batch = '',
      n = 0,
      expires = 0,
      sig,
    } = (job?.data ?? {}) as { batch?: string; n?: number; expires?: number; sig?: string };
    expect(sig).toBe(signatureOf(KEY, { jobId: `${batch}.${n}`, ...item, reason: 'lost', expires }));
    // Taken in while everybody was, and worked on when only signed jobs are.
    await shop.ledger.direct.adopt(DIRECT, 'waits', waits);
    await shop.addJob(jobOf(waits, { batch: DIRECT, n: 1, key: 'waits' }), { jobId: 'waits' });
    shop.start({ direct: rules });
    expect((await shop.settled(DIRECT, 2)).counts).toMatchObject({ revoked: 2 });
  });
});

it('takes nothing in where nothing is accepted, and only the listed instances where some are', async () => {
  const [here, there] = certificates(2, [INSTANCE, OTHER_INSTANCE]) as [Certificate, Certificate];
  for (const item of [here, there]) await shop.addJob(jobOf(item));
  shop.start({ direct: rulesOf({ instances: [INSTANCE] }) });
  await shop.settled(DIRECT, 2);
  expect(await codes()).toEqual({ 'instance-not-accepted': 1 });
  expect([here, there].map((item) => shop.sandbox.has(item))).toEqual([false, true]);
  await shop.stop();
  await shop.addJob(jobOf(there));
  shop.start({ direct: rulesOf({ accept: 'none' }) });
  await shop.settled(DIRECT, 3);
  expect(await codes()).toEqual({ 'instance-not-accepted': 1, 'direct-not-accepted': 1 });
  expect(shop.sandbox.has(there)).toBe(true);
});
