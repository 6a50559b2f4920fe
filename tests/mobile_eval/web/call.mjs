// Call functions of the page's modules: node call.mjs PAGE, with a JSON list of [module, function, arguments] on stdin. Prints the
// JSON list of what they return.

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';

const plain = (value) => {
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return Array.from(value, plain);
  return value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)])) : value;
};

const results = [];
for (const [module, name, parameters] of JSON.parse(readFileSync(0, 'utf8'))) {
  const functions = await import(pathToFileURL(join(process.argv[2], module)));
  results.push(plain(functions[name](...parameters)));
}
process.stdout.write(JSON.stringify(results));
