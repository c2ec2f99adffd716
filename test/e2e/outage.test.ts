import { hostname } from 'node:os';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import { startEndpointFront, type EndpointFront, type FrontState } from '../support/endpoint-front.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';
import { ACCOUNT_KEY, INSTANCE, KEY_ENV } from '../support/installation.ts';

const OUTAGES: readonly FrontState[] = ['refuses', 'hangs', 'html', 'unavailable'];
const UNREACHABLE = 'endpoint-unreachable';
/** Few tries, soon used up, and calls that hang not for long. */
const HASTY = { retry: { attempts: 3, baseMs: 50, capMs: 200 }, callDeadlineMs: 1_000, limiter: { lateMs: 200 } };
const instanceOf = (account: string): string => `post-cn-${account}`;

let fleet: Fleet;
const fronts: EndpointFront[] = [];
beforeEach(async () => {
  const instances = [INSTANCE, ...OUTAGES.map(instanceOf)];
  fleet = await openFleet({ sandbox: { accounts: [{ ...ACCOUNT_KEY, instances }] } });
  await fleet.holdRedis();
});
afterEach(async () => {
  await fleet.remove();
  await Promise.all(fronts.splice(0).map((front) => front.close()));
});

async function openFront(): Promise<EndpointFront> {
  const front = await startEndpointFront(fleet.sandbox.url);
  fronts.push(front);
  return front;
}

/** An account that calls the endpoint, so slowly that its items last longer than it takes to see an outage. */
const accountOf = (endpoint: string, instance: string, qps = 20): object => {
  return { endpoint, instances: [instance], limits: { qps }, credentials: KEY_ENV };
};

/** Without the ramp, so that there is as much under way as there can be. */
async function submit(items: ReturnType<typeof certificates>): Promise<string> {
  const batch = await fleet.submit(items);
  await fleet.run(['pause', batch]);
  await fleet.run(['resume', batch]);
  return batch;
}

async function halts(): Promise<{ account: string; host?: string; code: string; message: string }[]> {
  const { stdout } = await fleet.run(['status', '--json']);
  return (JSON.parse(stdout) as { halts: { account: string; code: string; message: string }[] }).halts;
}

it('an endpoint that refuses, hangs, answers HTML or ServiceUnavailable is a halt: no dead letter, no operator', async () => {
  const accounts: Record<string, object> = {};
  const frontOf = new Map<FrontState, EndpointFront>();
  for (const outage of OUTAGES) {
    const front = await openFront();
    frontOf.set(outage, front);
    accounts[outage] = accountOf(front.url, instanceOf(outage));
  }
  await fleet.configure({ ...HASTY, accounts });
  const items = OUTAGES.flatMap((outage, seed) => [
    ...generateCertificates(40, { seed, instanceId: instanceOf(outage), caSn: 'CA01' }),
  ]);
  const batch = await submit(items);
  const worker = await fleet.startWorker();
  await fleet.until(batch, ({ revoked }) => revoked >= 20);
  await Promise.all([...frontOf].map(([outage, front]) => front.become(outage)));

  await vi.waitFor(
    async () => expect(new Set((await halts()).map(({ account }) => account))).toEqual(new Set(OUTAGES)),
    { timeout: 60_000, interval: 500 },
  );
  for (const { account, host, code, message } of await halts()) {
    expect([code, host]).toEqual([UNREACHABLE, hostname()]);
    const { url } = frontOf.get(account as FrontState) ?? { url: '' };
    expect(message).toMatch(
      new RegExp(`^${new URL(url).host} does not answer: \\d+ calls failed within \\d+ s, and none was answered`),
    );
  }
  const status = await fleet.run(['status', batch]);
  expect(status.code).toBe(3);
  expect(status.stdout).toContain(`HALTED account html on ${hostname()} alone`);
  // While it is halted, it asks with reads alone.
  const before = frontOf.get('unavailable')?.turnedAway.length ?? 0;
  await vi.waitFor(() => expect(frontOf.get('unavailable')?.turnedAway.length).toBeGreaterThan(before), 60_000);
  expect(new Set(frontOf.get('unavailable')?.turnedAway.slice(before))).toEqual(new Set(['GET']));
  expect(await fleet.until(batch, () => true)).toMatchObject({ state: 'running', dead: 0 });

  await Promise.all([...frontOf.values()].map((front) => front.become('open')));
  const rows = await expectAccounted(fleet, batch, items);
  expect(rows.filter(({ outcome }) => outcome !== 'revoked')).toEqual([]);
  expect(await halts()).toEqual([]);
  expect(worker.output()).toContain('"event":"lifted"');
});

it('one host of two that is cut off stops alone: the other one does the rest, and nothing is dead', async () => {
  const front = await openFront();
  const cut = await fleet.configure({ ...HASTY, accounts: { fleet: accountOf(front.url, INSTANCE, 60) } }, 'cut.yaml');
  await fleet.configure({ ...HASTY, accounts: { fleet: accountOf(fleet.sandbox.url, INSTANCE, 60) } });
  await front.become('refuses');
  const items = certificates(400);
  const batch = await submit(items);
  const far = await fleet.startWorker({ env: { CERTSWEEP_CONFIG: cut } });
  await fleet.startWorker();
  await far.says('"event":"halted"');
  expect(await halts()).toMatchObject([{ account: 'fleet', code: UNREACHABLE, host: hostname() }]);
  const rows = await expectAccounted(fleet, batch, items);
  expect(rows.filter(({ outcome }) => outcome !== 'revoked')).toEqual([]);
  // Its halt goes with it.
  far.kill('SIGTERM');
  expect(await far.ended).toMatchObject({ code: 0 });
  expect(await halts()).toEqual([]);
});
