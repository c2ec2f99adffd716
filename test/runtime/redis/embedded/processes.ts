import { execFile, spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

const noticeSchema = z.object({ kind: z.string(), pid: z.number().exactOptional() });
type HeardNotice = z.infer<typeof noticeSchema>;

const execute = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../../../..', import.meta.url));

/** Another process that opens a data directory. */
export interface Opener {
  readonly pid: number;
  /** What it was told so far. */
  readonly notices: readonly HeardNotice[];
  /** Resolves when it has the Redis open; rejects with its last words when it ends instead. */
  readonly opened: Promise<void>;
  close(): Promise<void>;
  kill(): Promise<void>;
}

/** Compiles the program `opener.ts` with the sources as they are now: a build from before would test yesterday's code. */
export async function buildOpener(): Promise<{
  /** @param through - a command that runs the program after its own words */
  start(dataDir: string, through?: readonly string[]): Opener;
  discard(): Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'certsweep-opener-'));
  const out = join(folder, 'out');
  const configuration = {
    extends: join(PROJECT, 'tsconfig.json'),
    compilerOptions: { rootDir: PROJECT, outDir: out, declaration: false },
    files: [join(PROJECT, 'test/runtime/redis/embedded/opener.ts')],
    include: [],
  };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(configuration));
  await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  await execute(process.execPath, [join(PROJECT, 'node_modules/typescript/bin/tsc'), '-p', folder]);
  await symlink(join(PROJECT, 'config'), join(out, 'config'));
  await writeFile(join(out, 'package.json'), '{"type":"module"}');
  return {
    start: (dataDir, through = []) =>
      startOpener([...through, process.execPath, join(out, 'test/runtime/redis/embedded/opener.js'), dataDir]),
    discard: () => rm(folder, { recursive: true, force: true }),
  };
}

function startOpener([command = '', ...rest]: readonly string[]): Opener {
  const child = spawn(command, rest);
  const notices: HeardNotice[] = [];
  const ended = once(child, 'close');
  return {
    pid: child.pid ?? 0,
    notices,
    opened: listen(child, notices),
    async close() {
      child.stdin.end();
      await ended;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function listen(child: ChildProcessWithoutNullStreams, notices: HeardNotice[]): Promise<void> {
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const notice = noticeSchema.parse(JSON.parse(line));
      if (notice.kind === 'open') resolve();
      else notices.push(notice);
    });
    child.once('close', () => reject(new Error(words)));
  });
}
