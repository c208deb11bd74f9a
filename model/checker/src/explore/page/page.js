'use strict';

// The path in view is the beginning of a longer one: `route` is all of it, `at` the number of its steps in view.
// Routes are lists of indices as in Stateright's links: the initial state, then an action among those enabled, and so on.
// Everything that is shown of a path was computed by the program that serves the page, or that wrote it into a file.
let about;
let route = [0];
let at = 0;
let drawing = 0;
/** What is on the page: the route, what is known of it, and the elements that depend on the step in view. */
let shown = { route, at };
/** Paths that the page has links to: whoever asks for the beginning of one is shown all of it. */
let known = [];

const byId = (id) => document.getElementById(id);
const held = byId('data') && JSON.parse(byId('data').textContent);
const source = held ? heldSource() : serverSource();

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
    route = known.find((one) => isPrefix(asked, one)) ?? asked;
  }
  at = asked.length - 1;
  const mine = ++drawing;
  try {
    const [whole, next] = await Promise.all([source.view(route), source.next(asked)]);
    if (mine === drawing) {
      draw(whole, next);
      byId('failure').hidden = true;
    }
  } catch (error) {
    if (mine === drawing) {
      // What is on the page is still the path before.
      ({ route, at } = shown);
      byId('failure').textContent = `This path cannot be shown: ${error.message}`;
      byId('failure').hidden = false;
    }
  }
}

