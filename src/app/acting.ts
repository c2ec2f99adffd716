import type { Motive } from '../audit/note.ts';
import type { Store } from './store.ts';

export { osUser, type Motive } from '../audit/note.ts';
export { AuditFileUnavailable } from '../audit/own-file.ts';

/** The configuration wants a reason, and none was given: nothing was changed. */
export type ReasonRequired = { readonly kind: 'reason-required' };

export function lacksReason({ config }: Pick<Store, 'config'>, { reason = '' }: Motive): boolean {
  return config.audit.requireReason && reason.trim() === '';
}

/**
 * Does what changes something, and has the audit file know of it.
 * @throws AuditFileUnavailable before anything is changed, or what the work throws
 */
export async function acting<T>({ auditFile, tellTrouble }: Store, work: () => Promise<T>): Promise<T> {
  await auditFile?.open();
  try {
    return await work();
  } finally {
    // What was changed is changed, and on record in Redis.
    await auditFile
      ?.write()
      .catch((error: unknown) => tellTrouble?.(error instanceof Error ? error : new Error(String(error))));
  }
}
