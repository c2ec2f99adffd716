import { beforeEach, describe, expect, it } from 'vitest';
import type { Answer } from '../../src/core/answer.ts';
import { KeyRenewal, PROVEN_MS, TRIAL_MS } from '../../src/queue/key-renewal.ts';

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
  it('is fetched anew once for all calls that were under way', () => {
    for (const sentMs of [10, 11, 12, 13]) expect(renewal.hear(BAD_TOKEN, sentMs, sentMs + 20)).toBe('outdated');
    expect(fetches).toBe(1);
  });

  it('that is refused after it was fetched anew is on trial, and is fetched once more for the probe', () => {
    renewal.hear(BAD_TOKEN, 10, 30);
    expect(renewal.hear(BAD_TOKEN, 30, 50)).toBe('on-trial');
    expect(fetches).toBe(2);
    // Those that were under way then.
    expect(renewal.hear(BAD_TOKEN, 31, 51)).toBe('outdated');
    expect(fetches).toBe(2);
    expect(renewal.hear(BAD_TOKEN, 30_050, 30_070)).toBe('on-trial');
    expect(fetches).toBe(3);
  });

  it.each([ACCEPTED, refused('FindDeviceBySnError'), refused('ParameterCheckFailed')])(
    'is worth another fetch once what was fetched has worked: %j',
    (proof) => {
      renewal.hear(BAD_TOKEN, 10, 30);
      renewal.hear(proof, 40, 60);
      expect(renewal.hear(BAD_TOKEN, PROVEN_MS, PROVEN_MS + 30)).toBe('outdated');
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
    expect(renewal.hear(BAD_TOKEN, 62, 80)).toBe('on-trial');
  });

  it('is worth a fetch after a trial of which nothing was heard', () => {
    renewal.hear(BAD_TOKEN, 10, 30);
    expect(renewal.hear(BAD_TOKEN, TRIAL_MS, TRIAL_MS + 30)).toBe('outdated');
    expect(fetches).toBe(2);
  });
});