function draw(whole, next) {
  if (shown.whole !== whole) {
    const first = whole.frames.findIndex((frame) => frame.violated.length);
    shown = { whole, first };
    drawSteps(whole, first);
    drawDiagram(whole);
  }
  Object.assign(shown, { route, at });
  known = [indicesOf(about.fragment), ...whole.mirrors.map((one) => indicesOf(one.fragment))];
  const here = whole.frames[at];
  drawVerdict(here);
  drawWalk();
  drawLinks(whole);
  markSteps();
  markDiagram();
  drawPanel(whole, here);
  drawChanges(here.changes, at === 0 ? 'Nothing yet: the initial state.' : 'Nothing.');
  drawProperties(here);
  drawNext(here, next);
  drawBlocked(next.blocked);
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

function verdictOf(here) {
  return here.violated.length
    ? `✗ VIOLATED: ${here.violated.join(', ')}`
    : `✓ all ${about.properties.length} properties hold here`;
}

function drawVerdict(here) {
  const verdict = byId('verdict');
  verdict.textContent = verdictOf(here);
  verdict.className = here.violated.length ? 'violated' : 'holds';
}

function drawWalk() {
  const last = route.length - 1;
  byId('position').textContent = `step ${at} of ${last}`;
  byId('back').disabled = byId('to-start').disabled = at === 0;
  byId('on').disabled = byId('to-end').disabled = at === last;
  byId('to-violation').hidden = shown.first < 0;
  byId('to-violation').disabled = shown.first === at;
}

function link(text, indices) {
  const made = element('a', '', text);
  made.href = fragmentOf(indices);
  if (at + 1 === indices.length && isPrefix(indices, route)) {
    made.setAttribute('aria-current', 'page');
  }
  made.addEventListener('click', (event) => {
    event.preventDefault();
    go(indices);
  });
  return made;
}

function menu(id, title, items) {
  const made = element('details', '', element('summary', '', title), element('div', '', ...items));
  made.id = id;
  return made;
}

function drawLinks(whole) {
  const open = new Set([...byId('links').querySelectorAll('[open]')].map((one) => one.id));
  const links = [link('Start', [0])];
  if (about.fragment !== fragmentOf([0])) {
    links.push(link(about.opens_at, indicesOf(about.fragment)));
  }
  // The image of the step in view; the rest of the image lies ahead.
  const image = (one) => indicesOf(one.fragment).slice(0, at + 1);
  const [first, ...others] = at > 0 ? whole.mirrors : [];
  if (first) {
    const mirror = link(`Mirror image: ${first.exchanged}`, image(first));
    mirror.id = 'mirror';
    links.push(mirror);
  }
  if (others.length) {
    links.push(menu('others', 'Others', others.map((one) => link(one.exchanged, image(one)))));
  }
  const files = source.files().map(([form, name, href]) => {
    const made = element('a', '', form);
    made.href = href;
    made.download = name;
    made.dataset.form = form;
    return made;
  });
  links.push(menu('files', 'Take away', files));
  byId('links').replaceChildren(...links);
  open.forEach((id) => byId(id)?.setAttribute('open', ''));
}

/** Lets an element of a step lead there, and bring out the messages that it used. */
function leadsTo(made, number) {
  made.addEventListener('click', () => jump(number));
  made.addEventListener('mouseenter', () => light(number, true));
  made.addEventListener('mouseleave', () => light(number, false));
}

function drawSteps(whole, first) {
  const items = whole.frames.map(({ action, detail, violated }, number) => {
    const said = element('span', 'said', action);
    if (detail) {
      said.append(element('span', 'faint', ` · ${detail}`));
    }
    const button = element('button', '', element('span', 'number', String(number)), said);
    if (violated.length) {
      const mark = element('span', 'bad', number === first ? '✗ first' : '✗');
      mark.title = `violated: ${violated.join(', ')}`;
      button.append(mark);
    }
    button.classList.toggle('first', number === first);
    leadsTo(button, number);
    return element('li', '', button);
  });
  byId('steps').replaceChildren(...items);
}

function markSteps() {
  [...byId('steps').children].forEach(({ firstChild: button }, number) => {
    button.classList.toggle('ahead', number > at);
    if (number === at) {
      button.setAttribute('aria-current', 'step');
      // Within the list only: the page itself stays where it is.
      const list = byId('steps');
      const top = button.offsetTop - list.offsetTop;
      const bottom = top + button.offsetHeight - list.clientHeight;
      list.scrollTop = Math.min(top, Math.max(list.scrollTop, bottom));
    } else {
      button.removeAttribute('aria-current');
    }
  });
}

function drawPanel(whole, { panel }) {
  byId('state-title').textContent = at === 0 ? 'Initial state' : `State after step ${at}`;
  const honest = about.replicas.filter((replica) => !replica.byzantine);
  const head = element('tr', '', element('th', ''), ...honest.map((one) => element('th', '', one.name)));
  // Rows that stay empty along the whole path are left out; the others stay where they are.
  const used = (row) => whole.frames.some((frame) => frame.panel.rows[row].cells.some((cell) => cell.lines.length));
  const rows = panel.rows.filter((_, row) => used(row)).map(({ name, cells }) => (
    element('tr', '', element('th', '', name), ...cells.map(drawCell))
  ));
  byId('panel').replaceChildren(element('thead', '', head), element('tbody', '', ...rows));
  byId('network').replaceChildren(...panel.network.map(({ text, from, new: isNew }) => {
    const said = element('span', '', text, element('span', 'faint', ` from ${from.join(', ')}`));
    return element('li', '', isNew ? element('mark', '', said) : said);
  }));
  if (!panel.network.length) {
    byId('network').append(element('li', 'faint', 'None.'));
  }
}

function drawCell({ lines, was }) {
  const content = lines.length ? lines.map((line) => element('div', '', line)) : [element('div', 'faint', '–')];
  if (!was) {
    return element('td', '', ...content);
  }
  const made = element('td', 'changed', element('mark', '', ...content));
  made.title = `before: ${was.join('; ') || '–'}`;
  return made;
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
  const fails = ({ name }) => here.violated.includes(name);
  const sorted = [...about.properties.filter(fails), ...about.properties.filter((one) => !fails(one))];
  byId('properties').replaceChildren(...sorted.map((property) => {
    const bad = fails(property);
    const item = element('li', bad ? 'violated' : 'holds');
    item.dataset.property = property.name;
    item.append(
      bad ? element('span', 'bad', '✗ VIOLATED') : element('span', 'good', '✓ holds'),
      element('p', '', element('b', bad ? 'bad' : '', property.name),
        element('span', 'statement', ` ${property.statement}`)),
    );
    return item;
  }));
  const seen = about.witnesses.filter(({ name }) => here.shows.includes(name)).map((witness) => {
    const chip = element('li', 'chip', witness.name);
    chip.title = witness.statement;
    return chip;
  });
  byId('witnesses').replaceChildren(...(seen.length ? seen : [element('li', 'faint', 'None of the witnesses.')]));
}

/** Lists under the name of each replica. */
function byReplica(items, make) {
  return about.replicas.flatMap(({ name, role }, id) => {
    const own = items.map((item, index) => [item, index]).filter(([item]) => item.replica === id);
    const title = element('h3', '', name, element('span', '', ` ${role}`));
    return own.length ? [title, ...own.map(([item, index]) => make(item, index))] : [];
  });
}

function drawNext(here, next) {
  const made = byReplica(next.actions, (step, index) => actionButton(step, index, here));
  byId('actions').replaceChildren(...(made.length ? made : [element('p', 'faint', 'None: nothing can happen any more.')]));
}

function actionButton(step, index, here) {
  const { name } = about.replicas[step.replica];
  const said = element('span', 'said', element('span', 'action', step.action.replace(`${name} `, '')));
  if (step.detail) {
    said.append(element('span', 'faint', ` · ${step.detail}`));
  }
  const button = element('button', '', said);
  const violates = step.violated.filter((property) => !here.violated.includes(property));
  if (violates.length) {
    button.append(element('span', 'note bad', `✗ violates ${violates.join(', ')}`));
  } else if (route[at + 1] === index) {
    button.append(element('span', 'note faint', 'next in the path'));
  }
  const target = [...route.slice(0, at + 1), index];
  const preview = () => drawChanges(step.changes, 'Nothing.', 'What would change');
  const restore = () => drawChanges(here.changes, 'Nothing.');
  if (source.mayGo(target)) {
    button.addEventListener('click', () => go(target));
  } else {
    button.setAttribute('aria-disabled', 'true');
    button.title = 'This file has one path only. Run `cargo explore` to go elsewhere.';
  }
  button.addEventListener('mouseenter', preview);
  button.addEventListener('mouseleave', restore);
  button.addEventListener('focus', preview);
  button.addEventListener('blur', restore);
  return button;
}

function drawBlocked(blocked) {
  const [title, list] = byId('blocked').children;
  title.textContent = `Not enabled, and why (${blocked.length})`;
  list.replaceChildren(...byReplica(blocked, ({ event, unmet, why, section }) => {
    const place = section ? ` (§${section})` : '';
    const item = element('p', 'blocked', element('b', '', event), ` ${why}${place}`);
    if (unmet) {
      item.append(' ', element('code', '', unmet));
    }
    return item;
  }));
}

/** Shows a path. Along the one in view the browser's history stays as it is, so that Back leaves the page. */
function go(indices) {
  if (isPrefix(indices, route)) {
    history.replaceState(null, '', fragmentOf(indices));
    follow();
  } else {
    location.hash = fragmentOf(indices);
  }
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

const moves = {
  ArrowUp: () => jump(at - 1),
  ArrowLeft: () => jump(at - 1),
  ArrowDown: () => (at < route.length - 1 ? jump(at + 1) : document.querySelector('#actions button')?.focus()),
  ArrowRight: () => moves.ArrowDown(),
  Home: () => jump(0),
  End: () => jump(route.length - 1),
  v: () => jump(shown.first),
};

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) {
    return;
  }
  if (document.activeElement?.closest('#actions')) {
    moveAmongActions(event);
  } else if (Object.hasOwn(moves, event.key)) {
    moves[event.key]();
    event.preventDefault();
  }
}

async function open() {
  about = await source.about();
  known = [indicesOf(about.fragment)];
  drawAbout();
  const buttons = { 'to-start': 'Home', back: 'ArrowLeft', on: 'ArrowRight', 'to-end': 'End', 'to-violation': 'v' };
  Object.entries(buttons).forEach(([id, key]) => byId(id).addEventListener('click', moves[key]));
  addEventListener('hashchange', follow);
  addEventListener('keydown', onKey);
  addEventListener('resize', () => {
    fitDiagram();
    showStep();
  });
  await follow();
}

open().catch((error) => {
  byId('failure').textContent = `The Explorer does not answer: ${error.message}`;
  byId('failure').hidden = false;
});
