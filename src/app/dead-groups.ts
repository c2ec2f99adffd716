import { ownerIn } from './accounts.ts';
import { listDeadLetters, type DeadLetterOf, type LetterSelection, type NoBatch } from './dead-letters.ts';
import type { Store } from './store.ts';

/** The dead letters of one code. */
export interface DeadGroup {
  readonly code: string;
  readonly letters: number;
  readonly batches: number;
  readonly instances: number;
  /** Of the last one, Unix milliseconds. */
  readonly lastAt: number;
  /** What the last one was told. */
  readonly message: string;
}

export interface DeadGroups {
  readonly kind: 'found';
  /** The largest first. */
  readonly groups: readonly DeadGroup[];
  /** The letters that were seen. */
  readonly letters: number;
  /** Some of them, the latest of what was seen first. */
  readonly some: readonly DeadLetterOf[];
  /** False where there are more than were read. */
  readonly isWhole: boolean;
}

/** Letters in one read: some half a second. */
const READ = 50_000;

interface Growing {
  letters: number;
  lastAt: number;
  message: string;
  readonly batches: Set<string>;
  readonly instances: Set<string>;
}

/**
 * Dead letters by their code, for people.
 * @param some - letters that are wanted beside the counts
 * @param accounts - only of these; absent: of all
 */
export async function deadGroups(
  store: Store,
  filter: Omit<LetterSelection, 'all'>,
  some: number,
  accounts?: readonly string[],
): Promise<DeadGroups | NoBatch> {
  const found = await listDeadLetters(store, filter);
  if (found.kind === 'no-batch') return found;
  const ownerOf = ownerIn(store.config);
  const groups = new Map<string, Growing>();
  const seen = new Set<string>();
  const shown: DeadLetterOf[] = [];
  let isWhole = true;
  for await (const letter of found.letters) {
    if (accounts !== undefined && !accounts.includes(ownerOf(letter.instanceId) ?? '')) continue;
    const name = `${letter.batch} ${letter.n}`;
    // A scan may show a letter twice.
    if (seen.has(name)) continue;
    if (seen.size === READ) {
      isWhole = false;
      break;
    }
    seen.add(name);
    grow(groups, letter);
    keepLatest(shown, letter, some);
  }
  return {
    kind: 'found',
    groups: [...groups]
      .map(([code, { batches, instances, ...group }]) => {
        return { code, ...group, batches: batches.size, instances: instances.size };
      })
      .toSorted((a, b) => b.letters - a.letters),
    letters: seen.size,
    some: shown,
    isWhole,
  };
}

function grow(groups: Map<string, Growing>, { code, at, message, batch, instanceId }: DeadLetterOf): void {
  const group = groups.get(code) ?? { letters: 0, lastAt: 0, message, batches: new Set(), instances: new Set() };
  group.letters += 1;
  group.batches.add(batch);
  group.instances.add(instanceId);
  if (at >= group.lastAt) [group.lastAt, group.message] = [at, message];
  groups.set(code, group);
}

function keepLatest(shown: DeadLetterOf[], letter: DeadLetterOf, some: number): void {
  const last = shown.at(-1);
  if (shown.length >= some && (last === undefined || letter.at <= last.at)) return;
  const place = shown.findIndex(({ at }) => at < letter.at);
  shown.splice(place === -1 ? shown.length : place, 0, letter);
  if (shown.length > some) shown.pop();
}
