import { expect } from 'vitest';
import type { CallRequest, Grant } from '../../src/limiter/contract.ts';
import { readPace } from '../../src/limiter/pace/read-pace.ts';
import { Fleet, type Member, type MemberOptions } from './fleet.ts';
import { LuaNotes, standing, type NotedVerdict } from './lua-notes.ts';

export type Noted = Member<string, NotedVerdict> & { readonly notes: LuaNotes };

/** An account and an address of their own. */
export const paceOf = (name: string, qps = 400): MemberOptions => ({
  account: { name, qps },
  egress: { id: name, qps },
});

export const request = (call: string): CallRequest<string> => ({ instanceId: 'any', isUrgent: false, call });

export function names(count: number, prefix = 'c'): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}${at}`);
}

export function takeAll({ limiter }: Noted, calls: readonly string[]): Promise<Grant<NotedVerdict>[]> {
  return Promise.all(calls.map((call) => limiter.take(request(call))));
}

/** Limiters that note their calls, on the run's Redis. */
export class NotedFleet extends Fleet {
  async openOne(options: MemberOptions): Promise<Noted> {
    const notes = new LuaNotes(this.keys.client, this.notesPrefix(options.account.name));
    return { ...(await this.openNoted(options, notes)), notes };
  }

  /** Begins the keys of an account's notes. */
  notesPrefix(account: string): string {
    return `${this.keys.prefix}:notes:${account}`;
  }

  /** Slots given in the account so far. */
  async given(account: string): Promise<number> {
    return (await readPace(this.keys.client, this.keys.prefix, { account }))?.given ?? 0;
  }

  /** Has all processes look again. @returns the counter's new value */
  signal(): Promise<number> {
    return this.keys.client.incr(`${this.keys.prefix}:signals`);
  }
}

/** Every call got its slot in the end; its note stands once, and was taken back each time before. */
export async function expectOneNoteEach({ notes }: Noted, calls: readonly string[]): Promise<void> {
  const log = await notes.log();
  expect(standing(log)).toEqual(new Set(calls));
  for (const call of calls) {
    const own = log.filter((event) => event.call === call && event.kind !== 'looked').map(({ kind }) => kind);
    expect(own).toEqual(own.map((_, at) => (at % 2 === 0 ? 'noted' : 'back')));
  }
}
