import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { Certificate } from '../core/certificate.ts';
import { PLANNED_ACTIONS } from '../core/action.ts';
import { mustBeReplaceable } from '../inventory/sink.ts';
import { ManifestError } from '../manifest/fault.ts';
import { readManifest } from '../manifest/read-manifest.ts';
import type { ManifestRow } from '../manifest/row.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);

const headerSchema = z.strictObject({
  version: z.literal(1),
  /** Of everything else in the header: a header that was edited has another. */
  id: z.string().regex(/^[0-9a-f]{32}$/),
  action: z.enum(PLANNED_ACTIONS),
  accounts: z.array(z.strictObject({ name: z.string(), endpoint: z.string() })),
  instances: z.array(z.strictObject({ instanceId: z.string(), account: z.string(), certificates: count })),
  /** Lines that follow. */
  certificates: count.min(1),
  classes: z.strictObject({ active: count, inactive: count, absent: count, otherCa: count }),
  inventory: z.strictObject({
    /** When it began, Unix milliseconds of Redis' clock. */
    atMs: count,
    state: z.enum(['stable', 'moved']),
  }),
  /** Of the bytes of the manifest; null where certificates were selected. */
  manifestSha256: sha256.nullable(),
  /** Of the bytes that follow the header and its line end. */
  sha256,
});

/** The first line of a plan file. */
export type PlanHeader = z.infer<typeof headerSchema>;

/** Completes a header with its id. */
export function withId(header: Omit<PlanHeader, 'id'>): PlanHeader {
  return { ...header, id: idOf(header) };
}

/** Independent of the order of keys, which a program that reads and writes JSON may change: only what it says counts. */
function idOf(header: Omit<PlanHeader, 'id'>): string {
  const said = JSON.stringify(sorted({ ...header, id: undefined }));
  return createHash('sha256').update(said).digest('hex').slice(0, 32);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, of]) => [key, sorted(of)]);
}

/** With its line end. */
export function planLine({ instanceId, caSn, deviceSn }: Certificate): string {
  return `${JSON.stringify({ instanceId, caSn, deviceSn })}\n`;
}

/**
 * Makes sure that the file can be written, before the work begins.
 * @throws the system's error
 */
export async function reservePlanFile(out: string): Promise<void> {
  await mustBeReplaceable(out);
  const file = await open(partOf(out), 'w', 0o600);
  await file.close();
}

/** Takes away what was reserved, where nothing was written. */
export async function releasePlanFile(out: string): Promise<void> {
  await rm(partOf(out), { force: true });
}

function partOf(out: string): string {
  return `${out}.part`;
}

/** Lines that are written at once. */
const LINES_AT_ONCE = 1_000;

/**
 * Writes beside the file and renames at the end: half a plan never looks like a whole one.
 * @throws the system's error
 */
export async function writePlanFile(
  out: string,
  header: PlanHeader,
  certificates: () => Iterable<Certificate>,
): Promise<void> {
  function* texts(): Generator<string> {
    let block = [`${JSON.stringify(header)}\n`];
    for (const certificate of certificates()) {
      block.push(planLine(certificate));
      if (block.length < LINES_AT_ONCE) continue;
      yield block.join('');
      block = [];
    }
    yield block.join('');
  }
  await pipeline(Readable.from(texts()), createWriteStream(partOf(out), { mode: 0o600, flush: true }));
  await rename(partOf(out), out);
}

/** A plan file cannot be trusted, so nothing of it may run. */
export class PlanFileFault extends Error {
  override readonly name = 'PlanFileFault';
  /** `edited`: what stands in it is not what was planned. `no-plan`: it is none, or of another version. `unreadable`: the system's code. */
  readonly kind: 'edited' | 'no-plan' | 'unreadable';

  constructor(kind: PlanFileFault['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A header longer than this is none, bytes: there is a line for each instance in it. */
const MOST_HEADER_BYTES = 1 << 22;

/**
 * Reads the first line.
 * @throws PlanFileFault
 */
export async function readPlanHeader(path: string): Promise<{ readonly header: PlanHeader; readonly bytes: number }> {
  let file;
  let line: Buffer = Buffer.alloc(0);
  try {
    file = await open(path);
    const chunk = Buffer.alloc(1 << 16);
    while (line.length < MOST_HEADER_BYTES && !line.includes(0x0a)) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, line.length);
      if (bytesRead === 0) break;
      line = Buffer.concat([line, chunk.subarray(0, bytesRead)]);
    }
  } catch (error) {
    throw new PlanFileFault('unreadable', (error as NodeJS.ErrnoException).code ?? String(error));
  } finally {
    await file?.close();
  }
  const end = line.indexOf(0x0a);
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8', 0, Math.max(end, 0)));
  } catch {
    throw new PlanFileFault('no-plan', 'its first line is not a header');
  }
  const parsed = headerSchema.safeParse(value);
  if (!parsed.success) throw new PlanFileFault('no-plan', 'its first line is not the header of a plan of this version');
  const header = parsed.data;
  if (idOf(header) !== header.id) throw new PlanFileFault('edited', 'its header is not the one that was written');
  return { header, bytes: end + 1 };
}

/**
 * The certificates of a plan. Nothing may be acted on before the end is reached: only then is it known that nobody edited them.
 * @throws PlanFileFault
 */
export async function* readPlanBody(
  path: string,
  { header, bytes }: { readonly header: PlanHeader; readonly bytes: number },
): AsyncGenerator<readonly ManifestRow[], void, undefined> {
  const hash = createHash('sha256');
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const chunk of createReadStream(path, { start: bytes, highWaterMark: 1 << 18 })) {
      hash.update(chunk as Buffer);
      yield chunk as Buffer;
    }
  }
  const edited = (): PlanFileFault => new PlanFileFault('edited', 'its certificates are not those that were planned');
  try {
    for await (const rows of readManifest(hashed(), { format: 'ndjson' })) {
      // A bad row is never written, and its reason does not help: somebody edited the file.
      if (rows.some(({ ok }) => !ok)) throw edited();
      yield rows;
    }
  } catch (error) {
    if (error instanceof ManifestError) throw edited();
    throw error;
  }
  if (hash.digest('hex') !== header.sha256) throw edited();
}
