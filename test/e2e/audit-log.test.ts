import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { AuditEntry } from '../../src/audit/entry.ts';
import { createProducer } from '../../src/index.ts';
import { JOB_NAME, KEY_PREFIX, queueName } from '../../src/queue/contract.ts';
import type { RunningCommand } from '../support/command.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await openFleet({ settings: { log: { level: 'silent' }, audit: { file: 'audit.ndjson' } } });
  await fleet.holdRedis();
});
afterAll(() => fleet.remove());

const WITHIN_MS = 30_000;

interface Line {
  readonly event: string;
  readonly entry?: AuditEntry;
  readonly batch?: string;
  readonly n?: number;
  readonly deviceSn?: string;
  readonly outcome?: string;
}

function linesOf(...workers: readonly RunningCommand[]): Line[] {
  return workers.flatMap((worker) =>
    worker
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Line),
  );
}

/** The numbers of the entries that were logged, in order. */
const logged = (...workers: readonly RunningCommand[]): number[] =>
  linesOf(...workers)
    .flatMap(({ event, entry }) => (event === 'audit' ? [entry?.seq ?? -1] : []))
    .toSorted((a, b) => a - b);

async function untilLogged(last: number, ...workers: readonly RunningCommand[]): Promise<void> {
  await vi.waitFor(() => expect(logged(...workers).at(-1)).toBe(last), { timeout: WITHIN_MS, interval: 100 });
}

it('logs each entry once over all workers, whatever the level, also after the one that logged was killed', async () => {
  const first = fleet.start(['worker']);
  await first.says('"event":"audit"');
  const second = fleet.start(['worker']);
  const redis = await fleet.redis();
  await vi.waitFor(async () => expect(await redis.hlen(`${KEY_PREFIX}:workers`)).toBe(2), { timeout: WITHIN_MS });
  const [pace] = linesOf(first);
  expect(pace?.entry).toMatchObject({ seq: 1, event: 'pace', batch: null, counts: { qps: 5_000, egressQps: 5_000 } });

  const batch = await fleet.submit(certificates(3));
  await fleet.settled(batch);
  await untilLogged(2, first, second);
  expect(linesOf(first, second).filter(({ event }) => event === 'settled')).toHaveLength(3);

  first.kill('SIGKILL');
  await first.ended;
  const held = await fleet.submit(certificates(2, 2));
  await fleet.settled(held);
  await fleet.run(['forget', held, '--requested-by', 'eve']);
  await untilLogged(4, first, second);
  expect(logged(first, second)).toEqual([1, 2, 3, 4]);
  second.kill('SIGTERM');
  expect(await second.ended).toMatchObject({ code: 0 });

  // Without a worker, so that the cancel ends all of it.
  const items = certificates(150, 3);
  const given = await fleet.submit(items);
  await fleet.run(['cancel', given]);
  const third = fleet.start(['worker']);
  await fleet.settled(given);
  await untilLogged(6, third);
  await vi.waitFor(() => expect(settledOf(third, given)).toHaveLength(150), { timeout: WITHIN_MS });
  const ends = settledOf(third, given).toSorted((a, b) => (a.n ?? 0) - (b.n ?? 0));
  expect(ends.map(({ outcome, deviceSn }) => [outcome, deviceSn])).toEqual(
    items.map(({ deviceSn }) => ['cancelled', deviceSn]),
  );
  third.kill('SIGTERM');
  await third.ended;
  // The same pace again is no entry, and what was logged is not logged again.
  expect(logged(third)).toEqual([5, 6]);

  const { stdout } = await fleet.run(['audit', '--json']);
  const bySeq = (text: string): string[] =>
    text
      .trimEnd()
      .split('\n')
      .toSorted((a, b) => (JSON.parse(a) as AuditEntry).seq - (JSON.parse(b) as AuditEntry).seq);
  expect(bySeq(await readFile(join(fleet.folder, 'audit.ndjson'), 'utf8'))).toEqual(bySeq(stdout));
  expect(await fleet.run(['audit', '--verify'])).toMatchObject({ code: 0 });
});

function settledOf(worker: RunningCommand, batch: string): Line[] {
  return linesOf(worker).filter(({ event, batch: of }) => event === 'settled' && of === batch);
}

it('a single certificate keeps who wanted it, in its line and in its dead letter', async () => {
  const [good, bad] = certificates(2, 5);
  fleet.sandbox.setPlan({
    seed: 1,
    faults: [{ kind: 'code', code: 'ParameterFieldCheckFailed', deviceSns: [bad?.deviceSn ?? ''] }],
  });
  const worker = fleet.start(['worker']);
  const producer = await createProducer({ config: join(fleet.folder, 'certsweep.yaml') });
  const why = { requestedBy: 'fleet-service', reason: 'end of life' };
  try {
    for (const item of [good, bad]) if (item !== undefined) await producer.submit(item, why);
  } finally {
    await producer.close();
  }
  // As a program in another language adds it.
  const queue = new Queue(queueName('fleet'), { connection: await fleet.redis(), prefix: KEY_PREFIX });
  const [third] = certificates(1, 6);
  await queue.add(JOB_NAME, { v: 1, ...third, requestedBy: 'python', reason: 'sold' }, { removeOnComplete: true });
  await vi.waitFor(() => expect(settledOf(worker, 'direct-fleet')).toHaveLength(3), { timeout: WITHIN_MS });
  const told = settledOf(worker, 'direct-fleet');
  expect(told.find(({ deviceSn }) => deviceSn === good?.deviceSn)).toMatchObject({ outcome: 'revoked', ...why });
  expect(told.find(({ deviceSn }) => deviceSn === third?.deviceSn)).toMatchObject({
    requestedBy: 'python',
    reason: 'sold',
  });
  const letters = await fleet.run(['dead', 'list', '--json']);
  expect(JSON.parse(letters.stdout)).toMatchObject({ deviceSn: bad?.deviceSn, ...why });
  await queue.close();
  worker.kill('SIGTERM');
  await worker.ended;
});

it('a forgotten batch leaves its counts, who it was for, and the SHA-256 of its report', async () => {
  const worker = fleet.start(['worker']);
  const batch = await fleet.submit(certificates(4, 4), '--requested-by', 'eve', '--reason', 'ticket 4711');
  await fleet.settled(batch);
  const report = await fleet.run(['report', batch]);
  const sha256 = createHash('sha256').update(report.stdout).digest('hex');
  expect(await fleet.run(['forget', batch])).toMatchObject({ code: 0 });
  const left = await fleet.run(['status', batch]);
  expect(left).toMatchObject({ code: 2, stdout: '' });
  expect(left.stderr).toContain('4 certificates accepted, 4 revoked, 0 already gone, 0 dead, 0 cancelled.');
  for (const text of ['Requested by eve.', 'Reason: ticket 4711', sha256]) expect(left.stderr).toContain(text);
  worker.kill('SIGTERM');
  await worker.ended;
});
