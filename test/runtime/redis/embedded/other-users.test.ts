import { chmod, chown, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareDirectory } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { findDebian } from '../../../../src/runtime/redis/embedded/unpack-debian.ts';
import { openInstallation, type Installation } from '../../../support/installation.ts';
import { isRoot, NOBODY } from './another-user.ts';
import { killServer, useEmbeddedPlace } from './embedded-place.ts';

/*
 * What other users of the host have put there, or could. As root and as any other user: root is no exception anywhere. The commands are the
 * built ones, with no server on PATH that is not said.
 */
const place = useEmbeddedPlace();
const TOOLS = '/usr/local/bin:/usr/bin:/bin';
const debian = await findDebian();

let installation: Installation;
let directory: string;
beforeEach(async () => {
  installation = await openInstallation();
  directory = join(installation.dataDir, 'redis');
});
afterEach(() => installation.remove());

/** A program that leaves a witness when it is run, were it only to ask for its version. */
async function witness(path: string): Promise<{ path: string; wasRun: () => boolean }> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n: > '${installation.folder}/was-run'\necho 'Redis server v=7.0.15 sha=0'\n`);
  await chmod(path, 0o755);
  return { path, wasRun: () => existsSync(join(installation.folder, 'was-run')) };
}

/** As if this program had written the data. */
async function recordWriter(path: string): Promise<void> {
  await prepareDirectory(installation.dataDir);
  const record = { v: 1, writer: { path, flavour: 'redis', version: '7.0.15' }, socket: join(directory, 'redis.sock') };
  await writeFile(join(directory, 'server.json'), JSON.stringify(record), { mode: 0o600 });
}

/** Its cache holds what a test has put there. */
function status(path = TOOLS) {
  return installation.run(['status'], { env: { PATH: path, XDG_CACHE_HOME: join(installation.folder, 'cache') } });
}

function cached(): string {
  return join(installation.folder, `cache/certsweep/redis-${debian?.name}/usr/bin/redis-server`);
}

describe('a server that is recorded or cached', () => {
  it('is not run from a folder that every user can write to', async () => {
    const program = await witness(join(installation.folder, 'open/bin/redis-server'));
    await recordWriter(program.path);
    await chmod(join(installation.folder, 'open'), 0o777);
    const ended = await status();
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(
      `${program.path} is not run, because every user can write to ${installation.folder}/open: check that it is unchanged, then chmod o-w ${installation.folder}/open`,
    );
    expect(program.wasRun()).toBe(false);
  });

  it('is not run where a link on the way to it can be turned elsewhere', async () => {
    const program = await witness(join(installation.folder, 'bin/redis-server'));
    const open = join(installation.folder, 'open');
    await mkdir(open);
    await symlink(program.path, join(open, 'redis-server'));
    await recordWriter(join(open, 'redis-server'));
    await chmod(open, 0o777);
    expect((await status()).stderr).toContain(`because every user can write to ${open}:`);
    expect(program.wasRun()).toBe(false);
  });

  it.runIf(debian)('is not run from the cache when every user can write to it', async () => {
    const program = await witness(cached());
    await chmod(program.path, 0o757);
    const ended = await status();
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(`because every user can write to ${program.path}:`);
    expect(program.wasRun()).toBe(false);
  });

  it.runIf(debian)('is not run when every user can write to a library it would load', async () => {
    const program = await witness(cached());
    const library = join(program.path, '../../lib/x86_64-linux-gnu/libjemalloc.so.2');
    await mkdir(dirname(library), { recursive: true });
    await writeFile(library, '');
    await chmod(library, 0o666);
    expect((await status()).stderr).toContain(`because every user can write to ${library}:`);
    expect(program.wasRun()).toBe(false);
  });

  it('is run, with a warning, where the members of a group can replace it', async () => {
    const folder = join(installation.folder, 'shared');
    const program = await witness(join(folder, 'redis-server'));
    await recordWriter(program.path);
    await chmod(folder, 0o770);
    const { stderr } = await status();
    expect(stderr).toMatch(
      new RegExp(`^${program.path} can be replaced by the members of group \\d+, .*chmod g-w ${folder}$`, 'm'),
    );
    expect(program.wasRun()).toBe(true);
  });

  it.runIf(isRoot)('is not run when it belongs to another user', async () => {
    const program = await witness(join(installation.folder, 'bin/redis-server'));
    await recordWriter(program.path);
    await chown(program.path, NOBODY, NOBODY);
    expect((await status()).stderr).toContain(
      `${program.path} is not run, because ${program.path} belongs to user ${NOBODY}, neither to root nor to this user (0)`,
    );
    expect(program.wasRun()).toBe(false);
  });
});

describe('a server on PATH that every user can write to', () => {
  it.skipIf(isRoot)('is the choice of the caller', async () => {
    const program = await witness(join(installation.folder, 'bin/redis-server'));
    await chmod(program.path, 0o777);
    await status(`${dirname(program.path)}:${TOOLS}`);
    expect(program.wasRun()).toBe(true);
  });

  it.runIf(isRoot)('is not run by root', async () => {
    const program = await witness(join(installation.folder, 'bin/redis-server'));
    await chmod(program.path, 0o777);
    const { stderr } = await status(`${dirname(program.path)}:${TOOLS}`);
    expect(stderr).toContain(`because every user can write to ${program.path}:`);
    expect(program.wasRun()).toBe(false);
  });
});

describe('a directory of another user', () => {
  it.runIf(isRoot)('is refused, to root too, and nothing that it names is run', async () => {
    const program = await witness(join(installation.folder, 'bin/redis-server'));
    await recordWriter(program.path);
    await chown(directory, NOBODY, NOBODY);
    await chmod(directory, 0o750);
    const ended = await status();
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(
      `${directory} belongs to user ${NOBODY}, and this is root: run as that user (sudo -u '#${NOBODY}' certsweep ...), or choose another data directory`,
    );
    expect(program.wasRun()).toBe(false);
    expect((await stat(directory)).mode & 0o777).toBe(0o750);
  });

  it.runIf(isRoot)('is refused file by file where the directory itself was given over', async () => {
    const program = await witness(join(installation.folder, 'bin/redis-server'));
    await recordWriter(program.path);
    await chown(join(directory, 'server.json'), NOBODY, NOBODY);
    const { stderr } = await status();
    expect(stderr).toContain(`${directory}/server.json belongs to user ${NOBODY}, and this is user 0: it is not used`);
    await chown(join(directory, 'server.json'), 0, 0);
    expect(program.wasRun()).toBe(false);
  });
});

describe('a link that somebody has put into the directory', () => {
  let victim: string;
  beforeEach(async () => {
    victim = join(place.dataDir, 'victim');
    await mkdir(join(place.dataDir, 'redis'), { mode: 0o700 });
    await writeFile(victim, 'precious', { mode: 0o644 });
  });

  it.each(['password.new', 'server.json.new', 'redis.conf.new'])('as %s is not written through', async (name) => {
    await symlink(victim, join(place.dataDir, 'redis', name));
    await place.open();
    expect(await readFile(victim, 'utf8')).toBe('precious');
    expect((await stat(victim)).mode & 0o777).toBe(0o644);
  });

  it.each(['password', 'server.json', 'redis.log'])('as %s is refused', async (name) => {
    const path = join(place.dataDir, 'redis', name);
    await symlink(victim, path);
    await expect(place.open()).rejects.toThrow(`${path} is a symbolic link, which is not followed: remove it`);
    expect(await readFile(victim, 'utf8')).toBe('precious');
  });

  it('as the directory is refused, and what it leads to keeps its mode', async () => {
    const target = join(place.dataDir, 'target');
    await mkdir(target, { mode: 0o755 });
    const dataDir = join(place.dataDir, 'data');
    await mkdir(dataDir);
    await symlink(target, join(dataDir, 'redis'));
    await expect(place.open(dataDir)).rejects.toThrow(`${dataDir}/redis is a symbolic link, which is not followed`);
    expect((await stat(target)).mode & 0o777).toBe(0o755);
  });
});

it('a folder that was open to others is closed at the next opening, with the server that runs in it', async () => {
  await place.open();
  await chmod(join(place.dataDir, 'redis'), 0o777);
  await place.open();
  expect(place.pidOf('adopted')).toBe(place.pidOf('started'));
  expect((await stat(join(place.dataDir, 'redis'))).mode & 0o777).toBe(0o700);
  await killServer(place.pidOf('started'));
});
