import { afterAll, beforeAll, expect, it } from 'vitest';
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
  const nobody = 'No worker of account fleet is to be seen: nothing of it is revoked until certsweep worker runs.\n';
  expect(stderr).toContain(nobody);
  const { batch } = JSON.parse(stdout) as { batch: string };
  const status = async (): Promise<{ code: number | null; state: string }> => {
    const ended = await place.run(['status', batch, '--json']);
    return { code: ended.code, state: (JSON.parse(ended.stdout) as { state: string }).state };
  };

  const paused = await place.run(['pause', batch]);
  expect(paused).toMatchObject({ code: 0, stdout: '' });
  expect(paused.stderr).toContain(`Batch ${batch} is paused; certsweep resume goes on.`);
  expect(await status()).toEqual({ code: 3, state: 'paused' });
  // The rate would be that of the calls before the pause, and the end that it promises never comes.
  expect((await place.run(['status', batch])).stdout).toMatch(/pending {9}3\n$/);
  expect((await place.run(['status'])).stdout).toMatch(/ paused .* 3 *\n$/);
  expect((await place.run(['status', batch])).stdout).not.toContain('No worker');
  // Nobody should wait for what an operator holds.
  const waits = await place.run([...submit, '--wait']);
  expect(waits.code).toBe(3);
  expect(waits.stderr).toContain(`certsweep resume ${batch} goes on`);

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

  const standing = await place.run(['cancel', 'direct-fleet']);
  expect(standing).toMatchObject({ code: 3, stdout: '' });
  expect(standing.stderr).toContain('pause it');
});
