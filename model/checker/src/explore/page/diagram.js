'use strict';

// The diagram of the whole path, drawn once. Stepping moves nothing in it: it only marks what lies ahead.

/** The smallest scale at which the diagram can be read, and the largest that is of use. */
const SCALE_MIN = 0.8;
const SCALE_MAX = 1.1;
/** The width from which on the page is laid out in columns. */
const WIDE = 1000;

/** A picture of its own for the names of the lanes, which stay where they are while the lanes are scrolled. */
function drawDiagram(whole) {
  const parsed = new DOMParser().parseFromString(whole.svg, 'image/svg+xml');
  const lanes = document.adoptNode(parsed.documentElement);
  const { width, height } = lanes.viewBox.baseVal;
  const heads = lanes.cloneNode(false);
  heads.append(lanes.querySelector('.heads'));
  const head = Number(heads.querySelector('.paper').getAttribute('width'));
  heads.setAttribute('viewBox', `0 0 ${head} ${height}`);
  lanes.setAttribute('viewBox', `${head} 0 ${width - head} ${height}`);
  heads.id = 'heads';
  lanes.id = 'lanes';
  for (const group of lanes.querySelectorAll('.step, .column')) {
    leadsTo(group, Number(group.dataset.step));
  }
  byId('diagram').replaceChildren(heads, lanes);
  byId('diagram').scrollLeft = 0;
  fitDiagram();
}

/** Scales the diagram to the window. A long path scrolls rather than becomes too small to read. */
function fitDiagram() {
  const [heads, lanes] = byId('diagram').children;
  if (!lanes) {
    return;
  }
  const [head, rest] = [heads, lanes].map((one) => one.viewBox.baseVal);
  const share = about.replicas.length > 5 ? 0.7 : 0.56;
  const room = innerWidth < WIDE ? Infinity : innerHeight * share;
  const fitting = Math.min(byId('diagram').clientWidth / (head.width + rest.width), room / rest.height);
  const scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, fitting));
  for (const [svg, { width, height }] of [[heads, head], [lanes, rest]]) {
    svg.style.width = `${width * scale}px`;
    svg.style.height = `${height * scale}px`;
  }
  document.body.style.setProperty('--diagram', `${rest.height * scale}px`);
}

function markDiagram() {
  for (const group of byId('lanes').querySelectorAll('[data-step]')) {
    const number = Number(group.dataset.step);
    group.classList.toggle('future', number > at);
    group.classList.toggle('past', number < at);
    group.classList.toggle('now', number === at);
  }
  showStep();
}

/**
 * Turns the diagram like a page where the step in view, or the one beside it, is out of sight: the next steps in the same
 * direction scroll nothing.
 */
function showStep() {
  const frame = byId('diagram');
  const ground = byId('lanes').querySelector(`.column[data-step="${at}"]`);
  if (!ground) {
    frame.scrollLeft = 0;
    return;
  }
  const box = ground.getBoundingClientRect();
  const left = byId('heads').getBoundingClientRect().right;
  const right = frame.getBoundingClientRect().left + frame.clientWidth;
  if (box.left - box.width < left) {
    frame.scrollLeft += box.right + box.width - right;
  } else if (box.right + box.width > right) {
    frame.scrollLeft += box.left - box.width - left;
  }
}

/** Makes the messages that a step used stand out. */
function light(number, on) {
  const uses = document.querySelector(`#diagram .uses[data-step="${number}"]`);
  uses?.classList.toggle('lit', on);
}
