import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Attempt } from '../../../src/core/decide.ts';
import { MAX_CRASHES, type CallToNote, type Run } from '../../../src/ledger/call-notes.ts';
import type { ItemEnd } from '../../../src/ledger/items.ts';
import { certificatesOf, LedgerRoom } from '../../ledger/ledger-room.ts';
import { dieCalling, liveRun, noteCalls } from '../note-calls.ts';

const INSTANCE = 'post-cn-a';
const NOTHING: Attempt = { failures: 0, calls: 0, effectUnknown: false };
const GO = { kind: 'go', attempt: NOTHING };

let room: LedgerRoom;
let batch: string;
let run: Extract<Run, { kind: 'job' }>;
beforeEach(async () => {
  room = new LedgerRoom();
  batch = await room.batchOf(certificatesOf(3));
  run = await liveRun(room.ledger);
});
afterEach(() => room.cleanup());

const call = (n: number, more: Partial<CallToNote> = {}): CallToNote => ({
  batch,
  n,
  instanceId: INSTANCE,
  run,
  ...more,
});
const recorded = (n: number): Promise<string | null> => room.redis.hget(room.ledger.keys.of(batch).attempts, String(n));
const report = async (n: number, end: ItemEnd, by: Run = run): Promise<unknown> =>
  (await room.ledger.items.report(batch, [{ n, instanceId: INSTANCE, run: by, end }])).replies[0];
const REVOKED = {
  kind: 'settle',
  outcome: 'revoked',
  code: 'OK',
  requestId: 'R',
  attempt: NOTHING,
  isUncalled: false,
} as const;

/** The process has an item that waits. */
async function claimed(n: number): Promise<Extract<Run, { kind: 'claim' }>> {
  await room.ledger.waiting.park(batch, INSTANCE, [n]);
  await room.redis.zadd(room.ledger.keys.waiting(INSTANCE), 0, `${batch} ${n}`);
  const { claims } = await room.ledger.waiting.claim(new Map([[INSTANCE, 1]]), 60_000);
  return { kind: 'claim', name: `claim-${claims.length}`, score: claims[0]?.score ?? 0 };
}

describe('the note of a call', () => {
  it('is made in the step that lets the call be made, for that item alone', async () => {
    expect(await noteCalls(room.ledger, [call(1)])).toEqual([GO]);
    expect(await recorded(1)).toBe(`0 0 0 0 ${run.lockKey} ${run.token}`);
    expect([await recorded(0), await recorded(2)]).toEqual([null, null]);
    // The same run again, with what it knows since.
    const attempt = { failures: 1, calls: 1, effectUnknown: true };
    expect(await noteCalls(room.ledger, [call(1, { attempt })])).toEqual([{ kind: 'go', attempt }]);
  });

  it('is taken back where its slot ended unused: the next run hears nothing of it', async () => {
    await noteCalls(room.ledger, [call(0), call(1)]);
    expect(await noteCalls(room.ledger, [call(2)], [call(0)])).toEqual([GO]);
    expect(await recorded(0)).toBeNull();
    await room.redis.del(run.lockKey);
    const other = await liveRun(room.ledger);
    const verdicts = await noteCalls(room.ledger, [call(0, { run: other }), call(1, { run: other })]);
    expect(verdicts).toEqual([GO, { kind: 'go', attempt: { ...NOTHING, effectUnknown: true } }]);
  });

  it('is not taken back by a run that another one has followed', async () => {
    await noteCalls(room.ledger, [call(0)]);
    await room.redis.del(run.lockKey);
    const other = await liveRun(room.ledger);
    await noteCalls(room.ledger, [call(0, { run: other })]);
    await noteCalls(room.ledger, [], [call(0)]);
    expect(await recorded(0)).toBe(`0 0 1 1 ${other.lockKey} ${other.token}`);
  });

  it('of a dead run is a call that may have worked, and a crash; twenty of these end the item', async () => {
    for (let crash = 0; crash < MAX_CRASHES; crash += 1) {
      const attempt = { ...NOTHING, effectUnknown: crash > 0 };
      expect(await dieCalling(room.ledger, batch, 0, INSTANCE)).toEqual({ kind: 'go', attempt });
    }
    const attempt = { ...NOTHING, effectUnknown: true };
    expect(await noteCalls(room.ledger, [call(0), call(1)])).toEqual([{ kind: 'crashed', attempt }, GO]);
  });
});

