import { afterAll, describe, expect, it } from 'vitest';
import { MAX_CRASHES, type CallToNote, type Run } from '../../src/ledger/call-notes.ts';
import { certificatesOf, INSTANCE, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const callOf = (batch: string, n: number, run: Run, rest: Partial<CallToNote> = {}): CallToNote => {
  return { batch, n, instanceId: INSTANCE, run, ...rest };
};
const ASKED_AGAIN = { attempt: { failures: 1, calls: 1, effectUnknown: false } };

describe('a call', () => {
  it('is noted by the run that has the job, and by no other', async () => {
    const batch = await room.batchOf(certificatesOf(10));
    const run = room.joblessRun();
    expect(await room.note(batch, 0, run)).toBe('lock-lost');
    await room.redis.set(run.lockKey, 'theirs');
    expect(await room.note(batch, 0, run)).toBe('lock-lost');
    await room.redis.set(run.lockKey, run.token);
    expect(await room.note(batch, 9, run)).toBe('go');
    expect(await room.note('nowhere', 0, run)).toBe('no-batch');
    expect(await room.attempts(batch)).toEqual({ 9: `0 0 0 0 ${run.lockKey} ${run.token}` });
    expect(await room.keysWith('nowhere')).toEqual([]);
  });

  it('is the same one when its run asks again, as a client does that lost the reply', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const run = await room.job();
    expect(await room.note(batch, 0, run)).toBe('go');
    expect(await room.note(batch, 0, run)).toBe('go');
    // The run knows more than the ledger of a call that it makes again.
    expect(await room.note(batch, 0, run, ASKED_AGAIN)).toBe('go 1 1 known');
  });

  it('of a run that has its job is left to it, and may have worked when it has lost the job', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const [first, second] = [await room.job(), await room.job()];
    expect(await room.note(batch, 0, first)).toBe('go');
    expect(await room.note(batch, 0, second)).toBe('left');
    await room.loseJob(first);
    expect(await room.note(batch, 0, second)).toBe('go 0 0 unknown');
    expect(await room.attempts(batch)).toEqual({ 0: `0 0 1 1 ${second.lockKey} ${second.token}` });
    expect(await room.note(batch, 0, first)).toBe('lock-lost');
    // The same job in the hands of its next run.
    await room.redis.set(second.lockKey, 'next');
    expect(await room.note(batch, 0, { ...second, token: 'next' })).toBe('go 0 0 unknown');
  });

  it('is one where two jobs of the same item ask in one step', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const runs = [await room.job(), await room.job()] as const;
    const calls = runs.flatMap((run) => [callOf(batch, 0, run), callOf(batch, 1, run)]);
    const { verdicts, noted } = await room.noteAll(calls);
    expect(verdicts.map(({ kind }) => kind)).toEqual(['go', 'go', 'left', 'left']);
    expect(noted).toEqual([0, 1]);
    const name = `${runs[0].lockKey} ${runs[0].token}`;
    expect(await room.attempts(batch)).toEqual({ 0: `0 0 0 0 ${name}`, 1: `0 0 0 0 ${name}` });
  });

  it('is noted where it gets a slot alone, in the order in which calls were asked for', async () => {
    const [one, two] = [await room.batchOf(certificatesOf(3)), await room.batchOf(certificatesOf(3))];
    const run = await room.job();
    await room.settle(one, 0, 'revoked');
    const calls = [callOf(one, 0, run), callOf(two, 2, run), callOf(one, 1, run), callOf(two, 0, run)];
    const { verdicts, noted } = await room.noteAll(calls, { slots: 2 });
    expect(verdicts.map(({ kind }) => kind)).toEqual(['settled', 'go', 'go', 'go']);
    expect(noted).toEqual([1, 2]);
    expect(Object.keys(await room.attempts(one))).toEqual(['1']);
    expect(Object.keys(await room.attempts(two))).toEqual(['2']);
  });

  it('leaves no note behind when its item is settled', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    for (const n of [0, 1]) await room.note(batch, n, await room.job());
    for (const n of [0, 1]) await room.settle(batch, n, 'revoked');
    expect(await room.redis.exists(room.ledger.keys.of(batch).attempts)).toBe(0);
  });

  it('is not made of a paused batch, and of a cancelled one where an earlier one may have worked alone', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const crashed = await room.job();
    await room.note(batch, 1, crashed);
    await room.loseJob(crashed);
    const run = await room.job();
    await room.ledger.batches.change(batch, 'pause');
    for (const n of [0, 1]) expect(await room.note(batch, n, run)).toBe('paused');
    await room.ledger.batches.change(batch, 'cancel');
    expect(await room.note(batch, 0, run)).toBe('cancelled');
    expect(await room.note(batch, 1, run)).toBe('go 0 0 unknown');
  });

  it('is not made of an item that has crashed too many runs', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    for (let crashes = 0; crashes < MAX_CRASHES; crashes += 1) {
      const run = await room.job();
      expect(await room.note(batch, 0, run)).toBe(crashes === 0 ? 'go' : 'go 0 0 unknown');
      await room.loseJob(run);
    }
    const run = await room.job();
    expect(await room.note(batch, 0, run)).toBe('crashed 0 0 unknown');
    expect(await room.settle(batch, 0, 'dead', { run, code: 'stalled-too-often', requestId: '' })).toBe('drained');
    expect((await room.redis.hvals(room.ledger.keys.of(batch).dead))[0]).toContain('"effectUnknown":true');
  });
});

