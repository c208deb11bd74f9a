'use strict';

// The path in view is the beginning of a longer one: `route` is all of it, `at` the number of its steps in view.
// Both are lists of indices as in Stateright's links: the initial state, then an action among those enabled, and so on.
let about;
let route = [0];
let at = 0;
let drawing = 0;
let drawn = { route, at };

/** The smallest scale at which the diagram can be read. */
const SCALE_MIN = 0.8;

const views = new Map();
const byId = (id) => document.getElementById(id);

/** The answer of the server as JSON. */
async function get(address) {
  const response = await fetch(address);
  if (!response.ok) {
    throw new Error(await response.text());
  }
  return response.json();
}

/** What the server says of a path; asked once. */
function view(indices) {
  const key = indices.join('/');
  if (!views.has(key)) {
    const answer = get(`/.view/${key}`);
    answer.catch(() => views.delete(key));
    views.set(key, answer);
  }
  return views.get(key);
}

/** An element with a class, text and children. Text is never read as markup. */
function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) {
    made.className = className;
  }
  made.append(...content);
  return made;
}

function fragmentOf(indices) {
  return `#/steps/${indices.join('/')}`;
}

function indicesOf(fragment) {
  const match = /^#\/steps\/(\d+(?:\/\d+)*)\/?$/.exec(fragment);
  return match ? match[1].split('/').map(Number) : null;
}

function isPrefix(short, long) {
  return short.length <= long.length && short.every((index, position) => index === long[position]);
}

/** Follows the address of the page. */
async function follow() {
  const asked = indicesOf(location.hash);
  if (!asked) {
    location.replace(about.fragment);
    return;
  }
  if (!isPrefix(asked, route)) {
    const opening = indicesOf(about.fragment);
    route = isPrefix(asked, opening) ? opening : asked;
  }
  at = asked.length - 1;
  const mine = ++drawing;
  const inView = route.slice(0, at + 1);
  try {
    const answers = [view(route), view(inView), get(`/.states/${inView.join('/')}`)];
    const [whole, here, next] = await Promise.all(answers);
    if (mine === drawing) {
      draw(whole, here, next);
      drawn = { route, at };
      byId('failure').hidden = true;
    }
  } catch (error) {
    if (mine === drawing) {
      // What is on the page is still the path before.
      ({ route, at } = drawn);
      byId('failure').textContent = `This path cannot be shown: ${error.message}`;
      byId('failure').hidden = false;
    }
  }
}

function draw(whole, here, next) {
  drawVerdict(here);
  drawLinks(here);
  drawSteps(whole);
  drawDiagram(here);
  drawChanges(here.changes, at === 0 ? 'Nothing yet: the initial state.' : 'Nothing.');
  drawProperties(here);
  drawNext(here, next);
  document.title = `${verdictOf(here)} · step ${at} of ${route.length - 1} · ${about.config}`;
  document.documentElement.dataset.shown = route.slice(0, at + 1).join('/');
}

function drawAbout() {
  byId('about').replaceChildren(element('span', 'chip', about.config));
  if (about.mutant) {
    byId('about').append(element('span', 'chip', `planted: ${about.mutant}`));
  }
  if (about.rule) {
    byId('rule').textContent = `breaks ${about.rule}`;
  }
  byId('mutant').hidden = !about.diff;
  if (about.diff) {
    const lines = about.diff.trimEnd().split('\n');
    const kinds = { '+': 'added', '-': 'removed' };
    byId('mutant').querySelector('pre').replaceChildren(
      ...lines.map((line) => element('span', kinds[line[0]] ?? 'place', `${line}\n`)),
    );
  }
}

function violatedIn(here) {
  return here.properties.filter((property) => !property.holds);
}

function verdictOf(here) {
  const names = violatedIn(here).map((property) => property.name);
  return names.length
    ? `✗ VIOLATED: ${names.join(', ')}`
    : `✓ all ${here.properties.length} properties hold here`;
}

function drawVerdict(here) {
  const verdict = byId('verdict');
  verdict.textContent = verdictOf(here);
  verdict.className = violatedIn(here).length ? 'violated' : 'holds';
}

function link(text, fragment) {
  const made = element('a', '', text);
  made.href = fragment;
  if (fragment === fragmentOf(route.slice(0, at + 1))) {
    made.setAttribute('aria-current', 'page');
  }
  return made;
}

function drawLinks(here) {
  const links = [link('Start', fragmentOf([0]))];
  if (about.fragment !== fragmentOf([0])) {
    links.push(link(about.opens_at, about.fragment));
  }
  const [first, ...others] = here.mirrors;
  if (first) {
    const mirror = link(`Mirror image: ${first.exchanged}`, first.fragment);
    mirror.id = 'mirror';
    links.push(mirror);
  }
  if (others.length) {
    const list = element('div', '', ...others.map((one) => link(one.exchanged, one.fragment)));
    links.push(element('details', '', element('summary', '', 'Others'), list));
  }
  byId('links').replaceChildren(...links);
}

function drawSteps(whole) {
  const labels = [{ action: 'initial state', violated: [] }, ...whole.steps];
  const items = labels.map((step, number) => {
    const button = element('button', number > at ? 'ahead' : '');
    button.append(element('span', 'number', String(number)), element('span', '', step.action));
    if (step.violated.length) {
      const mark = element('span', 'bad', '✗');
      mark.title = `violated: ${step.violated.join(', ')}`;
      button.append(mark);
    }
    if (number === at) {
      button.setAttribute('aria-current', 'step');
    }
    button.addEventListener('click', () => jump(number));
    button.addEventListener('mouseenter', () => light(number, true));
    button.addEventListener('mouseleave', () => light(number, false));
    return element('li', '', button);
  });
  byId('steps').replaceChildren(...items);
  items[at].scrollIntoView({ block: 'nearest' });
}

