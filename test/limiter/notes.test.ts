import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readHalts } from '../../src/limiter/halts/halt-store.ts';
import { slotOf } from './fleet.ts';
import { countOf, standing } from './lua-notes.ts';
import { expectOneNoteEach, names, NotedFleet, paceOf, request, takeAll } from './noted-fleet.ts';

const fleet = new NotedFleet();
const PACES = {
  refused: paceOf('refused'),
  few: paceOf('few', 20),
  stalled: paceOf('stalled'),
  late: paceOf('late'),
  cut: paceOf('cut'),
  claims: paceOf('claims'),
  probe: paceOf('probe'),
};

/** At 400 a second: what three pulses make. */
const MOST_IN_A_PULSE = 30;

beforeAll(() => fleet.prime(Object.values(PACES)));
afterEach(() => fleet.closeAll());
afterAll(() => fleet.keys.cleanup());

function stall(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

describe('a call that may not be made', () => {
  it('is refused with what its notes say, and costs no slot', async () => {
    const member = await fleet.openOne(PACES.refused);
    const before = await fleet.given('refused');
    const calls = names(60);
    const bad = calls.filter((_, at) => at % 3 !== 0);
    await member.notes.judge(bad.slice(0, 20), 'settled');
    await member.notes.judge(bad.slice(20), 'cancelled');
    const grants = await takeAll(member, calls);
    for (const [at, call] of calls.entries()) {
      const kind = bad.indexOf(call) < 0 ? 'go' : bad.indexOf(call) < 20 ? 'settled' : 'cancelled';
      expect(grants[at]).toMatchObject({ kind: kind === 'go' ? 'slot' : 'refused', verdict: { kind } });
    }
    const log = await member.notes.log();
    expect(standing(log)).toEqual(new Set(calls.filter((call) => !bad.includes(call))));
    // Each slot is one note; where a busy machine voids some, there are more of both.
    expect((await fleet.given('refused')) - before).toBe(countOf(log, 'noted'));
  });

  it('gives a probe back, and the next caller has it', async () => {
    const member = await fleet.openOne({ ...PACES.probe, probeIntervalMs: 1 });
    await member.limiter.halt('instance', 'any', 'code', 'message');
    await fleet.closeAll();
    // The probe after this one is half a minute away.
    const next = await fleet.openOne({ ...PACES.probe, probeIntervalMs: 30_000 });
    await vi.waitUntil(() => next.limiter.admits('any') === 'probe', { timeout: 60_000 });
    await next.notes.judge(['cancelled'], 'cancelled');
    expect(await next.limiter.take(request('cancelled'))).toMatchObject({ kind: 'refused' });
    await vi.waitUntil(() => next.limiter.admits('any') === 'probe', { timeout: 60_000 });
    const probe = await slotOf(next.limiter, request('wanted'));
    expect(probe).toMatchObject({ isProbe: true, verdict: { kind: 'go' } });
    expect(await probe.report({ kind: 'proved' })).toBe('lifted');
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'probe')).toEqual([]);
  });
});

describe('a call is noted', () => {
  it('only with its slot, and those who wait are not', async () => {
    const member = await fleet.openOne(PACES.few);
    const before = await fleet.given('few');
    const calls = names(200);
    const taken = calls.map((call) => member.limiter.take(request(call)));
    await Promise.all(taken.slice(0, 5));
    await member.limiter.close();
    const grants = await Promise.all(taken);
    const log = await member.notes.log();
    const called = calls.filter((_, at) => grants[at]?.kind === 'slot');
    const noted = standing(log);
    for (const call of called) expect(noted).toContain(call);
    // Those that it had slots for, and none else.
    await expect
      .poll(async () => (await fleet.given('few')) - before - countOf(await member.notes.log(), 'noted'))
      .toBe(0);
    expect(noted.size).toBeLessThan(called.length + 20);
  });

  it('and the new end of its claim is told', async () => {
    const member = await fleet.openOne(PACES.claims);
    const calls = names(20);
    const beforeMs = Date.now();
    await takeAll(member, calls);
    const claims = await member.notes.claims();
    expect([...claims.keys()].toSorted()).toEqual(calls.toSorted());
    expect(member.notes.claimEnds).toEqual(claims);
    for (const endMs of claims.values()) expect(endMs).toBeGreaterThanOrEqual(beforeMs + member.notes.claimMs);
  });
});

describe('the note of a call is taken back with the next pulse', () => {
  it('where the process stalled past its slot', async () => {
    const member = await fleet.openOne(PACES.stalled);
    let calls: string[] = [];
    // Until a stall meets slots in hand.
    for (let round = 0; countOf(await member.notes.log(), 'back') === 0; round += 1) {
      const more = names(40, `${round}-`);
      const taken = more.map((call) => member.limiter.take(request(call)));
      await taken[0];
      stall(120);
      await Promise.all(taken);
      calls = [...calls, ...more];
    }
    expect(member.notices.map(({ kind }) => kind)).toContain('slots-void');
    await expectOneNoteEach(member, calls);
  });

  it('where the answer came too late', async () => {
    let stalls = 0;
    const member = await fleet.openOne({
      ...PACES.late,
      onPulse() {
        if (stalls === 0) return;
        stalls -= 1;
        // Longer than from the question to the end of any slot.
        stall(150);
      },
    });
    await slotOf(member.limiter, request('first'));
    stalls = 1;
    const calls = names(8);
    const grants = await takeAll(member, calls);
    expect(grants.map(({ kind }) => kind)).toEqual(calls.map(() => 'slot'));
    expect(countOf(await member.notes.log(), 'back')).toBeGreaterThan(0);
    expect(member.notices).toContainEqual(expect.objectContaining({ kind: 'reservation-late' }));
    await expectOneNoteEach(member, ['first', ...calls]);
  });

  it('where the connection was lost with it', async () => {
    const member = await fleet.openOne(PACES.cut);
    await slotOf(member.limiter, request('first'));
    let calls: string[] = [];
    let cuts = 0;
    // Until a cut meets slots in hand.
    for (; countOf(await member.notes.log(), 'back') === 0; cuts += 1) {
      const more = names(60, `${cuts}-`);
      const taken = more.map((call) => member.limiter.take(request(call)));
      await taken[0];
      await fleet.keys.client.client('KILL', 'ID', await member.redis.client('ID'));
      await Promise.all(taken);
      calls = [...calls, ...more];
    }
    const log = await member.notes.log();
    expect(standing(log)).toEqual(new Set(['first', ...calls]));
    // A command may have been done before the loss and again after it; nothing else is noted twice.
    const again = log.filter(
      ({ kind, call }, at) =>
        kind === 'noted' &&
        log.slice(0, at).findLast((event) => event.call === call && event.kind !== 'looked')?.kind === 'noted',
    );
    expect(again.length).toBeLessThanOrEqual(cuts * MOST_IN_A_PULSE);
  });
});
