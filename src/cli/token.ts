import { Option, type Command } from 'commander';
import { makeToken } from '../app/identity.ts';
import { ROLES, type Role } from '../core/role.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { print, printJson, say } from './text/terminal.ts';
import { wholeNumber } from './whole-number.ts';

interface TokenOptions {
  readonly name: string;
  readonly role: Role;
  readonly account?: readonly string[];
  readonly maxItems?: number;
  readonly json?: boolean;
}

export function addToken(program: Command): void {
  program
    .command('token')
    .summary('make a token for the HTTP API, and its line of the configuration')
    .description(
      'Makes a token and prints it once, on standard output; it is stored nowhere. On standard error it prints the entry for http.tokens, which holds only its SHA-256. Touches nothing.',
    )
    .requiredOption('--name <name>', 'its name in the audit record')
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .option('--account <name...>', 'only these accounts')
    .option('--max-items <n>', 'the most certificates of one submission', (value: string) =>
      wholeNumber('--max-items', value, { least: 1, most: 100_000_000 }),
    )
    .option('--json', 'print one object with token and entry')
    .addHelpText('after', '\nExample:\n  certsweep token --name ci --role producer --account prod --max-items 50000')
    .action((options: TokenOptions) => {
      const { name, role, account, maxItems } = options;
      if (!/^[\w.-]{1,64}$/.test(name)) {
        throw new CommandEnd(
          EXIT.usage,
          `--name ${JSON.stringify(name)} is not a valid name: give 1 to 64 letters, digits, dots, underscores and hyphens.`,
        );
      }
      const { token, sha256 } = makeToken();
      const entry = { name, sha256, role, ...(account && { accounts: account }), ...(maxItems && { maxItems }) };
      if (options.json === true) {
        printJson({ token, entry });
        return;
      }
      print(token);
      say(`It is shown only now. Add this entry to http.tokens in the configuration of each certsweep serve:`);
      say(`  - { ${Object.entries(entry).map(fieldOf).join(', ')} }`);
    });
}

/** As YAML, on one line. */
function fieldOf([key, value]: readonly [string, unknown]): string {
  return `${key}: ${Array.isArray(value) ? `[${value.join(', ')}]` : String(value)}`;
}
