import type { CallNotes } from '../contract.ts';
import type { Caller } from './wait-queue.ts';

/** What goes to the notes with one pulse. */
export interface NotesQuestion {
  readonly request: { readonly keys: readonly string[]; readonly json: string };
  /** No answer came: whether the calls were noted is not known, so the next pulse takes their notes back. */
  fail(): void;
}

/** Nothing is noted. */
export const NO_NOTES: CallNotes<never, never> = {
  lua: `local function openCalls(request)
  local verdicts, callable = {}, {}
  for at in ipairs(request.calls) do verdicts[at], callable[at] = 'go', at end
  return verdicts, callable, function() end
end`,
  claimMs: 0,
  request: (calls) => ({ keys: [], json: JSON.stringify({ calls: calls.map(() => 0) }) }),
  read: () => {
    throw new Error('nothing is noted');
  },
  noted: () => undefined,
};

/** What the notes say of the calls of those who wait, and which calls were noted and certainly not made. */
export class NotesOfCalls<Call, Verdict, Waiting extends Caller<Call>> {
  readonly #notes: CallNotes<Call, Verdict & { readonly kind: string }>;
  /** Noted and not made: the next pulse takes these notes back. */
  #back: Call[] = [];

  constructor(notes: CallNotes<Call, Verdict & { readonly kind: string }>) {
    this.#notes = notes;
  }

  /** The question of a pulse; what must be taken back goes with it. */
  ask(callers: readonly Waiting[]): NotesQuestion {
    const calls = callers.map(({ request }) => request.call);
    const back = this.#back.splice(0);
    return {
      request: this.#notes.request(calls, back),
      fail: () => void this.#back.push(...back, ...calls.filter((call) => call !== undefined)),
    };
  }

  /** The caller has a slot, and its call is noted. @returns what its notes say; undefined where nothing is noted of the call */
  noted({ request: { call } }: Waiting, verdict: string, claimEndMs: number): Verdict | undefined {
    if (call === undefined) return undefined;
    this.#notes.noted(call, claimEndMs);
    return this.#notes.read(verdict);
  }

  /** They had slots and have not called. */
  takeBack(callers: readonly Waiting[]): void {
    this.#back.push(...callers.flatMap(({ request: { call } }) => (call === undefined ? [] : [call])));
  }

  /** Those who must not call, and why. @param verdicts - of each caller */
  refused(callers: readonly Waiting[], verdicts: readonly string[]): { caller: Waiting; verdict: Verdict }[] {
    return callers.flatMap((caller, at) => {
      const text = verdicts[at] ?? 'go';
      const mayCall = caller.request.call === undefined || text.startsWith('go');
      return mayCall ? [] : [{ caller, verdict: this.#notes.read(text) }];
    });
  }
}
