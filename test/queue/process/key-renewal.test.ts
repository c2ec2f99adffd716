import { beforeEach, describe, expect, it } from 'vitest';
import type { Answer } from '../../../src/core/answer.ts';
import { KeyRenewal, PROVEN_MS, TRIAL_MS, TRIAL_REFUSALS } from '../../../src/queue/process/key-renewal.ts';

const ACCEPTED: Answer = { kind: 'accepted', requestId: 'R' };
const refused = (code: string): Answer => ({ kind: 'refused', status: 400, code, message: code, requestId: 'R' });
const BAD_TOKEN = refused('InvalidSecurityToken.Expired');

let fetches = 0;
let renewal: KeyRenewal;
beforeEach(() => {
  fetches = 0;
  renewal = new KeyRenewal(() => (fetches += 1));
});

describe('a refused token', () => {
  it('is fetched again once for all calls that were under way', () => {
    for (const sentMs of [10, 11, 12, 13]) expect(renewal.hear(BAD_TOKEN, sentMs, sentMs + 20)).toBe('untried');
    expect(fetches).toBe(1);
  });

  it('that is refused in several calls after it was fetched again has failed, and is fetched once more for the probe', () => {
    renewal.hear(BAD_TOKEN, 10, 30);
    for (let at = 1; at < TRIAL_REFUSALS; at += 1) expect(renewal.hear(BAD_TOKEN, 30 + at, 50 + at)).toBe('untried');
    expect(fetches).toBe(1);
    expect(renewal.hear(BAD_TOKEN, 40, 60)).toBe('failed');
    expect(fetches).toBe(2);
    // Those that were under way then.
    expect(renewal.hear(BAD_TOKEN, 41, 61)).toBe('untried');
    expect(fetches).toBe(2);
    // A probe is one call.
    expect(renewal.hear(BAD_TOKEN, 30_050, 30_070)).toBe('failed');
    expect(fetches).toBe(3);
  });

  it('that works in between has not failed', () => {
    renewal.hear(BAD_TOKEN, 10, 30);
    renewal.hear(BAD_TOKEN, 31, 51);
    renewal.hear(ACCEPTED, 32, 52);
    for (let at = 0; at < TRIAL_REFUSALS; at += 1) expect(renewal.hear(BAD_TOKEN, 33 + at, 60)).toBe('proven');
    // Later it may have expired, and the next one has a whole trial.
    expect(renewal.hear(BAD_TOKEN, PROVEN_MS, PROVEN_MS + 60)).toBe('untried');
    expect(fetches).toBe(2);
    expect(renewal.hear(BAD_TOKEN, PROVEN_MS + 60, PROVEN_MS + 80)).toBe('untried');
    expect(renewal.hear(BAD_TOKEN, PROVEN_MS + 61, PROVEN_MS + 81)).toBe('untried');
    expect(renewal.hear(BAD_TOKEN, PROVEN_MS + 62, PROVEN_MS + 82)).toBe('failed');
  });

  it.each([ACCEPTED, refused('FindDeviceBySnError'), refused('ParameterCheckFailed')])(
    'is worth another fetch once what was fetched has worked: %j',
    (proof) => {
      renewal.hear(BAD_TOKEN, 10, 30);
      renewal.hear(proof, 40, 60);
      expect(renewal.hear(BAD_TOKEN, PROVEN_MS, PROVEN_MS + 30)).toBe('untried');
      expect(fetches).toBe(2);
    },
  );

  it('is kept for a while where it works for some calls and not for others', () => {
    renewal.hear(BAD_TOKEN, 10, 30);
    renewal.hear(ACCEPTED, 40, 60);
    expect(renewal.hear(BAD_TOKEN, 61, 80)).toBe('proven');
    expect(renewal.hear(BAD_TOKEN, 81, PROVEN_MS)).toBe('proven');
    expect(fetches).toBe(1);
  });

  it('is not thought to work because of a call that began before it was fetched, or of an answer that says nothing', () => {
    renewal.hear(BAD_TOKEN, 10, 30);
    renewal.hear(ACCEPTED, 9, 31);
    renewal.hear({ kind: 'network', code: 'ETIMEDOUT', message: '', effect: 'unknown' }, 40, 60);
    renewal.hear(refused('Throttling.User'), 41, 61);
    for (let at = 1; at < TRIAL_REFUSALS; at += 1) expect(renewal.hear(BAD_TOKEN, 62, 80)).toBe('untried');
    expect(renewal.hear(BAD_TOKEN, 63, 81)).toBe('failed');
  });

  it('is worth a fetch after a trial of which nothing was heard', () => {
    renewal.hear(BAD_TOKEN, 10, 30);
    expect(renewal.hear(BAD_TOKEN, TRIAL_MS, TRIAL_MS + 30)).toBe('untried');
    expect(fetches).toBe(2);
  });
});
