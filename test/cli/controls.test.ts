import { afterAll, beforeAll, expect, it } from 'vitest';
import { createProgram, loadCommands } from '../../src/cli/program.ts';
import type { Ended } from '../support/command.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { openInstallation, type Installation } from '../support/installation.ts';

let place: Installation;
beforeAll(async () => {
  place = await openInstallation();
  await place.holdRedis();
});
afterAll(() => place.remove());

const run = (...args: string[]): Promise<Ended> => place.run(args);
const jsonOf = ({ stdout }: Ended): unknown => JSON.parse(stdout);

it.each([
  ['pace fleet --qps 100', 'Give both'],
  ['pace fleet --for 1h', 'Give both'],
  ['pace fleet --qps 1 --for long', 'is not a time'],
  ['pace fleet --qps many --for 1h', 'not a whole number'],
  ['pace fleet --reset --for 1h', 'leave out'],
  ['pace --qps 1 --for 1h', 'which account'],
  ['stop', 'add --all'],
  ['start --yes', 'add --all'],
  ['priority a-batch soon', 'urgent'],
])('%s changes nothing, and says why', async (line, says) => {
  const program = createProgram(await loadCommands(line.split(' ')[0]));
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => undefined });
  await expect(program.parseAsync(['node', 'certsweep', ...line.split(' ')])).rejects.toThrow(says);
});

it('pace lowers, shows and resets the pace of an account, and raises none', async () => {
  const raised = await run('pace', 'fleet', '--qps', '480', '--for', '1h');
  expect(raised).toMatchObject({ code: 3, stdout: '' });
  expect(raised.stderr).toContain('accounts.fleet.limits.qps');
  expect(await run('pace', 'nobody')).toMatchObject({ code: 2, stderr: expect.stringContaining('it has fleet') });
  const lowered = await run('pace', 'fleet', '--qps', '100', '--for', '1h', '--json');
  expect(lowered).toMatchObject({ code: 0, stderr: expect.stringContaining('at most 100 calls a second until') });
  expect(jsonOf(lowered)).toMatchObject({ account: 'fleet', qps: 100, configuredQps: 480 });
  const status = await run('status');
  expect(status).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Account fleet: pace lowered to 100 .* until /),
  });
  expect(jsonOf(await run('status', '--json'))).toMatchObject({ lowered: [{ account: 'fleet', qps: 100 }] });
  expect((await run('pace')).stdout).toMatch(/\nfleet +480 +100 +- +lowered\n$/);
  expect(jsonOf(await run('pace', 'fleet', '--json'))).toMatchObject({
    stopped: null,
    accounts: [{ account: 'fleet', configuredQps: 480, inForceQps: 100, isAttended: false }],
  });
  expect(jsonOf(await run('pace', 'fleet', '--reset', '--json'))).toMatchObject({ wasLowered: true });
  expect((await run('audit')).stdout).toContain('lowered to 100 calls a second for 3600 s');
});

it('stop and start mean all accounts, and status is loud meanwhile', async () => {
  const stopped = await run('stop', '--all', '--requested-by', 'ada', '--reason', 'wrong fleet', '--json');
  expect(stopped).toMatchObject({ code: 0 });
  const stop = { since: expect.any(Number) as number, requestedBy: 'ada', reason: 'wrong fleet' };
  expect(jsonOf(stopped)).toEqual({ isNew: true, stopped: stop });
  const status = await run('status');
  expect(status).toMatchObject({
    code: 3,
    stdout: expect.stringMatching(/^STOPPED all calls of all accounts since .*, by ada: wrong fleet\./),
  });
  expect(jsonOf(await run('status', '--json'))).toMatchObject({ stopped: stop });
  const doctor = await run('doctor');
  expect(doctor.stdout).toContain('all calls are stopped by ada (wrong fleet)');
  const asks = await run('start', '--all');
  expect(asks).toMatchObject({ code: 3, stderr: expect.stringContaining('add --yes') });
  expect(await run('start', '--all', '--yes', '--reason', 'it was right')).toMatchObject({ code: 0 });
  expect((await run('audit')).stdout).toMatch(/ stop\n.*ada[\s\S]* start\n/);
});

it('priority changes that of a batch that runs', async () => {
  const manifest = await place.file('manifest.csv', manifestOf(certificates(3)));
  const { batch } = jsonOf(await run('submit', manifest, '--execute', '--yes', '--json')) as { batch: string };
  expect(jsonOf(await run('priority', batch, 'urgent', '--json'))).toEqual({
    batch,
    priority: 'urgent',
    isChanged: true,
  });
  expect((await run('status', batch)).stdout).toMatch(/\npriority +urgent\n/);
  await run('cancel', batch);
  expect(await run('priority', batch, 'bulk')).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('is cancelled'),
  });
});
