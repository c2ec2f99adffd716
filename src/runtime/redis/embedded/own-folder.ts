import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { RedisUnavailable } from '../describe-error.ts';
import { hasCode } from './own-files.ts';

/** The embedded Redis' own folder as it was first opened. Links are turned and folders are moved, so it is known by device and inode. */
export interface OwnFolder {
  /** Where it was then, without links: all processes know it by one name. */
  readonly path: string;
  readonly device: bigint;
  readonly inode: bigint;
}

/** What was opened is not there any more; trying again does not help. */
export class FolderMoved extends RedisUnavailable {
  constructor({ path }: OwnFolder) {
    super(
      `${path} is no longer the folder that was opened here: it was moved, removed or exchanged. Put it back, or start again to use what is at ${path} now`,
    );
  }
}

/** How to open it: without following a link. */
export const FOLDER_ONLY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * A handle of this very folder, wherever its path leads to while it is held.
 * @throws FolderMoved
 */
export async function openAgain(folder: OwnFolder): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(folder.path, FOLDER_ONLY);
  } catch (error) {
    throw leadsNowhere(error) ? new FolderMoved(folder) : error;
  }
  if (isFolder(await handle.stat({ bigint: true }), folder)) return handle;
  await handle.close();
  throw new FolderMoved(folder);
}

/**
 * Whether the path leads to this folder.
 * @throws faults of the file system; a path that leads nowhere is none
 */
export async function leadsTo(path: string, folder: OwnFolder): Promise<boolean> {
  try {
    return isFolder(await stat(path, { bigint: true }), folder);
  } catch (error) {
    if (leadsNowhere(error)) return false;
    throw error;
  }
}

export function isFolder(found: { readonly dev: bigint; readonly ino: bigint }, folder: OwnFolder): boolean {
  return found.dev === folder.device && found.ino === folder.inode;
}

/** Nothing has the path, or something that is no folder has a part of it. */
export function leadsNowhere(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].some((code) => hasCode(error, code));
}
