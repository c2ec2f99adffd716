import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandOptions } from './command.ts';

const RECORDER = new URL('send-recorder.mjs', import.meta.url).href;

/**
 * Has a command note when it sends each request, by its own time on the one clock of this host: the sandbox's event loop may stall, and then arrivals
 * look like a burst. `times` reads them once the command has ended, milliseconds.
 */
export function recordSends(
  folder: string,
  name = 'sends',
): { readonly options: CommandOptions; readonly times: () => Promise<number[]> } {
  const path = join(folder, `${name}.json`);
  return {
    options: { node: ['--import', RECORDER], env: { SENDS_FILE: path } },
    times: async () => JSON.parse(await readFile(path, 'utf8')) as number[],
  };
}
