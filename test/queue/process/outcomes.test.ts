import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { Fault } from '../../../src/sandbox/fault-plan.ts';
import type { WorkerEvent } from '../../../src/queue/worker/account-worker.ts';
import { certificates, expectAccounted, expectEmptied, Workshop } from '../workshop.ts';

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.stop());
afterAll(() => shop.close());

it('settles every item by what the API says of it', async () => {
  const items = certificates(300);
  const name = (from: number, to: number): string[] => items.slice(from, to).map(({ deviceSn }) => deviceSn);
  shop.faults(
    { kind: 'code', code: 'FindDeviceBySnError', deviceSns: name(0, 5), times: 'always' },
    { kind: 'code', code: 'ParameterFieldCheckFailed', deviceSns: name(5, 9), times: 'always' },
    { kind: 'code', code: 'CertificateStateConflict', deviceSns: name(9, 12), times: 'always' },
    { kind: 'code', code: 'ServiceUnavailable', deviceSns: name(12, 15), times: 'always' },
    { kind: 'code', code: 'InternalError', deviceSns: name(15, 25), times: 2 },
    { kind: 'html', deviceSns: name(25, 30) },
    { kind: 'wrong-echo', deviceSns: name(30, 35) },
    { kind: 'reset-before', deviceSns: name(35, 40) },
  );
  const batch = await shop.submit(items);
  const { events } = shop.start();
  const rows = await expectAccounted(shop, batch, items);
  const outcomes = (from: number, to: number): Set<string> =>
    new Set(rows.slice(from, to).map(({ outcome, code, attempts }) => `${outcome} ${code} ${attempts}`));
  expect(outcomes(0, 5)).toEqual(new Set(['already-gone FindDeviceBySnError 1']));
  expect(outcomes(5, 9)).toEqual(new Set(['dead ParameterFieldCheckFailed 1']));
  // No row of the table knows the code: three tries.
  expect(outcomes(9, 12)).toEqual(new Set(['dead CertificateStateConflict 3']));
  expect(outcomes(12, 15)).toEqual(new Set(['dead ServiceUnavailable 4']));
  expect(outcomes(15, 25)).toEqual(new Set(['revoked OK 3']));
  expect(outcomes(40, 300)).toEqual(new Set(['revoked OK 1']));
  expect(new Set(rows.slice(25, 40).map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(await shop.until(batch, () => true)).toMatchObject({
    state: 'completed',
    counts: { accepted: 300, revoked: 285, alreadyGone: 5, dead: 10, cancelled: 0 },
  });
  const letters = await shop.letters(batch);
  expect(letters.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  // A service that failed, and a code that nobody knows, may stand behind a deletion.
  for (const letter of letters)
    expect(letter).toMatchObject({ ...items[letter.n], history: [], effectUnknown: letter.n >= 9 });
  expect(events.filter(({ kind }) => kind === 'settled')).toHaveLength(300);
  expect(events.filter((event) => event.kind === 'drained')).toHaveLength(1);
  expect(events.filter(({ kind }) => kind === 'defect' || kind === 'trouble')).toEqual([]);
});

it('counts as revoked, confirmed by absence, what was deleted although its answer was lost', async () => {
  const items = certificates(120);
  const lost = items.slice(0, 20).map(({ deviceSn }) => deviceSn);
  shop.faults(
    { kind: 'reset-after', deviceSns: lost.slice(0, 10) },
    { kind: 'answer-lost-after', deviceSns: lost.slice(10) },
  );
  const before = shop.sandbox.deletedCount;
  const batch = await shop.submit(items);
  shop.start();
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.slice(0, 20).map(({ outcome, code }) => `${outcome} ${code}`))).toEqual(
    new Set(['revoked FindDeviceBySnError']),
  );
  expect(await shop.until(batch, () => true)).toMatchObject({
    confirmedByAbsence: 20,
    counts: { revoked: 120, alreadyGone: 0, dead: 0 },
  });
  expect(shop.sandbox.deletedCount - before).toBe(120);
});

it('counts as revoked what was deleted although the answer blames the service, the nonce, or nothing that we know', async () => {
  const codes = ['InternalError', 'ServiceUnavailable', 'GatewayTimeout', '500', 'SignatureNonceUsed'];
  const items = certificates(codes.length * 8);
  const share = (at: number): string[] => items.slice(at * 8, at * 8 + 8).map(({ deviceSn }) => deviceSn);
  shop.faults(...codes.map((code, at): Fault => ({ kind: 'code-after', code, deviceSns: share(at) })));
  const before = shop.sandbox.deletedCount;
  // A certificate that we deleted must not be dead either.
  shop.start({ policy: { attempts: 4, notFound: 'dead', baseMs: 1, capMs: 5 } });
  const batch = await shop.submit(items);
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome, code }) => `${outcome} ${code}`))).toEqual(
    new Set(['revoked FindDeviceBySnError']),
  );
  expect(shop.sandbox.deletedCount - before).toBe(items.length);
  expect((await shop.until(batch, () => true)).confirmedByAbsence).toBe(items.length);
});

it('does not count as revoked what was never registered, because a call before was refused for the rate', async () => {
  const items = certificates(4);
  const deviceSns = items.map(({ deviceSn }) => deviceSn);
  shop.faults(
    { kind: 'throttle', deviceSns },
    { kind: 'code', code: 'SystemOverFlow', deviceSns },
    { kind: 'code', code: 'FindDeviceBySnError', deviceSns, times: 'always' },
  );
  const batch = await shop.submit(items);
  shop.start();
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome, attempts }) => `${outcome} ${attempts}`))).toEqual(new Set(['already-gone 3']));
});

