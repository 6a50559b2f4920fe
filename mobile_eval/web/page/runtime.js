// Models in the browser: LiteRT.js, on the processor (WebAssembly) in one thread.

import {Tensor, loadAndCompile, loadLiteRt} from './litert-js/index.js';
import {inputLength} from './predict.js';

const SIMD = new Uint8Array( // the smallest module with an instruction of WebAssembly SIMD
  [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/** Load LiteRT.js from the folder of the page. */
export async function openRuntime() {
  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(SIMD)) {
    throw new Error('This browser has no WebAssembly SIMD, which LiteRT.js needs. Chrome 91, Firefox 89, Safari 16.4 and later have it.');
  }
  await loadLiteRt('./litert-js/wasm/');
}

/** A model that is ready to run. `entry` is its entry in site.json. */
export class Model {
  constructor(entry, compiled, loadMs) {
    Object.assign(this, entry);
    this.compiled = compiled;
    this.loadMs = loadMs;
  }

  static async load(entry) {
    const response = await fetch(entry.file);
    if (!response.ok) throw new Error(`${entry.model} cannot be loaded: ${response.status} ${response.statusText}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const begun = performance.now();
    const compiled = await loadAndCompile(bytes, {accelerator: 'wasm'});
    return new Model(entry, compiled, performance.now() - begun);
  }

  /** The input as a tensor, which the caller deletes. */
  tensor(stored) {
    return new Tensor(stored, [1, ...this.contract.input.size, 3]);
  }

  /** Run a tensor and drop the outputs: what the benchmark times. */
  async invoke(tensor) {
    for (const output of await this.compiled.run([tensor])) output.delete();
  }

  /** Run an input as it is stored, and return the outputs in the contract's order. */
  async run(stored) {
    const tensor = this.tensor(stored);
    const outputs = await this.compiled.run([tensor]);
    try {
      const details = this.compiled.getOutputDetails(), arrays = await Promise.all(outputs.map((output) => output.data()));
      return this.contract.outputs.map(({name, shape}) => {
        const named = details.findIndex((detail) => detail.name === name);
        return arrays[named >= 0 ? named : details.findIndex((detail) => Array.from(detail.shape).join() === shape.join())];
      });
    } finally {
      [tensor, ...outputs].forEach((each) => each.delete());
    }
  }

  /** A random input as it is stored. */
  randomInput() {
    const {dtype} = this.contract.input;
    const values = dtype === 'float32' ? new Float32Array(inputLength(this.contract)) : new Uint8Array(inputLength(this.contract));
    return values.map(() => (dtype === 'float32' ? 2 * Math.random() - 1 : 256 * Math.random()));
  }
}
