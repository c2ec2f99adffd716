import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { CONTRACT_VERSION, JOB_PRIORITY } from '../../../src/queue/contract.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { submitDirect } from '../../../src/queue/submit/direct.ts';
import { ACCOUNT, certificates, expectAccounted, expectEmptied, Workshop } from '../workshop.ts';

const DIRECT = directBatchOf(ACCOUNT);
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

const jobOf = (certificate: Certificate): object => ({ v: CONTRACT_VERSION, ...certificate });

it('takes jobs of other producers, with any priority or none, into the direct batch of the account', async () => {
  const items = certificates(30);
  for (const [n, item] of items.entries()) {
    const priority = [{}, { priority: JOB_PRIORITY.urgent }, { priority: JOB_PRIORITY.bulk }][n % 3];
    const own = n % 2 === 0 ? {} : { batch: 'a batch of their own', n };
    await shop.addJob({ ...jobOf(item), ...own }, priority);
  }
  shop.start();
  await shop.settled(DIRECT, items.length);
  const rows = await shop.rows(DIRECT);
  expect(new Set(rows.map(({ deviceSn }) => deviceSn))).toEqual(new Set(items.map(({ deviceSn }) => deviceSn)));
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(shop.sandbox.deletedCount).toBe(items.length);
  expect(await shop.ledger.direct.jobs(DIRECT)).toEqual(new Map());
});

it('runs a job again that is added again under its id, and says that the certificate is gone already', async () => {
  const [item] = certificates(1);
  if (item === undefined) return;
  shop.start();
  for (const accepted of [1, 2]) {
    await shop.addJob(jobOf(item), { jobId: 'mine' });
    await shop.settled(DIRECT, accepted);
    // Until its job has left the queue, another one under its id is the same job.
    await expectEmptied(shop);
  }
  expect((await shop.rows(DIRECT)).map(({ outcome }) => outcome)).toEqual(['revoked', 'already-gone']);
});

it('makes a dead letter of each malformed job, with the reason, and calls nobody for it', async () => {
  const [item, sound] = certificates(2) as [Certificate, Certificate];
  const batch = await shop.submit([sound]);
  const malformed: [unknown, string][] = [
    [{ ...item }, 'v is absent'],
    [{ ...jobOf(item), deviceSn: 12 }, 'deviceSn is a number'],
    [{ v: 2, batch, instanceId: item.instanceId, from: 0, to: 1 }, 'v is 2, this worker knows 1'],
    [{ ...jobOf(item), n: 3 }, 'n is 3, it goes with a batch'],
    [{ ...jobOf(item), batch: 'b', n: -1 }, 'n is -1'],
    [{ ...jobOf(item), trail: { calls: 'many' } }, 'trail is {"calls":"many"}'],
    ['text', 'the data is not an object'],
    [{ ...jobOf(item), batch, n: 0 }, `item 0 of batch ${batch} is another certificate`],
  ];
  for (const [data] of malformed) await shop.addJob(data);
  const { events } = shop.start();
  await shop.settled(DIRECT, malformed.length);
  const letters = (await shop.letters(DIRECT)).toSorted((a, b) => a.message.localeCompare(b.message));
  const reasons = malformed.map(([, reason]) => reason).toSorted((a, b) => a.localeCompare(b));
  expect(letters).toHaveLength(reasons.length);
  for (const [at, reason] of reasons.entries()) expect(letters[at]?.message).toContain(reason);
  expect(new Set(letters.map(({ code }) => code))).toEqual(new Set(['malformed-job']));
  expect(shop.sandbox.has(item)).toBe(true);
  await expectAccounted(shop, batch, [sound]);
  expect(events.filter(({ kind }) => kind === 'defect')).toEqual([]);
});

it('believes nothing that a job says of its past before the ledger has met it', async () => {
  const trail = { failures: 3, calls: 199, effectUnknown: true, run: 'mine' };
  const past = { trail, history: [{ code: 'InternalError', message: 'm', requestId: 'R', calls: 1, at: 1 }] };
  const [single, fed, cancelled, dead] = certificates(4) as [Certificate, Certificate, Certificate, Certificate];
  shop.faults(
    { kind: 'code', code: 'FindCaBySnError', deviceSns: [dead.deviceSn] },
    { kind: 'code', code: 'FindDeviceBySnError', times: 'always' },
  );
  // Its producer is quicker than the feeder.
  const batches = [await shop.submit([fed]), await shop.submit([cancelled])] as const;
  for (const [at, batch] of batches.entries()) {
    await shop.addJob({ ...jobOf(at === 0 ? fed : cancelled), batch, n: 0, ...past }, { jobId: `${batch}.0` });
  }
  await shop.ledger.batches.change(batches[1], 'cancel');
  for (const item of [single, dead]) await shop.addJob({ ...jobOf(item), ...past });
  shop.start();
  await shop.settled(DIRECT, 2);
  await Promise.all(batches.map((batch) => shop.settled(batch, 1)));
  expect((await shop.until(DIRECT, () => true)).counts).toMatchObject({ alreadyGone: 1, dead: 1, revoked: 0 });
  expect(await shop.letters(DIRECT)).toMatchObject([{ calls: 1, effectUnknown: false, history: [] }]);
  expect(await shop.rows(batches[0])).toMatchObject([{ outcome: 'already-gone', attempts: 1 }]);
  expect(await shop.rows(batches[1])).toMatchObject([{ outcome: 'cancelled', attempts: 0 }]);
  expect(shop.sandbox.has(cancelled)).toBe(true);
});

