// Writes the JSON Schema of the configuration file from the rules that `certsweep` itself checks, for editors to complete and explain keys.
// Run by `npm run schema`, which builds first. A test fails while the committed file differs.
import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '../dist/runtime/config/schema.js';

const target = new URL('../config/certsweep.schema.json', import.meta.url);
writeFileSync(target, `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
