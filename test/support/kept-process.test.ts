import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Ended } from './command.ts';
import { keepProcess, type KeptProcess } from './kept-process.ts';

let folder: string;
let kept: KeptProcess;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-kept-'));
  const command = join(folder, 'command.mjs');
  // A command that does what its argument says.
  await writeFile(command, 'await new (async () => {}).constructor(process.argv[2])();');
  kept = keepProcess(command);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (program: string, env: Record<string, string> = {}): Promise<Ended> => kept.run([program], env).ended;
const ended = (code: number, stdout = '', stderr = ''): Ended => ({ code, signal: null, stdout, stderr });
const PID = 'console.log(process.pid)';

it('gives each run its own output, variables and exit code', async () => {
  const said = `console.log(process.env.NAME); console.error('so'); process.exitCode = 3`;
  expect(await run(said, { NAME: 'one' })).toEqual(ended(3, 'one\n', 'so\n'));
  expect(await run(said)).toEqual(ended(3, 'undefined\n', 'so\n'));
  expect(await run('')).toEqual(ended(0));
  expect((await run(PID)).stdout).toBe((await run(PID)).stdout);
});

it('ends a run where a process would end: when nothing of it is left to be done', async () => {
  expect(await run(`setTimeout(() => console.log('late'), 100)`)).toEqual(ended(0, 'late\n'));
  expect(await run(`setTimeout(() => console.log('never'), 60_000).unref()`)).toEqual(ended(0));
  expect(await run('await new Promise(() => undefined)')).toEqual(ended(13));
  let hasEnded = false;
  const hanging = kept.run(['setInterval(() => undefined, 1_000)'], {});
  void hanging.ended.then(() => (hasEnded = true));
  expect(kept.isBusy).toBe(true);
  expect(await new Promise((resolve) => setTimeout(() => resolve(hasEnded), 300))).toBe(false);
  hanging.kill('SIGKILL');
  expect(await hanging.ended).toEqual({ ...ended(0), code: null, signal: 'SIGKILL' });
});

it('has another process after a run that ended its own', async () => {
  const before = await run(PID);
  expect(await run('process.exit(4)')).toEqual(ended(4));
  const failed = await run(`throw new Error('unseen')`);
  expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('Error: unseen') });
  expect((await run(PID)).stdout).not.toBe(before.stdout);
});

it('does not end a later run in place of one that has ended', async () => {
  const first = kept.run([''], {});
  await first.ended;
  const second = kept.run([`setTimeout(() => console.log('done'), 200)`], {});
  first.kill('SIGKILL');
  expect(await second.ended).toEqual(ended(0, 'done\n'));
});
