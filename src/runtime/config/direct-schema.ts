import { z } from 'zod';
import { ACCEPTS, DEFAULT_DIRECT } from '../../core/direct-job.ts';

const HOUR_REMEDY = 'give a whole number of certificates an hour from 1 to 100000000';

/** @param instance - what an instance id may be */
export function directSchema<Id extends z.ZodType<string>>(instance: Id) {
  return z.strictObject(
    {
      accept: z
        .enum(ACCEPTS, { error: `give one of ${ACCEPTS.join(', ')}` })
        .default(DEFAULT_DIRECT.accept)
        .describe('Whose single certificates are accepted: any, signed (CERTSWEEP_JOB_KEY holds the key), or none.'),
      maxPerHour: z
        .int({ error: HOUR_REMEDY })
        .min(1, { error: HOUR_REMEDY })
        .max(100_000_000, { error: HOUR_REMEDY })
        .default(DEFAULT_DIRECT.maxPerHour)
        .describe('Certificates accepted in any hour. One more pauses the direct batch until an operator resumes it.'),
      instances: z
        .array(instance, { error: 'list instance ids of this account' })
        .exactOptional()
        .describe('Instances whose single certificates are accepted. Without it: all of the account.'),
    },
    { error: 'write accept, maxPerHour or instances below it' },
  );
}

/** Says where `direct.instances` lists what the account does not have. The account may be anything here, since this is judged even with faults. */
export function checkDirectInstances(account: unknown, context: z.core.$RefinementCtx): void {
  const { instances, direct } = Object(account) as { readonly instances?: unknown; readonly direct?: unknown };
  const { instances: listed } = Object(direct) as { readonly instances?: unknown };
  if (!Array.isArray(instances) || !Array.isArray(listed)) return;
  for (const [index, id] of listed.entries()) {
    if (instances.includes(id)) continue;
    const message = 'take it out, or list it under instances of this account too';
    context.addIssue({ code: 'custom', path: ['direct', 'instances', index], message });
  }
}
