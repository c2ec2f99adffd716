import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { ACCOUNT, certificates, Workshop } from '../workshop.ts';

const DIRECT = directBatchOf(ACCOUNT);
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

/** JSON may have it, and the JSON of a script of Redis cannot read it. */
const HALF = 'a\ud83db';

it('in what a job says of itself stop no retry of dead letters, its own included', async () => {
  const [good, told] = certificates(2) as [Certificate, Certificate];
  const elsewhere = { instanceId: 'post-cn-nobody' };
  await shop.addJob({ v: 1, ...good, ...elsewhere });
  await shop.addJob({ v: 1, ...told, ...elsewhere, requestedBy: HALF, reason: HALF });
  // Cut in the middle of a character.
  for (const text of ['', 'x']) await shop.addJob({ v: 2, text: `${text}${'\u{1f600}'.repeat(400)}` });
  shop.start();
  await shop.settled(DIRECT, 4);
  const letters = await shop.letters(DIRECT);
  expect(letters.map(({ code }) => code).toSorted()).toEqual([
    'malformed-job',
    'malformed-job',
    'unknown-instance',
    'unknown-instance',
  ]);
  expect(letters.map(({ reason }) => reason)).toContain('a\ufffdb');
  const reopened = await shop.ledger.deadLetters.reopen(DIRECT, [0, 1, 2, 3]);
  expect(reopened.toSorted()).toEqual(['malformed', 'malformed', 'reopened', 'reopened']);
});

it('in the key that a job claims stop no report of what became of items', async () => {
  const [claimed, other] = certificates(2) as [Certificate, Certificate];
  // As the library takes it in, and another program adds a job that names its number.
  await shop.ledger.direct.adopt(DIRECT, 'ours', claimed);
  await shop.addJob({ v: 1, ...claimed, batch: DIRECT, n: 0, key: HALF });
  await shop.addJob({ v: 1, ...other });
  const { events } = shop.start();
  expect((await shop.settled(DIRECT, 2)).counts).toMatchObject({ revoked: 2 });
  expect(events.filter(({ kind }) => kind === 'trouble')).toEqual([]);
});

it('in a letter of an earlier version stop nothing but its own retry', async () => {
  const [first, second] = certificates(2) as [Certificate, Certificate];
  for (const item of [first, second]) await shop.addJob({ v: 1, ...item, instanceId: 'post-cn-nobody' });
  shop.start();
  await shop.settled(DIRECT, 2);
  await shop.stop();
  const { dead } = shop.ledger.keys.of(DIRECT);
  const letter = (await shop.redis.hget(dead, '0')) ?? '';
  await shop.redis.hset(dead, '0', letter.replace('"message":"', String.raw`"message":"\ud83d`));
  expect(await shop.ledger.deadLetters.reopen(DIRECT, [0, 1])).toEqual(['malformed', 'reopened']);
});
