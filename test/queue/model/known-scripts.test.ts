import { expect, it } from 'vitest';
import { control } from '../../ledger/model-commands.ts';
import { addAgain, addJob, claim, feed, forget, goOn, work } from './commands.ts';
import { expectDrained } from './drain.ts';
import { openStage } from './open-stage.ts';
import { request, type Command } from './real.ts';

/** Scripts that chance finds only now and then. */
const SCRIPTS: Readonly<Record<string, readonly Command[]>> = {
  // Its first call was told that it had arrived before: it may have worked, so the item is followed to its end.
  'a batch is cancelled between two calls of one run': [
    work(1, { answers: ['nonce', 'honest'], grant: 'slot' }, true, ['answered'], 'stays'),
    request(control(0, 'cancel')),
    goOn(0, 'goes on'),
  ],
  'a batch is cancelled between two calls of one claim': [
    work(1, { answers: ['throttled'], grant: 'slot' }, true, [], 'stays'),
    claim(1, { answers: ['nonce', 'honest'], grant: 'slot' }, true, ['answered'], 'stays'),
    request(control(0, 'cancel')),
    goOn(0, 'goes on'),
  ],
  'a second job of an item is taken while a call of the first is under way': [
    addJob(0),
    work(1, { answers: ['honest'], grant: 'slot' }, true, ['sent'], 'stays'),
    addAgain(0),
    work(1, { answers: ['honest'], grant: 'slot' }, true, [], 'stays'),
    goOn(0, 'goes on'),
  ],
  'a second job of an item is taken after its first process died in a call': [
    addJob(0),
    work(1, { answers: ['lost-after'], grant: 'slot' }, true, ['answered'], 'dies'),
    addAgain(0),
    work(2, { answers: ['honest'], grant: 'slot' }, true, [], 'stays'),
  ],
  // Its note is still its own, so nobody else can have a call under way: it may go on.
  'a claim runs out between two calls of its run': [
    work(1, { answers: ['throttled'], grant: 'slot' }, true, [], 'stays'),
    claim(1, { answers: ['nonce', 'honest'], grant: 'slot' }, true, ['answered'], 'stalls'),
    goOn(0, 'goes on'),
  ],
  'a claim runs out between two calls of its run, and another process takes the item': [
    work(1, { answers: ['throttled'], grant: 'slot' }, true, [], 'stays'),
    claim(1, { answers: ['nonce', 'honest'], grant: 'slot' }, true, ['answered'], 'stalls'),
    claim(1, { answers: ['honest'], grant: 'slot' }, true, ['slot'], 'stays'),
    goOn(0, 'goes on'),
    goOn(0, 'goes on'),
  ],
  'a batch is forgotten whose items wait': [
    work(1, { answers: ['throttled'], grant: 'slot' }, true, [], 'stays'),
    request(control(0, 'cancel')),
    feed(1, true),
    forget(0),
    claim(3, { answers: ['honest'], grant: 'slot' }, true, [], 'stays'),
    work(1, { answers: ['honest'], grant: 'slot' }, true, [], 'stays'),
  ],
};

it.each(Object.entries(SCRIPTS))('%s', async (_, script) => {
  const { model, real } = await openStage([0, 1], false, 5, 8);
  try {
    for (const step of script) await step.run(model, real);
    await expectDrained(model, real);
    expect(model.items.some(({ ours }) => ours)).toBe(true);
  } finally {
    await real.room.close();
  }
});
