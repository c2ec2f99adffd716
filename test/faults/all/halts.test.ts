import { expect, it, vi } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { readHalts } from '../../../src/limiter/halts/halt-store.ts';
import { blockRange, KEY_PREFIX } from '../../../src/queue/contract.ts';
import { AccountQueues } from '../../../src/queue/queues.ts';
import { generateCertificates } from '../../../src/sandbox/generate.ts';
import type { JournaledCall } from '../../../src/sandbox/journal.ts';
import { expectEffects, expectNothingLost, expectSecrecy } from '../../support/oracles.ts';
import { expectNeverOver } from '../../support/pace-oracle.ts';
import { openRig, type Rig } from '../../support/rig.ts';
import { HALTING_CODES } from '../codes.ts';

/** So slow that most of each account's items are left when its code comes. */
const CAPS = { accountQps: 10, egressQps: 280 };
const ITEMS_OF_INSTANCE = 20;
/** Calls that may hear the code before the halt holds: a second of the pace. */
const REFUSED_AT_MOST = CAPS.accountQps;
/** Between two probes of a halt are 30 s by Redis' clock, which may differ from the witness' by a little. */
const PROBE_EVERY_MS = 29_500;
const HALTED_WITHIN_MS = 20_000;
/** A job that was sent away comes back after up to half as much again as the time to the next probe, and then there is the rest to do. */
const ENDED_WITHIN_MS = 90_000;

/** An account with two instances, one of which meets the code; the other one too where the code stops the account. */
interface Stricken {
  readonly account: string;
  readonly code: string;
  readonly stopped: readonly Certificate[];
  readonly goesOn: readonly Certificate[];
  readonly halt: object;
}

const STRICKEN = HALTING_CODES.map(({ code, scope }, n): Stricken => {
  const account = code.toLowerCase().replaceAll('.', '-');
  const [first = [], second = []] = ['first', 'second'].map((which, at) => {
    const options = { seed: 2 * n + at, instanceId: `${account}-${which}`, caSn: 'CA01' };
    return [...generateCertificates(ITEMS_OF_INSTANCE, options)];
  });
  const isAccount = scope === 'account';
  return {
    account,
    code,
    stopped: isAccount ? [...first, ...second] : first,
    goesOn: isAccount ? [] : second,
    halt: { account, code, ...(isAccount ? {} : { instanceId: `${account}-first` }) },
  };
});

it('each code of the table that stops an account or an instance: hardly a call until its probe, then the rest', async () => {
  const items = STRICKEN.flatMap(({ stopped, goesOn }) => [...stopped, ...goesOn]);
  const instances = STRICKEN.map(({ account }) => [account, [`${account}-first`, `${account}-second`]] as const);
  const rig = await openRig({ caps: CAPS, accounts: Object.fromEntries(instances) });
  try {
    const batch = await rig.submit(items);
    // A batch that was resumed has no ramp, so all accounts begin at once.
    await rig.run(['pause', batch]);
    await rig.run(['resume', batch]);
    await rig.startWorker();
    await rig.until(batch, ({ pending }) => pending <= items.length * 0.9);
    await rig.control('plan', {
      seed: 1,
      faults: STRICKEN.map(({ code, stopped }) => {
        return { kind: 'code', code, deviceSns: stopped.map(({ deviceSn }) => deviceSn), times: 'always' };
      }),
    });
    await expectAllHalted(rig);
    await expectNothingInHand(rig, batch, items);

    const halted = await rig.calls();
    const deleted = new Set(halted.flatMap(({ deviceSn, deleted: isDeleted }) => (isDeleted ? [deviceSn] : [])));
    expect(await rig.status(batch)).toMatchObject({ state: 'running', revoked: deleted.size, alreadyGone: 0, dead: 0 });
    const goesOn = STRICKEN.flatMap((stricken) => stricken.goesOn);
    expect(goesOn.filter(({ deviceSn }) => !deleted.has(deviceSn))).toEqual([]);

    await rig.control('plan', { seed: 1, faults: [] });
    const ended = await rig.until(batch, ({ pending }) => pending === 0, ENDED_WITHIN_MS);
    expect(ended).toMatchObject({ state: 'completed', revoked: items.length });
    expect(await readHalts(rig.direct, KEY_PREFIX)).toEqual([]);
    const calls = await rig.calls();
    for (const stricken of STRICKEN) expectHardlyACall(stricken, calls);
    await expectNothingLost(rig, batch, items);
    await expectEffects(rig, batch, items);
    await expectNeverOver('each code that halts', await rig.pace(), items.length);
    await expectSecrecy(rig, batch);
  } finally {
    await rig.remove();
  }
}, 240_000);

