import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { hasTerminal } from '../support/command.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { openInstallation, type Installation } from '../support/installation.ts';

/** Turns the line round, erases it, and does so in ways that JSON leaves as they are. */
const EVIL = 'x\u001B[2K\u009B2K\u202E\u2028\u{E0041}y';
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

let place: Installation;
let batch: string;
beforeAll(async () => {
  place = await openInstallation();
  await place.holdRedis();
  const manifest = await place.file('manifest.csv', manifestOf(certificates(3)));
  const flags = ['--execute', '--yes', '--json', '--requested-by', EVIL, '--reason', EVIL];
  const { stdout } = await place.run(['submit', manifest, ...flags]);
  ({ batch } = JSON.parse(stdout) as { batch: string });
  const redis = await place.redis();
  const row = JSON.stringify([[0, EVIL, 1, EVIL]]);
  await redis.xadd(ledgerKeys(KEY_PREFIX).of(batch).ledger, '*', 'dead', row);
});
afterAll(() => place.remove());

/** Text without the line ends that are ours. */
const lines = (text: string): string => text.replaceAll(/\r?\n/g, '');

describe('what is printed hides nothing', () => {
  it('in JSON, which means the same all the same', async () => {
    const { stdout } = await place.run(['report', batch, '--format', 'ndjson']);
    expect(lines(stdout)).not.toMatch(HIDDEN);
    expect(JSON.parse(stdout)).toMatchObject({ requestId: EVIL, code: EVIL });
  });

  it('in what is said to people, of what they gave', async () => {
    const outputs = [
      await place.run(['status', batch]),
      await place.run(['status', EVIL]),
      await place.run(['status', '--config', EVIL]),
      await place.run([EVIL]),
      await place.run(['submit', `${EVIL}.csv`]),
      await place.run(['report', batch, `--${EVIL}`]),
    ];
    for (const { stdout, stderr } of outputs) expect(lines(stdout + stderr)).not.toMatch(HIDDEN);
    expect(outputs[1]?.stderr).toContain(String.raw`\u{202e}`);
  });

  it('in the log', async () => {
    const logger = new URL('../../dist/runtime/logger.js', import.meta.url).href;
    const program = `const { createLogger } = await import(${JSON.stringify(logger)});
      createLogger('info').info({ event: 'x', host: ${JSON.stringify(EVIL)} });`;
    const { stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
    });
    expect(lines(stderr)).not.toMatch(HIDDEN);
    expect(JSON.parse(stderr)).toMatchObject({ host: EVIL });
  });

  it.skipIf(!hasTerminal)('in a report on a terminal, while a file gets the data as it is', async () => {
    for (const format of ['csv', 'ndjson']) {
      const { stdout } = await place.run(['report', batch, '--format', format], { terminal: true });
      expect(stdout).toContain('post-cn-fleet');
      expect(lines(stdout)).not.toMatch(HIDDEN);
    }
    expect((await place.run(['report', batch])).stdout).toContain(EVIL);
  });
});
