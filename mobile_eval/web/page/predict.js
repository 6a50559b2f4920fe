// From an image to a prediction, for each kind of output. A prediction is {keypoints}, {classMap, width, height}, {probabilities} or,
// of a detector, {boxes}.

import {boxesOf} from './boxes.js';
import {bestClasses, classMap, probabilities} from './classes.js';
import {dequantize, resize, resizedCenter, toInput, warp} from './images.js';
import {boxMatrix, decode, toImage} from './keypoints.js';

/** Number of values of the input. */
export function inputLength({input: {size: [height, width]}}) {
  return height * width * 3;
}

/** Whether a model is run in a box of the image, and not on the full image. */
export function needsBox({decoding: {kind}}) {
  return kind === 'heatmaps' || kind === 'keypoints';
}

/** The input of an image as it is stored, and the matrix from the image to it, where there is one. */
export function prepare(contract, image, box) {
  const {input} = contract;
  if (needsBox(contract)) {
    const matrix = boxMatrix(box, contract);
    return {stored: toInput(warp(image, matrix, input.size), input), matrix};
  }
  const crop = contract.decoding.kind === 'class-scores' ? resizedCenter(image, input.size) : resize(image, input.size);
  return {stored: toInput(crop, input)};
}

/** The prediction from the outputs of a model. */
export function interpret(contract, outputs, image, matrix) {
  if (needsBox(contract)) return {keypoints: toImage(decode(outputs, contract), matrix, contract)};
  if (contract.decoding.kind === 'object-centers') return {boxes: boxesOf(outputs, contract, image)};
  const [tensor] = contract.outputs, values = dequantize(outputs[0], tensor);
  if (contract.decoding.kind === 'class-maps') {
    return {classMap: classMap(values, tensor.shape, image.height, image.width), width: image.width, height: image.height};
  }
  const shares = contract.decoding.softmax ? Array.from(values) : probabilities(values);
  return {probabilities: shares, best: bestClasses(values)};
}

/** Predict, and time the steps before, in and after the network in milliseconds. */
export async function predict(model, image, box) {
  const begun = performance.now();
  const {stored, matrix} = prepare(model.contract, image, box);
  const prepared = performance.now();
  const outputs = await model.run(stored);
  const run = performance.now();
  const prediction = interpret(model.contract, outputs, image, matrix);
  return {...prediction, times: {before: prepared - begun, network: run - prepared, after: performance.now() - run}};
}
