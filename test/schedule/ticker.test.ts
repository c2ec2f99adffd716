import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { certificatesOf } from '../ledger/ledger-room.ts';
import { HOUR_MS, MINUTE_MS, RULE, Ticking, windowOf } from './ticking.ts';

let room: Ticking;
beforeEach(async () => {
  room = await Ticking.open();
});
afterEach(() => room.cleanup());

const at = (time: string): void => {
  room.nowMs = Date.parse(time);
};

describe('a schedule', () => {
  it('has nothing to catch up when it is seen for the first time, or changed', async () => {
    at('2026-03-02T03:00:30Z');
    const host = room.host();
    await host.tick();
    expect(await room.ends()).toEqual([]);
    // A rule that would have run a minute ago begins now, whatever of it was changed.
    at('2026-03-02T04:01:00Z');
    await room.host({ ...RULE, cron: '0 4 * * *' }).tick();
    at('2026-03-02T05:00:00Z');
    await room.host({ ...RULE, cron: '0 4 * * *', maxItems: 7 }).tick();
    expect(await room.ends()).toEqual([]);
    // And so does one that comes back after another was in force.
    at('2026-03-03T03:30:00Z');
    await room.host().tick();
    expect(await room.ends()).toEqual([]);
    at('2026-03-04T03:00:00Z');
    await host.tick();
    expect(await room.ends()).toEqual(['2026-03-04T03:00 activated']);
  });

  it('makes no run after three days without a worker, and one after three hours', async () => {
    const hourly = { ...RULE, cron: '0 * * * *', catchUpForMs: 4 * HOUR_MS };
    const daily = { ...RULE, name: 'daily', catchUpForMs: 24 * HOUR_MS };
    const hosts = [room.host(hourly), room.host(daily)];
    const tick = async (): Promise<void> => {
      for (const host of hosts) await host.tick();
    };
    await tick();
    at('2026-03-02T03:00:01Z');
    await room.host(daily).tick();
    await room.finishBatches();
    await tick();
    await room.finishBatches();
    expect(room.runs).toBe(2);
    expect(await room.ends(daily)).toEqual(['2026-03-02T03:00 activated']);

    at('2026-03-02T06:30:00Z');
    await tick();
    await tick();
    expect(room.runs).toBe(3);
    expect((await room.ends(hourly)).slice(-3)).toEqual([
      '2026-03-02T04:00 skipped',
      '2026-03-02T05:00 skipped',
      '2026-03-02T06:00 activated',
    ]);
    await room.finishBatches();

    // Of two that were missed, the latest is 23 hours and 45 minutes late.
    at('2026-03-05T02:45:00Z');
    await room.host({ ...daily }).tick();
    expect(await room.ends(daily)).toEqual([
      '2026-03-02T03:00 activated',
      '2026-03-03T03:00 skipped',
      '2026-03-04T03:00 activated',
    ]);
    // Three days later, none is within the time.
    const strict = { ...daily, name: 'strict', catchUpForMs: 3 * HOUR_MS };
    const host = room.host(strict);
    at('2026-03-08T02:45:00Z');
    await host.tick();
    at('2026-03-11T12:00:00Z');
    await host.tick();
    expect(await room.ends(strict)).toEqual([
      '2026-03-08T03:00 skipped',
      '2026-03-09T03:00 skipped',
      '2026-03-10T03:00 skipped',
      '2026-03-11T03:00 skipped',
    ]);
    expect((await room.last(strict)).reason).toContain('it is 9h late: more than catchUpFor (3h) allows');
  });

  it('skips what would overlap its batch, or a run that went on', async () => {
    const host = room.host();
    await host.tick();
    at('2026-03-02T03:00:00Z');
    await host.tick();
    const { batch } = await room.last();
    at('2026-03-03T03:00:00Z');
    await host.tick();
    expect(await room.last()).toMatchObject({
      state: 'skipped',
      reason: `it would overlap batch ${batch}, which is not done`,
    });
    await room.finishBatches();
    // A run of two days: the walk over a listing may take long.
    at('2026-03-04T03:00:00Z');
    room.instead = () => {
      at('2026-03-06T03:00:00Z');
      return Promise.resolve({ kind: 'planned', reason: 'a plan' });
    };
    await host.tick();
    room.instead = undefined;
    await host.tick();
    expect((await room.ends()).slice(-3)).toEqual([
      '2026-03-04T03:00 planned',
      '2026-03-05T03:00 skipped',
      '2026-03-06T03:00 skipped',
    ]);
    expect((await room.last()).reason).toContain('it would have overlapped the run before');
    at('2026-03-07T03:00:00Z');
    await host.tick();
    expect((await room.last()).state).toBe('activated');
  });

  it('pauses itself after a run that failed, and has nothing to catch up when it is resumed', async () => {
    const host = room.host();
    await host.tick();
    at('2026-03-02T03:00:00Z');
    room.instead = () => Promise.resolve({ kind: 'failed', reason: 'no permission' });
    await host.tick();
    room.instead = undefined;
    expect(await room.ends()).toEqual(['2026-03-02T03:00 failed']);
    expect(await room.schedules.find(RULE.name)).toMatchObject({ paused: 'no permission' });
    at('2026-03-03T03:00:00Z');
    await host.tick();
    expect(await room.last()).toMatchObject({ state: 'skipped', reason: 'the schedule is paused: no permission' });
    at('2026-03-04T03:30:00Z');
    expect(await room.schedules.resume(RULE.name, room.nowMs, { requestedBy: 'ops' })).toBe(true);
    await host.tick();
    expect(room.runs).toBe(1);
    at('2026-03-05T03:00:00Z');
    await host.tick();
    expect((await room.last()).state).toBe('activated');
    const entries = await room.redis.xrange(room.ledger.keys.audit.stream, '-', '+');
    const events = entries.map(([, fields]) => JSON.parse(fields[1] ?? '{}') as { event: string; schedule?: string });
    expect(events.filter(({ schedule }) => schedule === RULE.name).map(({ event }) => event)).toEqual([
      'schedule-pause',
      'schedule-resume',
    ]);
  });

  it.each([
    { who: 'an operator', event: undefined },
    { who: 'the breaker', event: 'breaker-pause' as const },
  ])('pauses itself after a batch that $who paused, once', async ({ event }) => {
    const host = room.host();
    await host.tick();
    at('2026-03-02T03:00:00Z');
    await host.tick();
    const { batch } = await room.last();
    const deed = event === undefined ? {} : { event, pausedBecause: '7 of 100 are dead' };
    await room.ledger.batches.change(batch ?? '', 'pause', deed);
    await host.tick();
    const { paused } = await room.schedules.find(RULE.name);
    expect(paused).toContain(`batch ${batch} was paused`);
    await room.schedules.resume(RULE.name, room.nowMs, {});
    await host.tick();
    expect((await room.schedules.find(RULE.name)).paused).toBeUndefined();
  });

  it('has its batch wait outside of the window, and resumes nothing but what the window paused', async () => {
    const rule = { ...RULE, cron: '30 5 * * *', window: windowOf('02:00-06:00') };
    const host = room.host(rule);
    await host.tick();
    at('2026-03-02T05:30:00Z');
    await host.tick();
    const batch = (await room.last(rule)).batch ?? '';
    const state = async (): Promise<string> => (await room.batch(batch)).state;
    expect(await state()).toBe('running');
    at('2026-03-02T06:00:00Z');
    await host.tick();
    expect(await room.batch(batch)).toMatchObject({
      state: 'paused',
      isOutsideWindow: true,
      pausedBecause: 'outside the window 02:00-06:00 of schedule tidy',
    });
    at('2026-03-03T02:00:00Z');
    await host.tick();
    // Nobody has looked at it: the ramp and the breaker go on as before.
    expect(await room.batch(batch)).toMatchObject({ state: 'running', resumes: 0 });
    expect((await room.batch(batch)).resumedAt).toBeUndefined();

    // What an operator pauses while it waits stays paused.
    at('2026-03-03T06:00:00Z');
    await host.tick();
    expect(await room.ledger.batches.change(batch, 'pause')).toEqual({ kind: 'changed', state: 'paused' });
    at('2026-03-04T02:00:00Z');
    await host.tick();
    await host.tick();
    expect(await state()).toBe('paused');
    expect((await room.schedules.find(rule.name)).paused).toContain(`batch ${batch} was paused`);
    expect(await room.ledger.batches.change(batch, 'resume', { event: 'window-resume' })).toMatchObject({
      kind: 'refused',
    });
    // And so does what one pauses inside of it; who resumes it has it run.
    await room.ledger.batches.change(batch, 'resume');
    await room.ledger.batches.change(batch, 'pause');
    await host.tick();
    expect(await state()).toBe('paused');
  });

  it('begins a batch paused where it is due outside of the window', async () => {
    const rule = { ...RULE, cron: '0 1 * * *', window: windowOf('02:00-06:00') };
    const host = room.host(rule);
    await host.tick();
    at('2026-03-02T01:00:00Z');
    await host.tick();
    const { batch } = await room.last(rule);
    expect(await room.batch(batch ?? '')).toMatchObject({ state: 'paused', isOutsideWindow: true });
    at('2026-03-02T02:00:30Z');
    await host.tick();
    expect(await room.batch(batch ?? '')).toMatchObject({ state: 'running' });
  });

  it('is one batch where three hosts come at once', async () => {
    const hosts = [room.host(), room.host(), room.host()];
    for (const host of hosts) await host.tick();
    for (let day = 2; day < 12; day += 1) {
      at(`2026-03-${String(day).padStart(2, '0')}T03:00:00Z`);
      await Promise.all(hosts.map((host) => host.tick()));
      await Promise.all(hosts.map((host) => host.tick()));
      await room.finishBatches();
    }
    expect(await room.ends()).toEqual(
      Array.from({ length: 10 }, (_, n) => `2026-03-${String(n + 2).padStart(2, '0')}T03:00 activated`),
    );
    expect(await room.ledger.batches.all()).toHaveLength(10);
  });

  it('ends an occurrence in the step that activates its batch, or not at all', async () => {
    const host = room.host();
    await host.tick();
    at('2026-03-02T03:00:00Z');
    // Another process takes the occurrence over while this one is at its plan.
    const { claim } = room.ledger.keys.schedule(RULE.name);
    const slow = room.host(RULE, (step) => {
      if (step === 'planned') void room.redis.set(claim, 'another');
    });
    await slow.tick();
    expect(await room.ends()).toEqual([]);
    expect(await room.ledger.batches.all()).toEqual([]);
    await room.redis.del(claim);
    await host.tick();
    expect(await room.ends()).toEqual(['2026-03-02T03:00 activated']);
  });

  it('gives an occurrence no second batch, even where the same process asks', async () => {
    const occurrence = { schedule: RULE.name, id: 'tidy@2026-03-02T03:00[UTC]', holder: 'me', isDue: true, nowMs: 1 };
    expect(await room.schedules.claim(RULE.name, occurrence.id, 'me', 1)).toBe('claimed');
    const [first, second] = [await room.plan(certificatesOf(1)), await room.plan(certificatesOf(1))];
    expect(await first.activate({ occurrence })).toMatchObject({ kind: 'running' });
    // A reply that was lost, and a second attempt.
    expect(await first.activate({ occurrence })).toMatchObject({ kind: 'running', batch: first.batch });
    expect(await second.activate({ occurrence })).toEqual({ kind: 'overtaken' });
    expect(await room.ledger.batches.all()).toHaveLength(1);
    expect((await room.last()).batch).toBe(first.batch);
  });

  it('is late by a tick at most, and on time however short catchUpFor is', async () => {
    const rule = { ...RULE, catchUpForMs: 0 };
    const host = room.host(rule);
    await host.tick();
    room.nowMs = Date.parse('2026-03-02T03:00:00Z') + MINUTE_MS / 2;
    await host.tick();
    expect(await room.ends(rule)).toEqual(['2026-03-02T03:00 activated']);
  });
});
