import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRoot } from './another-user.ts';

const DIST = fileURLToPath(new URL('../../../../dist', import.meta.url));
const hasMounts = isRoot && process.platform === 'linux' && spawnSync('unshare', ['-m', 'true']).status === 0;

describe.runIf(hasMounts)('on a disk that is full', () => {
  let disk: string;
  beforeEach(async () => {
    disk = await mkdtemp(join(tmpdir(), 'certsweep-full-'));
  });
  afterEach(() => rm(disk, { recursive: true }));

  /** Runs a module with a small disk at `disk`, which only it sees; `fill` leaves no room on it. */
  function onSmallDisk(code: string): string {
    const program = `
      import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
      const disk = '${disk}';
      const directory = disk + '/redis';
      function fill() {
        try {
          for (let n = 0; ; n += 1) writeFileSync(disk + '/filling-' + n, Buffer.alloc(4096));
        } catch {}
      }
      ${code}`;
    const mounted = `mount -t tmpfs -o size=128k none '${disk}' && exec "$@"`;
    const words = ['-m', 'sh', '-c', mounted, 'sh', process.execPath, '--input-type=module', '-e', program];
    const { stdout, stderr } = spawnSync('unshare', words, { encoding: 'utf8' });
    return `${stderr}${stdout}`;
  }

  it('a command says what is full, and leaves no file behind', () => {
    const said = onSmallDisk(`
      mkdirSync(directory, { mode: 0o700 });
      fill();
      // The command line looks for its words there in a program that is given as text.
      process.argv.splice(1, 1, 'status');
      process.env.CERTSWEEP_DATA_DIR = disk;
      await import('${DIST}/cli/main.js');
      console.log(process.exitCode, readdirSync(directory));
    `);
    expect(said).toBe(`There is no room left in ${disk}/redis (ENOSPC): free space on its disk\n3 []\n`);
  });

  it('the start lock is given back by a process that lives on', () => {
    const said = onSmallDisk(`
      import { withStartLock } from '${DIST}/runtime/redis/embedded/start-lock.js';
      mkdirSync(directory, { mode: 0o700 });
      await withStartLock(directory, 1_000, async () => fill());
      console.log(readdirSync(directory));
      for (const name of readdirSync(disk)) if (name.startsWith('filling')) rmSync(disk + '/' + name);
      console.log(await withStartLock(directory, 1_000, async ({ afterDeath }) => afterDeath));
    `);
    expect(said).toBe("[ 'start.lock.1' ]\nfalse\n");
  });
});
