import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const noticeSchema = z.object({ kind: z.string(), pid: z.number().exactOptional() });
type HeardNotice = z.infer<typeof noticeSchema>;

const PROGRAM = fileURLToPath(new URL('opener.mjs', import.meta.url));

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

/**
 * Starts the program, which has the built sources, as the command has.
 * @param through - a command that runs it after its own words
 */
export function startOpener(dataDir: string, through: readonly string[] = []): Opener {
  const [command, ...rest] = [...through, process.execPath, PROGRAM, dataDir];
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
