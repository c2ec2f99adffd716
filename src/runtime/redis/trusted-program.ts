import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { currentUser, hasCode } from './own-files.ts';

/** Whether a program may be run without having been chosen by the person who runs us. */
export type Trust =
  | { readonly kind: 'trusted'; readonly groupWritable: readonly GroupWritable[] }
  /** Completes "<program> ..."; says which path, and what to do. */
  | { readonly kind: 'refused'; readonly reason: string };

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
    const reason = await walk(resolve(path), seen, groupWritable);
    if (reason !== undefined) return { kind: 'refused', reason };
  }
  return { kind: 'trusted', groupWritable: [...groupWritable.values()] };
}

/**
 * Judges the folder that something is to be put into, as far as it is there already.
 * @returns why not, as in `Trust`
 */
export async function refuseFolder(path: string): Promise<string | undefined> {
  try {
    return await walk(resolve(path), new Set(), new Map());
  } catch (error) {
    // What is not there yet is made by us.
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Every step of the way, links included: whoever can replace one of them chooses what is run. */
async function walk(path: string, seen: Set<string>, groupWritable: Map<string, GroupWritable>) {
  let reached = '/';
  let links = 0;
  const ahead = ['', ...names(path)];
  for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    const next = join(reached, name);
    const found = await lstat(next);
    if (!seen.has(next)) {
      seen.add(next);
      const reason = judge(next, found);
      if (reason !== undefined) return reason;
      // The mode of a link means nothing; in a folder like /tmp only the owner of what lies there can replace it.
      if (!found.isSymbolicLink() && (found.mode & 0o020) !== 0 && !isSharedByRoot(found))
        groupWritable.set(next, { path: next, gid: found.gid });
    }
    if (!found.isSymbolicLink()) {
      reached = next;
      continue;
    }
    links += 1;
    if (links > MOST_LINKS) return `is behind too many symbolic links, ${next} for one`;
    const target = await readlink(next);
    ahead.unshift(...names(target));
    reached = target.startsWith('/') ? '/' : dirname(next);
  }
  return undefined;
}

type Found = Awaited<ReturnType<typeof lstat>>;

function judge(path: string, found: Found): string | undefined {
  const me = currentUser();
  if (me === undefined) return undefined;
  if (found.uid !== 0 && found.uid !== me)
    return `is not run, because ${path} belongs to user ${found.uid}, neither to root nor to this user (${me}): give it to one of the two with chown`;
  if (found.isSymbolicLink() || (Number(found.mode) & 0o002) === 0 || isSharedByRoot(found)) return undefined;
  return `is not run, because every user can write to ${path}: look whether it is still what it was, then chmod o-w ${path}`;
}

/** Like /tmp: everyone may add to it, and nobody may touch what belongs to another. */
function isSharedByRoot(found: Found): boolean {
  return found.isDirectory() && found.uid === 0 && (Number(found.mode) & 0o1000) !== 0;
}

function names(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}
