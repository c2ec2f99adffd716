import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { currentUser, hasCode } from './own-files.ts';

/** Whether what is at a path is chosen by root and this user alone. */
export type Trust =
  | { readonly kind: 'trusted'; readonly groupWritable: readonly GroupWritable[] }
  | { readonly kind: 'refused'; readonly weakness: Weakness };

/** A part of the way that somebody else can put something else into. */
export interface Weakness {
  /** Names the path. */
  readonly because: string;
  readonly remedy: string;
  /** Whom it belongs to, where that is the fault. */
  readonly owner?: number;
}

/** What the members of a group could put something else into. */
export interface GroupWritable {
  readonly path: string;
  readonly gid: number;
}

const MOST_LINKS = 40;

/**
 * Judges a program, and the folders of libraries that would be loaded with it: nobody but root and this user may be able to replace them, or any
 * folder or link on the way to them.
 * @throws ENOENT and other faults of the file system
 */
export async function judgeProgram(program: string, libraryFolders: readonly string[]): Promise<Trust> {
  // One that is not there is no candidate, whatever may be said of the way to it.
  await stat(program);
  const groupWritable = new Map<string, GroupWritable>();
  const seen = new Set<string>();
  const paths = [program];
  for (const folder of libraryFolders.filter((name) => name !== ''))
    paths.push(...(await readdir(folder)).map((name) => join(folder, name)));
  for (const path of paths) {
    const weakness = await walk(resolve(path), seen, groupWritable);
    if (weakness !== undefined) return { kind: 'refused', weakness };
  }
  return { kind: 'trusted', groupWritable: [...groupWritable.values()] };
}

/** Judges the way to a folder, as far as it exists: we make the rest. */
export async function judgeFolder(path: string): Promise<Trust> {
  const groupWritable = new Map<string, GroupWritable>();
  try {
    const weakness = await walk(resolve(path), new Set(), groupWritable);
    if (weakness !== undefined) return { kind: 'refused', weakness };
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  return { kind: 'trusted', groupWritable: [...groupWritable.values()] };
}

/** Every step of the way, links included: anyone who can replace one of them chooses where it leads. */
async function walk(
  path: string,
  seen: Set<string>,
  groupWritable: Map<string, GroupWritable>,
): Promise<Weakness | undefined> {
  let reached = '/';
  let links = 0;
  const ahead = ['', ...names(path)];
  for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    const next = join(reached, name);
    const found = await lstat(next);
    if (!seen.has(next)) {
      seen.add(next);
      const weakness = judge(next, found);
      if (weakness !== undefined) return weakness;
      // The mode of a link means nothing; in a folder like /tmp only the owner of what lies there can replace it.
      if (!found.isSymbolicLink() && (found.mode & 0o020) !== 0 && !isSharedByRoot(found))
        groupWritable.set(next, { path: next, gid: found.gid });
    }
    if (!found.isSymbolicLink()) {
      reached = next;
      continue;
    }
    links += 1;
    if (links > MOST_LINKS)
      return { because: `it is behind too many symbolic links, ${next} for one`, remedy: 'name it by its own path' };
    const target = await readlink(next);
    ahead.unshift(...names(target));
    reached = target.startsWith('/') ? '/' : dirname(next);
  }
  return undefined;
}

type Found = Awaited<ReturnType<typeof lstat>>;

function judge(path: string, found: Found): Weakness | undefined {
  const me = currentUser();
  if (me === undefined) return undefined;
  const owner = Number(found.uid);
  if (owner !== 0 && owner !== me) {
    const because = `${path} belongs to user ${owner}, neither to root nor to this user (${me})`;
    return { because, remedy: 'give it to one of the two with chown', owner };
  }
  if (found.isSymbolicLink() || (Number(found.mode) & 0o002) === 0 || isSharedByRoot(found)) return undefined;
  const remedy = `check that it is unchanged, then chmod o-w ${path}`;
  return { because: `every user can write to ${path}`, remedy };
}

/** Like /tmp: everyone may add to it, and nobody may touch what belongs to another. */
function isSharedByRoot(found: Found): boolean {
  return found.isDirectory() && found.uid === 0 && (Number(found.mode) & 0o1000) !== 0;
}

function names(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}
