// Pictures and the camera, with the prediction of each model.

import {describe, draw} from './drawing.js';
import {boxAround} from './keypoints.js';
import {byId, element, fixed, nextFrame} from './page.js';
import {needsBox, predict} from './predict.js';

const MAX_SIDE = 1280, CAMERA_SIDE = 640; // pixels of the longer side
const BOX_FIELDS = ['x', 'y', 'width', 'height'];
const LEAST_BOX = 8; // pixels of a drawn box
const STEPS = ['before', 'network', 'after']; // of a prediction
const SMOOTHING = 0.9; // of frames per second

/** Read a picture: its bitmap, and its pixels at no more than `maxSide`. */
export async function readPicture(url, maxSide = Infinity) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be loaded: ${response.status} ${response.statusText}`);
  return picture(await createImageBitmap(await response.blob(), {colorSpaceConversion: 'none'}), maxSide);
}

function picture(bitmap, maxSide, width = bitmap.width, height = bitmap.height) {
  const scale = Math.min(maxSide / Math.max(width, height), 1);
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return {bitmap: canvas, image: context.getImageData(0, 0, canvas.width, canvas.height)};
}

export class Viewer {
  /** `detector` finds the boxes for models of keypoints; null for none. */
  constructor(site, models, detector) {
    this.site = site;
    this.models = models;
    this.detector = detector;
    this.hasBox = needsBox(models[0].contract);
    this.panels = models.map((model) => this.makePanel(model));
    byId('box').hidden = !this.hasBox;
    this.makeThumbnails();
    if (models[0].contract.decoding.kind === 'class-maps') this.makeLegend();
    this.connect();
  }

  makePanel(model) {
    const canvas = element('canvas', {role: 'img', width: 300, height: 300});
    const sentence = element('span'), times = element('span');
    const figure = element('figure', {}, canvas, element('figcaption', {}, element('b', {}, model.label), sentence, times));
    if (this.hasBox) this.connectDrawing(figure, canvas);
    byId('panels').append(figure);
    return {model, canvas, sentence, times};
  }

  makeThumbnails() {
    this.site.items.forEach((item, index) => {
      const image = element('img', {src: item.image, alt: '', loading: 'lazy'});
      const button = element('button', {type: 'button', 'aria-label': `Validation image ${index + 1}`, 'aria-pressed': 'false'}, image);
      button.addEventListener('click', () => this.showItem(item, button));
      byId('thumbnails').append(element('li', {}, button));
    });
  }

  makeLegend() {
    const {names, colors, tinted} = this.site.labels;
    names.forEach((name, index) => {
      const swatch = element('span', {class: 'swatch'});
      if (tinted[index]) swatch.style.backgroundColor = `rgb(${colors[index].join()})`;
      byId('legend').append(element('li', {}, swatch, name));
    });
    byId('legend').hidden = false;
  }

  connect() {
    byId('files').addEventListener('change', (event) => this.showFiles(Array.from(event.target.files)));
    byId('camera').addEventListener('click', () => (this.stream ? this.stopCamera() : this.startCamera('environment')));
    byId('turn').addEventListener('click', () => this.startCamera(this.facing === 'user' ? 'environment' : 'user'));
    BOX_FIELDS.forEach((field) => byId(`box-${field}`).addEventListener('change', () => this.readBox()));
    byId('full-box').addEventListener('click', () => this.setBox(null));
    if (this.detector) byId('full-box').textContent = 'Find all boxes';
    if (!navigator.mediaDevices?.getUserMedia) {
      byId('camera').disabled = true;
      this.note('Browsers give the camera to pages of https or localhost only. “Choose pictures” takes photos on a phone.');
    }
  }

  note(text) {
    byId('camera-note').textContent = text;
    byId('camera-note').hidden = !text;
  }

  async showFirst() {
    const first = byId('thumbnails').querySelector('button');
    if (first) await this.showItem(this.site.items[0], first);
    else byId('panels').hidden = true;
  }

  async showItem(item, button) {
    this.stopCamera();
    for (const other of byId('thumbnails').querySelectorAll('button')) other.setAttribute('aria-pressed', String(other === button));
    this.current = await readPicture(item.image);
    await this.setBox(item.box ?? null);
  }

  async showFiles(files) {
    this.stopCamera();
    for (const file of files) {
      const url = URL.createObjectURL(file), image = element('img', {src: url, alt: ''});
      const button = element('button', {type: 'button', 'aria-label': file.name, 'aria-pressed': 'false'}, image);
      button.addEventListener('click', () => this.showFile(file, button));
      byId('thumbnails').prepend(element('li', {}, button));
    }
    if (files.length) byId('thumbnails').querySelector('button').click();
  }

  async showFile(file, button) {
    this.stopCamera();
    for (const other of byId('thumbnails').querySelectorAll('button')) other.setAttribute('aria-pressed', String(other === button));
    try {
      this.current = picture(await createImageBitmap(file), MAX_SIDE);
      this.note('');
    } catch {
      this.note(`${file.name} is damaged, or of a format that this browser cannot read.`);
      return;
    }
    await this.setBox(null);
  }

  /** Look into a box of the picture; for null into those that the detector finds, or into the full picture. */
  async setBox(box) {
    if (!this.current) return;
    const {current} = this, boxes = box ? [box] : await this.boxesIn(current);
    if (current !== this.current) return;
    this.boxes = boxes;
    const [shown = []] = this.boxes;
    BOX_FIELDS.forEach((field, index) => byId(`box-${field}`).value = index in shown ? String(Math.round(shown[index] * 10) / 10) : '');
    await this.update();
  }

  /** The boxes that the detector finds in a picture; without a detector, the full picture. */
  async boxesIn({image}) {
    if (!this.detector) return [[0, 0, image.width, image.height]];
    const {boxes, times} = await predict(this.detector, image);
    this.detectorMs = times.before + times.network + times.after;
    return boxes;
  }

  readBox() {
    const values = BOX_FIELDS.map((field) => byId(`box-${field}`).valueAsNumber);
    if (values.every(Number.isFinite) && values[2] > 0 && values[3] > 0) this.setBox(values);
  }

  /** A box is drawn with the mouse, a pen, or a finger that moves sideways first. */
  connectDrawing(figure, canvas) {
    let corner = null;
    const at = ({clientX, clientY}) => {
      const {left, top, width, height} = canvas.getBoundingClientRect();
      const {image} = this.current;
      return [(clientX - left) / width * image.width, (clientY - top) / height * image.height];
    };
    figure.classList.add('drawable');
    canvas.addEventListener('pointerdown', (event) => {
      corner = this.stream || !this.current ? null : at(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointercancel', () => corner = null);
    canvas.addEventListener('pointerup', (event) => {
      if (!corner) return;
      const end = at(event), [x, y] = [0, 1].map((axis) => Math.min(corner[axis], end[axis]));
      const [width, height] = [0, 1].map((axis) => Math.abs(corner[axis] - end[axis]));
      corner = null;
      if (width >= LEAST_BOX && height >= LEAST_BOX) this.setBox([x, y, width, height]);
    });
  }

  /** Predict with each model in turn. Of updates that wait for another one, only the last is done. */
  async update() {
    this.pending = true;
    if (this.updating) return;
    this.updating = true;
    try {
      while (this.pending) {
        this.pending = false;
        for (const panel of this.panels) await this.predictPanel(panel, this.current, this.boxes);
      }
    } finally {
      this.updating = false;
    }
  }

  /** Predict in each box, or in the picture for tasks without boxes, and return the predictions. */
  async predictPanel(panel, current, boxes, rate = '') {
    const predictions = [];
    for (const box of this.hasBox ? boxes : [null]) predictions.push(await predict(panel.model, current.image, box));
    const [before, network, after] = STEPS.map((step) => predictions.reduce((total, {times}) => total + times[step], 0));
    draw(panel.canvas, current, predictions, this.site.labels, this.hasBox ? boxes : []);
    panel.sentence.textContent = describe(predictions, this.site.labels);
    panel.canvas.setAttribute('aria-label', `${panel.model.label}: ${panel.sentence.textContent}`);
    const detector = this.detector && this.detectorMs ? `detector ${fixed(this.detectorMs, 1)}, ` : '';
    panel.times.textContent = `${detector}before ${fixed(before, 1)}, network ${fixed(network, 1)}, after ${fixed(after, 1)} ms${rate}`;
    byId('panels').hidden = false;
    return predictions;
  }

  async startCamera(facing) {
    this.stopCamera();
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: facing, width: {ideal: CAMERA_SIDE}}});
    } catch (error) {
      this.note(error.name === 'NotAllowedError'
        ? 'The browser refused the camera: allow it for this page in the settings of the browser.'
        : `The camera cannot be used: ${error.message}.`);
      return;
    }
    this.note('');
    this.facing = facing;
    byId('camera').textContent = 'Stop camera';
    byId('camera').setAttribute('aria-pressed', 'true');
    byId('turn').hidden = false;
    await this.follow(this.stream);
  }

  stopCamera() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    byId('camera').textContent = 'Start camera';
    byId('camera').setAttribute('aria-pressed', 'false');
    byId('turn').hidden = true;
  }

  /** Predict in each frame. Without a detector, the box of the next frame is around the keypoints of the first model. */
  async follow(stream) {
    const video = element('video', {playsinline: '', muted: ''});
    video.srcObject = stream;
    await video.play();
    let keypoints = null, rate = 0, last = performance.now();
    while (this.stream === stream) {
      const current = picture(video, CAMERA_SIDE, video.videoWidth, video.videoHeight);
      const boxes = this.detector
        ? await this.boxesIn(current)
        : [boxAround(keypoints, current.image.width, current.image.height)];
      const text = rate ? `, ${fixed(rate, 0)} frames per second` : '';
      for (const [index, panel] of this.panels.entries()) {
        const predictions = await this.predictPanel(panel, current, boxes, text);
        if (index === 0) keypoints = predictions[0]?.keypoints;
      }
      await new Promise(requestAnimationFrame);
      const now = performance.now(), frameRate = 1000 / (now - last);
      rate = rate ? SMOOTHING * rate + (1 - SMOOTHING) * frameRate : frameRate;
      last = now;
      await nextFrame();
    }
    video.srcObject = null;
  }
}
