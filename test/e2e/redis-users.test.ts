import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { createProducer } from '../../src/index.ts';
import { JOB_NAME, JOB_PRIORITY, KEY_PREFIX, queueName } from '../../src/queue/contract.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import type { Ended } from '../support/command.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { ACCOUNT_KEY, INSTANCE, openInstallation, settingsOf, type Installation } from '../support/installation.ts';
import { startSingle } from '../support/redis-topology.ts';

const USERS = new URL('../../config/redis.acl', import.meta.url);
const ROLES = ['worker', 'operator', 'producer', 'viewer'] as const;
type Role = (typeof ROLES)[number];
/** What Redis 7.0 and later ones say, to a command and to one in a script. */
const DENIED = /NOPERM|ACL failure|can't (run|access)/;
const BATCH = { timeout: 60_000, interval: 100 };

let folder: string;
let server: Awaited<ReturnType<typeof startSingle>>;
let sandbox: Sandbox;
let place: Installation;
const clients: Redis[] = [];

const passwordOf = (role: Role): string => `of${role}`;
const urlOf = (role: Role): string => `redis://certsweep-${role}:${passwordOf(role)}@${server.node}`;
const run = (role: Role, ...args: string[]): Promise<Ended> =>
  place.run(args, { env: { CERTSWEEP_REDIS_URL: urlOf(role) } });

function connectAs(role: Role): Redis {
  const client = new Redis(urlOf(role), { replyMapping: 'legacy' });
  clients.push(client);
  return client;
}

