import { mkdtemp, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AuditFile, AuditFileUnavailable } from '../../src/audit/own-file.ts';
import { AuditRoom } from './audit-room.ts';

const room = new AuditRoom();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-own-file-'));
});
afterAll(async () => {
  await room.redis.cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function eventsIn(path: string): Promise<string[]> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line) => (JSON.parse(line) as { event: string }).event);
}

it('continues under its name when what rotates logs has renamed it', async () => {
  const [path, old] = [join(folder, 'audit.ndjson'), join(folder, 'audit.ndjson.1')];
  await room.write({ event: 'submit' });
  const file = new AuditFile(path, room.client, room.keys);
  await file.open();
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await room.write({ event: 'pause' });
  await file.write();
  await rename(path, old);
  await room.write({ event: 'resume' });
  await Promise.all([file.write(), file.write()]);
  expect([await eventsIn(old), await eventsIn(path)]).toEqual([['pause'], ['resume']]);
});

it('says so where it cannot be appended to any more, and writes what it owes when it can', async () => {
  const [path, target] = [join(folder, 'link'), join(folder, 'later', 'audit.ndjson')];
  const file = new AuditFile(path, room.client, room.keys);
  await file.open();
  await rm(path);
  await symlink(target, path);
  await room.write({ event: 'cancel' });
  await expect(file.write()).rejects.toThrow(AuditFileUnavailable);
  await rm(path);
  await room.write({ event: 'forget' });
  await file.write();
  expect(await eventsIn(path)).toEqual(['cancel', 'forget']);
});
