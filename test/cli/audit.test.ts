import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { auditKeys, type AuditEntry } from '../../src/audit/entry.ts';
import { createProducer } from '../../src/index.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { INSTANCE, openInstallation, type Installation } from '../support/installation.ts';

const TEXT = manifestOf(certificates(3));
const keys = auditKeys(KEY_PREFIX);

let place: Installation;
let manifest: string;
let redis: Redis;

async function open(settings: object = {}): Promise<void> {
  place = await openInstallation({
    accounts: { fleet: { region: 'cn-hangzhou', instances: [INSTANCE] } },
    ...settings,
  });
  await place.holdRedis();
  redis = await place.redis();
  manifest = await place.file('manifest.csv', TEXT);
}
afterEach(() => place.remove());

async function submit(...flags: string[]): Promise<string> {
  const { stdout, stderr } = await place.run(['submit', manifest, '--execute', '--yes', '--json', ...flags]);
  const { batch } = JSON.parse(stdout || '{}') as { batch?: string };
  if (batch === undefined) throw new Error(stderr);
  return batch;
}

async function lines(...flags: string[]): Promise<string[]> {
  const { code, stdout } = await place.run(['audit', '--json', ...flags]);
  expect(code).toBe(0);
  return stdout.split('\n').filter((line) => line !== '');
}

const parsed = (all: readonly string[]): AuditEntry[] => all.map((line) => JSON.parse(line) as AuditEntry);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('certsweep audit', () => {
  beforeEach(() => open());

  it('has who did what and why, and the SHA-256 of the file that was read', async () => {
    const batch = await submit('--reason', 'ticket 4711');
    await place.run(['pause', batch, '--requested-by', 'eve', '--reason', 'Grüße\u202e']);
    await place.run(['resume', batch]);
    await place.run(['cancel', batch]);
    const all = await lines();
    const user = userInfo().username;
    const common = { batch, user, host: hostname(), pid: expect.any(Number) };
    expect(parsed(all)).toMatchObject([
      { seq: 1, event: 'submit', ...common, requestedBy: user, reason: 'ticket 4711', manifestSha256: sha256(TEXT) },
      { seq: 2, event: 'pause', ...common, requestedBy: 'eve', reason: 'Grüße\u202e', manifestSha256: null },
      { seq: 3, event: 'resume', ...common, requestedBy: user, reason: null },
      { seq: 4, event: 'cancel', counts: { accepted: 3, cancelled: 0 } },
    ]);
    for (const line of all) {
      const text = line.replace(/,"hash":"[0-9a-f]{40}"\}$/, '}');
      expect((JSON.parse(line) as AuditEntry).hash).toBe(createHash('sha1').update(text).digest('hex'));
    }
    expect(await lines('--batch', batch)).toEqual(all);
    expect(await lines('--batch', 'another')).toEqual([]);
    expect(await lines('--since', '2999-01-01')).toEqual([]);
    expect(await lines('--since', '2020-01-01')).toEqual(all);
    expect(await place.run(['audit', '--since', 'yesterday'])).toMatchObject({ code: 2 });
    const shown = await place.run(['audit']);
    expect(shown.stdout).toContain(`pause  ${batch}\n  requested by eve (${user}@`);
    expect(shown.stdout).toContain(String.raw`reason: Grüße\u{202e}`);
  });

  it('reads the manifest from standard input as well', async () => {
    await place.run(['submit', '-', '--execute', '--yes'], { stdin: TEXT });
    expect(parsed(await lines())).toMatchObject([{ event: 'submit', manifestSha256: sha256(TEXT) }]);
  });

  it('--verify ends with 0 while it is whole, and with 1 where an entry is missing or was changed', async () => {
    const batch = await submit();
    for (const name of ['pause', 'resume', 'pause']) await place.run([name, batch]);
    const whole = await place.run(['audit', '--verify']);
    expect(whole).toMatchObject({ code: 0, stdout: '' });
    expect(whole.stderr).toContain('The record is whole: 4 entries, the last with the hash ');
    expect(await place.run(['audit', '--verify', '--batch', batch])).toMatchObject({ code: 2 });

    const found = await redis.xrange(keys.stream, '-', '+');
    const [second, third] = [found[1], found[2]];
    await redis.xdel(keys.stream, third?.[0] ?? '');
    const gap = await place.run(['audit', '--verify']);
    expect(gap).toMatchObject({ code: 1, stdout: '' });
    expect(gap.stderr).toContain('The record is broken at entry 3: entry 3 is missing');

    await redis.del(keys.stream);
    for (const [id, fields] of found) {
      const edited = fields.map((field) => (id === second?.[0] ? field.replace('"pause"', '"resume"') : field));
      await redis.xadd(keys.stream, id, ...edited);
    }
    const json = await place.run(['audit', '--verify', '--json']);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ kind: 'broken', seq: 2 });
  });

  it('has one entry of two operators who cancel at once, and one of a manifest that two submit', async () => {
    const batches = await Promise.all([submit(), submit()]);
    expect(new Set(batches).size).toBe(1);
    const ended = await Promise.all(
      ['eve', 'ben'].map((who) => place.run(['cancel', batches[0] ?? '', '--requested-by', who])),
    );
    expect(ended.map(({ code }) => code).toSorted((a, b) => Number(a) - Number(b))).toEqual([0, 3]);
    expect(parsed(await lines()).map(({ event }) => event)).toEqual(['submit', 'cancel']);
  });

  it('of a killed command has the change and its entry, or neither', async () => {
    const batch = await submit();
    for (let waitMs = 0; waitMs < 10; waitMs += 1) {
      const command = place.start([waitMs % 2 === 0 ? 'pause' : 'resume', batch]);
      setTimeout(() => command.kill('SIGKILL'), 200 + waitMs * 60);
      await command.ended;
    }
    const changes = parsed(await lines()).filter(({ event }) => event !== 'submit');
    const isPaused = changes.at(-1)?.event === 'pause';
    expect(await redis.hget(`${KEY_PREFIX}:batch:${batch}`, 'state')).toBe(isPaused ? 'paused' : 'running');
    expect(await place.run(['audit', '--verify'])).toMatchObject({ code: 0 });
  });
});

