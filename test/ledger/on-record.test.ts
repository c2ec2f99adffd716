import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { entryOf, storedEntries, verifyChain } from '../../src/audit/chain.ts';
import type { AuditEntry } from '../../src/audit/entry.ts';
import { recordPace } from '../../src/audit/pace.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { Plan } from '../../src/ledger/plan.ts';
import { certificatesOf, LedgerRoom, NOBODY } from './ledger-room.ts';

let room: LedgerRoom;
beforeEach(() => {
  room = new LedgerRoom();
});
afterEach(() => room.cleanup());

async function entries(): Promise<AuditEntry[]> {
  const found: (AuditEntry | undefined)[] = [];
  for await (const stored of storedEntries(room.redis, room.ledger.keys.audit)) found.push(entryOf(stored));
  expect(await verifyChain(room.redis, room.ledger.keys.audit)).toMatchObject({ kind: 'whole', entries: found.length });
  return found.filter((entry) => entry !== undefined);
}

const eventsOf = (all: readonly AuditEntry[]): string[] => all.map(({ event }) => event);

/** A ledger whose every script is sent twice, as a client does whose reply was lost; the second reply is what it hears. */
function resending(): { ledger: Ledger; redis: Redis } {
  const redis = new Proxy(room.redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      const call = (args: unknown[]): unknown => Reflect.apply(value, target, args);
      if (name !== 'evalsha' && name !== 'eval') return (...args: unknown[]): unknown => call(args);
      return async (...args: unknown[]): Promise<unknown> => {
        await call(args);
        return call(args);
      };
    },
  });
  return { ledger: new Ledger(redis, room.keys.prefix), redis };
}

async function batchWithDead(count: number): Promise<string> {
  const batch = await room.batchOf(certificatesOf(count));
  for (let n = 0; n < count; n += 1) await room.settle(batch, n, 'dead', { run: NOBODY });
  return batch;
}

describe('the audit record', () => {
  it('has what is done to a batch, with who and why, and nothing of what was refused', async () => {
    const plan = new Plan(room.ledger, { priority: 'bulk', requestedBy: 'eve', reason: 'early' }, Date.now());
    for (const item of certificatesOf(2)) await plan.add(item);
    await plan.activate({ reason: 'late', manifestSha256: 'abc' });
    const { batch } = plan;
    expect(await room.submit(certificatesOf(1))).toMatchObject({ kind: 'running' });
    const { batches } = room.ledger;
    await batches.change(batch, 'resume', { requestedBy: 'eve' });
    await batches.change(batch, 'pause', { requestedBy: 'eve', reason: 'smoke' });
    await batches.change(batch, 'pause', { requestedBy: 'ben' });
    await batches.change(batch, 'resume', { requestedBy: 'ben' });
    await batches.change(batch, 'pause', { event: 'breaker-pause', pausedBecause: 'too many', resumes: 0 });
    await batches.change(batch, 'pause', { event: 'breaker-pause', pausedBecause: 'too many', resumes: 1 });
    await batches.change(batch, 'cancel');
    await batches.change('none', 'cancel');
    const all = (await entries()).filter((entry) => entry.batch === batch);
    expect(all.map(({ event, requestedBy, reason }) => [event, requestedBy, reason])).toEqual([
      ['submit', 'eve', 'late'],
      ['pause', 'eve', 'smoke'],
      ['resume', 'ben', null],
      ['breaker-pause', null, 'too many'],
      ['cancel', null, null],
    ]);
    expect(all[0]).toMatchObject({ counts: { accepted: 2, revoked: 0 }, manifestSha256: 'abc' });
    expect(await room.batch(batch)).toMatchObject({ reason: 'late', manifestSha256: 'abc' });
  });

  it('has one entry of two operators who do the same at once', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const changes = await Promise.all(
      ['eve', 'ben'].map((who) => room.ledger.batches.change(batch, 'pause', { requestedBy: who })),
    );
    expect(changes.filter(({ kind }) => kind === 'changed')).toHaveLength(1);
    expect(eventsOf(await entries())).toEqual(['submit', 'pause']);
  });

  it('has an entry for each step of letters that are retried or discarded, with how many', async () => {
    const batch = await batchWithDead(6);
    await Promise.all([
      room.ledger.deadLetters.reopen(batch, [0, 1, 2], { requestedBy: 'eve' }),
      room.ledger.deadLetters.reopen(batch, [0, 1, 2], { requestedBy: 'ben' }),
    ]);
    await room.ledger.deadLetters.discard(batch, [2, 3, 4], { reason: 'lost' });
    await room.ledger.deadLetters.discard(batch, [3, 4]);
    expect((await entries()).slice(1)).toMatchObject([
      { event: 'dead-retry', counts: { accepted: 6, dead: 3, letters: 3 } },
      { event: 'dead-discard', reason: 'lost', counts: { dead: 3, letters: 2 } },
    ]);
    expect(await room.batch(batch)).toMatchObject({ counts: { dead: 3 } });
  });

  it('retries more letters than one step takes, each once', async () => {
    const batch = await room.batchOf(certificatesOf(1_200));
    const all = Array.from({ length: 1_200 }, (_, n) => n);
    for (let at = 0; at < 1_200; at += 400) {
      await room.report(batch, ...all.slice(at, at + 400).map((n) => room.settlement(n, 'dead', { run: NOBODY })));
    }
    const replies = await room.ledger.deadLetters.reopen(batch, all);
    expect(replies.filter((reply) => reply === 'reopened')).toHaveLength(1_200);
    expect((await entries()).slice(1).map(({ counts }) => counts?.['letters'])).toEqual([500, 500, 200]);
    expect((await room.waiting()).size).toBe(1_200);
    expect(await room.batch(batch)).toMatchObject({ state: 'running', counts: { dead: 0 } });
  });

  it('has a pace where it differs from the last recorded of the account', async () => {
    const pace = { account: 'prod', qps: 480, egress: { id: 'default', qps: 280 } };
    const record = (rest: object): Promise<boolean> =>
      recordPace(room.redis, room.ledger.keys.audit, { ...pace, ...rest });
    expect(await record({})).toBe(true);
    expect(await record({})).toBe(false);
    expect(await record({ account: 'other' })).toBe(true);
    expect(await record({ qps: 100 })).toBe(true);
    expect((await entries()).at(-1)).toMatchObject({
      event: 'pace',
      batch: null,
      counts: { qps: 100, egressQps: 280 },
    });
    expect(await entries()).toHaveLength(3);
  });
});

