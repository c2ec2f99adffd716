import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';

/** Windows whose keys are kept: enough for a step back. */
export const KEPT_WINDOWS = 8;

const rowSchema = z.object({
  instanceId: z.string(),
  caSn: z.string(),
  deviceSn: z.string(),
  deviceName: z.string(),
  status: z.enum(['active', 'inactive']),
  validBegin: z.string(),
  validEnd: z.string(),
});

const writtenSchema = z.object({ bytes: z.int(), sha256: z.string() });

/** So much of the part file, and what it is. */
export type Written = z.infer<typeof writtenSchema>;

const checkpointSchema = z.object({
  version: z.literal(1),
  /** Of what was asked for: another question cannot continue from here. */
  asked: z.string(),
  startedMs: z.number(),
  /** Which listing of those asked for. */
  listing: z.int(),
  walk: z.object({
    end: z.int(),
    recent: z.array(z.array(z.string())),
    calls: z.int(),
    stepsBack: z.int(),
    isMoved: z.boolean(),
  }),
  /** Of the part file: what stands behind was written after this. */
  written: writtenSchema,
  certificates: z.int(),
  unreadable: z.int(),
  calls: z.int(),
  stepsBack: z.int(),
  isMoved: z.boolean(),
  isCutShort: z.boolean(),
  names: z.array(z.int()),
  pems: z.array(z.int()),
  maybe: z.array(z.object({ pems: z.array(z.int()), row: rowSchema })),
});

/** How far an inventory has come. It holds no certificate's text. */
export type Checkpoint = z.infer<typeof checkpointSchema>;

/** Where the parts of an unfinished inventory are. */
export function partsOf(out: string): { readonly part: string; readonly progress: string } {
  return { part: `${out}.part`, progress: `${out}.progress` };
}

/** Undefined where there is none that can be read. */
export async function readCheckpoint(path: string): Promise<Checkpoint | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    return checkpointSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** In one step, so that a crash leaves the one before. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const next = `${path}.next`;
  await writeFile(next, JSON.stringify(checkpoint), { mode: 0o600 });
  await rename(next, path);
}

export async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.next`, { force: true });
}