describe('audit.requireReason', () => {
  beforeEach(() => open({ audit: { requireReason: true } }));

  it('refuses a change without a reason, but for a pause', async () => {
    const refused = await place.run(['submit', manifest, '--execute', '--yes']);
    expect(refused).toMatchObject({ code: 3, stdout: '' });
    expect(refused.stderr).toContain('add --reason "<text>". Nothing was touched.');
    expect(await lines()).toEqual([]);
    const batch = await submit('--reason', 'leak');
    expect(await place.run(['pause', batch])).toMatchObject({ code: 0 });
    for (const name of ['resume', 'cancel', 'forget']) {
      expect(await place.run([name, batch, '--reason', ' '])).toMatchObject({ code: 3, stdout: '' });
    }
    expect(await place.run(['resume', batch, '--reason', 'clear'])).toMatchObject({ code: 0 });
    expect(parsed(await lines()).map(({ event, reason }) => [event, reason])).toEqual([
      ['submit', 'leak'],
      ['pause', null],
      ['resume', 'clear'],
    ]);
  });

  it('holds for the library', async () => {
    const producer = await createProducer({ config: join(place.folder, 'certsweep.yaml') });
    const [one, two] = certificates(2) as [Certificate, Certificate];
    try {
      await expect(producer.submit(one)).rejects.toMatchObject({ name: 'ReasonRequired' });
      await expect(producer.submit([one, two])).rejects.toMatchObject({ name: 'ReasonRequired' });
      await producer.submit([one], { requestedBy: 'fleet-service', reason: 'end of life' });
      await producer.submit(two, { requestedBy: 'fleet-service', reason: 'end of life' });
    } finally {
      await producer.close();
    }
    const [entry, ...others] = parsed(await lines());
    expect(entry).toMatchObject({ event: 'submit', requestedBy: 'fleet-service', manifestSha256: null });
    expect(others).toEqual([]);
    const kept = await redis.hget(`${KEY_PREFIX}:batch:direct-fleet:chunks`, '0');
    expect(JSON.parse(kept ?? '')).toMatchObject({ ...two, requestedBy: 'fleet-service', reason: 'end of life' });
  });
});

describe('audit.file', () => {
  it('gets what each process did itself, behind what it has', async () => {
    await open({ audit: { file: 'audit.ndjson' } });
    const path = join(place.folder, 'audit.ndjson');
    const batch = await submit();
    await place.run(['pause', batch]);
    await place.run(['pause', batch]);
    await place.run(['status']);
    expect((await readFile(path, 'utf8')).trimEnd().split('\n')).toEqual(await lines());
    expect(await lines()).toHaveLength(2);
  });

  it('that cannot be appended to lets nothing be changed', async () => {
    await open({ audit: { file: join('no-folder', 'audit.ndjson') } });
    const refused = await place.run(['submit', manifest, '--execute', '--yes']);
    expect(refused).toMatchObject({ code: 3, stdout: '' });
    expect(refused.stderr).toContain('(audit.file) cannot be appended to (ENOENT)');
    const worker = await place.run(['worker']);
    expect(worker).toMatchObject({ code: 3 });
    expect(worker.stderr).toContain('(audit.file) cannot be appended to (ENOENT)');
    expect(await lines()).toEqual([]);
    expect(await place.run(['status'])).toMatchObject({ code: 0 });
  });
});
