// Elements of the page.

/** The element of that id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with attributes and children, which are elements or text. */
export function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => created.setAttribute(key, value));
  created.append(...children);
  return created;
}

/** Show a sentence at the top of the page. */
export function showStatus(text, isError = false) {
  byId('status').textContent = text;
  byId('status').classList.toggle('error', isError);
}

/** A number with that number of decimals; a dash for no number. */
export function fixed(value, decimals) {
  return Number.isFinite(value) ? value.toFixed(decimals) : '-';
}

/** Append a row to the table of that id: a header cell, and other cells, which are text or [text, remark]. */
export function addRow(id, [header, ...cells]) {
  const data = cells.map((cell) => (Array.isArray(cell) ? element('td', {}, cell[0], element('small', {}, cell[1])) : element('td', {}, cell)));
  const row = element('tr', {}, element('th', {scope: 'row'}, header), ...data);
  byId(id).tBodies[0].append(row);
}

/** Remove the rows of the table of that id. */
export function clearRows(id) {
  byId(id).tBodies[0].replaceChildren();
}

/** Let the browser show what has changed. */
export function nextFrame() {
  return new Promise((resolve) => setTimeout(resolve));
}
