import { homedir } from 'node:os';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { readPassword } from '../../src/runtime/redis/embedded/data-directory.ts';
import { socketOf } from '../../src/runtime/redis/embedded/private-socket.ts';
import { openFleet, type Fleet } from '../support/fleet.ts';
import { ACCOUNT_KEY, INSTANCE } from '../support/installation.ts';

const execute = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const CONSUMER = fileURLToPath(new URL('consumer.ts.txt', import.meta.url));

let fleet: Fleet;
afterEach(() => fleet.remove());

const manifestSchema = z.object({ dependencies: z.record(z.string(), z.string()) });
const toldSchema = z.object({
  inventory: z.unknown(),
  plan: z.unknown(),
  capped: z.unknown(),
  percent: z.string(),
  destroy: z.string(),
  unavailable: z.string(),
  invalid: z.string(),
  single: z.unknown(),
  again: z.unknown(),
  urgent: z.unknown(),
  many: z.looseObject({ batch: z.string() }),
  refused: z.unknown(),
  skipped: z.looseObject({ batch: z.string() }),
  unknown: z.unknown(),
  status: z.unknown(),
  fault: z.string(),
});

/** Installs the packed tarball as npm would, but from what is on this disk. @returns the scratch project */
async function installPackage(folder: string): Promise<string> {
  // Without scripts: packing would build again, under the feet of other tests.
  await execute('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: PROJECT });
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? '';
  const modules = join(folder, 'consumer', 'node_modules');
  const unpacked = join(modules, 'certsweep');
  await mkdir(unpacked, { recursive: true });
  await execute('tar', ['-xzf', join(folder, tarball), '-C', unpacked, '--strip-components=1']);
  const { dependencies } = manifestSchema.parse(JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')));
  for (const name of [...Object.keys(dependencies), '@types/node']) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(PROJECT, 'node_modules', name), join(modules, name));
  }
  return join(folder, 'consumer');
}

/** Compiles the consumer as strictly as a careful user would, our declarations included. */
async function compileConsumer(project: string): Promise<string> {
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    module: 'nodenext',
    target: 'es2023',
    types: ['node'],
    skipLibCheck: false,
  };
  await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module' }));
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
  await writeFile(join(project, 'consumer.ts'), await readFile(CONSUMER));
  await execute(process.execPath, [join(PROJECT, 'node_modules/typescript/bin/tsc'), '-p', project]).catch(
    ({ stdout }: { readonly stdout: string }) => {
      throw new Error(stdout);
    },
  );
  return join(project, 'consumer.js');
}

