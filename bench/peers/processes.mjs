// What Linux tells of processes: their CPU time and their descendants.
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** Milliseconds of CPU of a process, its descendants, and those of them that have ended. */
export function treeCpuMs(pid) {
  const fields = statOf(pid);
  if (fields === undefined) return 0;
  const own = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  const below = childrenOf(pid).reduce((sum, child) => sum + treeCpuMs(child), 0);
  return (own * 1_000) / TICKS_PER_SECOND + below;
}

/** The youngest generation below a process; the process itself when it has none. */
export function leavesOf(pid) {
  const children = childrenOf(pid);
  return children.length === 0 ? [pid] : children.flatMap((child) => leavesOf(child));
}

function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function statOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  } catch {
    return undefined;
  }
}
