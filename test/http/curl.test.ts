import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openHttpRoom, TOKENS, type HttpRoom } from './http-room.ts';

const PAGE = new URL('../../docs/http.md', import.meta.url);

let room: HttpRoom;
beforeAll(async () => {
  const accounts = { prod: { endpoint: 'http://127.0.0.1:1', instances: ['post-cn-xxx'] } };
  room = await openHttpRoom({}, { accounts });
});
afterAll(() => room.remove());

it('the example with curl in the documents does what it says', async () => {
  const [, script = ''] = /^## With curl\n\n```sh\n([^]*?)^```/m.exec(await readFile(PAGE, 'utf8')) ?? [];
  expect(script).toContain('curl');
  const rows = ['01', '02', '03'].map((deviceSn) => `post-cn-xxx,007269004887,${deviceSn}\n`);
  await room.file('manifest.csv', `instanceId,caSn,deviceSn\n${rows.join('')}`);
  const env = { PATH: process.env['PATH'], CERTSWEEP_URL: room.url, TOKEN: TOKENS.producer };
  const { stdout } = await promisify(execFile)('bash', ['-euc', script], { cwd: room.folder, env });
  const answers = stdout.split(/(?<=\})(?=\{)/).map((text) => JSON.parse(text) as Record<string, unknown>);
  expect(answers).toMatchObject([
    { state: 'dry-run', accepted: 3 },
    { state: 'running', accepted: 3 },
    { batches: [{ state: 'running', pending: 3, reason: 'ticket 4711', requestedBy: 'producer' }] },
    { state: 'running', batch: 'direct-prod' },
    { found: [{ batch: 'direct-prod', outcome: null }] },
  ]);
});
