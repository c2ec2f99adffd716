import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { SignedClaims } from '../../src/core/direct-job.ts';
import { signatureOf, signedWith } from '../../src/queue/signature.ts';

const CONTRACT = new URL('../../docs/job-contract.md', import.meta.url);
/** The test vector of the contract. */
const KEY = '0123456789abcdef'.repeat(4);
const CLAIMS: SignedClaims = {
  jobId: 'fleet-4711',
  instanceId: 'post-cn-xxx',
  caSn: '007269004887',
  deviceSn: '00ff5ad1',
  requestedBy: 'fleet-service',
  reason: 'Gerät gestohlen',
  expires: 1_767_225_600,
};
const SIG = 'c27d62b573b20bfdea4bf99c1381749eeb3f981a9e927d8bfaacc38d98436be1';

it('is what the contract says it is', async () => {
  expect(signatureOf(KEY, CLAIMS)).toBe(SIG);
  const { requestedBy: _who, reason: _why, ...bare } = { ...CLAIMS, jobId: 'fleet-4712' };
  const sig = '385c6f855c9c1bf69f0457753bc77039e742d4bdb572492c9169c410d3451009';
  expect(signatureOf(KEY, bare)).toBe(sig);
  const contract = await readFile(CONTRACT, 'utf8');
  for (const told of [KEY, SIG, sig, ...Object.values(CLAIMS).map(String)]) expect(contract).toContain(told);
});

it('holds for its text and its key only', () => {
  const text = ['certsweep-job-1', ...Object.values(CLAIMS).map(String)].join('\0');
  expect(signedWith(KEY)(text, SIG)).toBe(true);
  expect(signedWith(KEY)(`${text}0`, SIG)).toBe(false);
  expect(signedWith(`${KEY}0`)(text, SIG)).toBe(false);
  expect(signedWith(KEY)(text, `0${SIG.slice(1)}`)).toBe(false);
  expect(signatureOf(KEY, { ...CLAIMS, reason: 'a\0b' })).toBeUndefined();
});

it('comes out of the Python lines of the contract as well, where Python is', async ({ skip }) => {
  const contract = await readFile(CONTRACT, 'utf8');
  const lines = /```python\n(import hashlib[\s\S]*?)```/.exec(contract)?.[1] ?? '';
  expect(lines).toContain('hmac.new');
  const run = promisify(execFile);
  const isThere = await run('python3', ['--version']).then(
    () => true,
    () => false,
  );
  if (!isThere) skip('no python3');
  const script = `${lines}\nprint(sign(${JSON.stringify(KEY)}, ${JSON.stringify(CLAIMS.jobId)}, ${JSON.stringify(jobOf())}))`;
  const { stdout } = await run('python3', ['-c', script], { env: { ...process.env, PYTHONUTF8: '1' } });
  expect(stdout.trim()).toBe(SIG);
});

function jobOf(): object {
  const { jobId: _id, ...data } = CLAIMS;
  return { v: 1, ...data };
}
