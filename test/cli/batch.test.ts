import { afterAll, beforeAll, expect, it } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import type { Ended } from '../support/command.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { openInstallation, type Installation } from '../support/installation.ts';

let place: Installation;
beforeAll(async () => {
  place = await openInstallation();
  await place.holdRedis();
});
afterAll(() => place.remove());

it('pause, resume and cancel change a batch where that has a meaning, and say so where not', async () => {
  const manifest = await place.file('manifest.csv', manifestOf(certificates(3)));
  const submit = ['submit', manifest, '--execute', '--yes', '--json'];
  const { stdout, stderr } = await place.run(submit);
  const nobody = 'No worker is running for account fleet. Start certsweep worker.\n';
  expect(stderr).toContain(nobody);
  const { batch } = JSON.parse(stdout) as { batch: string };
  const status = async (): Promise<{ code: number | null; state: string }> => {
    const ended = await place.run(['status', batch, '--json']);
    return { code: ended.code, state: (JSON.parse(ended.stdout) as { state: string }).state };
  };

  const paused = await place.run(['pause', batch]);
  expect(paused).toMatchObject({ code: 0, stdout: '' });
  expect(paused.stderr).toContain(`Batch ${batch} is paused; certsweep resume continues it.`);
  expect(await status()).toEqual({ code: 3, state: 'paused' });
  // The rate would be that of the calls before the pause, and the end that it promises never comes.
  expect((await place.run(['status', batch])).stdout).toMatch(/pending {9}3\n$/);
  expect((await place.run(['status'])).stdout).toMatch(/ {2}paused\n {2}0 of 3 .* pending 3\n$/);
  expect((await place.run(['status', batch])).stdout).not.toContain('No worker');
  // Nobody should wait for what an operator holds.
  const waits = await place.run([...submit, '--wait']);
  expect(waits.code).toBe(3);
  expect(waits.stderr).toContain(`certsweep resume ${batch} continues it`);

  expect(await place.run(['resume', batch])).toMatchObject({ code: 0, stdout: '' });
  expect(await status()).toEqual({ code: 0, state: 'running' });
  expect((await place.run(['status', batch])).stdout).toContain(nobody);
  const again = await place.run(['resume', batch]);
  expect(again).toMatchObject({ code: 3, stdout: '' });
  expect(again.stderr).toContain(`Batch ${batch} is running: there is nothing to resume.`);

  expect(await place.run(['cancel', batch])).toMatchObject({ code: 0, stdout: '' });
  expect(await status()).toMatchObject({ state: 'cancelled' });
  const late = await place.run(['pause', batch]);
  expect(late).toMatchObject({ code: 3, stdout: '' });
  expect(late.stderr).toContain(`Batch ${batch} is cancelled: there is nothing to pause.`);

  const none = await place.run(['cancel', 'direct-fleet']);
  expect(none).toMatchObject({ code: 2, stdout: '' });
  expect(none.stderr).toContain('There is no batch');
});

it('forget --before is for a direct batch, and for a time that is the same everywhere', async () => {
  const forget = (...args: string[]): Promise<Ended> => place.run(['forget', ...args]);
  const ledger = new Ledger(await place.redis(), KEY_PREFIX);
  const manifest = await place.file('kept.csv', manifestOf(certificates(2, 5)));
  const { stdout } = await place.run(['submit', manifest, '--execute', '--yes', '--json']);
  const { batch } = JSON.parse(stdout) as { batch: string };
  expect(await forget(batch, '--before', '2026-01-31')).toMatchObject({ code: 3 });
  for (const time of ['yesterday', '2026-01-31T12:00', '2026-13-31', '1767225600']) {
    const refused = await forget('direct-fleet', '--before', time);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('is not a time');
  }
  expect(await forget('direct-fleet', '--before', '2026-01-31')).toMatchObject({ code: 2 });
  const [item] = certificates(1, 6);
  if (item === undefined) return;
  await ledger.direct.adopt('direct-fleet', 'pending', item);
  const whole = await forget('direct-fleet');
  expect(whole).toMatchObject({ code: 3 });
  expect(whole.stderr).toContain('--before <time>');
  const part = await forget('direct-fleet', '--before', '2026-01-31T12:00:00Z');
  expect(part).toMatchObject({ code: 0 });
  expect(part.stderr).toContain('0 items of batch direct-fleet, settled before 2026-01-31T12:00:00.000Z: forgotten');
  // One that is pending, cancelled: the workers end it.
  expect(await place.run(['cancel', 'direct-fleet'])).toMatchObject({ code: 0 });
  await ledger.items.cancel('direct-fleet', [{ n: 0, key: 'pending' }]);
  const { stdout: status } = await place.run(['status', 'direct-fleet', '--json']);
  expect(JSON.parse(status)).toMatchObject({ state: 'cancelled', cancelled: 1, forgotten: 0 });
});

it('a paused direct batch says so also when nothing of it is pending, until it is resumed', async () => {
  const redis = await place.redis();
  const ledger = new Ledger(redis, KEY_PREFIX);
  const [item] = certificates(1);
  if (item === undefined) return;
  const { n } = await ledger.direct.adopt('direct-fleet', 'job', item);
  expect(await place.run(['pause', 'direct-fleet'])).toMatchObject({ code: 0 });
  const run = { kind: 'job', lockKey: `${KEY_PREFIX}:free`, token: 'none' } as const;
  const attempt = { failures: 0, calls: 1, effectUnknown: false };
  const end = { kind: 'settle', outcome: 'revoked', code: 'OK', requestId: 'R', attempt, isUncalled: false } as const;
  await ledger.items.report('direct-fleet', [{ n, instanceId: item.instanceId, run, end }]);
  const status = (): Promise<{ code: number | null; stdout: string }> =>
    place.run(['status', 'direct-fleet', '--json']);
  const paused = await status();
  expect(paused.code).toBe(3);
  expect(JSON.parse(paused.stdout)).toMatchObject({ state: 'paused', revoked: 1, pending: 0 });
  expect(await place.run(['resume', 'direct-fleet'])).toMatchObject({ code: 0 });
  const resumed = await status();
  expect(resumed.code).toBe(0);
  expect(JSON.parse(resumed.stdout)).toMatchObject({ state: 'completed', revoked: 1, pending: 0 });
});

it('a batch whose lanes Redis has lost does not look healthy', async () => {
  const manifest = await place.file('lost.csv', manifestOf(certificates(3)));
  const { stdout } = await place.run(['submit', manifest, '--execute', '--yes', '--json']);
  const { batch } = JSON.parse(stdout) as { batch: string };
  const redis = await place.redis();
  await redis.del(new Ledger(redis, KEY_PREFIX).keys.of(batch).lanes);
  const lost = await place.run(['status', batch]);
  expect(lost.code).toBe(3);
  expect(lost.stdout).toContain(
    `Redis has lost which instances batch ${batch} has: a worker reads them again from its chunks.`,
  );
});
