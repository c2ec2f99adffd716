import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { ManifestError } from '../manifest/fault.ts';
import { formatOf, readManifest } from '../manifest/read-manifest.ts';
import type { ManifestRow } from '../manifest/row.ts';

export interface ManifestOptions {
  readonly instance?: string;
  readonly ca?: string;
  readonly allowUnterminated?: boolean;
}

/**
 * The rows of the manifest that a command was given.
 * @param hash - is fed with its bytes
 * @throws ManifestError with the name of the manifest, also while it is read
 */
export async function openManifest(
  manifest: string,
  options: ManifestOptions,
  hash?: Hash,
): Promise<AsyncIterable<readonly ManifestRow[]>> {
  return named(manifest, await rowsOf(manifest, options, hash));
}

async function rowsOf(
  manifest: string,
  { instance, ca, allowUnterminated = false }: ManifestOptions,
  hash: Hash | undefined,
): Promise<AsyncIterable<readonly ManifestRow[]>> {
  const given = {
    ...(instance !== undefined && { instanceId: instance }),
    ...(ca !== undefined && { caSn: ca }),
    allowUnended: allowUnterminated,
  };
  if (manifest === '-') return readManifest(hashed(process.stdin, hash), given);
  const format = formatOf(manifest);
  if (format === undefined) {
    throw new ManifestError(`${manifest} is neither .csv nor .ndjson: rename it, or pipe it in as -.`);
  }
  const found = await stat(manifest).catch((error: NodeJS.ErrnoException) => {
    throw new ManifestError(`${manifest} cannot be read (${error.code}): check the path.`);
  });
  if (!found.isFile()) throw new ManifestError(`${manifest} is not a file.`);
  return readManifest(hashed(createReadStream(manifest, { highWaterMark: 1 << 18 }), hash), { ...given, format });
}

/** After its end, the digest is what sha256sum prints of the manifest. */
async function* hashed(source: AsyncIterable<Buffer>, hash: Hash | undefined): AsyncGenerator<Buffer> {
  for await (const bytes of source) {
    hash?.update(bytes);
    yield bytes;
  }
}

/** Its faults with the name of the manifest, which the reader does not know. */
async function* named(
  manifest: string,
  rows: AsyncIterable<readonly ManifestRow[]>,
): AsyncGenerator<readonly ManifestRow[]> {
  try {
    yield* rows;
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new ManifestError(`${manifest === '-' ? 'standard input' : manifest}: ${error.message}`);
  }
}
