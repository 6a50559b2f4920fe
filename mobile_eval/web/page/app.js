// The page: models, pictures and measurements. All text is set as text, never as HTML.

import {Measurements} from './measurements.js';
import {GPU, Model, PROCESSOR, openRuntime} from './runtime.js';
import {Viewer} from './viewer.js';
import {addRow, byId, fixed, showStatus} from './page.js';

const DEVICES = {[PROCESSOR]: 'the processor', [GPU]: 'the GPU'};

async function start() {
  showStatus('Loading.');
  const accelerator = new URLSearchParams(location.search).get('accelerator') === GPU ? GPU : PROCESSOR;
  showOther(accelerator === GPU ? PROCESSOR : GPU);
  const response = await fetch('site.json');
  if (!response.ok) throw new Error(`site.json cannot be loaded: ${response.status} ${response.statusText}`);
  const site = await response.json();
  await openRuntime(accelerator);
  const models = [];
  for (const entry of site.models) {
    showStatus(`Loading ${entry.model}.`);
    models.push(await Model.load(entry, accelerator));
  }
  const detector = site.detector && await Model.load(site.detector, accelerator);
  showSite(site);
  const viewer = new Viewer(site, models, detector);
  new Measurements(site, models, viewer, accelerator);
  byId('content').hidden = false;
  const bytes = site.models.reduce((total, {size_bytes: size}) => total + size, 0);
  showStatus(`${site.runtime.name} ${site.runtime.version} runs ${fixed(bytes / 1e6, 2)} MB of models on ${DEVICES[accelerator]} of this device. Pictures do not leave it.`);
  await viewer.showFirst();
}

/** The link to this page on another accelerator. */
function showOther(accelerator) {
  byId('other').href = `?accelerator=${accelerator}`;
  byId('other').textContent = `Run on ${DEVICES[accelerator]}`;
}

function showSite({models, task}) {
  const names = models.map(({label}) => label), last = names.pop();
  const title = names.length ? `${names.join(', ')} and ${last}` : last;
  document.title = `${title}: ${task}`;
  byId('title').textContent = `${title}: ${task} in the browser`;
  for (const model of models) {
    const links = model.links_possible ? `${model.links_kept} of ${model.links_possible}` : '-';
    const {precision} = model.description;
    addRow('models', [model.label, precision, fixed(model.size_bytes / 1e6, 2), fixed(model.multiply_adds / 1e6, 0), links]);
  }
}

start().catch((error) => {
  showStatus(error.message, true);
  throw error;
});