it('does not let a batch that names another key of Redis come near it', async () => {
  const [item, sound] = certificates(2) as [Certificate, Certificate];
  const batch = await shop.submit([sound]);
  await shop.redis.set(`${shop.keys.prefix}:batch:x:settled`, 'no hash');
  await shop.addJob({ ...jobOf(item), batch: 'x:settled', n: 0 });
  const { events } = shop.start();
  await shop.settled(DIRECT, 1);
  expect((await shop.rows(DIRECT)).map(({ outcome }) => outcome)).toEqual(['revoked']);
  await expectAccounted(shop, batch, [sound]);
  expect(events.filter(({ kind }) => kind === 'defect')).toEqual([]);
});

it('makes a dead letter of a job for an instance that nobody has', async () => {
  await shop.addJob(jobOf({ instanceId: 'post-cn-elsewhere', caSn: 'c', deviceSn: 'd' }));
  shop.start();
  await shop.settled(DIRECT, 1);
  const [letter] = await shop.letters(DIRECT);
  expect(letter).toMatchObject({ code: 'unknown-instance', instanceId: 'post-cn-elsewhere', calls: 0 });
  expect(shop.sandbox.seen().calls).toBe(0);
});

it('takes a certificate in again that had to wait and has ended, also one that was retried', async () => {
  const [item, dead] = certificates(2) as [Certificate, Certificate];
  shop.faults(
    { kind: 'reset-before', deviceSns: [item.deviceSn] },
    { kind: 'code', code: 'FindCaBySnError', deviceSns: [dead.deviceSn] },
  );
  shop.start();
  for (const one of [item, dead]) await submitDirect(shop, shop.queues, ACCOUNT, one, 'urgent');
  await shop.settled(DIRECT, 2);
  expect(await shop.ledger.direct.jobs(DIRECT)).toEqual(new Map());
  expect(await submitDirect(shop, shop.queues, ACCOUNT, item, 'urgent')).toMatchObject({ isNew: true });
  await shop.settled(DIRECT, 3);
  // The dead letter goes on while its certificate is pending under another number: what ends the one leaves the other.
  await shop.stop();
  const again = await submitDirect(shop, shop.queues, ACCOUNT, dead, 'urgent');
  expect(again).toMatchObject({ isNew: true });
  expect(await shop.ledger.deadLetters.reopen(DIRECT, [1])).toEqual(['reopened']);
  await shop.queues.direct.pause();
  shop.start();
  await shop.until(DIRECT, ({ counts }) => counts.dead === 0 && counts.revoked === 2);
  expect([...(await shop.ledger.direct.jobs(DIRECT)).values()]).toEqual([3]);
  await shop.queues.direct.resume();
  expect((await shop.settled(DIRECT, 4)).counts).toMatchObject({ revoked: 2, alreadyGone: 2 });
  expect(await shop.ledger.direct.jobs(DIRECT)).toEqual(new Map());
});

it('takes a single certificate once while it is pending', async () => {
  const [item] = certificates(1) as [Certificate];
  const submit = () => submitDirect(shop, shop.queues, ACCOUNT, item, 'urgent');
  const replies = await Promise.all([submit(), submit(), submit()]);
  expect(replies).toMatchObject([{ isNew: true }, { isNew: false }, { isNew: false }]);
  shop.start();
  expect((await shop.settled(DIRECT, 1)).counts).toMatchObject({ accepted: 1, revoked: 1 });
  expect(await submit()).toMatchObject({ kind: 'accepted', isNew: true });
  expect((await shop.settled(DIRECT, 2)).counts).toMatchObject({ accepted: 2, alreadyGone: 1 });
});

it('lets urgent certificates overtake bulk ones', async () => {
  const bulk = certificates(600);
  const batch = await shop.submit(bulk);
  // Slow enough that the bulk is under way for seconds.
  const { events } = shop.start({ account: { name: ACCOUNT, qps: 150, instances: ['post-cn-a'] } });
  await shop.until(batch, ({ counts }) => counts.revoked >= 110);
  const urgent = certificates(5);
  for (const item of urgent) await submitDirect(shop, shop.queues, ACCOUNT, item, 'urgent');
  await shop.settled(DIRECT, urgent.length);
  const settled = events.flatMap((event) => (event.kind === 'settled' ? [event.item] : []));
  const last = settled.findLastIndex((item) => item.batch === DIRECT);
  const before = settled.slice(0, last).filter((item) => item.batch === batch).length;
  // Those in hand may go first; most of what waits may not.
  expect(before).toBeLessThan(bulk.length - 100);
  await expectAccounted(shop, batch, bulk);
});
