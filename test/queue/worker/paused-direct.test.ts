import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { certificatesOf } from '../feed/feed-stage.ts';
import { StepStage } from '../step-stage.ts';
import { World, type AnswerKind } from '../world.ts';

const [first, second] = certificatesOf(2) as [Certificate, Certificate];
let stage: StepStage;
beforeEach(() => {
  stage = new StepStage(new World([first.deviceSn, second.deviceSn]));
});
afterEach(() => stage.close());

/** The only call is on its way when the direct batch is paused, and its item settles. */
async function pauseInFlight(answer: AnswerKind): Promise<void> {
  await stage.addJob('first', first);
  const { process } = await stage.take([answer], 'answered');
  expect(await stage.ledger.batches.change(stage.direct, 'pause')).toEqual({ kind: 'changed', state: 'paused' });
  await stage.goOn(process);
  expect(stage.world.calls).toEqual([first.deviceSn]);
}

it('stays paused when its last call in flight settles: the next job waits until it is resumed', async () => {
  await pauseInFlight('honest');
  expect(await stage.batch(stage.direct)).toMatchObject({ state: 'paused', counts: { revoked: 1 } });
  await stage.addJob('second', second);
  await stage.take();
  expect(stage.world.calls).toEqual([first.deviceSn]);
  expect(await stage.parked(stage.direct)).toEqual([1]);
  // Nor does it go on from there.
  expect(await stage.takeIfAny()).toBeUndefined();
  expect(await stage.batch(stage.direct)).toMatchObject({ state: 'paused', counts: { accepted: 2, revoked: 1 } });
  await stage.ledger.batches.change(stage.direct, 'resume');
  await stage.take();
  expect(await stage.batch(stage.direct)).toMatchObject({ state: 'completed', counts: { revoked: 2 } });
});

it('keeps a retried dead letter waiting until it is resumed', async () => {
  await pauseInFlight('refused');
  expect(await stage.ledger.deadLetters.reopen(stage.direct, [0])).toEqual(['reopened']);
  await stage.feed();
  expect(await stage.takeIfAny()).toBeUndefined();
  expect(stage.world.calls).toEqual([first.deviceSn]);
  expect(await stage.batch(stage.direct)).toMatchObject({ state: 'paused', counts: { dead: 0 } });
  await stage.ledger.batches.change(stage.direct, 'resume');
  await stage.feed();
  await stage.take();
  expect(await stage.batch(stage.direct)).toMatchObject({ state: 'completed', counts: { revoked: 1 } });
});

it('is done at once when it is resumed with nothing pending', async () => {
  await pauseInFlight('honest');
  expect(await stage.ledger.batches.change(stage.direct, 'resume')).toEqual({ kind: 'changed', state: 'completed' });
});