it('tries a throttled item again and uses none of its attempts', async () => {
  const items = certificates(60);
  shop.faults({ kind: 'throttle', deviceSns: items.slice(0, 3).map(({ deviceSn }) => deviceSn), times: 2 });
  const batch = await shop.submit(items);
  const { events } = shop.start({ policy: { attempts: 1, notFound: 'already-gone', baseMs: 1, capMs: 5 } });
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.slice(0, 3).map(({ outcome, attempts }) => `${outcome} ${attempts}`))).toEqual(
    new Set(['revoked 3']),
  );
  const throttled = events.filter((event) => event.kind === 'answer' && event.verdict.kind === 'throttled');
  expect(throttled).toHaveLength(6);
});

describe('a dead letter that is retried', () => {
  it('is tried again, keeps its history, and may end well or dead again', async () => {
    const items = certificates(10);
    const [well, again] = items as [(typeof items)[0], (typeof items)[0]];
    shop.faults(
      { kind: 'code', code: 'ParameterCheckFailed', deviceSns: [well.deviceSn] },
      { kind: 'code', code: 'FindCaBySnError', deviceSns: [again.deviceSn], times: 'always' },
    );
    const batch = await shop.submit(items);
    shop.start();
    await expectAccounted(shop, batch, items);
    const [death] = (await shop.letters(batch)).filter(({ n }) => n === 1);
    for (const n of [0, 1]) expect(await shop.ledger.deadLetters.reopen(batch, [n])).toEqual(['reopened']);
    const rows = await expectAccounted(shop, batch, items);
    expect(rows.map(({ outcome }) => outcome)).toEqual([
      'revoked',
      'dead',
      ...Array.from({ length: 8 }, () => 'revoked'),
    ]);
    const [letter, ...others] = await shop.letters(batch);
    expect(others).toEqual([]);
    expect(letter).toMatchObject({ n: 1, ...again, code: 'FindCaBySnError' });
    const { code, message, requestId, calls, at } = death ?? {};
    expect(letter?.history).toEqual([{ code, message, requestId, calls, at }]);
  });

  it('ends as revoked by absence where this program failed after its call had left', async () => {
    const [item] = certificates(1) as [Certificate];
    const batch = await shop.submit([item]);
    const client = shop.client();
    shop.start({
      policy: { attempts: 1, notFound: 'already-gone', baseMs: 1, capMs: 5 },
      client: {
        ...client,
        deleteDeviceCertificate: async (...call) => {
          await client.deleteDeviceCertificate(...call);
          throw new Error('a defect');
        },
      },
    });
    await expectAccounted(shop, batch, [item]);
    const letter = { code: 'worker-defect', message: 'a defect', effectUnknown: true };
    expect(await shop.letters(batch)).toMatchObject([letter]);
    await shop.stop();
    expect(await shop.ledger.deadLetters.reopen(batch, [0])).toEqual(['reopened']);
    shop.start();
    expect(await expectAccounted(shop, batch, [item])).toMatchObject([{ outcome: 'revoked' }]);
    expect(await shop.until(batch, () => true)).toMatchObject({ confirmedByAbsence: 1 });
  });
});

it('pauses a batch whose items are dead, and continues when it is resumed', async () => {
  const items = certificates(40);
  shop.faults({ kind: 'code', code: 'FindCaBySnError', times: 1 });
  const batch = await shop.submit(items);
  const { events } = shop.start({ breaker: { maxDeadShare: 0.05, minSample: 100 } });
  const paused = await shop.until(batch, ({ state }) => state === 'paused');
  // The first step of the ramp was enough.
  expect(paused.counts).toMatchObject({ revoked: 0, dead: 10 });
  expect(paused.pausedBecause).toContain('10 of 10 settled items are dead (100%)');
  // Told when Redis has answered, a moment after the batch is seen to be paused.
  const told = (): WorkerEvent[] => events.filter(({ kind }) => kind === 'batch-paused');
  await expect.poll(told).toEqual([{ kind: 'batch-paused', batch, settled: 10, dead: 10 }]);
  shop.faults();
  await shop.ledger.batches.change(batch, 'resume');
  expect((await shop.settled(batch)).counts).toMatchObject({ revoked: 30, dead: 10 });
});

it('leaves items of an instance that it does not know to others, without a call', async () => {
  const batch = await shop.submit(certificates(3, ['post-cn-elsewhere']));
  const before = shop.sandbox.seen().calls;
  const block = { batch, instanceId: 'post-cn-elsewhere', from: 0, to: 3 };
  await shop.queues.addBlocks([block], 'bulk');
  await shop.ledger.lanes.advance(batch, { ...block, chunks: [], cursor: 0 }, 3, 3);
  const { events } = shop.start();
  const waiting = (): Promise<number[]> => shop.ledger.waiting.counts(['post-cn-elsewhere']);
  await expect.poll(waiting).toEqual([3]);
  await expectEmptied(shop);
  expect(shop.sandbox.seen().calls).toBe(before);
  expect((await shop.until(batch, () => true)).counts).toMatchObject({ accepted: 3, dead: 0, revoked: 0 });
  expect(events.filter(({ kind }) => kind === 'unowned')).toEqual([
    { kind: 'unowned', instanceId: 'post-cn-elsewhere' },
  ]);
});
