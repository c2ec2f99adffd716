import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, copyFile, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';
import { NUMBERED } from './same-numbers.ts';

const execute = promisify(execFile);
const CA02 = { instanceId: INSTANCE, caSn: 'CA02' };
const ALL = certificates(3_000);

let fleet: Fleet;
let out: string;
let onCall: () => void = () => undefined;
beforeAll(async () => {
  fleet = await openFleet({
    sandbox: { registry: [...ALL, { ...CA02, deviceSn: '10' }], journal: () => onCall() },
    // Slow, so that a walk saves how far it has come.
    settings: { limiter: { lateMs: 200 }, egress: { qps: 10 } },
  });
  await fleet.holdRedis();
  out = join(fleet.folder, 'inventory.csv');
});
afterAll(() => fleet?.remove());

const inventory = (...flags: string[]) => fleet.run(['inventory', INSTANCE, '--json', ...flags]);
const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

describe('what is left of an inventory that was killed', () => {
  beforeAll(async () => {
    const command = fleet.start(['inventory', INSTANCE, '--out', out]);
    // By what it asks, so that it cannot end before.
    onCall = () => {
      if (existsSync(`${out}.progress`)) command.kill('SIGKILL');
    };
    const { signal } = await command.ended;
    if (signal !== 'SIGKILL') throw new Error('it ended before it was killed');
    onCall = () => undefined;
  });

  it('is not continued where somebody has changed a letter of it', async () => {
    const text = await readFile(`${out}.part`, 'utf8');
    const [, row = ''] = text.split('\n');
    const edited = join(fleet.folder, 'edited.csv');
    await copyFile(`${out}.progress`, `${edited}.progress`);
    await writeFile(`${edited}.part`, text.replace(row, row.replace(/active/, 'Active')));
    const { code, stdout, stderr } = await inventory('--out', edited, '--resume');
    expect({ code, json: JSON.parse(stdout) }).toMatchObject({ code: 0, json: { certificates: ALL.length + 1 } });
    expect(stderr).toContain('this one starts from the beginning');
    expect(await readFile(edited, 'utf8')).not.toContain('Active');
  });

  it('says nothing of an inventory that starts over', async () => {
    fleet.sandbox.revokeKey('fleet-key-id', 'Forbidden.RAM');
    try {
      expect((await inventory('--out', out)).code).toBe(3);
    } finally {
      fleet.sandbox.restoreKey('fleet-key-id');
    }
    expect(await isThere(`${out}.progress`)).toBe(false);
  });
});

describe('a full disk', () => {
  it.each([
    [
      'inventory',
      ['inventory', INSTANCE, '--ca', 'CA02', '--format', 'ndjson'],
      'make room and run this again with --resume',
    ],
    ['plan', ['plan', '--instance', INSTANCE, '--ca', 'CA02'], 'choose another place with --out'],
  ])('ends %s with what to do', async (name, words, remedy) => {
    const full = join(fleet.folder, `${name}.full`);
    await symlink('/dev/full', `${full}.part`);
    const { code, stderr } = await fleet.run([...words, '--out', full]);
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(new RegExp(`cannot be written \\(ENOSPC\\): [^]*${remedy}`)),
    });
    expect(await isThere(full)).toBe(false);
  });
});

it('a pipe is not replaced by a file', async () => {
  const pipe = join(fleet.folder, 'pipe');
  await execute('mkfifo', [pipe]);
  for (const words of [
    ['inventory', INSTANCE],
    ['plan', '--instance', INSTANCE],
  ]) {
    const { code, stderr } = await fleet.run([...words, '--ca', 'CA02', '--out', pipe]);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('it is not a regular file') });
  }
  expect((await stat(pipe)).isFIFO()).toBe(true);
});

it('PEMs that a number may mean alike are named, and none is taken for it', async () => {
  const [a = '', b = ''] = await Promise.all(
    (['a', 'b'] as const).map((name) => fleet.file(`${name}.pem`, NUMBERED[name])),
  );
  const found = async (...pems: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await inventory('--ca', 'CA02', 'CA02', '--pem', ...pems);
    const { certificates: taken, calls } = JSON.parse(stdout) as Record<string, number>;
    return { code, taken, calls, named: [a, b].filter((file) => stderr.includes(file)) };
  };
  expect(await found(a, a)).toEqual({ code: 0, taken: 1, calls: 1, named: [] });
  expect(await found(a, b)).toEqual({ code: 1, taken: 0, calls: 1, named: [a, b] });
});