describe('a script that is sent again', () => {
  it('writes one entry, and replies the same', async () => {
    const { ledger } = resending();
    const plan = new Plan(ledger, { priority: 'bulk' }, Date.now());
    for (const item of certificatesOf(4)) await plan.add(item);
    expect(await plan.activate()).toMatchObject({ kind: 'running' });
    const { batch } = plan;
    expect(await ledger.batches.change(batch, 'pause')).toEqual({ kind: 'changed', state: 'paused' });
    expect(await ledger.batches.change(batch, 'resume')).toEqual({ kind: 'changed', state: 'running' });
    expect(await room.batch(batch)).toMatchObject({ resumes: 1 });
    for (const n of [0, 1, 2, 3]) await room.settle(batch, n, 'dead', { run: NOBODY });
    expect(await ledger.deadLetters.reopen(batch, [0, 1, 7])).toEqual(['reopened', 'reopened', 'gone']);
    expect(await ledger.deadLetters.discard(batch, [2, 3, 3])).toEqual([true, true, false]);
    expect(await ledger.batches.change(batch, 'cancel')).toMatchObject({ kind: 'changed' });
    expect(await ledger.items.cancel(batch, [{ n: 0 }, { n: 1 }, { n: 2 }])).toEqual([
      { n: 0, outcome: 'cancelled' },
      { n: 1, outcome: 'cancelled' },
    ]);
    expect(await ledger.batches.forget(batch)).toBe('forgotten');
    const events = ['submit', 'pause', 'resume', 'dead-retry', 'dead-discard', 'cancel', 'forget'];
    expect(eventsOf(await entries())).toEqual(events);
  });

  it('writes one entry of what is forgotten in several steps', async () => {
    const direct = 'direct-default';
    // More than a step takes.
    for (const [n, item] of certificatesOf(501).entries()) {
      await room.ledger.direct.adopt(direct, `job-${n}`, item);
      await room.settle(direct, n, 'revoked', { run: NOBODY });
    }
    await resending().ledger.direct.forget(direct, Date.now() + 60_000);
    expect(await room.redis.hget(room.ledger.keys.of(direct).record, 'forgotten')).toBe('501');
    expect(eventsOf(await entries())).toEqual(['forget']);
  });

  it('does not pause again what another operator has resumed meanwhile', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const sent: unknown[][] = [];
    const redis = new Proxy(room.redis, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (name === 'evalsha') sent.push(args);
          return Reflect.apply(value, target, args);
        };
      },
    });
    await new Ledger(redis, room.keys.prefix).batches.change(batch, 'pause');
    await room.ledger.batches.change(batch, 'resume');
    const again = room.redis as { evalsha(...args: unknown[]): Promise<unknown> };
    for (const args of sent) await again.evalsha(...args);
    expect(await room.batch(batch)).toMatchObject({ state: 'running' });
    expect(eventsOf(await entries())).toEqual(['submit', 'pause', 'resume']);
  });
});