function drawDiagram(here) {
  const parsed = new DOMParser().parseFromString(here.svg, 'image/svg+xml');
  const svg = document.adoptNode(parsed.documentElement);
  for (const step of svg.querySelectorAll('.step')) {
    const number = Number(step.dataset.step);
    step.addEventListener('click', () => jump(number));
    step.addEventListener('mouseenter', () => light(number, true));
    step.addEventListener('mouseleave', () => light(number, false));
  }
  // A long path scrolls rather than becomes too small to read; its end is what matters.
  svg.style.minWidth = `${svg.viewBox.baseVal.width * SCALE_MIN}px`;
  const frame = byId('diagram');
  frame.classList.toggle('tall', about.replicas.length > 5);
  frame.replaceChildren(svg);
  frame.scrollLeft = frame.scrollWidth;
}

/** Makes the messages that a step used stand out. */
function light(number, on) {
  const uses = document.querySelector(`#diagram .uses[data-step="${number}"]`);
  uses?.classList.toggle('lit', on);
}

function drawChanges(changes, none, title = 'What changed') {
  byId('changes-title').textContent = title;
  const items = changes.map((change) => {
    const colon = change.indexOf(': ');
    return element('li', '', element('b', '', change.slice(0, colon + 1)), change.slice(colon + 1));
  });
  byId('change-list').replaceChildren(...(items.length ? items : [element('li', 'faint', none)]));
}

function drawProperties(here) {
  const sorted = [...violatedIn(here), ...here.properties.filter((property) => property.holds)];
  byId('properties').replaceChildren(...sorted.map((property) => {
    const item = element('li', property.holds ? 'holds' : 'violated');
    item.dataset.property = property.name;
    item.append(
      property.holds ? element('span', 'good', '✓ holds') : element('span', 'bad', '✗ VIOLATED'),
      element('p', '', element('b', property.holds ? '' : 'bad', property.name),
        element('span', 'statement', ` ${property.statement}`)),
    );
    return item;
  }));
  const shown = here.witnesses.filter((witness) => witness.holds).map((witness) => {
    const chip = element('li', 'chip', witness.name);
    chip.title = witness.statement;
    return chip;
  });
  byId('witnesses').replaceChildren(...(shown.length ? shown : [element('li', 'faint', 'None of the witnesses.')]));
}

function drawNext(here, next) {
  const groups = new Map();
  for (const { action, outcome, actionIndex } of next) {
    if (!outcome) {
      continue;
    }
    const effect = JSON.parse(outcome);
    const button = actionButton(action, effect, actionIndex, here);
    groups.set(effect.replica, [...(groups.get(effect.replica) ?? []), button]);
  }
  const made = [...groups].sort(([one], [other]) => one - other).flatMap(([replica, buttons]) => {
    const { name, role } = about.replicas[replica];
    return [element('h3', '', name, element('span', '', ` ${role}`)), ...buttons];
  });
  byId('actions').replaceChildren(...(made.length ? made : [element('p', 'faint', 'None: nothing can happen any more.')]));
}

function actionButton(action, effect, index, here) {
  const { name } = about.replicas[effect.replica];
  const button = element('button', '', element('span', '', action.replace(`${name} `, '')));
  const already = new Set(violatedIn(here).map((property) => property.name));
  const violates = effect.violated.filter((property) => !already.has(property));
  if (violates.length) {
    button.append(element('span', 'note bad', `✗ violates ${violates.join(', ')}`));
  } else if (route[at + 1] === index) {
    button.append(element('span', 'note faint', 'next in the path'));
  }
  const preview = () => drawChanges(effect.changes, 'Nothing.', 'What would change');
  const restore = () => drawChanges(here.changes, 'Nothing.');
  button.addEventListener('click', () => go([...route.slice(0, at + 1), index]));
  button.addEventListener('mouseenter', preview);
  button.addEventListener('mouseleave', restore);
  button.addEventListener('focus', preview);
  button.addEventListener('blur', restore);
  return button;
}

function go(indices) {
  location.hash = fragmentOf(indices);
}

/** Shows the path up to a step, and keeps the rest of it ahead. */
function jump(number) {
  if (number >= 0 && number < route.length) {
    go(route.slice(0, number + 1));
  }
}

function moveAmongActions(event) {
  const buttons = [...document.querySelectorAll('#actions button')];
  const position = buttons.indexOf(document.activeElement);
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (event.key === 'Escape' || event.key === 'ArrowLeft' || (step === -1 && position === 0)) {
    document.activeElement.blur();
  } else if (step) {
    buttons[Math.min(position + step, buttons.length - 1)].focus();
  } else {
    return;
  }
  event.preventDefault();
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) {
    return;
  }
  if (document.activeElement?.closest('#actions')) {
    moveAmongActions(event);
    return;
  }
  const last = route.length - 1;
  const forward = () => (at < last ? jump(at + 1) : document.querySelector('#actions button')?.focus());
  const moves = {
    ArrowUp: () => jump(at - 1),
    ArrowLeft: () => jump(at - 1),
    ArrowDown: forward,
    ArrowRight: forward,
    Home: () => jump(0),
    End: () => jump(last),
  };
  if (moves[event.key]) {
    moves[event.key]();
    event.preventDefault();
  }
}

async function open() {
  about = await get('/.about');
  drawAbout();
  addEventListener('hashchange', follow);
  addEventListener('keydown', onKey);
  await follow();
}

open().catch((error) => {
  byId('failure').textContent = `The Explorer does not answer: ${error.message}`;
  byId('failure').hidden = false;
});