/** Each account or instance is halted, by its own code, and nothing else is. */
async function expectAllHalted(rig: Rig): Promise<void> {
  await vi.waitFor(
    async () => {
      const halts = await readHalts(rig.direct, KEY_PREFIX);
      const seen = halts.map(({ account, code, instanceId }) => {
        return { account, code, ...(instanceId === undefined ? {} : { instanceId }) };
      });
      expect(seen).toHaveLength(STRICKEN.length);
      expect(seen).toEqual(expect.arrayContaining(STRICKEN.map(({ halt }) => halt)));
    },
    { timeout: HALTED_WITHIN_MS, interval: 100 },
  );
}

/** Every item that is not settled waits for the end of a halt, by itself or in a block that nobody takes; none was lost. */
async function expectNothingInHand(rig: Rig, batch: string, items: readonly Certificate[]): Promise<void> {
  const ledger = new Ledger(rig.direct, KEY_PREFIX);
  const queues = STRICKEN.map(({ account }) => new AccountQueues(rig.direct, KEY_PREFIX, account));
  await vi.waitFor(
    async () => {
      for (const queue of queues) expect(await queue.backlog()).toMatchObject({ direct: 0, active: 0, failed: 0 });
      const ids = (await Promise.all(queues.map((queue) => queue.blockIds()))).flat();
      const isSettled = await ledger.items.settledOfChunk(batch, 0);
      const open = items.flatMap(({ instanceId }, n) => (isSettled(n) ? [] : [{ n, instanceId }]));
      const isWaiting = await ledger.waiting.areWaiting(batch, open);
      const inBlock = open.map(({ n, instanceId }) => {
        const ranges = ids.flatMap((id) => blockRange(id, batch, instanceId) ?? []);
        return ranges.filter(({ from, to }) => n >= from && n < to).length;
      });
      expect(open.filter((_, at) => !(isWaiting[at] ?? false) && inBlock[at] !== 1)).toEqual([]);
    },
    { timeout: HALTED_WITHIN_MS, interval: 200 },
  );
  await Promise.all(queues.map((queue) => queue.close()));
}

/** By the witness: from the first refusal on, no more than a second of the pace, then none until the probe that worked. */
function expectHardlyACall({ code, stopped }: Stricken, calls: readonly JournaledCall[]): void {
  const met = new Set(stopped.map(({ deviceSn }) => deviceSn));
  const refused = calls.filter((call) => call.code === code).map(({ arrivedMs }) => arrivedMs);
  const fromMs = Math.min(...refused);
  expect(refused, `calls that heard ${code}`).not.toEqual([]);
  const probes = Math.floor((Math.max(...refused) - fromMs) / PROBE_EVERY_MS);
  expect(refused.length, `calls that heard ${code}`).toBeLessThanOrEqual(REFUSED_AT_MOST + probes);
  const later = calls.filter(({ deviceSn, arrivedMs }) => met.has(deviceSn) && arrivedMs > fromMs);
  const worked = later.filter((call) => call.code !== code).map(({ arrivedMs }) => arrivedMs - fromMs);
  expect(Math.min(...worked), `milliseconds from ${code} to the probe that lifted it`).toBeGreaterThan(PROBE_EVERY_MS);
}
