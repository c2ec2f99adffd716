// npm run docs: writes the generated parts of the documents. `npm run docs:check` fails while a committed page differs.
import { writeFileSync } from 'node:fs';
import { generatedPages } from './generate-docs.mjs';

for (const [path, text] of generatedPages()) {
  writeFileSync(new URL(`../${path}`, import.meta.url), text);
  console.log(path);
}
