// An Express application with @fanoutio/serve-grip behind pushd, which publishes with @fanoutio/grip.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {HttpResponseFormat, HttpStreamFormat, Publisher} from '@fanoutio/grip';
import {ServeGrip} from '@fanoutio/serve-grip';
import express from 'express';
import {freePort, Inbox, Pushd, temporary, until, within} from './pushd.mjs';

const key = 'what pushd and the application share';

// behind runs the application, and a pushd in front of it that signs with signKey.
async function behind(t, {signKey = key} = {}) {
  const [appPort, publishPort] = [await freePort(), await freePort()];
  const grip = {control_uri: `http://127.0.0.1:${publishPort}/`, verify_iss: 'pushpin', verify_key: key};
  const publisher = new Publisher(grip);
  const seen = [];
  const app = express();
  // serve-grip 2.0.0 does not wait for its check of the signature, so that any would do; the publisher's own check does.
  app.use(async (req, res, next) => {
    const sig = await publisher.validateGripSig(req.header('grip-sig'));
    if (req.header('grip-sig') && !sig.isSigned) res.status(403).end('forged');
    else next();
  });
  app.use(new ServeGrip({grip, gripProxyRequired: true}));
  app.get('/plain', (req, res) => res.json({proxied: req.grip.isProxied, signed: req.grip.isSigned}));
  app.get('/stream', (req, res) => {
    const instruct = res.grip.startInstruct();
    instruct.addChannel('news');
    instruct.setHoldStream();
    instruct.setKeepAlive('.\n', 1);
    res.type('text/plain').end('[open]\n');
  });
  app.get('/poll', (req, res) => {
    seen.push(req.header('grip-feature'));
    const instruct = res.grip.startInstruct();
    instruct.addChannel('news');
    instruct.setHoldLongPoll(req.query.timeout ?? 30);
    res.status(200).type('text/plain').set('X-Kept', 'yes').end('nothing yet');
  });
  app.post('/publish', express.text(), async (req, res) => {
    await publisher.publishHttpStream('news', req.body);
    res.end('published');
  });
  const server = app.listen(appPort, '127.0.0.1');
  t.after(() => { server.close(); server.closeAllConnections(); });
  const routes = join(await temporary(t), 'routes');
  await writeFile(routes, `* 127.0.0.1:${appPort}\n`);
  const pushd = await Pushd.start(t, '--publish-listen', `127.0.0.1:${publishPort}`, '--routes', routes, '--sig-key', signKey);
  return {pushd, publisher, seen, direct: `http://127.0.0.1:${appPort}`};
}

// stream opens a stream. What comes is in inbox, in the pieces in which it comes.
async function stream(t, url) {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const response = await within('the head', fetch(url, {signal: stop.signal}));
  const inbox = new Inbox();
  (async () => {
    const decoder = new TextDecoder();
    for await (const piece of response.body) inbox.put(decoder.decode(piece, {stream: true}));
  })().then(() => inbox.put(null), () => {});
  return {response, inbox};
}

// held waits until a request is held: neither the client nor the application sees when that is.
const held = (pushd, n) => until(`${n} are held`, async () => (await pushd.held()) === n);

test('a request through pushd is signed, and one past it is refused', async t => {
  const {pushd, direct} = await behind(t);
  assert.deepEqual(await (await fetch(pushd.url + '/plain')).json(), {proxied: true, signed: true});
  const past = await fetch(direct + '/plain');
  assert.equal(past.status, 501);
  assert.equal(await past.text(), 'Not Implemented.\n');
  const forged = await fetch(pushd.url + '/plain', {headers: {'Grip-Sig': 'e30.e30.e30'}});
  assert.equal(forged.status, 200, "a client's own Grip-Sig is replaced");
});

test('another key is refused', async t => {
  const {pushd} = await behind(t, {signKey: 'another key'});
  assert.equal((await fetch(pushd.url + '/plain')).status, 403);
});

test('a stream hold gets what the library publishes, and keep-alives', async t => {
  const {pushd, publisher} = await behind(t);
  const {response, inbox} = await stream(t, pushd.url + '/stream');
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^text\/plain/);
  assert.deepEqual([...response.headers.keys()].filter(name => name.startsWith('grip-')), []);
  assert.equal(await inbox.next(), '[open]\n');
  await held(pushd, 1);
  await publisher.publishHttpStream('elsewhere', 'not for this one\n');
  await publisher.publishHttpStream('news', 'grüße\n');
  assert.equal(await inbox.next(), 'grüße\n');
  await publisher.publishHttpStream('news', new HttpStreamFormat(new Uint8Array([0x31, 0x0a])));
  assert.equal(await inbox.next(), '1\n');
  assert.equal(await inbox.next('a keep-alive'), '.\n');
  const published = await fetch(pushd.url + '/publish', {method: 'POST', body: 'through the application\n', headers: {'Content-Type': 'text/plain'}});
  assert.equal(await published.text(), 'published');
  assert.equal(await until('the text', async () => { const s = await inbox.next(); return s !== '.\n' && s; }), 'through the application\n');
  await publisher.publishHttpStream('news', new HttpStreamFormat(undefined, true)); // the close action
  assert.equal(await until('the end', async () => { const s = await inbox.next(); return s !== '.\n' && {s}; }).then(end => end.s), null);
});

test('a response hold is answered by what is published', async t => {
  const {pushd, publisher, seen} = await behind(t);
  const first = fetch(pushd.url + '/poll');
  await held(pushd, 1);
  await publisher.publishHttpResponse('news', 'the news');
  let response = await within('the answer', first);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('x-kept'), 'yes');
  assert.equal(await response.text(), 'the news');
  const second = fetch(pushd.url + '/poll');
  await held(pushd, 1);
  await publisher.publishHttpResponse('news', new HttpResponseFormat({code: 404, reason: 'Gone Fishing', headers: {'X-More': '1'}, body: 'nobody'}));
  response = await within('the answer', second);
  assert.deepEqual([response.status, response.statusText, response.headers.get('x-more'), await response.text()],
    [404, 'Gone Fishing', '1', 'nobody']);
  assert.equal(seen.length, 2, 'the application was asked once each');
  assert.match(seen[0], /\bstatus\b/);
});

test('a response hold that times out is answered by the application', async t => {
  const {pushd} = await behind(t);
  const start = Date.now();
  const response = await within('the answer', fetch(pushd.url + '/poll?timeout=5'));
  assert.equal(await response.text(), 'nothing yet');
  assert.ok(Date.now() - start > 4000, `it came after ${Date.now() - start} ms`);
});
