// Predictions drawn over their images, on a canvas.

const HALO = '#10151d';
const DRAWN_SCORE = 0.2; // keypoints below it are not drawn
const OPACITY = 0.55; // of masks
const DRAWN_SIDE = 720; // pixels of a canvas, at least, so that lines are sharp
const NAMES_SHOWN = 3; // likeliest classes

/**
 * Draw an image and the predictions for it.
 *
 * @param canvas The canvas; small images are enlarged.
 * @param picture {bitmap, image}: what to draw, and its pixels.
 * @param predictions The predictions: of keypoints one for each box, else one for the image.
 * @param labels The entry "labels" of site.json.
 * @param boxes The boxes of people or faces; nothing of other tasks.
 */
export function draw(canvas, {bitmap, image}, predictions, labels, boxes) {
  const {width, height} = image, scale = Math.max(DRAWN_SIDE / Math.max(width, height), 1);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  const [first] = predictions;
  context.drawImage(first?.classMap ? tinted(image, first, labels) : bitmap, 0, 0, canvas.width, canvas.height);
  const onCanvas = ([x, y, ...others]) => [(x + 0.5) * scale, (y + 0.5) * scale, ...others];
  for (const box of boxes) {
    if (box[0] > 0 || box[1] > 0 || box[2] < width || box[3] < height) drawBox(context, box.map((side) => side * scale));
  }
  for (const {keypoints} of predictions) if (keypoints) drawSkeleton(context, keypoints.map(onCanvas), labels);
}

/** A sentence that says what was predicted, for the caption and for screen readers. */
export function describe(predictions, labels) {
  if (!predictions.length) return 'The detector finds nobody.';
  const [prediction] = predictions;
  if (prediction.keypoints) {
    const points = predictions.flatMap(({keypoints}) => keypoints), drawn = points.filter(([, , score]) => score > DRAWN_SCORE).length;
    const boxes = predictions.length > 1 ? `${predictions.length} boxes: ` : '';
    return `${boxes}${drawn} of ${points.length} keypoints with a score above ${DRAWN_SCORE}`;
  }
  if (prediction.classMap) {
    const counts = new Array(labels.names.length).fill(0);
    prediction.classMap.forEach((label) => counts[label]++);
    const order = Array.from(counts.keys()).sort((first, second) => counts[second] - counts[first]);
    return list(order.filter((index) => counts[index]), (index) => counts[index] / prediction.classMap.length, labels);
  }
  return list(prediction.best, (index) => prediction.probabilities[index], labels);
}

function list(order, share, labels) {
  return order.slice(0, NAMES_SHOWN).map((index) => `${labels.names[index]} ${(100 * share(index)).toFixed(0)} %`).join(', ');
}

function drawSkeleton(context, keypoints, {bones, joint_colors: jointColors, bone_colors: boneColors}) {
  const drawn = keypoints.map((point, joint) => ({point, joint})).filter(({point}) => point[2] > DRAWN_SCORE);
  const extent = (axis) => Math.max(...drawn.map(({point}) => point[axis])) - Math.min(...drawn.map(({point}) => point[axis]));
  const {canvas} = context, shownPixel = canvas.width / (canvas.clientWidth || canvas.width);
  const thickness = Math.max(2 * shownPixel, (drawn.length ? Math.max(extent(0), extent(1)) : 0) / 80);
  const radius = thickness * (bones.length ? 1.4 : 0.8);
  const visible = new Set(drawn.map(({joint}) => joint));
  context.lineCap = 'round';
  for (const halo of [2 * shownPixel, 0]) {
    bones.forEach(([first, second], bone) => {
      if (!visible.has(first) || !visible.has(second)) return;
      context.strokeStyle = halo ? HALO : boneColors[bone];
      context.lineWidth = thickness + halo;
      context.beginPath();
      context.moveTo(keypoints[first][0], keypoints[first][1]);
      context.lineTo(keypoints[second][0], keypoints[second][1]);
      context.stroke();
    });
  }
  for (const {point: [x, y], joint} of drawn) {
    drawDot(context, x, y, radius + shownPixel, HALO);
    drawDot(context, x, y, radius, jointColors[joint]);
  }
}

function drawDot(context, x, y, radius, color) {
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function drawBox(context, box) {
  const {canvas} = context, shownPixel = canvas.width / (canvas.clientWidth || canvas.width);
  for (const [width, color, dashes] of [[3, HALO, []], [1.5, '#ffffff', [6, 4]]]) {
    context.lineWidth = width * shownPixel;
    context.strokeStyle = color;
    context.setLineDash(dashes.map((length) => length * shownPixel));
    context.strokeRect(...box);
  }
  context.setLineDash([]);
}

/** A canvas with an image, tinted by its class map. */
function tinted(image, {classMap}, {colors, tinted: isTinted}) {
  const pixels = new ImageData(new Uint8ClampedArray(image.data), image.width, image.height), {data} = pixels;
  classMap.forEach((label, pixel) => {
    if (!isTinted[label]) return;
    for (let channel = 0; channel < 3; channel++) {
      const index = pixel * 4 + channel;
      data[index] += OPACITY * (colors[label][channel] - data[index]);
    }
  });
  const canvas = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height});
  canvas.getContext('2d').putImageData(pixels, 0, 0);
  return canvas;
}
