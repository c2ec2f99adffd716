import { z } from 'zod';
import { OPERATION_NAMES } from './request.ts';

const status = z.int({ error: 'give an HTTP status from 200 to 599' }).min(200).max(599).optional();
const code = z.string({ error: 'name the code, such as InternalError' }).min(1);
const delayMs = z.number({ error: 'give whole milliseconds, such as 200' }).int().min(0).max(600_000);

/** Whom a fault meets, and how often. */
const target = {
  share: z
    .number({ error: 'give a number from 0 to 1, such as 0.01 for one device in a hundred' })
    .min(0)
    .max(1)
    .optional(),
  deviceSns: z
    .array(z.string({ error: 'write the serial number as text in quotes' }).min(1), {
      error: 'give a list of serial numbers',
    })
    .min(1)
    .optional(),
  operations: z
    .array(z.enum(OPERATION_NAMES, { error: `name operations: ${OPERATION_NAMES.join(', ')}` }), {
      error: 'give a list of operations',
    })
    .min(1)
    .optional(),
  times: z
    .union([z.int().min(1), z.literal(Number.POSITIVE_INFINITY), z.literal('always')], {
      error: 'give a whole number from 1, or "always"',
    })
    .optional(),
};

const FAULTS = [
  z.strictObject({
    kind: z.literal('code'),
    code,
    status,
    ...target,
  }),
  z.strictObject({ kind: z.literal('html'), status, ...target }),
  z.strictObject({ kind: z.literal('empty'), status, ...target }),
  z.strictObject({ kind: z.literal('no-code'), status, ...target }),
  z.strictObject({ kind: z.literal('empty-object'), status, ...target }),
  z.strictObject({ kind: z.literal('wrong-echo'), ...target }),
  z.strictObject({ kind: z.literal('reset-before'), ...target }),
  z.strictObject({ kind: z.literal('reset-after'), ...target }),
  z.strictObject({ kind: z.literal('slow'), delayMs, ...target }),
  z.strictObject({ kind: z.literal('hang'), ...target }),
  z.strictObject({ kind: z.literal('answer-lost-after'), status, ...target }),
  z.strictObject({ kind: z.literal('code-after'), code, status, ...target }),
  z.strictObject({ kind: z.literal('throttle'), status, retryAfterMs: delayMs.optional(), ...target }),
] as const;

/** Every way the sandbox can misbehave. */
export const FAULT_KINDS = FAULTS.map((fault) => fault.shape.kind.value);

const FAULT_PLAN = z.strictObject({
  seed: z.int({ error: 'give a whole number; the same one brings the same faults again' }),
  faults: z.array(
    z
      .discriminatedUnion('kind', FAULTS, { error: () => `use one of: ${FAULT_KINDS.join(', ')}` })
      .refine((fault) => fault.share === undefined || fault.deviceSns === undefined, {
        error: 'give share or deviceSns, not both',
      }),
    { error: 'give a list of faults; [] for none' },
  ),
});

/**
 * One fault. It meets the devices of `deviceSns`, or the `share` (0 to 1) of all devices, or with neither every device;
 * each of them `times` times (default 1, `always` for ever). Without `operations` it meets calls that change a device certificate, and no others.
 * Another operation is matched, in place of the device, by the CA's serial number, or a listing's page as "<PageNo>/<PageSize>".
 */
export type Fault = z.infer<typeof FAULT_PLAN>['faults'][number];

/** What goes wrong, for whom. The same plan meets the same devices in each run. */
export type FaultPlan = z.infer<typeof FAULT_PLAN>;

export type ParsedFaultPlan =
  | { readonly ok: true; readonly plan: FaultPlan }
  | { readonly ok: false; readonly message: string };

/** Checks a plan read from YAML or JSON; the message names each path, its value and what to write instead. */
export function parseFaultPlan(input: unknown): ParsedFaultPlan {
  const parsed = FAULT_PLAN.safeParse(input);
  if (parsed.success) return { ok: true, plan: parsed.data };
  const lines = parsed.error.issues.map((issue) => {
    const value = issue.path.reduce<unknown>((inside, key) => valueAt(inside, key), input);
    return `${pathOf(issue.path)}: ${shown(value)} cannot be used, ${remedyOf(issue)}`;
  });
  return { ok: false, message: `fault plan: ${lines.join('; ')}` };
}

function remedyOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `remove ${issue.keys.map((key) => `"${key}"`).join(', ')}`;
  if (issue.code === 'too_small') return `give at least ${issue.minimum}${issue.origin === 'array' ? ' entry' : ''}`;
  if (issue.code === 'too_big') return `give at most ${issue.maximum}`;
  return issue.message;
}

function valueAt(inside: unknown, key: PropertyKey): unknown {
  return typeof inside === 'object' && inside !== null ? Reflect.get(inside, key) : undefined;
}

function pathOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'the plan';
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .slice(1);
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/**
 * A bad day at the office: about 1.3% of the devices end dead, about 0.8% are gone already, about 2% meet a passing
 * trouble. Sized so that 5,000 certificates at one egress address' pace are done within half a minute.
 */
export function demoPlan(seed: number): FaultPlan {
  return {
    seed,
    faults: [
      { kind: 'code', code: 'ParameterFieldCheckFailed', share: 0.006, times: 'always' },
      { kind: 'code', code: 'FindCaBySnError', share: 0.004, times: 'always' },
      { kind: 'code', code: 'CertificateStateConflict', share: 0.003, times: 'always' },
      { kind: 'code', code: 'FindDeviceBySnError', share: 0.008, times: 'always' },
      { kind: 'code', code: 'ServiceUnavailable', share: 0.004 },
      { kind: 'code', code: 'InternalError', share: 0.003, times: 2 },
      { kind: 'html', share: 0.002 },
      { kind: 'empty', share: 0.001 },
      { kind: 'no-code', share: 0.001 },
      { kind: 'reset-before', share: 0.002 },
      { kind: 'reset-after', share: 0.002 },
      { kind: 'answer-lost-after', share: 0.002 },
      { kind: 'slow', delayMs: 200, share: 0.002 },
      { kind: 'throttle', retryAfterMs: 300, share: 0.0006 },
    ],
  };
}
