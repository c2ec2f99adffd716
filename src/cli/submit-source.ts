import { CommandEnd, EXIT } from './exit.ts';

/** The options that say what is submitted. */
interface SourceOptions {
  readonly plan?: string;
  readonly action?: string;
  readonly instance?: string;
  readonly ca?: string;
  readonly skipInvalid?: boolean;
  readonly allowUnterminated?: boolean;
}

/** What a manifest needs said is in a plan already. */
const OF_MANIFESTS = ['action', 'instance', 'ca', 'skipInvalid', 'allowUnterminated'] as const;

export function sourceOf(
  manifest: string | undefined,
  options: SourceOptions,
): { readonly plan: string } | { readonly manifest: string } {
  const { plan } = options;
  if (plan === undefined) {
    if (manifest !== undefined) return { manifest };
    throw new CommandEnd(EXIT.usage, 'Give a manifest, or --plan <file>.');
  }
  if (manifest !== undefined || OF_MANIFESTS.some((name) => options[name] !== undefined))
    throw new CommandEnd(
      EXIT.usage,
      '--plan reads nothing but the plan: leave out the manifest, --action, --instance, --ca, --skip-invalid and --allow-unterminated.',
    );
  return { plan };
}