it(
  'a service uses the library from its packed tarball: types, inventories, plans, batches, single certificates, jobs of its own',
  { timeout: 180_000 },
  async () => {
    const named = ['one', 'two', 'by-hand', 'good', ...Array.from({ length: 1_200 }, (_, n) => `many-${n}`)];
    const registry = named.map((deviceSn) => ({ instanceId: INSTANCE, caSn: 'CA01', deviceSn }));
    const pump = { instanceId: INSTANCE, caSn: 'CA02', deviceSn: 'p', name: 'pump', state: 'inactive' } as const;
    fleet = await openFleet({ sandbox: { registry: [...registry, pump] } });
    const planFile = join(fleet.folder, 'it.plan');
    const program = await compileConsumer(await installPackage(fleet.folder));
    // Makes the data directory, with the password of its Redis.
    expect(await fleet.run(['status'])).toMatchObject({ code: 0 });
    const directory = join(fleet.dataDir, 'redis');
    const { stdout, stderr } = await execute(process.execPath, [program], {
      timeout: 40_000,
      env: {
        PATH: process.env['PATH'] ?? '',
        // Where the unpacked Redis is looked for.
        HOME: homedir(),
        CERTSWEEP_CONFIG: join(fleet.folder, 'certsweep.yaml'),
        INSTANCE,
        PLAN_FILE: planFile,
        FLEET_KEY_ID: ACCOUNT_KEY.accessKeyId,
        FLEET_KEY_SECRET: ACCOUNT_KEY.accessKeySecret,
        REDIS_SOCKET: socketOf(directory),
        REDIS_PASSWORD: await readPassword(directory),
      },
    });
    expect(stderr).toBe('');
    const told = toldSchema.parse(JSON.parse(stdout));
    expect(told.inventory).toEqual({
      listed: 1_203,
      hasOne: false,
      summary: {
        instance: INSTANCE,
        certificates: 1_203,
        state: 'stable',
        stepsBack: 0,
        calls: expect.any(Number),
        unreadable: 0,
        notFound: [],
        ambiguous: [],
        listed: 1_205,
        isCutShort: false,
      },
      left: null,
    });
    expect(told.plan).toEqual({
      plan: expect.stringMatching(/^[0-9a-f]{32}$/),
      action: 'delete',
      certificates: 1_200,
      classes: { active: 1_200, inactive: 0, absent: 0, otherCa: 0 },
      cas: [{ instanceId: INSTANCE, caSn: 'CA01', status: 'active', covered: 1_200, surviving: 4 }],
      calls: 1_200,
      warnings: [expect.stringContaining('CA CA01 is active')],
      obstacles: [],
      notFound: [],
      ambiguous: [],
    });
    expect(told.capped).toMatchObject({
      plan: null,
      certificates: 1,
      obstacles: [{ kind: 'too-much-of-ca', ca: { caSn: 'CA02' } }],
      notFound: ['name nobody'],
    });
    expect(told.percent).toContain('RangeError: maxShareOfCa is 5: give more than 0 and at most 1');
    expect(told.destroy).toContain('TypeError: action is destroy: give one of delete, inactivate');
    expect(told.unavailable).toBe('no-account');
    expect(told.invalid).toContain('the first, at position 1: deviceSn is missing');
    const rehearsed = await fleet.run(['submit', '--plan', planFile, '--json']);
    expect(JSON.parse(rehearsed.stdout)).toMatchObject({ accepted: 1_200, duplicates: 0, rejected: 0 });
    const none = { duplicates: 0, rejected: 0, rejections: [] };
    expect(told.single).toEqual({ ...none, batch: 'direct-fleet', accepted: 1 });
    expect(told.again).toEqual({ ...none, batch: 'direct-fleet', accepted: 0, duplicates: 1 });
    expect(told.urgent).toEqual({ ...none, batch: 'direct-fleet', accepted: 1 });
    expect(told.many).toMatchObject({ accepted: 1_200, duplicates: 1, rejected: 0, rejections: [] });
    expect(told.refused).toMatchObject({ batch: null, accepted: 0, rejected: 2 });
    expect(told.skipped).toMatchObject({
      accepted: 1,
      rejected: 2,
      rejections: [
        { line: 1, reason: 'deviceSn is missing' },
        { line: 3, reason: expect.stringContaining('no account of the configuration has the instance "post-cn-none"') },
      ],
    });
    expect(told.unknown).toBeNull();
    expect(told.fault).toContain('nowhere.yaml');

    const nothing = {
      revoked: 0,
      alreadyGone: 0,
      dead: 0,
      cancelled: 0,
      forgotten: 0,
      ratePerSecond: 0,
      etaSeconds: null,
      action: 'delete',
    };
    const { batch } = told.many;
    expect(told.status).toEqual({ ...nothing, batch, state: 'running', accepted: 1_200, pending: 1_200 });

    const worker = await fleet.startWorker();
    await fleet.settled(batch);
    await fleet.settled(told.skipped.batch);
    // The two single ones, and the job that the consumer has put into the queue itself.
    await fleet.until('direct-fleet', ({ revoked, pending }) => revoked === 3 && pending === 0);
    const rows = await fleet.report('direct-fleet');
    expect(rows.map(({ deviceSn, outcome }) => `${deviceSn} ${outcome}`).toSorted()).toEqual([
      'by-hand revoked',
      'one revoked',
      'two revoked',
    ]);
    expect(fleet.sandbox.deletedCount).toBe(1_200 + 1 + 3);
    worker.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 0 });
  },
);
