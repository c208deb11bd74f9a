'use strict';

// Where the page has its answers from: a server, or the file that it is in.

/** The answers of the server. */
function serverSource() {
  const answers = new Map();
  const get = (address) => {
    if (!answers.has(address)) {
      const answer = fetch(address).then(async (response) => {
        if (!response.ok) {
          throw new Error(await response.text());
        }
        return response.json();
      });
      answer.catch(() => answers.delete(address));
      answers.set(address, answer);
    }
    return answers.get(address);
  };
  return {
    about: () => get('/.about'),
    view: (indices) => get(`/.view/${indices.join('/')}`),
    next: (indices) => get(`/.next/${indices.join('/')}`),
    files: () => about.forms.map((form) => [form, '', `/.export/${form}/${route.join('/')}`]),
    mayGo: () => true,
  };
}

/** The same from the file that the page is in, which has one path. */
function heldSource() {
  const path = indicesOf(held.about.fragment);
  const asked = async (indices, answer) => {
    if (!isPrefix(indices, path)) {
      throw new Error('this file has one path only');
    }
    return answer;
  };
  const view = { ...held.view, mirrors: [] };
  const files = held.files.map(({ form, name, content_type: type, content }) => (
    [form, name, URL.createObjectURL(new Blob([content], { type }))]
  ));
  return {
    about: async () => held.about,
    view: (indices) => asked(indices, view),
    next: (indices) => asked(indices, held.next[indices.length - 1]),
    files: () => files,
    mayGo: (indices) => isPrefix(indices, path),
  };
}
