import { createReadStream } from 'node:fs';
import type { Certificate } from '../core/certificate.ts';
import { formatOf, readManifest } from '../manifest/read-manifest.ts';

/** A file that says which certificates are meant, or are not, cannot be understood; the message says where and why. */
export class SelectorFileFault extends Error {
  override readonly name = 'SelectorFileFault';
}

/**
 * The certificates to leave out of an inventory.
 * @param cas - what is asked for: where it is one, a line need not name it
 * @throws SelectorFileFault at the first bad row: to pass over it would be to let its certificate in; and what the reader or the system throws
 */
export async function* exceptedIn(
  path: string,
  instanceId: string,
  cas: readonly string[],
): AsyncGenerator<Certificate, void, undefined> {
  const format = formatOf(path);
  const [only, another] = cas;
  const given = { instanceId, ...(only !== undefined && another === undefined && { caSn: only }) };
  const source = createReadStream(path);
  for await (const rows of readManifest(source, { ...given, ...(format !== undefined && { format }) })) {
    for (const row of rows) {
      if (!row.ok) throw new SelectorFileFault(`line ${row.line}: ${row.reason}`);
      yield row.certificate;
    }
  }
}

/** The names of a file that has one a line, each once. */
export function namesIn(text: string): string[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  return [...new Set(lines.filter((line) => line !== ''))];
}
