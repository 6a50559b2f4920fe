// Models in the browser: LiteRT.js, on the processor (WebAssembly) in one thread, or on the GPU (WebGPU).

import {Tensor, loadAndCompile, loadLiteRt} from './litert-js/index.js';
import {inputLength} from './predict.js';

const SIMD = new Uint8Array( // the smallest module with an instruction of WebAssembly SIMD
  [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

export const PROCESSOR = 'wasm', GPU = 'webgpu';

/** Load LiteRT.js from the folder of the page, for PROCESSOR or GPU. */
export async function openRuntime(accelerator) {
  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(SIMD)) {
    throw new Error('This browser has no WebAssembly SIMD, which LiteRT.js needs. Chrome 91, Firefox 89, Safari 16.4 and later have it.');
  }
  if (accelerator === GPU && !(navigator.gpu && WebAssembly.Suspending && await navigator.gpu.requestAdapter())) {
    throw new Error('This browser has no GPU for pages: it needs WebGPU and WebAssembly JSPI, as Chrome 137 and later on https or localhost.');
  }
  await loadLiteRt('./litert-js/wasm/', {jspi: accelerator === GPU});
}

/** A model that is ready to run. `entry` is its entry in site.json. */
export class Model {
  constructor(entry, compiled, loadMs) {
    Object.assign(this, entry);
    this.compiled = compiled;
    this.loadMs = loadMs;
  }

  /** Load a model; the GPU takes all of its operators, or there is an error. */
  static async load(entry, accelerator) {
    const response = await fetch(entry.file);
    if (!response.ok) throw new Error(`${entry.model} cannot be loaded: ${response.status} ${response.statusText}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const begun = performance.now();
    const compiled = await loadAndCompile(bytes, {accelerator});
    if (accelerator === GPU && !compiled.isFullyAccelerated) {
      throw new Error(`The GPU does not take every operator of ${entry.model}: hrnet convert --for gpu makes files that it takes.`);
    }
    return new Model(entry, compiled, performance.now() - begun);
  }

  /** The input as a tensor, which the caller deletes. */
  tensor(stored) {
    return new Tensor(stored, [1, ...this.contract.input.size, 3]);
  }

  /** Run a tensor and drop the outputs, when they are there: what the benchmark times. */
  async invoke(tensor) {
    const outputs = await this.compiled.run([tensor]);
    if (this.compiled.options.accelerator === GPU) await Promise.all(outputs.map((output) => output.data()));
    outputs.forEach((output) => output.delete());
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