/** The denials since the last look, as `user command-or-key`. */
async function denials(): Promise<string[]> {
  const log = (await server.client.call('ACL', 'LOG', '128')) as unknown[][];
  await server.client.call('ACL', 'LOG', 'RESET');
  return log.map((entry) => {
    const field = (name: string): string => String(entry[entry.indexOf(name) + 1]);
    return `${field('username')} ${field('reason')} ${field('object')}`;
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-users-'));
  const file = join(folder, 'redis.acl');
  await writeFile(file, `${await usersOfCompose()}user admin on >of-admin ~* &* +@all\n`);
  const admin = { username: 'admin', password: 'of-admin' };
  server = await startSingle(['--aclfile', file, '--appendonly', 'yes', '--save', ''], admin);
  const account = { ...ACCOUNT_KEY, instances: [INSTANCE] };
  sandbox = await startSandbox({ accounts: [account], registry: 'open', enforce: false });
  place = await openInstallation();
  await writeFile(join(place.folder, 'certsweep.yaml'), JSON.stringify(settingsOf(sandbox.url)));
});
afterAll(async () => {
  for (const client of clients) client.disconnect();
  await place.remove();
  await sandbox.close();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

it('the file as it is shipped loads, and lets nobody in', async () => {
  const shipped = await startSingle(
    // With an administrator, whom it does not have.
    ['--aclfile', await fileOf(`${await readFile(USERS, 'utf8')}user admin on >of-admin ~* +@all\n`)],
    { username: 'admin', password: 'of-admin' },
  );
  for (const user of ['default', ...ROLES.map((role) => `certsweep-${role}`)]) {
    const [, flags, , passwords] = (await shipped.client.call('ACL', 'GETUSER', user)) as string[][];
    expect({ user, flags, passwords }).toEqual({ user, flags: [user === 'default' ? 'off' : 'on'], passwords: [] });
  }
  await shipped.stop();
});

it.each([
  ['missing', undefined],
  ['empty', '\n'],
  ['a rule too', 'x +@all'],
])('Compose starts no Redis where a password is %s', async (_, password) => {
  const passwords = new Map<Role, string>(ROLES.map((role) => [role, 'abc']));
  if (password === undefined) passwords.delete('viewer');
  else passwords.set('viewer', password);
  await expect(usersOfCompose(passwords)).rejects.toThrow('the secret redis_viewer must be letters and digits');
});

it('each role can do its work, from the manifest to forgetting, and needs no other right', async () => {
  const items = certificates(40);
  const worker = place.start(['worker'], { env: { CERTSWEEP_REDIS_URL: urlOf('worker') } });
  await worker.says('"event":"worker-started"');
  const queue = new Queue(queueName('fleet'), {
    connection: { ...connectionOf('producer') },
    prefix: KEY_PREFIX,
  });
  const jobs = items.slice(0, 10).map((item, n) => ({
    name: JOB_NAME,
    data: { v: 1, ...item },
    opts: {
      removeOnComplete: true,
      ...(n % 2 === 0 && { priority: JOB_PRIORITY.urgent }),
      ...(n % 3 === 0 && { jobId: `mine-${n}` }),
    },
  }));
  await queue.addBulk(jobs.slice(0, 5));
  for (const { name, data, opts } of jobs.slice(5)) await queue.add(name, data, opts);
  // A second time under the same id, and one that is to run later.
  const [first] = jobs;
  if (first !== undefined) await queue.add(first.name, first.data, first.opts);
  await queue.add(JOB_NAME, { v: 1, ...items[10] }, { delay: 50, removeOnComplete: true });
  await queue.add(JOB_NAME, { v: 'malformed' }, { removeOnComplete: true });
  await queue.close();

  const config = await place.file(
    'library.yaml',
    JSON.stringify({ ...settingsOf(sandbox.url), redis: { url: urlOf('operator') } }),
  );
  const producer = await createProducer({ config });
  const [single] = items.slice(11, 12);
  if (single !== undefined) await producer.submit(single, { priority: 'urgent' });
  await producer.submit(items.slice(12, 20), { requestedBy: 'a test' });
  await producer.close();

  const manifest = await place.file('manifest.csv', manifestOf(items.slice(20)));
  expect(await run('operator', 'submit', manifest)).toMatchObject({ code: 0 });
  const submitted = await run('operator', 'submit', manifest, '--execute', '--yes', '--json', '--wait');
  expect(submitted).toMatchObject({ code: 0 });
  const { batch } = JSON.parse(submitted.stdout) as { batch: string };
  await vi.waitFor(async () => {
    const { stdout } = await run('viewer', 'status', 'direct-fleet', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ pending: 0, dead: 1 });
  }, BATCH);

  expect((await run('viewer', 'status')).stdout).toContain('direct-fleet');
  expect((await run('viewer', 'report', batch)).stdout.split('\n').length).toBeGreaterThan(20);
  expect((await run('viewer', 'dead', 'list')).stdout).toContain('malformed-job');
  expect(await run('operator', 'dead', 'discard', '--batch', 'direct-fleet', '--yes')).toMatchObject({ code: 0 });
  expect((await run('operator', 'doctor')).stdout).toContain('redis');
  expect(await run('operator', 'forget', batch)).toMatchObject({ code: 0 });
  worker.kill('SIGTERM');
  expect(await worker.ended).toMatchObject({ code: 0 });

  const rest = await place.file('rest.csv', manifestOf(certificates(3, 7)));
  const held = await run('operator', 'submit', rest, '--execute', '--yes', '--json');
  const { batch: second } = JSON.parse(held.stdout) as { batch: string };
  for (const word of ['pause', 'resume', 'cancel']) {
    const [refused, done] = [await run('viewer', word, second), await run('operator', word, second)];
    expect({ word, isRefused: refused.code !== 0, code: done.code }).toEqual({ word, isRefused: true, code: 0 });
  }
  // The look at the connected workers is a courtesy that needs CLIENT LIST.
  const unneeded = (await denials()).filter((line) => !line.startsWith('certsweep-viewer'));
  expect([...new Set(unneeded)]).toEqual(['certsweep-operator command client|list']);
});

it('an operator can ask the cloud, and a viewer read the record', async () => {
  const csv = await place.file('planned.csv', manifestOf(certificates(3, 90)));
  await denials();
  const asked: [Role, string[], number][] = [
    ['operator', ['inventory', INSTANCE, '--status', 'active', '--out', join(place.folder, 'listed.csv')], 0],
    // This sandbox lists no certificate, so that nothing is left to be planned.
    ['operator', ['plan', csv, '--out', join(place.folder, 'it.plan')], 3],
    ['operator', ['ca', 'list', INSTANCE], 0],
    ['viewer', ['audit', '--verify'], 0],
  ];
  for (const [role, args, code] of asked) {
    const { stderr, code: found } = await run(role, ...args);
    expect({ args, stderr, code: found }).toMatchObject({ args, code });
  }
  expect(await denials()).toEqual([]);
});

it('an operator lowers, stops and starts, which a viewer only sees', async () => {
  for (const words of [
    ['pace', 'fleet', '--qps', '9', '--for', '1m'],
    ['stop', '--all'],
  ]) {
    const [refused, done] = [await run('viewer', ...words), await run('operator', ...words)];
    expect({ words, isRefused: refused.code !== 0, code: done.code }).toEqual({ words, isRefused: true, code: 0 });
  }
  const seen = (await run('viewer', 'pace', '--json')).stdout;
  expect(JSON.parse(seen)).toMatchObject({
    stopped: { reason: null },
    accounts: [{ inForceQps: 0, lowered: { qps: 9 } }],
  });
  expect(await run('operator', 'start', '--all', '--yes')).toMatchObject({ code: 0 });
  expect((await denials()).filter((line) => !line.startsWith('certsweep-viewer'))).toEqual([]);
});

it('a producer can neither read a ledger nor settle, flush or configure', async () => {
  const producer = connectAs('producer');
  const own = `${KEY_PREFIX}:${queueName('fleet')}`;
  const record = `${KEY_PREFIX}:batch:direct-fleet`;
  const refused: Words[] = [
    ['HGETALL', record],
    ['HGET', record, 'accepted'],
    ['HSET', record, 'state', 'running'],
    ['XADD', `${record}:ledger`, '*', 'n', '0'],
    ['SETBIT', `${record}:settled`, '0', '1'],
    ['XRANGE', `${record}:ledger`, '-', '+'],
    ['ZADD', `${KEY_PREFIX}:waiting:${INSTANCE}`, '0', 'direct-fleet 0'],
    ['LPUSH', `${KEY_PREFIX}:blocks-fleet:wait`, 'x'],
    ['HSET', `${KEY_PREFIX}:halts`, 'fleet', '{}'],
    ['SET', 'elsewhere', '1'],
    ['EVAL', "return redis.call('HGET', KEYS[1], 'accepted')", '1', record],
    ['EVAL', "return redis.call('HGETALL', KEYS[1])", '1', `${own}:meta`],
    ['EVAL', "return redis.call('DEL', KEYS[1])", '1', `${own}:wait`],
    // A key that a script has not named.
    ['EVAL', "return redis.call('HGET', ARGV[1], 'accepted')", '0', record],
    ['EVAL', "return redis.call('HINCRBY', ARGV[1], 'accepted', 1)", '0', record],
    ['EVAL', "return redis.call('XADD', KEYS[1], '*', 'n', '0')", '1', `${record}:ledger`],
    ['EVAL', "return redis.pcall('HSET', KEYS[1], 'seq', '0').err", '1', `${KEY_PREFIX}:audit:head`],
    ['XADD', `${KEY_PREFIX}:audit`, '*', 'entry', '{}'],
    ['HSET', `${KEY_PREFIX}:pace:fleet`, 'qps', '9999'],
    ['HSET', `${KEY_PREFIX}:batches`, 'x', '1'],
    // The lock of another's job, by which a run is known.
    ['SET', `${own}:1:lock`, 'mine'],
    ['EXPIRE', `${own}:1:lock`, '1'],
    ['RENAME', `${own}:wait`, `${own}:gone`],
    ['COPY', record, `${own}:copy`],
    ['RESTORE', `${own}:x`, '0', 'x'],
    ['ZREM', `${own}:prioritized`, '1'],
    ['LREM', `${own}:wait`, '0', '1'],
    ['FCALL', 'f', '0'],
    ['SCRIPT', 'KILL'],
    ['CLIENT', 'KILL', 'ID', '1'],
    ['SWAPDB', '0', '1'],
    ['DEL', `${own}:wait`],
    ['LRANGE', `${own}:wait`, '0', '-1'],
    ['FLUSHALL'],
    ['FLUSHDB'],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['CONFIG', 'GET', '*'],
    ['CONFIG', 'SET', 'maxmemory', '1'],
    ['ACL', 'LIST'],
    ['CLIENT', 'LIST'],
    ['SHUTDOWN', 'NOSAVE'],
    ['SCRIPT', 'FLUSH'],
    ['FUNCTION', 'FLUSH'],
    ['MONITOR'],
    ['REPLICAOF', '127.0.0.1', '1'],
    ['SUBSCRIBE', 'x'],
  ];
  expect(await allowedOf(producer, refused)).toEqual([]);
  expect(await server.client.exists('elsewhere')).toBe(0);
});

it('a viewer changes nothing, and nobody touches keys that are not ours', async () => {
  const viewer = connectAs('viewer');
  const record = `${KEY_PREFIX}:batch:seen`;
  await server.client.hset(record, 'state', 'completed');
  expect(await viewer.hget(record, 'state')).toBe('completed');
  const changes: Words[] = [
    ['HSET', record, 'state', 'paused'],
    ['EVAL', "return redis.call('HSET', KEYS[1], 'state', 'paused')", '1', record],
    ['DEL', record],
    ['FLUSHALL'],
    ['CONFIG', 'GET', '*'],
  ];
  expect(await allowedOf(viewer, changes)).toEqual([]);
  await server.client.set('another:program', 'its own');
  for (const role of ROLES) {
    const client = connectAs(role);
    const foreign: Words[] = [['GET', 'another:program'], ['FLUSHALL'], ['KEYS', '*'], ['SCAN', '0'], ['SHUTDOWN']];
    expect(await allowedOf(client, [...foreign, ['CONFIG', 'SET', 'maxmemory', '1']])).toEqual([]);
  }
});

type Words = readonly [command: string, ...string[]];

/** Those of the commands that Redis does not refuse for want of a right. */
async function allowedOf(client: Redis, commands: readonly Words[]): Promise<string[]> {
  const answers = commands.map(async ([command, ...args]) => {
    const answer = await client.call(command, ...args).then(String, (error: unknown) => String(error));
    return DENIED.test(answer) ? [] : [`${command} ${args.join(' ')}: ${answer}`];
  });
  return (await Promise.all(answers)).flat();
}

/** The users with their passwords, as the command of the Compose file writes them. @param passwords - files, by role; those of the test when not given */
async function usersOfCompose(passwords = new Map<Role, string>(ROLES.map((role) => [role, `${passwordOf(role)}\n`]))) {
  const compose = parse(await readFile(new URL('../../docker-compose.yml', import.meta.url), 'utf8')) as ComposeFile;
  const [, , script = ''] = compose.services.redis.command;
  const here = script
    .replaceAll('$$', '$')
    .replaceAll('/tmp/', `${folder}/compose-`)
    .replaceAll('/run/secrets/', `${folder}/`)
    .replaceAll('/etc/certsweep/redis.acl', fileURLToPath(USERS))
    .replace(/^exec .*$/m, 'echo would start');
  for (const role of ROLES) await rm(join(folder, `redis_${role}`), { force: true });
  for (const [role, password] of passwords) await writeFile(join(folder, `redis_${role}`), password);
  const env = { REDIS_MAXMEMORY: '1gb', PATH: process.env['PATH'] };
  const { stdout } = await promisify(execFile)('sh', ['-c', here], { env });
  expect(stdout).toBe('would start\n');
  expect(await readFile(join(folder, 'compose-local.conf'), 'utf8')).toContain('aclfile');
  return readFile(join(folder, 'compose-redis.acl'), 'utf8');
}

interface ComposeFile {
  readonly services: { readonly redis: { readonly command: readonly string[] } };
}

async function fileOf(text: string): Promise<string> {
  const file = join(folder, 'shipped.acl');
  await writeFile(file, text);
  return file;
}

function connectionOf(role: Role): object {
  const [host, port] = server.node.split(':');
  return { host, port: Number(port), username: `certsweep-${role}`, password: passwordOf(role) };
}
