/** A total that is so near to what was listed counts rows: it may lag a little behind. */
const NEAR = 0.9;

/**
 * Whether a listing ended before its end: its last page says that there is more. The API's total counts rows for one operation and pages for another,
 * as it is documented, and nobody knows better. So only what fits neither is a contradiction.
 * @param listed - rows, up to the end of the last page
 * @param lastPage - undefined where there was none
 */
export function isCutShort(
  listed: number,
  lastPage: { readonly total: number | undefined; readonly pageSize: number } | undefined,
): boolean {
  const { total, pageSize = 0 } = lastPage ?? {};
  if (total === undefined) return false;
  // Of nothing, some would say that it is one page.
  if (listed === 0) return total > 1;
  // More rows than were listed, or so many pages that they must have had more.
  if (total > listed) return true;
  return total < NEAR * listed && (total - 1) * pageSize >= listed;
}
