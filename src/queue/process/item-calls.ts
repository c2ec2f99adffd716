import type { CallAction } from '../../core/action.ts';
import type { Answer } from '../../core/answer.ts';
import type { Certificate } from '../../core/certificate.ts';
import { decideByRead, type Puzzle } from '../../core/decide-by-read.ts';
import { decideBeforeDeletion, decideFirst } from '../../core/retirement.ts';
import { decide, type Attempt, type DecidePolicy, type Verdict } from '../../core/decide.ts';
import type { ReadAnswer, RegisteredDevice } from '../../core/registered.ts';
import type { HostWatch } from './host-watch.ts';
import type { Item } from './item.ts';
import type { KeyRenewal } from './key-renewal.ts';

/** The calls that a worker makes for items. */
export interface RevocationClient {
  deleteDeviceCertificate(certificate: Certificate, notAfterMs: number): Promise<Answer>;
  inactivateDeviceCertificate(certificate: Certificate, notAfterMs: number): Promise<Answer>;
  activateDeviceCertificate(certificate: Certificate, notAfterMs: number): Promise<Answer>;
  getDeviceCertificate(
    certificate: Certificate,
    notAfterMs: number,
  ): Promise<ReadAnswer<Pick<RegisteredDevice, 'status' | 'validEndMs'>>>;
}

/** How one call of an item ended, and what that leads to. */
export interface Heard {
  readonly answer: Answer;
  readonly verdict: Verdict;
  /** The answer that is kept with the item: a read only shows the outcome of the call before it. */
  readonly kept: Answer;
  readonly sentMs: number;
  readonly answeredMs: number;
}

export interface ItemCallsParts {
  readonly client: RevocationClient;
  readonly host: Pick<HostWatch, 'hear' | 'hearRead'>;
  readonly renewal: KeyRenewal;
  readonly policy: DecidePolicy;
}

/** Makes the calls of items, each in the slot that it was given. */
export class ItemCalls {
  readonly #parts: ItemCallsParts;

  constructor(parts: ItemCallsParts) {
    this.#parts = parts;
  }

  /** The call that the item's batch is for. @param before - what lies behind the item */
  async change({ action, certificate, isRetiring }: Item, before: Attempt, notAfterMs: number): Promise<Heard> {
    const { client, host, renewal, policy } = this.#parts;
    const sentMs = performance.now();
    const answer = await callFor(client, action, certificate, notAfterMs);
    const answeredMs = performance.now();
    const heard = decide(answer, before, policy, renewal.hear(answer, sentMs, answeredMs), action);
    const verdict = isRetiring === true && action === 'inactivate' ? decideFirst(answer, heard, policy) : heard;
    host.hear(answer, sentMs);
    return { answer, verdict, kept: answer, sentMs, answeredMs };
  }

  /** Reads the certificate, after a call whose code told nothing. */
  async readAfter(
    { action, certificate, isRetiring }: Item,
    puzzle: Puzzle,
    before: Attempt,
    notAfterMs: number,
  ): Promise<Heard> {
    const { client, host, renewal, policy } = this.#parts;
    const sentMs = performance.now();
    const answer = await client.getDeviceCertificate(certificate, notAfterMs);
    const answeredMs = performance.now();
    const trust = renewal.hear(answer, sentMs, answeredMs);
    const heard = decideByRead(answer, puzzle, before, policy, action, trust);
    const verdict = isRetiring === true ? decideFirst(answer, heard, policy) : heard;
    host.hearRead(answer);
    const isOfCall = verdict.kind === 'done' || ('code' in verdict && verdict.code === puzzle.answer.code);
    return { answer, verdict, kept: isOfCall ? puzzle.answer : answer, sentMs, answeredMs };
  }

  /** Reads the certificate, before it is deleted that was to be inactive for a while. */
  async readBeforeDeletion({ certificate }: Item, before: Attempt, notAfterMs: number): Promise<Heard> {
    const { client, host, renewal, policy } = this.#parts;
    const sentMs = performance.now();
    const answer = await client.getDeviceCertificate(certificate, notAfterMs);
    const answeredMs = performance.now();
    const verdict = decideBeforeDeletion(answer, before, policy, renewal.hear(answer, sentMs, answeredMs));
    host.hearRead(answer);
    return { answer, verdict, kept: answer, sentMs, answeredMs };
  }
}

function callFor(
  client: RevocationClient,
  action: CallAction,
  certificate: Certificate,
  notAfterMs: number,
): Promise<Answer> {
  switch (action) {
    case 'delete':
      return client.deleteDeviceCertificate(certificate, notAfterMs);
    case 'inactivate':
      return client.inactivateDeviceCertificate(certificate, notAfterMs);
    case 'activate':
      return client.activateDeviceCertificate(certificate, notAfterMs);
  }
}
