import { createHash } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lineOf } from '../../src/audit/chain.ts';
import { NO_PREVIOUS } from '../../src/audit/entry.ts';
import { auditNote } from '../../src/audit/note.ts';
import { AuditRoom } from './audit-room.ts';

let room: AuditRoom;
beforeEach(() => {
  room = new AuditRoom();
});
afterEach(() => room.redis.cleanup());

async function writeFive(): Promise<void> {
  for (const event of ['submit', 'pause', 'resume', 'cancel', 'forget'] as const)
    await room.write({ event, batch: 'b' });
}

it('has these fields in this order, and counts by Redis', async () => {
  await room.client.hset(`${room.redis.prefix}:record`, { accepted: 5, alreadyGone: 2 });
  await room.write({ event: 'submit', batch: 'b', requestedBy: 'eve', reason: 'ticket 4711', manifestSha256: 'f00' });
  const [entry] = await room.entries();
  expect(entry).toEqual({
    seq: 1,
    at: expect.any(Number),
    event: 'submit',
    batch: 'b',
    user: userInfo().username,
    host: hostname(),
    pid: process.pid,
    requestedBy: 'eve',
    reason: 'ticket 4711',
    counts: { accepted: 5, revoked: 0, alreadyGone: 2, dead: 0, cancelled: 0 },
    manifestSha256: 'f00',
    previous: NO_PREVIOUS,
    hash: expect.stringMatching(/^[0-9a-f]{40}$/),
  });
  expect(Object.keys(entry ?? {}).join(' ')).toBe(
    'seq at event batch user host pid requestedBy reason counts manifestSha256 previous hash',
  );
});

it('can be checked from its lines alone: the hash is over the line without the hash, in ASCII', async () => {
  await room.write({ event: 'pause', batch: 'b', reason: 'Grüße\u202e "quoted" \\ \n 証明書 🙂' });
  await room.write({ event: 'resume' });
  let previous = NO_PREVIOUS;
  for (const stored of await room.stored()) {
    const line = lineOf(stored);
    expect(line).toMatch(/^[ -~]*$/);
    const hash = createHash('sha1')
      .update(line.replace(/,"hash":"[0-9a-f]{40}"\}$/, '}'))
      .digest('hex');
    expect(JSON.parse(line)).toMatchObject({ hash, previous });
    previous = hash;
  }
  const [first, second] = await room.entries();
  expect(first?.reason).toBe('Grüße\u202e "quoted" \\ \n 証明書 🙂');
  expect(second).toMatchObject({ seq: 2, batch: null, requestedBy: null, reason: null, manifestSha256: null });
});

it('has one entry of an operation that is sent again, also behind others', async () => {
  const note = auditNote({ event: 'pause', batch: 'b' });
  expect(await room.write({ event: 'pause' }, note)).toBe('written');
  await room.write({ event: 'resume', batch: 'b' });
  expect(await room.write({ event: 'pause' }, note)).toBe('earlier 1');
  expect((await room.entries()).map((entry) => entry?.event)).toEqual(['pause', 'resume']);
});

it('cuts words that are far too long', async () => {
  await room.write({ event: 'pause', reason: 'x'.repeat(100_000) });
  const [entry] = await room.entries();
  expect(entry?.reason).toHaveLength(1_003);
});

it('is whole when nothing was done to it, and when there is none', async () => {
  expect(await room.verify()).toMatchObject({ kind: 'whole', entries: 0 });
  await writeFive();
  const last = (await room.stored()).at(-1);
  expect(await room.verify()).toEqual({ kind: 'whole', entries: 5, lastHash: last?.hash });
});

it('is whole while others write', async () => {
  const writers = Array.from({ length: 50 }, () => room.write({ event: 'pause', batch: 'b' }));
  const verdicts = await Promise.all([room.verify(), room.verify()]);
  await Promise.all(writers);
  for (const verdict of [...verdicts, await room.verify()]) expect(verdict.kind).toBe('whole');
  expect(await room.verify()).toMatchObject({ entries: 50 });
});

it.each([
  ['in the middle', 2, 3, /^entry 3 is missing: the next one there is 4$/],
  ['the first', 0, 1, /^entry 1 is missing: the next one there is 2$/],
  ['the last', 4, 5, /^entry 5, the last one, is missing$/],
])('names an entry that was taken out: %s', async (_, at, seq, why) => {
  await writeFive();
  const stored = await room.stored();
  await room.client.xdel(room.keys.stream, stored[at]?.id ?? '');
  expect(await room.verify()).toEqual({ kind: 'broken', seq, why: expect.stringMatching(why) });
});

it('names what is missing of a trimmed stream, of one that lost its end, and of one that is gone', async () => {
  await writeFive();
  const stored = await room.stored();
  await room.client.xdel(room.keys.stream, stored[3]?.id ?? '', stored[4]?.id ?? '');
  expect(await room.verify()).toMatchObject({ seq: 4, why: 'entries 4 to 5, the last ones, are missing' });
  await room.client.xtrim(room.keys.stream, 'MAXLEN', 1);
  expect(await room.verify()).toMatchObject({ seq: 1, why: 'entries 1 to 2 are missing: the next one there is 3' });
  await room.client.del(room.keys.stream);
  expect(await room.verify()).toMatchObject({ seq: 1, why: 'entries 1 to 5, the last ones, are missing' });
  // Numbers go on, so what comes later does not hide it.
  await room.write({ event: 'pause' });
  expect(await room.verify()).toMatchObject({ seq: 1, why: 'entries 1 to 5 are missing: the next one there is 6' });
});

it('names an entry that was changed, with its old hash and with a new one', async () => {
  await writeFive();
  const forged = (text: string): string => text.replace('"event":"resume"', '"event":"pause"');
  await room.rewrite((all) => all.map((entry) => ({ ...entry, text: forged(entry.text) })));
  expect(await room.verify()).toMatchObject({ kind: 'broken', seq: 3, why: expect.stringContaining('was changed') });
  const rehashed = (text: string): string => createHash('sha1').update(text).digest('hex');
  await room.rewrite((all) => all.map((entry) => ({ ...entry, hash: rehashed(entry.text) })));
  expect(await room.verify()).toMatchObject({ kind: 'broken', seq: 4, why: expect.stringContaining('was replaced') });
});

it('notices an exchanged last entry, and a head that is gone', async () => {
  await writeFive();
  await room.rewrite((all) =>
    all.map((entry, at) => {
      if (at < 4) return entry;
      const text = entry.text.replace('"event":"forget"', '"event":"pause"');
      return { ...entry, text, hash: createHash('sha1').update(text).digest('hex') };
    }),
  );
  expect(await room.verify()).toMatchObject({ kind: 'broken', seq: 5 });
  await room.client.del(room.keys.head);
  expect(await room.verify()).toMatchObject({
    kind: 'broken',
    seq: 5,
    why: expect.stringContaining('is missing'),
  });
  await room.write({ event: 'pause' });
  expect(await room.verify()).toMatchObject({ kind: 'broken', seq: 1, why: expect.stringContaining('was replaced') });
  await writeFive();
  expect(await room.verify()).toMatchObject({ kind: 'broken', seq: 1, why: expect.stringContaining('starts over') });
});

it('names an entry that nobody can read', async () => {
  await writeFive();
  await room.rewrite((all) => all.map((entry, at) => (at === 1 ? { ...entry, text: 'nonsense' } : entry)));
  expect(await room.verify()).toMatchObject({ kind: 'broken', seq: 2, why: expect.stringContaining('not readable') });
});