describe('a note that is taken back', () => {
  it('leaves no trace of a call that was not made, and no crash', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const run = await room.job();
    await room.note(batch, 0, run);
    await room.noteAll([], { back: [callOf(batch, 0, run)] });
    expect(await room.attempts(batch)).toEqual({});
    await room.loseJob(run);
    expect(await room.note(batch, 0, await room.job())).toBe('go');
  });

  it('leaves what lies behind the item', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const [run, next] = [await room.job(), await room.job()];
    await room.note(batch, 0, run);
    const attempt = { failures: 2, calls: 3, effectUnknown: true };
    await room.handBack(batch, 0, run, { kind: 'release', attempt });
    expect(await room.note(batch, 0, next)).toBe('go 2 3 unknown');
    await room.noteAll([], { back: [callOf(batch, 0, next)] });
    expect(await room.attempts(batch)).toEqual({ 0: '2 3 1 0 ' });
  });

  it('is that of its own run alone', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const [first, second] = [await room.job(), await room.job()];
    await room.note(batch, 0, first);
    await room.loseJob(first);
    await room.note(batch, 0, second);
    const before = await room.attempts(batch);
    await room.noteAll([], { back: [callOf(batch, 0, first)] });
    expect(await room.attempts(batch)).toEqual(before);
  });

  it('stays while its run has another call to tell of', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const run = await room.job();
    await room.note(batch, 0, run);
    await room.note(batch, 0, run, ASKED_AGAIN);
    await room.noteAll([], { back: [callOf(batch, 0, run, ASKED_AGAIN)] });
    expect(await room.attempts(batch)).toEqual({ 0: `1 1 0 0 ${run.lockKey} ${run.token}` });
    expect(await room.handBack(batch, 0, run, { kind: 'release', ...ASKED_AGAIN })).toBe('released');
  });
});

describe('an item that waits', () => {
  it('is called for by the run that has its claim, and by no job', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const run = await room.job();
    await room.ledger.waiting.park(batch, INSTANCE, [0]);
    expect(await room.note(batch, 0, run)).toBe('left');
    const runOf = await room.claimRuns(batch);
    expect(await room.note(batch, 0, run)).toBe('left');
    const claim = runOf(0);
    const passed = { ...claim, name: 'passed', score: claim.score - 1 };
    expect(await room.note(batch, 0, passed)).toBe('left');
    expect(await room.note(batch, 0, claim)).toBe('go');
    expect(await room.attempts(batch)).toEqual({ 0: `0 0 0 0 ~${claim.name}` });
    // The note has renewed the claim.
    expect((await room.waiting()).get(`${batch} 0`)).toBe(claim.score);
    expect(await room.note(batch, 0, claim)).toBe('go');
  });

  it('is left alone while a live job has a call of it on its way', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const run = await room.job();
    await room.note(batch, 0, run);
    await room.ledger.waiting.park(batch, INSTANCE, [0]);
    const runOf = await room.claimRuns(batch);
    expect(await room.note(batch, 0, runOf(0))).toBe('busy');
    await room.loseJob(run);
    expect(await room.note(batch, 0, runOf(0))).toBe('go 0 0 unknown');
  });

  it.each([
    ['the run that has noted a call', ['before', 'now'], ['go', 'left']],
    ['the run that has the claim by now', ['now', 'before'], ['go 0 0 unknown', 'left']],
  ] as const)(
    'and whose claim passed to another is called for by %s, where that asks first',
    async (_, order, said) => {
      const batch = await room.batchOf(certificatesOf(1));
      await room.ledger.waiting.park(batch, INSTANCE, [0]);
      const before = (await room.claimRuns(batch))(0);
      expect(await room.note(batch, 0, before)).toBe('go');
      // As if its process had stood still for longer than a claim lasts.
      before.score = 1;
      await room.redis.zadd(room.ledger.keys.waiting(INSTANCE), before.score, `${batch} 0`);
      const runs = { before, now: (await room.claimRuns(batch))(0) };
      const heard: string[] = [];
      for (const who of order) heard.push(await room.note(batch, 0, runs[who]));
      expect(heard).toEqual(said);
    },
  );

  it('leaves the place when its claim finds it settled, or its batch forgotten', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    await room.ledger.waiting.park(batch, INSTANCE, [0, 1]);
    const runOf = await room.claimRuns(batch);
    await room.settle(batch, 0, 'revoked');
    expect(await room.note(batch, 0, runOf(0))).toBe('settled');
    await room.redis.del(room.ledger.keys.of(batch).record);
    expect(await room.note(batch, 1, runOf(1))).toBe('no-batch');
    expect([...(await room.waiting()).keys()].filter((member) => member.startsWith(batch))).toEqual([]);
  });
});