describe('no call may be made', () => {
  it.each(['live', 'dead'] as const)('by a second job while a run has noted one that is %s', async (how) => {
    await noteCalls(room.ledger, [call(0)]);
    if (how === 'dead') await room.redis.del(run.lockKey);
    const other = await liveRun(room.ledger);
    const [verdict] = await noteCalls(room.ledger, [call(0, { run: other })]);
    expect(verdict?.kind).toBe(how === 'live' ? 'left' : 'go');
  });

  it('by a run that has lost its job, nor of an item that is settled, nor of a batch that is gone', async () => {
    await report(1, REVOKED);
    const verdicts = await noteCalls(room.ledger, [call(1), call(0, { batch: 'gone' })]);
    expect(verdicts).toEqual([{ kind: 'settled' }, { kind: 'no-batch' }]);
    await room.redis.set(run.lockKey, 'another');
    expect(await noteCalls(room.ledger, [call(0)])).toEqual([{ kind: 'lock-lost' }]);
    expect(await recorded(0)).toBeNull();
  });

  it('by a job of an item that waits, nor by a process whose claim has passed to another', async () => {
    const claim = await claimed(0);
    expect(await noteCalls(room.ledger, [call(0)])).toEqual([{ kind: 'left' }]);
    // Two claims of one millisecond would have one end.
    let later = await claimed(0);
    while (later.score === claim.score) later = await claimed(0);
    const verdicts = [await noteCalls(room.ledger, [call(0, { run: claim })]), later.score === claim.score];
    expect(verdicts).toEqual([[{ kind: 'left' }], false]);
    expect(await noteCalls(room.ledger, [call(0, { run: later })])).toEqual([GO]);
  });

  it('of an item that waits while a job is calling for it', async () => {
    await noteCalls(room.ledger, [call(0)]);
    const claim = await claimed(0);
    expect(await noteCalls(room.ledger, [call(0, { run: claim })])).toEqual([{ kind: 'busy' }]);
    await room.redis.del(run.lockKey);
    const attempt = { ...NOTHING, effectUnknown: true };
    expect(await noteCalls(room.ledger, [call(0, { run: claim })])).toEqual([{ kind: 'go', attempt }]);
  });

  it.each(['pause', 'cancel'] as const)('of a batch that had a %s, but for what may have worked', async (change) => {
    await dieCalling(room.ledger, batch, 1, INSTANCE);
    await room.ledger.batches.change(batch, change);
    const kinds = (await noteCalls(room.ledger, [call(0), call(1)])).map(({ kind }) => kind);
    // A paused batch is left alone; what a cancelled one may have deleted is followed.
    expect(kinds).toEqual(change === 'pause' ? ['paused', 'paused'] : ['cancelled', 'go']);
  });
});

describe('what a run says of its item', () => {
  it('counts while the note of the call is its own; a success counts always, and once', async () => {
    await noteCalls(room.ledger, [call(0)]);
    await room.redis.del(run.lockKey);
    const other = await liveRun(room.ledger);
    await noteCalls(room.ledger, [call(0, { run: other })]);
    const gone = { ...REVOKED, outcome: 'already-gone', code: 'FindDeviceBySnError' } as const;
    expect(await report(0, gone)).toBe('overtaken');
    expect(await report(0, { kind: 'wait', delayMs: 1, attempt: NOTHING })).toBe('overtaken');
    expect(await report(0, REVOKED)).toBe('settled');
    expect(await report(0, { ...gone, requestId: 'R-2' }, other)).toBe('already');
    expect((await room.batch(batch)).counts).toMatchObject({ revoked: 1, alreadyGone: 0 });
  });

  it('is the same when it is said again, since its reply was lost', async () => {
    await noteCalls(room.ledger, [call(0)]);
    for (let time = 0; time < 2; time += 1) expect(await report(0, REVOKED)).toBe('settled');
    expect((await room.batch(batch)).counts).toMatchObject({ revoked: 1 });
  });

  it('of a call that it has not made counts only where no live run has noted one', async () => {
    await noteCalls(room.ledger, [call(0)]);
    const other = await liveRun(room.ledger);
    const dead = { ...REVOKED, outcome: 'dead', isUncalled: true, requestId: '', code: 'malformed-job' } as const;
    expect(await report(0, { ...dead, letter: '{"instanceId":"i"' }, other)).toBe('overtaken');
    await room.redis.del(run.lockKey);
    expect(await report(0, { ...dead, letter: '{"instanceId":"i"' }, other)).toBe('settled');
    const letter = await room.redis.hget(room.ledger.keys.of(batch).dead, '0');
    expect(letter).toContain('"effectUnknown":true');
  });
});
