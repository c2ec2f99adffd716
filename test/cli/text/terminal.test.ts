import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasTerminal, type Ended } from '../../support/command.ts';
import { certificates, manifestOf } from '../../support/fleet.ts';
import { openInstallation, type Installation } from '../../support/installation.ts';

let place: Installation;
let manifest: string;
beforeAll(async () => {
  place = await openInstallation();
  manifest = await place.file('manifest.csv', manifestOf(certificates(1_200)));
});
afterAll(() => place.remove());

/** Submits 1,200 certificates on a terminal, and answers the question with these keys. */
async function answer(keys: string, reason?: string): Promise<Ended> {
  const keyboard = new PassThrough();
  const submitter = place.start(['submit', manifest, '--execute'], { terminal: true, stdin: keyboard });
  await submitter.says('This deletes 1,200 device certificates for good. Type the number to go on:');
  keyboard.write(keys);
  if (reason !== undefined) {
    await submitter.says('Why? The reason stays on record:');
    keyboard.write(reason);
  }
  return submitter.ended;
}

// Needs `script` of util-linux, to give the command a terminal.
describe.skipIf(!hasTerminal)('submit on a terminal asks for the count and the reason', () => {
  it('and does nothing with another answer, and what was asked for with the right one', async () => {
    const another = await answer('1201\r');
    expect(another.code).toBe(3);
    expect(another.stdout).toContain('That is not 1200. Nothing was touched.');
    const left = await answer('\u0003');
    expect(left.code).toBe(130);
    expect(left.stdout).toContain('Interrupted. Nothing was touched.');
    expect(JSON.parse((await place.run(['status', '--json'])).stdout)).toEqual({
      batches: [],
      halts: [],
      stopped: null,
      lowered: [],
    });

    // As it was shown.
    const right = await answer('1,200\r', 'ticket 4711\r');
    expect(right.code).toBe(0);
    const { stdout } = await place.run(['status', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ batches: [{ state: 'running', accepted: 1_200 }] });
    const record = await place.run(['audit', '--json']);
    expect(JSON.parse(record.stdout)).toMatchObject({ event: 'submit', reason: 'ticket 4711' });
  });
});
